"""How each type of PostgreSQL arrives: asked for in a form that the driver reads, then made plain Arrow.

| PostgreSQL | in a frame |
|---|---|
| smallint, integer, bigint, oid | Int16, Int32, Int64, Int64 |
| real, double precision, numeric | Float32, Float64, Float64 |
| text, uuid, json, jsonb, and what is not listed | String |
| date, timestamp, timestamptz, time | Date, Datetime("us"), Datetime("us", "UTC"), Time |
| interval | Duration("us"); a month counts as 30 days, a year as 365.25 |
| an array | a List of the same, flat; of types that are not listed, of String |

An infinite date or moment becomes the last or first one that Python knows: order and comparison hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TYPE_OF = b"POSTGRESQL:type"
TEXTS = frozenset({"text", "varchar", "bpchar", "name", "char", "json", "jsonb", "uuid"})
NUMBERS = frozenset({"bool", "int2", "int4", "int8", "float4", "float8"})
MOMENTS = frozenset({"date", "timestamp", "timestamptz", "time"})
AS_IT_IS = TEXTS | NUMBERS | MOMENTS | {"bytea"}
CASTS: Mapping[str, str] = {
    "numeric": "{}::float8",
    "_numeric": "{}::float8[]",
    "oid": "{}::int8",
    "interval": "(extract(epoch from {}) * 1000000)::int8",
}
INTERVAL = "interval"

# How the driver presents infinity: the largest and smallest number, moved from 2000 to 1970 with an overflow.
DAYS_TO_2000 = 10_957
MICROSECONDS_TO_2000 = 946_684_800_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

HEX_PAIRS = np.array([list(f"{octet:02x}".encode()) for octet in range(256)], dtype=np.uint8)
UUID_LENGTH = 36
UUID_HYPHENS = (8, 13, 18, 23)
UUID_DIGITS = np.array([place for place in range(UUID_LENGTH) if place not in UUID_HYPHENS])


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of an answer: its name, which no other of the answer has, and PostgreSQL's name of its type."""

    name: str
    type: str


def columns_of(schema: pa.Schema) -> list[Column]:
    """The columns of an answer as the driver describes them; a name that comes again gets a number."""
    found: list[Column] = []
    taken: set[str] = set()
    for field in schema:
        name, number = field.name, 2
        while name in taken:
            name, number = f"{field.name}_{number}", number + 1
        taken.add(name)
        found.append(Column(name=name, type=_type_of(field)))
    return found


def parameter_types(schema: pa.Schema | None) -> list[str | None]:
    """The type of each parameter; None for one that the driver does not know by name."""
    types = [_type_of(field) for field in schema or ()]
    return [kind if kind.isidentifier() else None for kind in types]


def selection(columns: Sequence[Column]) -> tuple[str, str]:
    """What to select of a subquery, and the names of its columns there."""
    names = [f"c{number}" for number in range(1, len(columns) + 1)]
    asked = [_asked(name, column.type) for name, column in zip(names, columns, strict=True)]
    return ", ".join(asked), ", ".join(names)


def plain(batch: pa.RecordBatch, columns: Sequence[Column]) -> pa.RecordBatch:
    """A batch of the driver's with the columns' names and without types of its own."""
    arrays = [_plain(array) for array in batch.columns]
    for number, column in enumerate(columns):
        if column.type == INTERVAL:
            arrays[number] = arrays[number].cast(pa.duration("us"))
    return pa.record_batch(arrays, names=[column.name for column in columns])


def empty(schema: pa.Schema, columns: Sequence[Column]) -> pa.RecordBatch:
    """A batch without rows, of the same types."""
    return plain(pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema), columns)


def _type_of(field: pa.Field) -> str:
    return str((field.metadata or {}).get(TYPE_OF, b"").decode())


def _asked(name: str, kind: str) -> str:
    if kind.removeprefix("_") in AS_IT_IS:
        return name
    if kind in CASTS:
        return CASTS[kind].format(name)
    return f"{name}::text[]" if kind.startswith("_") else f"{name}::text"


def _plain(array: pa.Array) -> pa.Array:
    if isinstance(array.type, pa.UuidType):
        return _uuids(array.storage)
    if isinstance(array.type, pa.BaseExtensionType):
        return array.storage
    if pa.types.is_list(array.type):
        return pa.ListArray.from_arrays(array.offsets, _plain(array.values), mask=array.is_null())
    if pa.types.is_date32(array.type):
        largest, days = 2**31, DAYS_TO_2000
        return _finite(array, pa.int32(), (days - largest - 1, days - largest), days=True)
    if pa.types.is_timestamp(array.type):
        largest, moved = 2**63, MICROSECONDS_TO_2000
        return _finite(array, pa.int64(), (moved - largest - 1, moved - largest), days=False)
    return array


def _finite(array: pa.Array, number: pa.DataType, infinite: tuple[int, int], *, days: bool) -> pa.Array:
    """The array with the last and first moments of Python in place of plus and minus infinity."""
    raw = array.view(number)
    lowest = pc.min(raw).as_py()
    if lowest is None or lowest > max(infinite):
        return array
    for found, moment in zip(infinite, (LAST, FIRST), strict=True):
        apart = moment - EPOCH
        instead = apart.days if days else (apart.days * 86_400 + apart.seconds) * 1_000_000 + apart.microseconds
        raw = pc.if_else(pc.equal(raw, pa.scalar(found, number)), pa.scalar(instead, number), raw)
    return raw.view(array.type)


def _uuids(storage: pa.Array) -> pa.Array:
    """Sixteen octets each, as the usual text."""
    _, content = storage.buffers()
    octets = np.frombuffer(content, dtype=np.uint8)[storage.offset * 16 : (storage.offset + len(storage)) * 16]
    text = np.full((len(storage), UUID_LENGTH), ord("-"), dtype=np.uint8)
    text[:, UUID_DIGITS] = HEX_PAIRS[octets].reshape(len(storage), 32)
    offsets = np.arange(len(storage) + 1, dtype=np.int32) * UUID_LENGTH
    strings = pa.StringArray.from_buffers(len(storage), pa.py_buffer(offsets), pa.py_buffer(text))
    return pc.if_else(storage.is_valid(), strings, None) if storage.null_count else strings
