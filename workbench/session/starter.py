"""A first look

What happens day by day, and what does one ask next?
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="A first look")

with app.setup:
    import altair as alt
    import marimo as mo
    import polars as pl

    from workbench.session import Workbench


@app.cell
def _():
    wb = Workbench.connect()
    return (wb,)


@app.cell
def _(wb):
    fresh = wb.freshness()
    mo.md(
        f"""
        # {wb.display_name}

        {"Published up to " + format(fresh.as_of, "%Y-%m-%d %H:%M UTC") if fresh.as_of else "Nothing is published yet."}
        {"**Newer data is held back by its checks.**" if fresh.held else ""}
        """
    )
    return


@app.cell
def _(wb):
    # SQL runs in the database, as this tenant's own login. Values are bound: $1, or $name with a dict.
    days = wb.sql(
        """
        select day, event_type, events
        from tenant_usage_metrics
        where day >= (select max(day) from tenant_usage_metrics) - $days::int
        order by day
        """,
        {"days": 90},
    )
    alt.Chart(days).mark_bar().encode(
        x="day:T", y="sum(events):Q", color="event_type:N", tooltip=["day", "sum(events)"]
    )
    return


@app.cell
def _(wb):
    # A whole table is a Polars LazyFrame over a local file, made once per promotion.
    events = wb.table("fct_usage_events")
    events.group_by("event_type").agg(pl.len().alias("events"), pl.col("user_id").n_unique().alias("users")).sort(
        "events", descending=True
    ).collect()
    return


@app.cell
def _(wb):
    mo.ui.table(wb.tables(), label="What there is to read")
    return


if __name__ == "__main__":
    app.run()
