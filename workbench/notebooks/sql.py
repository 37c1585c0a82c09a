# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""SQL

What does a statement of your own, asked with your tenant's own login, say about the data?
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="SQL", css_file="notebooks.css")

with app.setup:
    import time
    from datetime import UTC, datetime

    import marimo as mo

    from pipeline.core.errors import WorkbenchError
    from workbench import charts
    from workbench.analysis import exporting, statement
    from workbench.charts import statement as pictures
    from workbench.notebooks import frame
    from workbench.session import NoSuchTable, StatementCancelled, StatementFailed, StatementRefused
    from workbench.session.reading import Reading

    TITLE = "SQL"
    QUESTION = "What does a statement of your own, asked with your tenant's own login, say about the data?"
    TELL_SECONDS = 0.5


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
    tables = frame.or_stop(wb.tables)
    names = tables["table"].unique(maintain_order=True).to_list()
    return names, tables


@app.cell
def _(names):
    # What is in the editor when it is made anew, the statement under way, how far it is, how the last one
    # ended, and those before.
    get_text, set_text = mo.state(statement.first_look(names[0]))
    get_asked, set_asked = mo.state(None)
    get_progress, set_progress = mo.state(None)
    get_ending, set_ending = mo.state(None)
    get_history, set_history = mo.state(())
    return (
        get_asked,
        get_ending,
        get_history,
        get_progress,
        get_text,
        set_asked,
        set_ending,
        set_history,
        set_progress,
        set_text,
    )


@app.cell
def _(get_text):
    editor = mo.ui.code_editor(value=get_text(), language="sql", min_height=150, max_height=420, show_copy_button=True)
    return (editor,)


@app.cell
def _(names, set_text):
    look = mo.ui.dropdown(
        names,
        label="Look at",
        on_change=lambda name: set_text(statement.first_look(name)) if name else None,
    )
    most_rows = mo.ui.dropdown(statement.MOST_ROWS, value="1,000 rows", label="At most")
    most_seconds = mo.ui.dropdown(statement.MOST_SECONDS, value="30 seconds", label="and")
    run = mo.ui.run_button(label="Run", kind="success")
    cancel = mo.ui.run_button(label="Cancel", kind="warn")
    return cancel, look, most_rows, most_seconds, run


@app.cell
def _(editor, look, most_rows, most_seconds, run, tables):
    mo.Html(
        '<div class="wb-sql">'
        + frame.card("Tables", mo.vstack([look, mo.Html(pictures.schema(tables))], gap=0.5)).text
        + frame.card("Statement", mo.vstack([editor, frame.controls(most_rows, most_seconds, run)], gap=0.75)).text
        + "</div>"
    )
    return


@app.cell
def _(editor, most_rows, most_seconds, run, set_asked):
    mo.stop(not run.value)
    set_asked(
        lambda before: statement.Asked(
            number=1 if before is None else before.number + 1,
            text=editor.value,
            most_rows=most_rows.value,
            most_seconds=most_seconds.value,
        )
    )
    return


@app.cell
def _(get_asked, set_ending, set_history, set_progress, wb):
    def _ask(asked, reading):
        """In a thread of its own, so that the page stays alive and can cancel."""
        began = time.monotonic()
        try:
            answer = wb.sql(asked.text, most_rows=asked.most_rows, timeout_seconds=asked.most_seconds, reading=reading)
        except WorkbenchError as error:
            answer = error
        ending = statement.ended(asked, answer, at=datetime.now(UTC), seconds=time.monotonic() - began)
        set_history(lambda history: statement.remembered(history, ending))
        if get_asked().number == asked.number:
            set_progress(None)
            set_ending(ending)

    def _start(asked):
        told = [0.0]

        def tell(progress):
            if mo.current_thread().should_exit:
                reading.cancel()
            elif time.monotonic() - told[0] > TELL_SECONDS:
                told[0] = time.monotonic()
                set_progress(progress)

        reading = Reading(tell)
        set_ending(None)
        mo.Thread(target=_ask, args=(asked, reading), daemon=True).start()
        return reading

    reading = None if get_asked() is None else _start(get_asked())
    return (reading,)


@app.cell
def _(cancel, reading):
    mo.stop(not cancel.value or reading is None)
    reading.cancel()
    return


@app.cell
def _(cancel, get_ending, get_progress, reading):
    mo.stop(reading is None, mo.Html('<p class="wb-note">The answer appears here.</p>'))
    mo.stop(get_ending() is not None)
    frame.card("Running", mo.Html(pictures.progress(get_progress())), cancel)
    return


@app.cell
def _(get_ending):
    ending = get_ending()
    mo.stop(ending is None)
    _is_ours = isinstance(ending.error, StatementCancelled | StatementFailed | StatementRefused | NoSuchTable)
    mo.stop(
        ending.rows is None and _is_ours,
        mo.Html(pictures.refusal(ending)),
    )
    mo.stop(ending.rows is None, ending.error and frame.screen_of(ending.error))
    rows = ending.rows
    return ending, rows


@app.cell
def _(rows):
    suggested = statement.suggest(rows)
    _numbers = statement.numbers(rows)
    shape = mo.ui.dropdown(
        pictures.SHAPES, value=pictures.shape_name(suggested.shape), label="Chart", allow_select_none=True
    )
    across = mo.ui.dropdown(rows.columns, value=suggested.x, label="of", allow_select_none=True)
    upward = mo.ui.dropdown(_numbers, value=suggested.y, label="with", allow_select_none=True)
    apart = mo.ui.dropdown(rows.columns, value=suggested.series, label="by", allow_select_none=True)
    return across, apart, shape, upward


@app.cell
def _(across, apart, rows, shape, upward):
    can_draw = bool(shape.value and across.value and upward.value)
    drawn = (
        pictures.draw(rows, shape=shape.value, x=across.value, y=upward.value, series=apart.value) if can_draw else None
    )
    return (drawn,)


@app.cell
def _(across, apart, drawn, ending, rows, shape, upward, wb):
    def _file(label, make, kind):
        name = exporting.file_name(wb.tenant_id, "sql", day=ending.at.date(), ending=kind)
        return mo.download(make, filename=name, label=label)

    _downloads = [
        _file("CSV", lambda: exporting.csv(rows), "csv"),
        _file("Parquet", lambda: exporting.parquet(rows), "parquet"),
    ]
    if drawn is not None:
        _downloads.append(_file("PNG of the chart", lambda: charts.png(drawn), "png"))
    _table = mo.ui.table(
        rows, selection=None, page_size=15, show_download=False, show_column_summaries=False, show_data_types=True
    )
    _none = mo.Html('<p class="wb-none">Choose a chart, and the columns that it shows.</p>')
    _chart = mo.vstack([frame.controls(shape, across, upward, apart), _none if drawn is None else drawn], gap=0.75)
    frame.card(
        "Answer",
        mo.Html(pictures.too_many(ending)),
        mo.vstack(
            [
                mo.ui.tabs({"Table": _table, "Chart": _chart}),
                mo.hstack(_downloads, justify="start", wrap=True, gap=0.75),
            ],
            gap=0.75,
        ),
        note=f"{ending.told}, {ending.seconds:.2f} seconds",
    )
    return


@app.cell
def _(get_history, set_text):
    _entries = get_history()
    mo.stop(not _entries)

    def _again(chosen):
        """Put a statement of the history into the editor."""
        numbers = chosen["#"].to_list()
        set_text(next(entry.text for entry in _entries if entry.number in numbers)) if numbers else None

    _table = mo.ui.table(
        pictures.history(_entries),
        selection="single",
        page_size=8,
        show_download=False,
        show_column_summaries=False,
        show_data_types=False,
        on_change=_again,
        column_widths={"#": 50, "at": 90, "statement": 640, "ended": 140, "seconds": 90},
    )
    frame.card("History of this session", _table, note="Choose a row to have its statement in the editor again.")
    return


if __name__ == "__main__":
    app.run()
