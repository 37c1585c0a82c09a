"""What is asked of a metric, as it stands in an address: parsing it, completing it, and finding one's place again.

All of it is values and pure functions. What is left out of an address is completed by the moment up to which the
tenant's data is published, so that the same address means the same as long as the same is published.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, timedelta
from typing import Annotated, TypeVar

import msgspec
from starlette.datastructures import QueryParams

from api.refusals import Refusal
from pipeline.core.metrics.catalog import Metric
from pipeline.core.metrics.reading import Part, Publication, Question

PARAMETERS = ("from", "to", "granularity", "dimension", "limit", "cursor")
ROWS, MOST_ROWS = 1_000, 10_000
MOST_YEARS = 5
# Centuries in which a day and five years around it are days for everybody.
DAY = re.compile(r"[12]\d{3}-\d\d-\d\d", re.ASCII)
NUMBER = re.compile(r"\d{1,5}", re.ASCII)
CURSOR = re.compile(r"[0-9A-Za-z_-]{1,200}")
USUAL_DAYS = {"day": 28, "week": 84, "month": 365, "total": 365 * MOST_YEARS}
"""How far back an answer goes where the address does not say it, by granularity."""

T = TypeVar("T")


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in the rows of one question as they are in one publication."""

    promotion_id: int | None
    question: str
    offset: Annotated[int, msgspec.Meta(gt=0, lt=2**31)]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What an address says; None where it says nothing."""

    metric: Metric
    granularity: str
    dimension: str
    from_day: date | None = None
    to_day: date | None = None
    limit: int = ROWS
    cursor: Cursor | None = None


def asked_of(metric: Metric, parameters: QueryParams) -> Asked:
    """The question of an address. Raises Refusal with 400, which names the parameter and what it may be."""
    for name, _ in parameters.multi_items():
        if name not in PARAMETERS:
            raise _bad(None, f"There is no such parameter; there are {', '.join(PARAMETERS)}.", allowed=PARAMETERS)
        if len(parameters.getlist(name)) > 1:
            raise _bad(name, "stands there more than once.")
    return Asked(
        metric=metric,
        from_day=_given(parameters, "from", _day),
        to_day=_given(parameters, "to", _day),
        granularity=_one_of(parameters, "granularity", metric.granularities),
        dimension=_one_of(parameters, "dimension", metric.dimensions),
        limit=_given(parameters, "limit", _limit) or ROWS,
        cursor=_given(parameters, "cursor", _cursor),
    )


def completed(asked: Asked, publication: Publication, today: date) -> Question:
    """The question with both days; without a publication `today` is the last one. Raises Refusal with 400."""
    to_day, from_day = asked.to_day, asked.from_day
    if to_day is None:
        last = publication.as_of.astimezone(UTC).date() if publication.as_of is not None else today
        to_day = last + timedelta(days=1)
    if from_day is None:
        from_day = to_day - timedelta(days=USUAL_DAYS[asked.granularity])
    if from_day >= to_day:
        raise _bad("to", "is the first day after the range, so it is later than from.")
    if to_day > _years_after(from_day):
        raise _bad("from", f"lies more than {MOST_YEARS} years before to.")
    return Question(
        metric=asked.metric, from_day=from_day, to_day=to_day, granularity=asked.granularity, dimension=asked.dimension
    )


def part_of(asked: Asked, question: Question, publication: Publication) -> Part:
    """The rows that are asked for.

    Raises Refusal with 400 if the cursor belongs to another question, with 409 if to another publication.
    """
    cursor = asked.cursor
    if cursor is None:
        return Part(question=question, limit=asked.limit)
    if cursor.promotion_id != publication.promotion_id:
        raise Refusal(
            409, "figures_changed", "Newer figures were published since the first page. Begin again without cursor."
        )
    if cursor.question != digest(question):
        raise _bad("cursor", "belongs to another question. Repeat the first page's parameters, or begin without it.")
    return Part(question=question, limit=asked.limit, offset=cursor.offset)


def next_cursor(part: Part, publication: Publication) -> str:
    """Where the rows after a part begin."""
    cursor = Cursor(publication.promotion_id, digest(part.question), part.offset + part.limit)
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def etag_of(tenant_id: str, part: Part, publication: Publication) -> str:
    """A strong entity tag: another answer has another one."""
    parts = (tenant_id, publication, digest(part.question), part.question.metric, part.limit, part.offset)
    return f'"{_hash(parts)}"'


def digest(question: Question) -> str:
    """A question in a few characters."""
    return _hash((question.metric.name, question.from_day, question.to_day, question.granularity, question.dimension))


def _hash(parts: object) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=12).hexdigest()


def _years_after(day: date) -> date:
    """The latest day to which it is not more than MOST_YEARS; of February 29th it is a 28th, as for PostgreSQL."""
    year = day.year + MOST_YEARS
    return day.replace(year=year, day=min(day.day, calendar.monthrange(year, day.month)[1]))


def _given(parameters: QueryParams, name: str, parse: Callable[[str, str], T]) -> T | None:
    return parse(name, parameters[name]) if name in parameters else None


def _one_of(parameters: QueryParams, name: str, allowed: Sequence[str]) -> str:
    value = parameters.get(name, allowed[0])
    if value not in allowed:
        raise _bad(name, f"is one of {', '.join(allowed)} for this metric.", allowed=allowed)
    return value


def _day(name: str, text: str) -> date:
    try:
        if DAY.fullmatch(text) is None:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError as error:
        raise _bad(name, "is a day such as 2026-03-02.") from error


def _limit(name: str, text: str) -> int:
    if NUMBER.fullmatch(text) is None or not 1 <= int(text) <= MOST_ROWS:
        raise _bad(name, f"is a number from 1 to {MOST_ROWS}.")
    return int(text)


def _cursor(name: str, text: str) -> Cursor:
    try:
        if CURSOR.fullmatch(text) is None:
            raise ValueError
        padded = text + "=" * (-len(text) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Cursor)
    except (ValueError, msgspec.MsgspecError) as error:
        raise _bad(name, "is what next_cursor of the page before said.") from error


def _bad(parameter: str | None, problem: str, *, allowed: Sequence[str] | None = None) -> Refusal:
    details: dict[str, object] = {} if parameter is None else {"parameter": parameter}
    if allowed is not None:
        details["allowed"] = list(allowed)
    message = problem if parameter is None else f"{parameter} {problem}"
    return Refusal(400, "invalid_parameter", message, details=details)
