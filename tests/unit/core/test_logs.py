"""Log lines: each says what it is about, whoever writes it, and nothing that it is not about."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import pytest

from pipeline.core import logs
from pipeline.core.errors import PromotionError
from pipeline.core.logs import LogFormat, PassedOn

log = logging.getLogger("tests.logs")
TRACE = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}


@contextmanager
def written(line_format: LogFormat, trace: logs.Trace = dict) -> Iterator[io.StringIO]:
    """What is logged within the block."""
    stream = io.StringIO()
    handler = logs.handler(line_format, process="schedule", stream=stream, trace=trace)
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        yield stream
    finally:
        log.removeHandler(handler)
        log.propagate = True


def objects(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_of_text_tells_at_its_end_what_it_is_about() -> None:
    with written("text") as lines, logs.bound(promotion_id=7):
        log.warning("%s is held", "acme", extra={"tenant_id": "acme"})
    assert lines.getvalue() == "WARNING tests.logs: acme is held [tenant_id=acme promotion_id=7]\n"


def test_a_line_of_text_about_nothing_in_particular_is_as_it_was() -> None:
    with written("text") as lines:
        log.info("promoting every %s", "hour")
    assert lines.getvalue() == "INFO tests.logs: promoting every hour\n"


def test_a_json_line_has_a_field_for_all_that_is_known() -> None:
    with written("json", trace=lambda: TRACE) as lines, logs.bound(promotion_id=7, tenant_id="acme"):
        log.warning("déjà vu\nof %d rows", 3)
    [line] = objects(lines)
    assert line.pop("timestamp").endswith("Z")
    assert isinstance(line.pop("pid"), int)
    assert line == {
        "level": "warning",
        "logger": "tests.logs",
        "message": "déjà vu\nof 3 rows",
        "process": "schedule",
        "version": version("analytics-workbench"),
        "tenant_id": "acme",
        "promotion_id": 7,
        **TRACE,
    }


def test_a_traceback_stays_in_the_line_of_its_error() -> None:
    with written("json") as lines:
        try:
            raise ValueError("a\nb")
        except ValueError:
            log.exception("it broke")
    [line] = objects(lines)
    assert "ValueError: a" in line["exc_info"]


def test_a_known_error_carries_along_what_was_being_worked_on() -> None:
    with written("json") as lines:
        with pytest.raises(PromotionError) as caught, logs.bound(tenant_id="acme"), logs.bound(promotion_id=8):
            raise PromotionError("The build failed.")
        log.error("%s", caught.value, extra=caught.value.about)
        log.error("and after that")
    told, after = objects(lines)
    assert (told["tenant_id"], told["promotion_id"]) == ("acme", 8)
    assert not {"tenant_id", "promotion_id"} & set(after)


def test_lines_of_tasks_side_by_side_are_each_about_their_own_tenant() -> None:
    async def serve(tenant_id: str) -> None:
        logs.bind(tenant_id=tenant_id)
        await asyncio.sleep(0)
        log.info("%s", tenant_id)

    async def both() -> None:
        await asyncio.gather(*(asyncio.create_task(serve(tenant_id)) for tenant_id in ("acme", "initech")))
        log.info("nobody")

    with written("json") as lines:
        asyncio.run(both())
    assert [(line["message"], line.get("tenant_id")) for line in objects(lines)] == [
        ("acme", "acme"),
        ("initech", "initech"),
        ("nobody", None),
    ]


@pytest.mark.parametrize("line", ['{"level": "info"}', '{"a": "\\n"}'])
def test_a_json_line_of_another_process_is_passed_on_as_it_is(line: str) -> None:
    assert PassedOn("api").format(logging.makeLogRecord({"msg": line})) == line


@pytest.mark.parametrize("line", ["LOG:  100% ready", "[1]", '{"cut off', ""])
def test_any_other_line_of_another_process_becomes_the_message_of_one(line: str) -> None:
    passed_on = json.loads(PassedOn("database").format(logging.makeLogRecord({"msg": line})))
    assert (passed_on["message"], passed_on["process"]) == (line, "database")
