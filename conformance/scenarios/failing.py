"""A publication that is killed half-way, and one that is undone."""

from __future__ import annotations

import threading
import time

from conformance.port import Answer, Answers, Published, Unsupported
from conformance.scenario import Scenario, Trial, told

TENANTS = ("acme", "globex")
DEADLINE_SECONDS = 60.0
LOOK_SECONDS = 0.005

# A SHARE lock: readers are not kept out by it, writers, renamers and refreshers are.
STOP = "create index stops_publications on {metrics} (events)"
# Whoever waits for the lock is in the middle of publishing.
KILL = """
select pg_terminate_backend(l.pid) from pg_locks as l
where not l.granted and %s = any(pg_blocking_pids(l.pid))
"""


def _kill(trial: Trial) -> Answers:
    trial.landing.add_tenants(TENANTS)
    trial.land(*TENANTS)
    trial.publish()
    before = trial.totals()
    trial.land(*TENANTS)
    published = _publish_and_kill(trial)
    after = trial.totals()
    healed = trial.subject.publish()
    whole = trial.totals()
    expected = 2 * before[0]
    kept = "readers keep the last state" if after == before else f"readers see {told(after)}"
    next_one = "published all" if whole == (expected, expected) else f"left {told(whole)} of {expected:,}"
    return [
        Answer(after == before and not published.ok, kept),
        Answer(whole == (expected, expected), f"{next_one}; it says: {healed.told.splitlines()[0][:100]}"),
    ]


def _publish_and_kill(trial: Trial) -> Published:
    """Stop a publication at the metrics, after the facts, and end its session there."""
    killed = threading.Event()
    ready = threading.Event()
    killer = threading.Thread(target=_kill_the_waiting, args=(trial, ready, killed), daemon=True)
    killer.start()
    ready.wait(DEADLINE_SECONDS)
    published = trial.subject.publish()
    killer.join(DEADLINE_SECONDS)
    if not killed.is_set():
        raise AssertionError(f"{trial.subject.name} was not caught while it published: {published.told}")
    return published


def _kill_the_waiting(trial: Trial, ready: threading.Event, killed: threading.Event) -> None:
    with trial.database.connect_admin() as stopper, trial.database.connect_admin(autocommit=True) as admin:
        stopper.execute(STOP.format(metrics=trial.reading.metrics).encode())
        pid = stopper.info.backend_pid
        ready.set()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline and not killed.is_set():
            if admin.execute(KILL, (pid,)).fetchall():
                killed.set()
            time.sleep(LOOK_SECONDS)
        stopper.rollback()


def _undo(trial: Trial) -> Answers:
    trial.landing.add_tenants(TENANTS)
    contents = []
    for _ in range(4):
        trial.land(*TENANTS)
        trial.publish()
        contents.append(trial.contents())
    last = _undone(trial, 1, contents[-2])
    return [last, _undone(trial, 2, contents[-4]) if last.holds else Answer(False, last.detail)]


def _undone(trial: Trial, publications: int, wanted: object) -> Answer:
    began = time.perf_counter()
    try:
        trial.subject.undo(publications)
    except Unsupported as reason:
        return Answer(False, str(reason))
    seconds = time.perf_counter() - began
    same = trial.contents() == wanted
    return Answer(same, f"in {seconds:.2f} s, " + ("every row as it was" if same else "rows differ"))


KILLED = Scenario(
    name="killed",
    promises=("Killed half-way: readers keep the last state", "The next publication completes it"),
    run=_kill,
)
UNDONE = Scenario(
    name="undone",
    promises=("The last publication can be undone", "Two more can be undone after that"),
    run=_undo,
)
