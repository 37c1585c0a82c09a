"""`workbench import`: every line of an export is accounted for, on a real API and database."""

from __future__ import annotations

import gzip
import json
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.database import Database
from pipeline.core.key_register import create_key, is_live, list_keys
from tests.command_line import CommandLine
from workbench.importing.client import EventsClient, Verdict


def line(tenant_id: str, **fields: object) -> bytes:
    event = {"event_id": str(uuid.uuid4()), "event_type": "page_view", "tenant_id": tenant_id} | fields
    return json.dumps(event).encode() + b"\n"


def outcomes(tally: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in tally.items() if count and name not in ("lines", "tenant_id")}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return tmp_path / "export.ndjson"


def test_every_line_is_accounted_for_and_what_is_not_taken_is_kept_as_it_is(
    workbench: CommandLine, database: Database, export: Path
) -> None:
    taken = line("acme", event_id="0198b5a4-7c1e-7aaa-8bbb-000000000001", properties={"n": 1})
    conflict = taken.replace(b'"n": 1', b'"n": 2')
    bad = [
        conflict,
        line("acme", event_type="Page View"),
        b'{"tenant_id": "acme",\r\n',
        line("nobody"),
        b"[]",
    ]
    rejects = export.with_suffix(".rejects")
    export.write_bytes(b"".join([taken, *(line("acme") for _ in range(30)), b"\n", taken, *bad]))
    workbench.run("tenants", "add", "acme")

    account = workbench.json(
        "import", str(export), "--rejects", str(rejects), "--batch", "7", "--in-flight", "1", exits=1
    )

    total = {"accepted": 31, "duplicate": 1, "conflict": 1, "invalid": 1, "refused": 1, "unreadable": 2}
    assert outcomes(account["total"]) == total
    assert account["total"]["lines"] == sum(total.values())
    assert [(told["number"], told["outcome"]) for told in account["first_bad_lines"]] == [
        (34, "conflict"), (35, "invalid"), (36, "unreadable"), (37, "refused"), (38, "unreadable")
    ]  # fmt: skip
    assert sorted(rejects.read_bytes().splitlines(keepends=True)) == sorted([*bad[:-1], b"[]\n"])
    assert "--create-tenants" in account["first_bad_lines"][3]["reason"]
    assert not any(is_live(key) for key in list_keys(database)), "its keys are revoked"


def test_a_second_import_is_all_duplicates(workbench: CommandLine, export: Path) -> None:
    lines = [line(f"tenant-{number % 5}", user_id=f"u{number}") for number in range(200)]
    export.write_bytes(gzip.compress(b"".join(lines)))
    first = workbench.json("import", str(export), "--create-tenants")
    assert [outcomes(tenant) for tenant in first["tenants"]] == [{"accepted": 40}] * 5
    second = workbench.json("import", str(export))
    assert outcomes(second["total"]) == {"duplicate": 200}


def test_a_tenant_without_room_for_a_key_is_told_and_stops_nobody_else(
    workbench: CommandLine, database: Database, export: Path
) -> None:
    for tenant_id in ("acme", "globex"):
        workbench.run("tenants", "add", tenant_id)
    for _ in range(2):
        create_key(database, "acme")
    create_key(database, "globex", label="import")  # left behind by an import that was killed
    create_key(database, "globex", label="import")
    export.write_bytes(line("acme") + line("globex"))
    account = workbench.json("import", str(export), exits=1)
    assert outcomes(account["total"]) == {"accepted": 1, "refused": 1}
    [told] = account["first_bad_lines"]
    assert told["tenant_id"] == "acme"
    assert "workbench keys revoke" in told["reason"]
    assert [key.tenant_id for key in list_keys(database) if is_live(key)] == ["acme", "acme"]


def test_what_comes_before_a_break_in_the_file_is_stored(workbench: CommandLine, export: Path) -> None:
    whole = gzip.compress(b"".join(line("acme", user_id=uuid.uuid4().hex) for _ in range(3_000)))
    export.write_bytes(whole[: len(whole) // 2])
    ended = workbench.run("import", str(export), "--create-tenants", "--json", exits=1)
    total = json.loads(ended.stdout)["total"]
    assert total["accepted"] == total["lines"] > 1_000
    assert "cannot be read beyond line" in ended.stderr


def test_an_interrupted_import_says_how_far_it_got_and_leaves_no_key_behind(
    workbench: CommandLine, database: Database, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = 0
    send = EventsClient.send

    async def interrupted(client: EventsClient, key: str, events: Sequence[bytes]) -> list[Verdict]:
        nonlocal batches
        batches += 1
        if batches == 3:
            signal.raise_signal(signal.SIGINT)
        return await send(client, key, events)

    monkeypatch.setattr(EventsClient, "send", interrupted)
    export.write_bytes(b"".join(line("acme") for _ in range(5_000)))
    words = ("import", str(export), "--create-tenants", "--batch", "100", "--in-flight", "1")
    total = workbench.json(*words, exits=130)["total"]
    assert total["accepted"] == 200
    assert total["accepted"] + total["unanswered"] == total["lines"]
    assert not any(is_live(key) for key in list_keys(database))
    with database.connect_admin() as connection:
        assert connection.execute("select count(*) from raw.usage_events").fetchone() == (200,)
