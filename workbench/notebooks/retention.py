# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Retention

Of the users who came for the first time in a period, how many come back in the periods after it?
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Retention", css_file="notebooks.css")

with app.setup:
    import marimo as mo

    from workbench.analysis import explore_choices, explore_options, fields, retention, retention_choices
    from workbench.charts import retention as pictures
    from workbench.notebooks import frame

    TITLE = "Retention"
    QUESTION = "Of the users who came for the first time in a period, how many come back in the periods after it?"
    MOST_SEGMENTS = 5


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
    with mo.status.spinner("Reading the events", remove_on_exit=True):
        events = frame.or_stop(lambda: wb.table("fct_usage_events"))
        bounds = explore_options.bounds_of(events)
        mo.stop(bounds is None, frame.empty(wb))
        types = retention_choices.event_types(events)
        found = explore_options.properties_of(events)
    mo.stop(
        not types,
        frame.screen(
            "Nobody to recognise",
            "None of these events names a user, so nobody can be seen coming back.",
            "Send user_id with the events.",
        ),
    )
    return bounds, events, found, fresh, types


@app.cell
def _(bounds, found, types):
    period = mo.ui.dropdown(
        retention_choices.PERIODS,
        value=retention_choices.usual_period(bounds),
        label="By",
        allow_select_none=False,
    )
    _of_types = {retention_choices.ANY_EVENT: None, **{name: name for name in types}}
    first_type = mo.ui.dropdown(
        _of_types, value=retention_choices.ANY_EVENT, label="First event", allow_select_none=False
    )
    return_type = mo.ui.dropdown(
        _of_types, value=retention_choices.ANY_EVENT, label="Came back with", allow_select_none=False
    )
    kind = mo.ui.dropdown(
        retention_choices.KINDS, value="In that very period", label="Retained if", allow_select_none=False
    )
    cohorts = mo.ui.dropdown(retention_choices.COHORTS, value="Latest 12", label="Cohorts", allow_select_none=False)
    segment = mo.ui.dropdown(
        {
            retention_choices.NO_SEGMENT: None,
            **explore_choices.named([fields.Field("event_type", "column"), *found.all]),
        },
        value=retention_choices.NO_SEGMENT,
        label="Segments by",
        allow_select_none=False,
    )
    frame.controls(period, first_type, return_type, kind, cohorts, segment)
    return cohorts, first_type, kind, period, return_type, segment


@app.cell
def _(cohorts, events, first_type, fresh, kind, period, return_type, segment, wb):
    asked = retention.Retention(
        period=period.value,
        kind=kind.value,
        first_type=first_type.value,
        return_type=return_type.value,
        segment=segment.value,
        most_periods=retention_choices.FURTHEST[period.value],
    )
    with mo.status.spinner("Counting", remove_on_exit=True):
        members = retention_choices.latest(retention.members(events, asked, fresh.as_of), cohorts.value)
        mo.stop(members.is_empty(), frame.empty(wb, "Nobody had a first event yet."))
        cells = retention.cells(events, members.drop("segment", strict=False), asked, fresh.as_of)
        average = retention.curve(cells)
    mo.Html(pictures.headline(members.height, average, asked))
    return asked, average, cells, members


@app.cell
def _():
    shown = mo.ui.radio(
        [retention_choices.SHARES, retention_choices.COUNTS], value=retention_choices.SHARES, inline=True
    )
    return (shown,)


@app.cell
def _(asked, cells, shown):
    frame.card(
        "Cohorts",
        shown,
        pictures.heat(cells, asked, counts=shown.value == retention_choices.COUNTS),
        note=pictures.told(asked),
    )
    return


@app.cell
def _(asked, average):
    frame.card(
        "On average",
        pictures.curve(average),
        note=f"All cohorts above, each user with the same weight; a {asked.period} counts where it is over.",
    )
    return


@app.cell
def _(asked, events, fresh, members):
    mo.stop(asked.segment is None)
    _parted = fields.lumped(members, most=MOST_SEGMENTS)
    _sizes = _parted.group_by("segment").len("users").sort("users", "segment", descending=[True, False])
    _by = retention.curve(retention.cells(events, _parted, asked, fresh.as_of))
    frame.grid(
        frame.card(
            "By segment",
            pictures.curve(_by, _sizes["segment"].to_list()),
            note=f"By {asked.segment.label} of the first event; the {MOST_SEGMENTS} largest, and the rest as one.",
        ),
        frame.card(
            "Segments",
            mo.Html(pictures.segments(_by, _sizes, asked)),
            note="Averages of the cohorts above.",
        ),
    )
    return


if __name__ == "__main__":
    app.run()
