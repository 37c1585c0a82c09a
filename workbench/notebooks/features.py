# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Features

Who took up which feature, how much do they use it, and who stopped?
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Features", css_file="notebooks.css")

with app.setup:
    import marimo as mo

    from workbench.analysis import features, periods
    from workbench.charts import features as pictures
    from workbench.notebooks import frame

    TITLE = "Features"
    QUESTION = "Who took up which feature, how much do they use it, and who stopped?"


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
    activity = frame.or_stop(lambda: wb.table("fct_user_activity"))
    span = features.span(activity)
    mo.stop(span is None, frame.empty(wb))
    return activity, fresh, span


@app.cell
def _(fresh, span):
    feature = mo.ui.dropdown(span.event_types, value=span.event_types[0], label="Feature")
    days = mo.ui.dropdown(pictures.WINDOWS, value="28 days", label="Window")
    until = mo.ui.date(
        start=min(span.first_on, periods.last_day_of(fresh.as_of)),
        stop=periods.last_day_of(fresh.as_of),
        value=periods.latest_day(fresh.as_of, span.last_at),
        label="Up to",
    )
    step = mo.ui.dropdown(pictures.STEPS, value="Months", label="In steps of")
    frame.controls(feature, days, until, step)
    return days, feature, step, until


@app.cell
def _(activity, days, until):
    ranking = features.ranking(activity, until=until.value, days=days.value)
    frame.card(
        "All features",
        mo.Html(pictures.ranking(ranking, days.value)),
        note=f"By how many users ever used them. Who did not in the last {days.value} days has stopped.",
    )
    return (ranking,)


@app.cell
def _(days, feature, ranking):
    mo.Html(pictures.headline(features.of_feature(ranking, feature.value), days.value))
    return


@app.cell
def _(activity, days, feature, step, until):
    steps = features.adoption(activity, feature.value, until=until.value, step=step.value)
    counted = features.depths(activity, feature.value, until=until.value, days=days.value)
    frame.grid(
        frame.card(
            "Adoption",
            pictures.adopters(steps, step.value),
            note="Users who have ever used it, from their first use on.",
        ),
        frame.card(
            "Reach",
            pictures.reach(steps, step.value),
            note=f"Of all users active in a {step.value}, how many used it.",
        ),
        frame.card(
            "Depth",
            pictures.depths(counted),
            note=f"Users by how often they used it in {days.value} days.",
        ),
    )
    return


@app.cell
def _(activity, days, feature, until):
    gone = features.stopped(activity, feature.value, until=until.value, days=days.value)
    frame.card(
        "Users who stopped",
        pictures.stopped(gone),
        note=f"They used it before, but not in the last {days.value} days. The latest come first.",
    )
    return


if __name__ == "__main__":
    app.run()
