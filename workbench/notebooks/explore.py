# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Explore

How often, by whom, where and when does something happen, and which single events are behind a figure?
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Explore", css_file="notebooks.css")

with app.setup:
    from functools import partial
    from typing import Any

    import marimo as mo

    from workbench import charts
    from workbench.analysis import (
        explore,
        explore_choices,
        explore_code,
        explore_options,
        explore_sql,
        exporting,
    )
    from workbench.charts import explore as pictures
    from workbench.notebooks import frame

    TITLE = "Explore"
    QUESTION = "How often, by whom, where and when does something happen, and which single events are behind a figure?"
    MOST_EVENTS = 500


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
    with mo.status.spinner("Reading the events", remove_on_exit=True):
        events = frame.or_stop(lambda: wb.table("fct_usage_events"))
        bounds = explore_options.bounds_of(events)
        mo.stop(bounds is None, frame.empty(wb))
        found = explore_options.properties_of(events)
    return bounds, events, found


@app.cell
def _(bounds, events, found):
    measure = mo.ui.dropdown(explore_choices.MEASURES, value="Events", label="Measure")
    split = mo.ui.multiselect(explore_choices.named(found.dimensions), label="Split by", max_selections=2)
    period = mo.ui.dropdown(
        [*explore_choices.PERIODS, explore_choices.BETWEEN],
        value=explore_choices.usual_period(events, bounds),
        label="Period",
    )
    granularity = mo.ui.dropdown(explore_choices.GRANULARITIES, value="Fitting", label="By")
    filtered = mo.ui.multiselect(explore_choices.filterable(found), label="Filter by", max_selections=4)
    return filtered, granularity, measure, period, split


@app.cell
def _(bounds, found, measure, period):
    numbers = explore_choices.named(found.measurable)
    number = mo.ui.dropdown(numbers, value=next(iter(numbers)), label="of")
    days = mo.ui.date_range(
        start=bounds[0].date(),
        stop=bounds[1].date(),
        value=(bounds[0].date(), bounds[1].date()),
        label="from, to",
    )
    of_a_number = measure.value in explore.OF_A_NUMBER
    between = period.value == explore_choices.BETWEEN
    return between, days, number, of_a_number


@app.cell
def _():
    # What was put into a filter stays there when others are added or removed.
    kept: dict[Any, Any] = {}

    def keep(place, value):
        kept[place] = value

    return keep, kept


@app.cell
def _(filtered, found, keep, kept):
    operators = mo.ui.dictionary(
        {
            explore_choices.field_name(_field): mo.ui.dropdown(
                explore_choices.operators_for(_field, found),
                value=kept.get(_field, explore_choices.operators_for(_field, found)[0]),
                allow_select_none=False,
                on_change=partial(keep, _field),
            )
            for _field in filtered.value
        }
    )
    return (operators,)


@app.cell
def _(bounds, events, filtered, keep, kept, operators):
    def _input(field, operator):
        """The input that an operator needs, with what was put into it before."""
        place = (field, operator)
        note = partial(keep, place)
        if operator in ("is", "is_not"):
            values = explore_options.values_of(events, field)["value"].to_list()
            options = {explore_choices.value_name(value): value for value in values}
            before = [explore_choices.value_name(value) for value in kept.get(place, [])]
            return mo.ui.multiselect(options, value=[name for name in before if name in options], on_change=note)
        if operator == "contains":
            return mo.ui.text(value=kept.get(place, ""), placeholder="a text, as it is spelt", on_change=note)
        if operator in ("below", "at_least"):
            return mo.ui.number(value=kept.get(place), on_change=note)
        return mo.ui.datetime(value=kept.get(place, bounds[0].replace(tzinfo=None, microsecond=0)), on_change=note)

    inputs = mo.ui.dictionary(
        {
            _name: _input(_field, explore_choices.OPERATORS[operators.value[_name]])
            for _field in filtered.value
            for _name in [explore_choices.field_name(_field)]
        }
    )
    return (inputs,)


@app.cell
def _(between, days, filtered, granularity, inputs, measure, number, of_a_number, operators, period, split):
    _shown = [measure, number] if of_a_number else [measure]
    _shown += [split, period, days] if between else [split, period]
    _rows = [
        frame.controls(mo.Html(pictures.filter_name(_name)), operators.elements[_name], inputs.elements[_name])
        for _name in inputs.elements
    ]
    mo.vstack([frame.controls(*_shown, granularity, filtered), *_rows], gap=0.6)
    return


@app.cell
def _(between, bounds, days, filtered, granularity, inputs, measure, number, of_a_number, operators, period, split):
    def _question():
        chosen = [
            explore_choices.filter_of(
                field,
                explore_choices.OPERATORS[operators.value[explore_choices.field_name(field)]],
                inputs.value[explore_choices.field_name(field)],
            )
            for field in filtered.value
        ]
        return explore_choices.question_of(
            measure=measure.value,
            number=number.value if of_a_number else None,
            dimensions=split.value,
            filters=chosen,
            period=explore_choices.period_of(period.value, days.value if between else None, bounds),
            granularity=granularity.value,
        )

    question = frame.or_stop(_question)
    return (question,)


@app.cell
def _(events, question, wb):
    with mo.status.spinner("Counting", remove_on_exit=True):
        picked = explore.selected(question, events).collect()
    mo.stop(
        picked.is_empty(),
        frame.empty(wb, "No event of this period fits these filters."),
    )
    series = explore.figures(question, picked)
    drawn = pictures.draw(question, series, explore.figures(question.whole(), picked))
    return drawn, picked, series


@app.cell
def _(drawn):
    chart = mo.ui.altair_chart(drawn.chart, chart_selection=False, legend_selection=False)
    return (chart,)


@app.cell
def _(chart, drawn, granularity, question):
    _note = pictures.chart_note(question, drawn, wanted=granularity.value)
    frame.card(pictures.title(question), chart, note=_note)
    return


@app.cell
def _(chart, question):
    narrow = explore_options.brushed(question, chart.selections) or question
    return (narrow,)


@app.cell
def _(narrow, picked, question):
    mo.Html(pictures.totals(narrow, picked, is_part=narrow != question))
    return


@app.cell
def _(narrow, picked):
    whole = explore.figures(narrow.whole(), picked)
    groups = mo.ui.table(
        pictures.breakdown(narrow, whole) if narrow.dimensions else explore.figures(narrow, picked),
        selection="single" if narrow.dimensions else None,
        page_size=10,
        show_download=False,
        show_column_summaries=False,
        show_data_types=False,
        format_mapping=pictures.formats(narrow),
    )
    return groups, whole


@app.cell
def _(groups, narrow, whole):
    mo.stop(not narrow.dimensions, frame.card("Steps", groups, note="Split by a dimension to compare groups."))
    frame.grid(
        frame.card(
            f"Breakdown: {whole.height:,} {'group' if whole.height == 1 else 'groups'}",
            groups,
            note="Choose a row to see its events below.",
        ),
        frame.card("The largest", pictures.largest(narrow, whole), note=pictures.measure_name(narrow)),
    )
    return


@app.cell
def _(groups, narrow):
    _chosen = groups.value.to_dicts() if narrow.dimensions else []
    drilled = narrow.where(explore_choices.filters_of_group(narrow, _chosen[0])) if _chosen else narrow
    return (drilled,)


@app.cell
def _(drilled, events, narrow):
    single = explore.single_events(drilled, events, most=MOST_EVENTS)
    _listed = mo.ui.table(
        pictures.events_table(single),
        selection=None,
        page_size=10,
        show_download=False,
        show_column_summaries=False,
        show_data_types=False,
    )
    frame.card(
        "Single events",
        _listed,
        note=pictures.listed(single.height, MOST_EVENTS, is_group=drilled != narrow),
    )
    return (single,)


@app.cell
def _(narrow):
    _groups = ["The breakdown"] if narrow.dimensions else []
    taken = mo.ui.dropdown(
        ["The chart", *_groups, "The total", "The single events"],
        value="The chart",
        label="Figures of",
    )
    return (taken,)


@app.cell
def _(bounds, drawn, drilled, narrow, picked, single, taken, wb):
    _asked = {"The chart": narrow, "The breakdown": narrow.whole(), "The total": narrow.total()}.get(taken.value)
    if _asked is None:
        _frame = single
        statement, params = explore_sql.single_events_sql(drilled, most=MOST_EVENTS)
        code = explore_code.single_events_code(drilled, most=MOST_EVENTS)
    else:
        _frame = explore.figures(_asked, picked)
        statement, params = explore_sql.as_sql(_asked)
        code = explore_code.as_polars(_asked)
    python = explore_sql.as_python(statement, params)
    _day = (narrow.until or bounds[1]).date()

    def _file(label, make, ending):
        name = exporting.file_name(wb.tenant_id, "explore", narrow.measure, day=_day, ending=ending)
        return mo.download(make, filename=name, label=label)

    downloads = [
        _file("CSV", lambda: exporting.csv(_frame), "csv"),
        _file("Parquet", lambda: exporting.parquet(_frame), "parquet"),
        _file("PNG of the chart", lambda: charts.png(drawn.chart), "png"),
    ]
    return code, downloads, params, python, statement


@app.cell
def _(code, downloads, params, python, statement, taken):
    def _shown(text, language):
        return mo.ui.code_editor(value=text, language=language, disabled=True, min_height=40)

    _tabs = mo.ui.tabs(
        {
            "SQL": mo.vstack([_shown(statement, "sql"), mo.Html(pictures.values(params))]),
            "SQL in Python": _shown(python, "python"),
            "Polars": _shown(code, "python"),
        }
    )
    frame.card(
        "Take it along",
        mo.vstack(
            [mo.hstack([taken, *downloads], justify="start", align="center", wrap=True, gap=0.75), _tabs], gap=0.75
        ),
        note="The same figures in any notebook that has a Workbench wb, or as a file.",
    )
    return


if __name__ == "__main__":
    app.run()
