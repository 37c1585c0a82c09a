"""What events can be grouped and filtered by: a column of the event, or what its sender told in `properties`."""

from __future__ import annotations

from typing import Literal

import msgspec
import polars as pl

from workbench.analysis.explore_properties import property_text

COLUMNS = ("event_type", "user_id", "session_id")
OTHERS, WITHOUT = "(others)", "(none)"


class Field(msgspec.Struct, frozen=True):
    """A column of `fct_usage_events`, or a property by its name."""

    name: str
    of: Literal["column", "property"] = "property"

    @property
    def label(self) -> str:
        """The name for people."""
        return self.name.replace("_", " ") if self.of == "column" else self.name

    def text(self) -> pl.Expr:
        """The value as text, a property's as `properties ->> name` answers it; null where there is none."""
        return property_text(self.name) if self.of == "property" else pl.col(self.name).cast(pl.String)


def lumped(frame: pl.DataFrame, *, most: int) -> pl.DataFrame:
    """The frame with its `segment` WITHOUT where null, and OTHERS but for the `most` most frequent (ties by name)."""
    named = frame.with_columns(pl.col("segment").fill_null(WITHOUT))
    frequent = named.group_by("segment").len().sort("len", "segment", descending=[True, False])["segment"]
    kept = pl.col("segment").is_in(frequent.head(most).to_list())
    return named.with_columns(pl.when(kept).then("segment").otherwise(pl.lit(OTHERS)).alias("segment"))
