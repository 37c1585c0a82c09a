"""`workbench consume`, which also tells of every delivery how many records it landed.

python -m tests.acceptance.chaos.consuming consume --member NAME
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pipeline.stream.consumer
from pipeline.core.settings import Settings
from pipeline.stream.consumer import StreamConsumer
from pipeline.stream.consumption import Landed
from workbench.cli.app import main

LANDED = "landed"
APPLICATION = "workbench_consumer"
"""What the database knows the landing of every consumer as."""


class TellingConsumer(StreamConsumer):
    """A consumer that prints what it lands."""

    def __init__(self, settings: Settings, *, observe: Callable[[Landed], None], **options: Any) -> None:
        def tell(landed: Landed) -> None:
            print(LANDED, landed.delivery.records, flush=True)
            observe(landed)

        super().__init__(settings, observe=tell, **options)


if __name__ == "__main__":
    pipeline.stream.consumer.StreamConsumer = TellingConsumer  # type: ignore[misc, assignment]
    main()
