"""Replacing what embed tokens are made with, in two phases.

`rotate` makes a new signing key and gives Metabase a new secret; `retire` ends the old keys, once no token of theirs
is alive. Whatever step a rotation is killed after, doing it again brings it to its end: the database says what Metabase
is being given before Metabase is given it, and what is in use after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
import psycopg

from pipeline.core import audit
from pipeline.core.database import Database
from pipeline.core.embedding_secret import embedding_secret
from pipeline.core.errors import EmbedsNotSetUp, KeysInUse
from pipeline.core.signing_keys import add_signing_key
from workbench.embeds.standing import KeyState, SigningKey, read_keys, read_secret_state

GiveMetabase = Callable[[str], None]
"""Gives Metabase an embedding secret; returns once Metabase has it, and may be called with the same again."""

ANNOUNCE = "update control.metabase_state set next_generation = %s, changed_at = clock_timestamp()"
SETTLE = """
update control.metabase_state
set secret_generation = next_generation, next_generation = null, changed_at = clock_timestamp()
"""
RETIRE = """
update control.signing_keys set retired_at = clock_timestamp() where retired_at is null and key_id = any(%s)
"""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """What a rotation did. Neither part is there where there was nothing for it to do."""

    signing_key: str | None
    """The id of the new key; None where it brought an earlier rotation, which has made one, to its end."""
    generation: int | None
    """The generation of Metabase's new secret; None where Metabase is not set up."""


def rotate(database: Database, *, secret: str | None, give: GiveMetabase | None, actor: str) -> Rotation:
    """Make a new signing key and give Metabase a new secret.

    `secret` (WORKBENCH_SECRET) and `give` are needed once Metabase is set up; EmbedsNotSetUp where they are missing
    then. Raises what `give` raises; the API goes on with the old secret, and the rotation is to be done again.
    """
    with database.connect_admin() as connection:
        signing_key, announced = _announce(connection, actor)
        if announced is None:
            return Rotation(signing_key=signing_key, generation=None)
        if secret is None or give is None:
            raise EmbedsNotSetUp("Metabase's embedding secret cannot be replaced: WORKBENCH_SECRET is not set.")
    with database.connect_admin() as connection:
        # The lock keeps a second rotation from giving Metabase anything in between.
        state = read_secret_state(connection, locked=True)
        if state is not None and state.next_generation is not None:
            give(embedding_secret(secret, state.next_generation))
            connection.execute(SETTLE)
            details = {"generation": state.next_generation, "step": "Metabase has the new secret"}
            audit.record(connection, actor=actor, action="embeds_rotate", details=details)
    return Rotation(signing_key=signing_key, generation=announced)


def retire(database: Database, *, actor: str, clock: Callable[[], datetime], at_once: bool = False) -> list[str]:
    """End all signing keys but the one that signs; answers their ids.

    Raises KeysInUse, changing nothing, while tokens of theirs may be alive, unless it is to be done at once.
    """
    with database.connect_admin() as connection:
        old = [key for key in read_keys(connection) if key.state is KeyState.VERIFIES]
        if not at_once:
            _require_dead(old, clock())
        ended = [key.key_id for key in old]
        if ended:
            connection.execute(RETIRE, (ended,))
            details = {"signing_keys": ended, "at_once": at_once}
            audit.record(connection, actor=actor, action="embeds_retire", details=details)
    return ended


def _announce(connection: psycopg.Connection, actor: str) -> tuple[str | None, int | None]:
    """The new key and the generation to come, or those of a rotation that was interrupted; in one transaction."""
    state = read_secret_state(connection, locked=True)
    if state is not None and state.next_generation is not None:
        return None, state.next_generation
    signing_key = add_signing_key(connection)
    generation = None if state is None else state.secret_generation + 1
    if generation is not None:
        connection.execute(ANNOUNCE, (generation,))
    details = {"signing_key": signing_key, "generation": generation, "step": "announced"}
    audit.record(connection, actor=actor, action="embeds_rotate", details=details)
    return signing_key, generation


def _require_dead(old: Sequence[SigningKey], now: datetime) -> None:
    ends = [
        key.last_token_ends_at for key in old if key.last_token_ends_at is not None and key.last_token_ends_at > now
    ]
    if ends:
        seconds = round((max(ends) - now).total_seconds()) + 1
        raise KeysInUse(
            f"Tokens that the old signing keys signed may be in use for {seconds} more seconds; nothing was changed.",
            remedy="Run it again then; or with --now, if a key is in wrong hands: pages that show dashboards reload.",
        )
