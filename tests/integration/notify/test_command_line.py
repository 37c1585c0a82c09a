"""`workbench notifications`, the processes that deliver, and what a kill in the middle leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pipeline.core.clock import utc_now
from pipeline.core.database import Database
from pipeline.core.errors import PromotionError
from pipeline.core.settings import Settings
from pipeline.promote.promotion import Promotion, PromotionState
from tests.command_line import CommandLine
from tests.integration.cli.conftest import environment
from tests.integration.notify.outbox import Outbox
from tests.integration.notify.receiver import SECRET, Receiver
from tests.integration.promote.world import wait_until
from workbench.cli import notifications, promote

WORKBENCH = (sys.executable, "-m", "workbench")


@pytest.fixture
def variables(database: Database, receiver: Receiver, tmp_path: Path) -> dict[str, str]:
    """The environment of commands that tell the receiver."""
    webhook = {"WORKBENCH_WEBHOOK_URL": receiver.url, "WORKBENCH_WEBHOOK_SECRET": SECRET}
    return {name: value for name, value in environment(database, tmp_path).items() if value} | webhook


@pytest.fixture
def workbench(variables: dict[str, str]) -> CommandLine:
    """The command line in that environment."""
    return CommandLine(dict(variables))


def start(variables: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    inherited = {name: value for name, value in os.environ.items() if "WORKBENCH" not in name}
    return subprocess.Popen((*WORKBENCH, *words), env=inherited | variables, stderr=subprocess.PIPE)


def test_a_list_tells_where_each_notification_stands(
    workbench: CommandLine, outbox: Outbox, receiver: Receiver
) -> None:
    assert "There are no notifications." in workbench.run("notifications", "list").stdout
    refused = outbox.add("acme")
    receiver.script.append(500)
    workbench.run("notifications", "deliver", exits=1)
    waiting = outbox.add(None, kind="promotion.failed", payload={"promotion": 13, "error": "\x1b[31mno"})
    told = workbench.json("notifications", "list")
    assert told["total"] == 2
    rows = {row["notification_id"]: row for row in told["notifications"]}
    assert (rows[refused]["state"], rows[refused]["attempts"]) == ("pending", 1)
    assert rows[refused]["last_error"] == "500 Internal Server Error"
    assert rows[waiting]["payload"] == {"promotion": 13, "error": "\x1b[31mno"}
    workbench.run("notifications", "deliver")
    assert workbench.json("notifications", "list", "--state", "pending")["total"] == 0
    shown = workbench.run("notifications", "list", "--limit", "1").stdout
    assert "delivered" in shown
    assert "1 more" in shown


def test_deliver_does_not_wait_for_the_next_attempt_and_says_what_is_left(
    workbench: CommandLine, outbox: Outbox, receiver: Receiver
) -> None:
    sent = outbox.add()
    receiver.script.extend([500, 503])
    assert "500 Internal Server Error" in workbench.run("notifications", "deliver", exits=1).stderr
    assert workbench.json("notifications", "deliver", exits=1) == {
        "delivered": 0,
        "postponed": 1,
        "abandoned": 0,
        "pending": 1,
        "errors": ["503 Service Unavailable"],
    }
    assert "1 notification delivered, 0 abandoned, 0 pending." in workbench.run("notifications", "deliver").stdout
    assert receiver.ids() == {sent: 3}


def test_a_test_message_tells_the_answer(workbench: CommandLine, receiver: Receiver) -> None:
    receiver.script.extend([204, 404])
    assert "127.0.0.1 took test message" in workbench.run("notifications", "test").stdout
    refused = workbench.json("notifications", "test", exits=1)
    assert (refused["taken"], refused["status"], refused["answer"]) == (False, 404, "404 Not Found")
    assert [received.document["type"] for received in receiver.received] == ["test", "test"]


@pytest.mark.parametrize("words", [("notifications", "deliver"), ("notifications", "test")])
def test_without_a_webhook_there_is_a_remedy(variables: dict[str, str], words: tuple[str, ...]) -> None:
    variables |= {"WORKBENCH_WEBHOOK_URL": "", "WORKBENCH_WEBHOOK_SECRET": ""}
    assert "Remedy: Set WORKBENCH_WEBHOOK_URL" in CommandLine(dict(variables)).run(*words, exits=1).stderr


def test_who_is_killed_between_sending_and_noting_is_followed_by_another_with_the_same_id(
    variables: dict[str, str], workbench: CommandLine, outbox: Outbox, receiver: Receiver
) -> None:
    sent = outbox.add()

    def kill(handler: BaseHTTPRequestHandler) -> None:
        process.kill()
        process.wait()
        handler.close_connection = True

    receiver.script.append(kill)
    with start(variables, "notifications", "deliver") as process:
        wait_until(lambda: receiver.received, seconds=60)
    assert process.returncode == -signal.SIGKILL
    assert (outbox.row(sent).state, outbox.row(sent).attempts) == ("pending", 1)
    workbench.run("notifications", "deliver", exits=1)
    assert receiver.ids() == {sent: 1}, "its lease has not ended"
    outbox.let_time_pass()
    workbench.run("notifications", "deliver")
    assert receiver.ids() == {sent: 2}
    assert len({received.body for received in receiver.received}) == 1


def test_the_scheduler_delivers_and_ends_when_it_is_told_to(
    variables: dict[str, str], outbox: Outbox, receiver: Receiver
) -> None:
    sent = outbox.add()
    with start(variables | {"WORKBENCH_LOG_LEVEL": "debug"}, "schedule", "--no-at-start") as process:
        wait_until(lambda: outbox.row(sent).state == "delivered", seconds=60)
        receiver.script.append(receiver.hang)
        outbox.add()
        wait_until(lambda: len(receiver.received) == 2, seconds=60)
        process.terminate()
        began = time.monotonic()
        _, told = process.communicate(timeout=30)
    assert time.monotonic() - began < 6
    assert process.returncode == 0, told
    assert f"notification {sent} (tenant.held) delivered to 127.0.0.1" in told.decode()
    assert SECRET not in told.decode()
    assert "s3cret-path" not in told.decode()


@dataclass
class ScriptedPromoter:
    """A promotion that leaves a notification, and fails if it is to."""

    outbox: Outbox
    fails: bool

    def promote(self, **_: object) -> Promotion:
        self.outbox.add()
        if self.fails:
            raise PromotionError
        return Promotion(id=1, state=PromotionState.NOTHING_NEW, as_of=utc_now())


@pytest.mark.parametrize("fails", [False, True])
def test_promote_delivers_what_it_left_before_it_ends(
    workbench: CommandLine, outbox: Outbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr(promote, "build_promoter", lambda *_, **__: ScriptedPromoter(outbox, fails))
    workbench.run("promote", exits=1 if fails else 0)
    assert receiver.ids() == dict.fromkeys(outbox.ids(), 1)


@pytest.fixture
def settings(variables: dict[str, str]) -> Settings:
    """The same environment as settings."""
    return Settings.from_environment(variables)


def test_a_command_delivers_once_it_has_ended_or_failed(
    database: Database, settings: Settings, outbox: Outbox, receiver: Receiver
) -> None:
    with notifications.delivering_afterwards(database, settings):
        first = outbox.add()
        assert receiver.received == []
    second = ""

    def fail() -> None:
        nonlocal second
        with notifications.delivering_afterwards(database, settings):
            second = outbox.add()
            raise PromotionError

    with pytest.raises(PromotionError):
        fail()
    assert receiver.ids() == {first: 1, second: 1}


def test_a_receiver_that_hangs_costs_a_command_some_seconds_and_nothing_else(
    database: Database,
    settings: Settings,
    outbox: Outbox,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(notifications, "SECONDS_AFTER_A_COMMAND", 0.3)
    receiver.script.append(receiver.hang)
    sent = outbox.add()
    began = time.monotonic()
    with notifications.delivering_afterwards(database, settings):
        pass
    assert time.monotonic() - began < 3
    assert "workbench notifications deliver" in capsys.readouterr().err
    assert outbox.row(sent).state == "pending"


def test_a_database_that_is_away_costs_a_command_nothing(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    away = Database(admin_url="postgresql://nobody@127.0.0.1:1/nowhere")
    with notifications.delivering_afterwards(away, settings):
        pass
    assert "Not every notification was delivered" in capsys.readouterr().err


def test_a_command_without_a_webhook_looks_at_nothing() -> None:
    away = Database(admin_url="postgresql://nobody@127.0.0.1:1/nowhere")
    with notifications.delivering_afterwards(away, Settings()):
        pass
