"""Dead letters as the steward reads them; replaying them is in `pipeline/land/replaying.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from psycopg.rows import class_row, scalar_row

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import WorkbenchError
from pipeline.land.replaying import Selection

APPLICATION = "workbench_dead_letters"
BYTES_PER_LINE = 16
MOST_REASONS = 20

CHOSEN = """
    (%(tenant_id)s::text is null or tenant_id = %(tenant_id)s)
    and (%(reason)s::text is null or reason = %(reason)s)
    and (%(letters)s::uuid[] is null or dead_letter_id = any(%(letters)s))
    and (%(resolved)s or resolved_at is null)
"""
FIELDS = """
    dead_letter_id, tenant_id, event_id, reason, detail, received_at, landed_at,
    topic, partition, record_offset, replays, resolved_at, resolution
"""
LIST = f"select {FIELDS} from raw.dead_letters where {CHOSEN} order by landed_at desc, dead_letter_id limit %(limit)s"  # noqa: S608
COUNT = f"select count(*) from raw.dead_letters where {CHOSEN}"  # noqa: S608
FIND = f"select {FIELDS} from raw.dead_letters where dead_letter_id = %(letter)s"  # noqa: S608
ORIGINAL = "select original from raw.dead_letters where dead_letter_id = %(letter)s"
# What follows a colon is of the one event: ids and hashes.
REMAINING = f"""
select reason, split_part(detail, ':', 1) as why, count(*) as letters
from raw.dead_letters
where {CHOSEN} and replays > 0
group by 1, 2
order by 3 desc, 1, 2
limit {MOST_REASONS}
"""  # noqa: S608


class LetterError(WorkbenchError):
    """There is no such dead letter."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter without the bytes that were sent."""

    dead_letter_id: UUID
    tenant_id: str
    event_id: UUID | None
    reason: str
    detail: str
    received_at: datetime
    landed_at: datetime
    topic: str | None
    partition: int | None
    record_offset: int | None
    replays: int
    resolved_at: datetime | None
    resolution: str | None


class Remaining(msgspec.Struct, frozen=True, kw_only=True):
    """Why letters stay open after a replay, and how many."""

    reason: str
    why: str
    letters: int


def list_letters(
    database: Database, *, tenant_id: str | None, reason: str | None, resolved: bool, limit: int
) -> tuple[list[Letter], int]:
    """The newest letters of a choice, and how many there are. Raises DatabaseUnavailable."""
    values = {"tenant_id": tenant_id, "reason": reason, "letters": None, "resolved": resolved, "limit": limit}
    with database.connect(ServiceRole.STEWARD, application=APPLICATION) as connection:
        letters = connection.cursor(row_factory=class_row(Letter)).execute(LIST.encode(), values).fetchall()
        total = connection.cursor(row_factory=scalar_row).execute(COUNT.encode(), values).fetchone()
    return letters, int(total or 0)


def find_letter(database: Database, letter_id: UUID) -> tuple[Letter, bytes]:
    """A letter and the bytes that were sent. Raises LetterError, DatabaseUnavailable."""
    values = {"letter": letter_id}
    with database.connect(ServiceRole.STEWARD, application=APPLICATION) as connection:
        letter = connection.cursor(row_factory=class_row(Letter)).execute(FIND.encode(), values).fetchone()
        original = connection.execute(ORIGINAL, values).fetchone()
    if letter is None or original is None:
        raise LetterError(
            f"There is no dead letter {letter_id}.", remedy="`workbench deadletters list --all` shows them."
        )
    return letter, bytes(original[0])


def count_open(database: Database, selection: Selection) -> int:
    """How many open letters are meant. Raises DatabaseUnavailable."""
    with database.connect(ServiceRole.STEWARD, application=APPLICATION) as connection:
        found = connection.execute(COUNT.encode(), _values(selection)).fetchone()
    return int(found[0]) if found else 0


def remaining(database: Database, selection: Selection) -> list[Remaining]:
    """Why letters of a selection stay open that were replayed, the most frequent first."""
    with database.connect(ServiceRole.STEWARD, application=APPLICATION) as connection:
        cursor = connection.cursor(row_factory=class_row(Remaining))
        return cursor.execute(REMAINING.encode(), _values(selection)).fetchall()


def readable(original: bytes) -> str | None:
    """The bytes as text, or None where they are none."""
    try:
        decoded = original.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in decoded else decoded


def hex_dump(original: bytes) -> str:
    """The bytes in lines of 16: offset, hexadecimal, and what of them can be printed."""
    lines = []
    for offset in range(0, len(original), BYTES_PER_LINE):
        part = original[offset : offset + BYTES_PER_LINE]
        printed = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{offset:08x}  {part.hex(' '):<47}  {printed}")
    return "\n".join(lines)


def _values(selection: Selection) -> Mapping[str, object]:
    letters = None if selection.letters is None else list(selection.letters)
    return {"tenant_id": selection.tenant_id, "reason": selection.reason, "letters": letters, "resolved": False}
