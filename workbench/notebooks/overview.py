# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Overview

How much is the product used, by how many people, and what changed since the period before?
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Overview", css_file="notebooks.css")

with app.setup:
    import marimo as mo

    from workbench.analysis import overview, periods
    from workbench.charts import overview as pictures
    from workbench.notebooks import frame

    TITLE = "Overview"
    QUESTION = "How much is the product used, by how many people, and what changed since the period before?"


@app.cell
def _():
    wb = frame.workbench_of(mo.app_meta().request)
    return (wb,)


@app.cell
def _(wb):
    frame.header(wb, TITLE, QUESTION)
    return


@app.cell
def _(wb):
    frame.stop_if_empty(wb)
    fresh = frame.or_stop(wb.freshness)
    events = frame.or_stop(lambda: wb.table("fct_usage_events"))
    users = frame.or_stop(lambda: wb.table("dim_users"))
    span = overview.span(events)
    mo.stop(span is None, frame.empty(wb))
    return events, fresh, span, users


@app.cell
def _(fresh, span):
    kind = mo.ui.dropdown(pictures.KINDS, value="Last 28 days", label="Period")
    until = mo.ui.date(
        start=min(span.first_at.date(), periods.last_day_of(fresh.as_of)),
        stop=periods.last_day_of(fresh.as_of),
        value=periods.latest_day(fresh.as_of, span.last_at),
        label="Up to",
    )
    segment = mo.ui.dropdown(pictures.SEGMENTS, value="Everybody", label="Users")
    event_type = mo.ui.dropdown(["All events", *span.event_types], value="All events", label="Event type")
    frame.controls(kind, until, segment, event_type)
    return event_type, kind, segment, until


@app.cell
def _(event_type, events, fresh, kind, segment, until, users):
    selection = overview.Selection(
        kind=kind.value,
        until=until.value,
        as_of=fresh.as_of,
        segment=segment.value,
        event_type=None if event_type.value == "All events" else event_type.value,
    )
    period = selection.window
    found = overview.parts(events, users, selection, period)
    mo.Html(pictures.headline(overview.headline(events, users, selection)))
    return found, period


@app.cell
def _():
    measure = mo.ui.radio(pictures.MEASURES, value="Active users", inline=True)
    return (measure,)


@app.cell
def _(found, measure, period):
    frame.card(
        "Over time",
        measure,
        pictures.over_time(overview.over_time(found, period, measure.value), period, measure.value),
        note=f"Each {period.grain} of the period, {pictures.compared(period)}.",
    )
    return


@app.cell
def _(found, period):
    frame.grid(
        frame.card(
            "By event type",
            mo.Html(pictures.types(overview.by_type(found, period))),
            note=f"Events of the period, {pictures.compared(period)}.",
        ),
        frame.card(
            "What changed most",
            mo.Html(pictures.movers(overview.movers(found))),
            note="Event types and users whose number of events changed most.",
        ),
    )
    return


if __name__ == "__main__":
    app.run()
