"""The steps of a funnel: which events count for each of them."""

from __future__ import annotations

from typing import Literal

import msgspec
import polars as pl

from workbench.analysis.fields import Field

Comparison = Literal["is", "is not", "contains", "at least", "at most", "is known"]
COMPARISONS: tuple[Comparison, ...] = ("is", "is not", "contains", "at least", "at most", "is known")


class Filter(msgspec.Struct, frozen=True):
    """A condition on a field of an event.

    Values are compared as text, case aside in `contains`, and as numbers in `at least` and `at most`. An event
    without the field meets `is not` only.
    """

    field: Field
    comparison: Comparison
    value: str = ""

    @property
    def label(self) -> str:
        """The condition for people."""
        return f"{self.field.label} {self.comparison} {self.value}".strip()

    def holds(self) -> pl.Expr:
        """Whether an event meets it; never null."""
        text = self.field.text()
        if self.comparison == "is not":
            return text.ne_missing(pl.lit(self.value))
        return self._compared(text).fill_null(False)

    def _compared(self, text: pl.Expr) -> pl.Expr:
        match self.comparison:
            case "is":
                return text == pl.lit(self.value)
            case "contains":
                return text.str.to_lowercase().str.contains(self.value.lower(), literal=True)
            case "at least":
                return text.cast(pl.Float64, strict=False) >= self._number()
            case "at most":
                return text.cast(pl.Float64, strict=False) <= self._number()
            case _:
                return text.is_not_null()

    def _number(self) -> pl.Expr:
        """The value as a number; what is none is met by nothing."""
        return pl.lit(self.value).cast(pl.Float64, strict=False)


class Step(msgspec.Struct, frozen=True):
    """An event type, with a condition if only some of its events count."""

    event_type: str
    where: Filter | None = None

    @property
    def label(self) -> str:
        """The step for people."""
        return self.event_type if self.where is None else f"{self.event_type} · {self.where.label}"

    def matches(self) -> pl.Expr:
        """Whether an event counts for this step; never null."""
        of_type = pl.col("event_type") == self.event_type
        return of_type if self.where is None else of_type & self.where.holds()
