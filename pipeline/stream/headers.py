"""Headers of records: the span in which a record was published, as W3C's `traceparent`.

A record has none where nothing is traced, or where it went through the spool, which does not keep it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

TRACEPARENT = "traceparent"

Headers = list[tuple[str, bytes]]
"""A list, which aiokafka insists on."""


def headers_of(traceparent: str | None) -> Headers:
    """The headers of records that are published in this span."""
    return [] if traceparent is None else [(TRACEPARENT, traceparent.encode())]


def traceparents(headers: Iterable[tuple[str, bytes | None]]) -> Iterator[str]:
    """The spans that a record's headers tell; whoever writes to the topic may have put anything there."""
    for name, value in headers:
        if name == TRACEPARENT and value is not None:
            yield value.decode("ascii", errors="replace")
