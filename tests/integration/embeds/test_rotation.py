"""Rotation in two phases: what each ends and what it leaves, and what a rotation does that was cut off anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from pipeline.core.clock import utc_now
from pipeline.core.database import Database
from pipeline.core.embedding_secret import embedding_secret
from pipeline.core.errors import EmbedsNotSetUp, KeysInUse, MetabaseUnavailable
from tests.command_line import CommandLine
from tests.integration.embeds.world import World, claims, forged
from tests.integration.isolation.conftest import MARKERS
from tests.integration.metabase.world import SECRET
from tests.integration.promote.world import wait_until
from workbench.embeds.rotation import retire, rotate
from workbench.embeds.standing import LONGEST_LIFE, KeyState, read_keys, read_secret_state

ROTATIONS = "select details from control.audit_log where action like 'embeds%' order by audit_id"

WAITING = """
select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')
"""


class GivenSecrets:
    """Metabase, of which only the secret matters. It can be gone before or after it takes one."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.gone: str | None = None

    def __call__(self, secret: str) -> None:
        if self.gone == "before":
            raise MetabaseUnavailable
        self.taken.append(secret)
        if self.gone == "after":
            raise MetabaseUnavailable


@pytest.fixture
def known(database: Database) -> Database:
    """A database that knows of a Metabase."""
    with database.connect_admin() as connection:
        connection.execute(
            "insert into control.metabase_state (site_url, secret_generation) values ('http://metabase', 1)"
        )
    return database


def states(database: Database) -> list[KeyState]:
    with database.connect_admin() as connection:
        return [key.state for key in read_keys(connection)]


def generations(database: Database) -> tuple[int, int | None]:
    with database.connect_admin() as connection:
        state = read_secret_state(connection)
    assert state is not None
    return state.secret_generation, state.next_generation


def is_waiting(database: Database) -> bool:
    """Whether somebody waits for a lock of somebody else's."""
    with database.connect_admin() as connection:
        return connection.execute(WAITING).fetchone() == (True,)


def turn(database: Database, metabase: Callable[[str], None]) -> str | None:
    return rotate(database, secret=SECRET, give=metabase, actor="sam").signing_key


def later(seconds: float) -> Callable[[], datetime]:
    return lambda: utc_now() + timedelta(seconds=seconds)


def test_a_rotation_makes_a_key_and_gives_metabase_the_next_secret(known: Database) -> None:
    metabase = GivenSecrets()
    key = turn(known, metabase)
    assert (metabase.taken, generations(known)) == ([embedding_secret(SECRET, 2)], (2, None))
    assert states(known) == [KeyState.SIGNS, KeyState.VERIFIES]
    with known.connect_admin() as connection:
        assert read_keys(connection)[0].key_id == key
        told = [row[0] for row in connection.execute(ROTATIONS)]
    assert told == [
        {"signing_key": key, "generation": 2, "step": "announced"},
        {"generation": 2, "step": "Metabase has the new secret"},
    ]


@pytest.mark.parametrize("gone", ["before", "after"])
def test_a_rotation_that_was_cut_off_is_brought_to_its_end_by_the_next(known: Database, gone: str) -> None:
    metabase = GivenSecrets()
    metabase.gone = gone
    for _ in range(2):
        with pytest.raises(MetabaseUnavailable):
            turn(known, metabase)
        assert (generations(known), len(states(known))) == ((1, 2), 2)
    metabase.gone = None
    assert turn(known, metabase) is None
    assert (generations(known), len(states(known))) == ((2, None), 2)
    assert set(metabase.taken) == {embedding_secret(SECRET, 2)}
    assert turn(known, metabase) is not None
    assert (generations(known), metabase.taken[-1]) == ((3, None), embedding_secret(SECRET, 3))


def test_of_two_rotations_at_once_the_second_finds_the_first_one_done(known: Database) -> None:
    """Metabase never gets an older secret after a newer one."""
    metabase, inside, go_on = GivenSecrets(), threading.Event(), threading.Event()

    def slow(secret: str) -> None:
        inside.set()
        assert go_on.wait(30)
        metabase(secret)

    first = threading.Thread(target=turn, args=(known, slow))
    first.start()
    assert inside.wait(30)
    second = threading.Thread(target=turn, args=(known, metabase))
    second.start()
    wait_until(lambda: is_waiting(known) or bool(metabase.taken))
    assert not metabase.taken
    go_on.set()
    first.join(30)
    second.join(30)
    current, following = generations(known)
    assert following is None
    assert metabase.taken == [embedding_secret(SECRET, generation) for generation in range(2, current + 1)]


def test_before_metabase_is_set_up_there_is_a_key_alone(database: Database) -> None:
    done = rotate(database, secret=None, give=None, actor="sam")
    assert (done.generation, states(database)) == (None, [KeyState.SIGNS, KeyState.VERIFIES])


def test_without_the_secret_that_it_is_derived_from_nothing_is_begun(known: Database) -> None:
    with pytest.raises(EmbedsNotSetUp, match="WORKBENCH_SECRET"):
        rotate(known, secret=None, give=GivenSecrets(), actor="sam")
    assert (generations(known), states(known)) == ((1, None), [KeyState.SIGNS])


def test_old_keys_are_retired_once_no_token_of_theirs_can_be_alive(known: Database) -> None:
    turn(known, GivenSecrets())
    turn(known, GivenSecrets())
    whole = LONGEST_LIFE.total_seconds()
    for clock in (utc_now, later(whole - 30)):
        with pytest.raises(KeysInUse, match="more seconds"):
            retire(known, actor="sam", clock=clock)
        assert states(known) == [KeyState.SIGNS, KeyState.VERIFIES, KeyState.VERIFIES]
    assert len(retire(known, actor="sam", clock=later(whole))) == 2
    assert states(known) == [KeyState.SIGNS, KeyState.RETIRED, KeyState.RETIRED]
    assert retire(known, actor="sam", clock=utc_now) == []
    assert states(known) == [KeyState.SIGNS, KeyState.RETIRED, KeyState.RETIRED]


def test_keys_in_wrong_hands_are_retired_at_once(known: Database) -> None:
    turn(known, GivenSecrets())
    (ended,) = retire(known, actor="sam", clock=utc_now, at_once=True)
    assert states(known) == [KeyState.SIGNS, KeyState.RETIRED]
    with known.connect_admin() as connection:
        told = [row[0] for row in connection.execute(ROTATIONS)]
    assert told[-1] == {"signing_keys": [ended], "at_once": True}


def test_after_a_rotation_and_a_retirement_nothing_that_was_made_before_opens_anything(shared: World) -> None:
    workbench = CommandLine(shared.environment)
    old = shared.token("acme")
    assert MARKERS["acme"] in str(shared.shown(old))
    done = workbench.json("embeds", "rotate")
    generation = done["generation"]
    # At once, in the running API, and for what Metabase verifies.
    new = shared.token("acme")
    assert claims(new)["params"]["tenant"][0].split("|")[2] == done["signing_key"]
    assert MARKERS["acme"] in str(shared.shown(new))
    replayed = shared.browser.get(f"/api/embed/dashboard/{old}")
    assert (replayed.status_code, replayed.text) == (400, "Message seems corrupt or manipulated")
    # The tenant token inside is good until its key is retired, also for one who has the new secret.
    carried_over = forged(claims(old), secret=embedding_secret(SECRET, generation))
    assert MARKERS["acme"] in str(shared.shown(carried_over))
    refused = workbench.run("embeds", "retire", exits=1)
    assert "in use" in refused.stderr
    assert len(workbench.json("embeds", "retire", "--now")["retired"]) >= 1
    assert {card["status"] for card in shared.shown(carried_over)} == {"failed"}
    assert MARKERS["acme"] in str(shared.shown(new))


def test_a_metabase_that_dies_in_the_middle_is_mended_by_running_it_again(shared: World) -> None:
    workbench = CommandLine(shared.environment)
    current, _ = generations(shared.database)
    shared.metabase.crashes_after = 1
    try:
        workbench.run("embeds", "rotate", exits=1)
    finally:
        shared.metabase.crashes_after = None
    assert generations(shared.database) == (current, current + 1)
    assert "has not come to its end" in workbench.run("embeds", "status").stderr
    assert "embeds rotate" in workbench.run("metabase", "apply", exits=1).stderr
    assert workbench.json("embeds", "rotate") == {"signing_key": None, "generation": current + 1}
    assert MARKERS["acme"] in str(shared.shown(shared.token("acme")))


def test_a_metabase_that_does_not_let_us_in_leaves_everything_as_it_was(shared: World) -> None:
    environment = shared.environment | {"WORKBENCH_METABASE_ADMIN_PASSWORD": "not the password 1"}
    before = generations(shared.database), states(shared.database)
    refused = CommandLine(environment).run("embeds", "rotate", exits=1)
    assert "WORKBENCH_METABASE_ADMIN" in refused.stderr
    assert (generations(shared.database), states(shared.database)) == before
    assert MARKERS["acme"] in str(shared.shown(shared.token("acme")))


def test_an_operator_sees_what_tokens_are_made_with_and_can_try_one(shared: World) -> None:
    workbench = CommandLine(shared.environment)
    url = workbench.run("embeds", "token", "--tenant", "globex", "--dashboard", "adoption").stdout.strip()
    token = url.rpartition("/")[2].partition("#")[0]
    assert url.startswith("https://metabase.example.com/embed/dashboard/")
    assert MARKERS["globex"] in str(shared.shown(token))
    assert workbench.json("embeds", "token", "--tenant", "acme", "--dashboard", "usage", "--seconds", "60")["token"]
    actor, tenant, details = shared.audited()[-2]
    assert (tenant, details["dashboard"]) == ("globex", "adoption")
    assert "@" in actor
    for words, remedy in (
        (("--tenant", "nobody", "--dashboard", "usage"), "no tenant 'nobody'"),
        (("--tenant", "acme", "--dashboard", "ledger"), "adoption, retention, usage"),
    ):
        assert remedy in workbench.run("embeds", "token", *words, exits=1).stderr
    standing = workbench.json("embeds", "status")
    assert standing["keys"][0]["state"] == "signs"
    assert standing["secret"]["next_generation"] is None
    assert standing["tokens_of_a_day"] == len(shared.audited())
    text = workbench.run("embeds", "status")
    assert "Signing keys" in text.stdout
    assert embedding_secret(SECRET, standing["secret"]["secret_generation"]) not in text.output + str(standing)
