"""The candidate: what dbt built, sealed before the gate judges it and verified when it is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from pipeline.core.errors import PromotionError
from pipeline.promote.marts import Mart
from pipeline.promote.promotion import Seal

SCHEMA = "candidate"

# A sum does not depend on the order of rows and, unlike an exclusive or, tells a row that is there
# twice from one that is not there.
SEAL = sql.SQL("select count(*), coalesce(sum(hash_record_extended(c, 0)), 0)::text from {} as c")


def seal(connection: psycopg.Connection, marts: Sequence[Mart]) -> dict[str, Seal]:
    """Count and content hash of each mart's candidate table."""
    return {mart.name: _seal(connection, mart.name) for mart in marts}


def verify(connection: psycopg.Connection, seals: Mapping[str, Seal]) -> None:
    """Raise PromotionError, naming the table, if a candidate is not what was sealed."""
    for name, sealed in seals.items():
        found = _seal(connection, name)
        if found != sealed:
            raise PromotionError(
                f"{SCHEMA}.{name} changed after it was judged: {sealed.rows:,} rows then, {found.rows:,} now.",
                remedy="Nobody but the promotion may write there; find out who did, then promote again.",
            )


def _seal(connection: psycopg.Connection, name: str) -> Seal:
    row = connection.execute(SEAL.format(sql.Identifier(SCHEMA, name))).fetchone()
    if row is None:
        raise PromotionError(f"{SCHEMA}.{name} cannot be counted.")
    return Seal(rows=row[0], content=int(row[1]))
