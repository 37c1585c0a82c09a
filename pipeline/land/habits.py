"""Habits: what a session has learned of the batches that it lands, by which it chooses its ways."""

from __future__ import annotations

from pipeline.land.screening import Screen
from pipeline.land.storing import Storer


class Habits:
    """One session's; wrong ones cost time and nothing else."""

    def __init__(self) -> None:
        self.screen = Screen()
        self.storer = Storer()
