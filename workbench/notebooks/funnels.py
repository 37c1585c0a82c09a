# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Funnels

How many get through a sequence of steps, where do the others stop, and how long does it take?
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Funnels", css_file="notebooks.css")

with app.setup:
    import marimo as mo

    from workbench.analysis import explore_choices, explore_options, fields, funnels, funnels_choices
    from workbench.charts import funnels as pictures
    from workbench.notebooks import frame

    TITLE = "Funnels"
    QUESTION = "How many get through a sequence of steps, where do the others stop, and how long does it take?"
    MOST_SEGMENTS = 8
    MOST_LOST = 500


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
        countable = funnels_choices.countable(events)
        found = explore_options.properties_of(events)
    mo.stop(
        not countable,
        frame.screen(
            "Nobody to follow",
            "None of these events names a user or a session, so no two of them can belong to the same journey.",
            "Send user_id or session_id with the events.",
        ),
    )
    return bounds, countable, events, found, fresh


@app.cell
def _(bounds, countable, events, found):
    counting = mo.ui.dropdown(countable, value=next(iter(countable)), label="Count", allow_select_none=False)
    period = mo.ui.dropdown(
        list(explore_choices.PERIODS),
        value=explore_choices.usual_period(events, bounds),
        label="Begun in",
        allow_select_none=False,
    )
    window = mo.ui.dropdown(funnels_choices.WINDOWS, value="30 days", label="Completed within", allow_select_none=False)
    between = mo.ui.dropdown(funnels_choices.BETWEEN, value="Anything", label="In between", allow_select_none=False)
    segment = mo.ui.dropdown(
        {funnels_choices.NO_SEGMENT: None, **explore_choices.named(found.all)},
        value=funnels_choices.NO_SEGMENT,
        label="Segments by",
        allow_select_none=False,
    )
    frame.controls(counting, period, window, between, segment)
    return between, counting, period, segment, window


@app.cell
def _(counting, events):
    types = funnels_choices.event_types(events, counting.value)
    size = mo.ui.slider(
        funnels.FEWEST,
        funnels.MOST,
        value=min(max(len(types), funnels.FEWEST), funnels_choices.USUAL_STEPS),
        show_value=True,
        label="Steps",
    )
    # What was chosen for a step stays there when others change.
    kept: dict[object, object] = {}
    return kept, size, types


@app.cell
def _(found, kept, size, types):
    def _keep(kind, place):
        return lambda value: kept.update({(kind, place): value})

    _usual = funnels_choices.usual_types(types)
    _fields = {funnels_choices.EVERY_EVENT: None, **explore_choices.named(found.all)}
    _names = {field: name for name, field in _fields.items()}
    happened = mo.ui.array(
        [
            mo.ui.dropdown(
                types,
                value=kept.get(("type", place), _usual[place]),
                on_change=_keep("type", place),
                allow_select_none=False,
            )
            for place in range(size.value)
        ]
    )
    told = mo.ui.array(
        [
            mo.ui.dropdown(
                _fields,
                value=_names[kept.get(("field", place))],
                on_change=_keep("field", place),
                label="with",
                allow_select_none=False,
            )
            for place in range(size.value)
        ]
    )
    return happened, told


@app.cell
def _(kept, told):
    def _keep_comparison(place):
        return lambda value: kept.update({("comparison", place): value})

    comparisons = mo.ui.array(
        [
            mo.ui.dropdown(
                funnels_choices.WORDS,
                value=kept.get(("comparison", place), "is"),
                on_change=_keep_comparison(place),
                allow_select_none=False,
            )
            for place in range(len(told.value))
        ]
    )
    return (comparisons,)


@app.cell
def _(comparisons, events, happened, kept, told):
    def _value(place):
        field, comparison = told.value[place], comparisons.value[place]
        at = (field, comparison, happened.value[place], place)

        def keep(value):
            kept[at] = value

        if field is None or comparison == "is known":
            return mo.ui.text(value="", disabled=True)
        if comparison in ("is", "is not"):
            values = funnels_choices.values(events, happened.value[place], field)
            before = kept.get(at)
            return mo.ui.dropdown(values, value=before if before in values else None, on_change=keep)
        if comparison == "contains":
            return mo.ui.text(value=kept.get(at, ""), placeholder="a text", on_change=keep)
        return mo.ui.number(value=kept.get(at), on_change=keep)

    compared = mo.ui.array([_value(place) for place in range(len(told.value))])
    return (compared,)


@app.cell
def _(compared, comparisons, happened, size, told):
    def _row(place):
        shown = [happened[place], told[place]]
        if told.value[place] is not None:
            shown.append(comparisons[place])
            if comparisons.value[place] != "is known":
                shown.append(compared[place])
        return mo.Html(pictures.step_inputs(place + 1, [mo.as_html(one).text for one in shown]))

    frame.card(
        "Steps",
        size,
        *[_row(place) for place in range(len(happened.value))],
        note="In this order. Events of the same moment may come in either order; one event never stands for two steps.",
    )
    return


@app.cell
def _(between, bounds, compared, comparisons, counting, events, fresh, happened, period, told, wb, window):
    _since, _until = explore_choices.period_of(period.value, None, bounds)
    funnel = funnels.Funnel(
        steps=tuple(
            funnels_choices.step_of(*chosen)
            for chosen in zip(happened.value, told.value, comparisons.value, compared.value, strict=True)
        ),
        window=window.value,
        counting=counting.value,
        between=between.value,
        since=_since.date(),
        until=funnels_choices.last_day(_until),
    )
    with mo.status.spinner("Counting", remove_on_exit=True):
        counted = funnels.Counted(events, funnel, fresh.as_of)
        steps = funnels.conversion(counted.journeys, funnel)
        weeks = counted.weeks()
    mo.stop(counted.journeys.is_empty(), frame.empty(wb, "Nobody took the first step in this period."))
    mo.Html(pictures.headline(steps, counted.journeys, funnel))
    return counted, funnel, steps, weeks


@app.cell
def _(funnel, steps):
    frame.card(
        "Conversion",
        pictures.bars(steps),
        mo.Html(pictures.steps_table(steps, funnel)),
        note=pictures.told(funnel),
    )
    return


@app.cell
def _(counted, funnel, segment):
    mo.stop(segment.value is None)
    _by = funnels.conversion(fields.lumped(counted.by(segment.value), most=MOST_SEGMENTS), funnel, "segment")
    frame.grid(
        frame.card(
            "Segments",
            pictures.segments(_by, funnel),
            note=f"By {segment.value.label} of the first step: the share that got to each step.",
        ),
        frame.card(
            "Conversion by segment",
            mo.Html(pictures.segments_table(_by, funnel)),
            note=f"The {MOST_SEGMENTS} most frequent, and the rest as one.",
        ),
    )
    return


@app.cell
def _(funnel, steps):
    stop = mo.ui.dropdown(
        {name: place for place, name in enumerate(pictures.step_names(funnel)[:-1], 1)},
        value=pictures.step_names(funnel)[funnels.widest_loss(steps) - 1],
        label="Got as far as",
        allow_select_none=False,
    )
    return (stop,)


@app.cell
def _(counted, funnel, steps, stop, weeks):
    _lost = funnels.lost_after(counted.journeys, stop.value, most=MOST_LOST)
    frame.grid(
        frame.card(
            "By week",
            pictures.weeks(weeks),
            note=f"Of the {funnel.counting} who took step 1 in a week, the share that completed from there. "
            "Dashed where some can still complete.",
        ),
        frame.card(
            "Who went no further",
            stop,
            mo.ui.table(
                pictures.lost(_lost, funnel),
                selection=None,
                page_size=8,
                show_column_summaries=False,
                show_data_types=False,
            )
            if _lost.height
            else mo.Html('<p class="wb-none">Nobody stopped here.</p>'),
            note=pictures.listed(_lost.height, steps["lost"][stop.value - 1]),
        ),
    )
    return


if __name__ == "__main__":
    app.run()
