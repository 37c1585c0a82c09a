# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Quality

Which tenants' data is held back, why, and what is to become of it?
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Quality", css_file="notebooks.css")

with app.setup:
    import marimo as mo

    from workbench import charts
    from workbench.notebooks import frame
    from workbench.stewards import Request, decision, pieces, steward_of, verdicts

    TITLE = "Quality"
    QUESTION = "Which tenants' data is held back, why, and what is to become of it?"


@app.cell
def _():
    steward = frame.or_stop(lambda: steward_of(mo.app_meta().request))
    return (steward,)


@app.cell
def _():
    looks, look_again = mo.state(0)
    last, note_last = mo.state(None)
    chosen, choose = mo.state(mo.query_params().get("tenant"))
    return choose, chosen, last, look_again, looks, note_last


@app.cell
def _(look_again, steward):
    again = mo.ui.button(
        label="Look again", on_click=lambda _: look_again(lambda n: n + 1), tooltip="Read all of it anew"
    )
    mo.vstack([mo.Html(pieces.head(TITLE, QUESTION, steward.email, frame.way_home())), again], align="start")
    return


@app.cell
def _(looks, steward):
    looks()
    held = frame.or_stop(steward.holds)
    promotions = frame.or_stop(steward.promotions)
    mo.Html(pieces.tiles(held, promotions))
    return held, promotions


@app.cell
def _(choose, chosen, held):
    names = [each.tenant_id for each in held]
    which = mo.ui.dropdown(
        names, value=chosen() if chosen() in names else next(iter(names), None), label="Tenant", on_change=choose
    )
    frame.card(
        "Held now",
        mo.Html(pieces.holds(held)),
        note="The longest held first. Their customers see the last good figures, and that newer data is held back.",
    ) if held else frame.screen(
        "Nobody is held", "Every tenant's latest data passed its checks.", "There is nothing to decide."
    )
    return (which,)


@app.cell
def _(held, steward, which):
    mo.stop(not held)
    details = frame.or_stop(lambda: steward.hold(which.value))
    frame.card("Why it is held", frame.controls(which), mo.Html(pieces.why(details)))
    return (details,)


@app.cell
def _(details):
    frame.grid(
        frame.card(
            "What a release would change",
            mo.Html(pieces.difference(details)),
            note="Rows of its marts, against the last good state.",
        ),
        frame.card(
            "What was done by hand", mo.Html(pieces.decisions(details)), note="About this tenant, latest first."
        ),
    )
    return


@app.cell
def _(details):
    token = decision.new_token()
    actions = decision.actions_for(details.hold)
    action = mo.ui.radio({decision.LABELS[each]: each for each in actions}, label="Decision")
    reason = mo.ui.text_area(
        label="Why", placeholder="For the audit log, with your name", rows=2, debounce=300, full_width=True
    )
    frame.card(
        f"Decide about {details.hold.tenant_id}",
        mo.Html(pieces.meanings(actions)),
        mo.Html(pieces.fields(mo.as_html(action).text, mo.as_html(reason).text)),
        note="To discard some of its events only: workbench holds discard --events-from, then judge again.",
    )
    return action, reason, token


@app.cell
def _(action, details, look_again, reason, steward, token):
    problem = decision.problem_of(action.value, reason.value)
    mo.stop(problem is not None, mo.Html(pieces.missing(problem)))
    request = Request(
        token=token,
        action=action.value,
        tenant_id=details.hold.tenant_id,
        hold_id=details.hold.hold_id,
        promotion_id=details.hold.promotion_id,
        reason=reason.value.strip(),
    )
    confirm = mo.ui.run_button(
        label=f"Yes: {decision.LABELS[request.action].lower()}",
        kind="danger" if request.action == "discard" else "success",
    )
    cancel = mo.ui.button(label="Not now", on_click=lambda _: look_again(lambda n: n + 1))
    mo.vstack(
        [
            mo.Html(pieces.asked(request, decision.about(request, details.hold), steward.email)),
            mo.hstack([confirm, cancel], justify="start", wrap=True),
        ]
    )
    return confirm, request


@app.cell
def _(confirm, look_again, note_last, request, steward):
    mo.stop(not confirm.value)
    with mo.status.spinner(
        title=f"{decision.DOING[request.action]} {request.tenant_id}", subtitle="Beginning"
    ) as spinner:
        outcome = frame.or_stop(lambda: steward.decide(request, lambda step: spinner.update(subtitle=step)))
    note_last(outcome)
    look_again(lambda n: n + 1)
    return


@app.cell
def _(last):
    mo.stop(last() is None)
    mo.Html(pieces.ended(last()))
    return


@app.cell
def _(promotions, steward):
    mo.stop(
        not promotions,
        frame.screen(
            "No promotion yet", "Nothing has been judged so far.", "The next promotion follows within the hour."
        ),
    )
    points = frame.or_stop(steward.report).trend
    frame.grid(
        frame.card(
            "Verdicts",
            charts.bars(
                verdicts.trend(points),
                x="promotion",
                y="tenants",
                series="verdict",
                title="Tenants",
                order=verdicts.STATES,
                height=200,
            ),
            note=f"Tenants by verdict, in the latest promotions that judged: {len(points)}.",
        ),
        frame.card(
            "Failing rows",
            charts.bars(verdicts.failing(points), x="promotion", y="failing_rows", title="Rows", height=200),
            note="Rows that did not pass a rule, whether it stops or warns.",
        ),
    )
    return


@app.cell
def _(promotions):
    mo.stop(not promotions)
    table = mo.ui.table(
        verdicts.listed(promotions),
        selection="single",
        initial_selection=[verdicts.place_of(promotions, mo.query_params().get("promotion"))],
        page_size=8,
        show_column_summaries=False,
        show_data_types=False,
        show_download=False,
    )
    frame.card(
        "Promotions",
        table,
        note="Newest first; those that found nothing new are left out. Choose one to see its verdicts.",
    )
    return (table,)


@app.cell
def _(steward, table):
    mo.stop(table.value.is_empty(), frame.screen("No promotion is chosen", "Choose one in the list above."))
    report = frame.or_stop(lambda: steward.report(int(table.value["Promotion"][0])))
    only = mo.ui.dropdown(verdicts.SHOWN, value=next(iter(verdicts.SHOWN)), label="Tenants", full_width=True)
    rule = mo.ui.dropdown(verdicts.rule_names(report), value=verdicts.EVERY_RULE, label="Rule", full_width=True)
    named = mo.ui.text(placeholder="Part of a name", label="Named", full_width=True)
    return named, only, report, rule


@app.cell
def _(named, only, report, rule):
    found, left = verdicts.lines(report, which=only.value, rule=rule.value, named=named.value)
    frame.card(
        f"Promotion {report.promotion.promotion_id}: verdicts",
        mo.Html(pieces.promotion(report)),
        mo.Html(pieces.choices(*(mo.as_html(each).text for each in (only, rule, named)))),
        mo.Html(pieces.verdicts(found, left)),
    )
    return


@app.cell
def _(report):
    passed = [check for check in report.checks if check.outcome == "passed"]
    wrong = [check for check in report.checks if check.outcome != "passed"]
    frame.card(
        f"Promotion {report.promotion.promotion_id}: rules",
        mo.Html(pieces.rules(wrong)),
        mo.accordion({f"{len(passed)} rules that passed": mo.Html(pieces.rules(passed))}),
        note=f"{len(wrong)} of {len(report.checks)} rules did not pass for every tenant.",
    )
    return


if __name__ == "__main__":
    app.run()
