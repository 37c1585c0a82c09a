"""What commands share that look at the stream."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.core.errors import SettingsError
from workbench.cli.output import errors
from workbench.cli.serve import SPOOL

if TYPE_CHECKING:
    from pipeline.core.settings import Settings
    from workbench.accounting.in_flight import StreamCounter

WORTH_TELLING = 50_000
"""Records, below which counting is done before anybody could read how far it is."""


def require_stream(settings: Settings) -> None:
    """Raise SettingsError, with the remedy, unless events go through Kafka."""
    if not settings.kafka_bootstrap_servers:
        raise SettingsError(
            "KAFKA_BOOTSTRAP_SERVERS is not set, so there is no stream: the API lands events by itself.",
            remedy="Set it to the brokers as host:port, comma-separated, for this command and for the API alike.",
        )


def quiet_client(settings: Settings) -> None:
    """Keep the Kafka client's own log to those who debug: what it tells, we tell with the remedy."""
    if settings.log_level != "debug":
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@contextmanager
def stream_counter(settings: Settings) -> Iterator[StreamCounter | None]:
    """What counts the events in flight, telling how far it is; None where the API lands by itself."""
    if not settings.kafka_bootstrap_servers:
        yield None
        return
    from workbench.accounting.in_flight import StreamCounter

    quiet_client(settings)
    with errors.status("Counting what is in flight") as status:

        def tell(done: int, of: int) -> None:
            if of >= WORTH_TELLING:
                status.update(f"Counting what is in flight: {done:,} of {of:,} records")

        yield StreamCounter(settings, spool=settings.home / SPOOL, progress=tell)
