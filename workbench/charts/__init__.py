"""Charts and figures of the notebooks and reports: one look, by day and by night.

Builders take a Polars frame and the names of its columns, and answer an Altair chart as wide as what holds it.
They count nothing: what is drawn comes from `workbench.analysis`.
"""

from workbench.charts.grids import heat_map
from workbench.charts.images import png, svg
from workbench.charts.series import Grain, bars, line
from workbench.charts.sparks import sparkline
from workbench.charts.steps import funnel
from workbench.charts.tables import Column, table
from workbench.charts.theme import COUNT, RATIO, SHARE, themed
from workbench.charts.tiles import Tile, badge, tiles

__all__ = [
    "COUNT",
    "RATIO",
    "SHARE",
    "Column",
    "Grain",
    "Tile",
    "badge",
    "bars",
    "funnel",
    "heat_map",
    "line",
    "png",
    "sparkline",
    "svg",
    "table",
    "themed",
    "tiles",
]
