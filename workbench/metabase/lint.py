"""Whether dashboards are fit to be applied: what Metabase would swallow, or would show to the wrong people, is refused.

Metabase takes a card without the locked parameter and shows everybody's data on it; it takes `[[ ]]` around the
tenant and shows all tenants once the list is empty. Here neither leaves the file that it was written in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from workbench.metabase.spec import CardSpec, DashboardSpec, SpecFile
from workbench.metabase.sql_law import TENANT, problems
from workbench.metabase.template import Malformed, Template, parse

GRID_COLUMNS = 24
WIRING = f"Write metrics.NAME({{{{{TENANT}}}}}, ...), outside of [[ ]]."


def require_fit(files: Sequence[SpecFile], metrics: Collection[str]) -> None:
    """Raise SpecError, naming file, line and card, for the first thing that is not fit."""
    for file in files:
        _require_sound_parameters(file)
        for index, card in enumerate(file.dashboard.cards):
            _require_fit_card(file, index, card, metrics)
        _require_room(file)
    titles: dict[str, SpecFile] = {}
    for file in files:
        if (other := titles.setdefault(file.dashboard.title, file)) is not file:
            raise file.error(f"has the title of {other.path.name}", remedy="Give it one of its own.")


def _require_sound_parameters(file: SpecFile) -> None:
    dashboard = file.dashboard
    slugs = [parameter.slug for parameter in dashboard.parameters]
    names = [parameter.name for parameter in dashboard.parameters]
    if repeated := _repeated(slugs) or _repeated(names):
        raise file.error(f"has two parameters {repeated!r}", remedy="Each has a slug and a name of its own.")
    if TENANT in slugs and dashboard.audience == "customers":
        raise file.error(
            f"declares a parameter {TENANT!r}", remedy="It is there by itself, locked: leave it out of the file."
        )
    for parameter in dashboard.parameters:
        if parameter.values and parameter.type != "string/=":
            raise file.error(f"gives values to {parameter.slug!r}", remedy="Only string/= can have them.")
        if parameter.values and parameter.default is not None and parameter.default not in parameter.values:
            raise file.error(f"has a default of {parameter.slug!r} that is not among its values", remedy="Choose one.")


def _require_fit_card(file: SpecFile, index: int, card: CardSpec, metrics: Collection[str]) -> None:
    try:
        template = parse(card.sql)
    except Malformed as error:
        raise file.error(str(error), remedy="See `Parameters` in docs/dashboards.md.", card=index) from error
    for problem, remedy in _of_tags(file.dashboard, template):
        raise file.error(problem, remedy=remedy, card=index)
    if "?" in card.sql:
        raise file.error("has a ?, which the driver takes for a value", remedy="Write it otherwise.", card=index)
    for_customers = file.dashboard.audience == "customers"
    for problem in problems(template, for_customers=for_customers, metrics=metrics):
        raise file.error(problem, remedy=WIRING if for_customers else "A card is one SELECT.", card=index)


def _of_tags(dashboard: DashboardSpec, template: Template) -> Iterator[tuple[str, str]]:
    for_customers = dashboard.audience == "customers"
    declared = {parameter.slug for parameter in dashboard.parameters}
    if for_customers:
        if TENANT in template.optional:
            yield f"has {{{{{TENANT}}}}} within [[ ]], where an empty list would take it away", WIRING
        if TENANT not in template.required:
            yield f"does not use the locked parameter {{{{{TENANT}}}}}: it would not be of one tenant", WIRING
    for tag in template.tags:
        if for_customers and tag == TENANT:
            continue
        if tag not in declared:
            yield f"uses {{{{{tag}}}}}, which is no parameter of the dashboard", "Declare it under parameters."
        if tag in template.required:
            yield f"cannot run while {tag!r} is not set", f"Put it in brackets: coalesce([[{{{{{tag}}}}},]] default)."


def _require_room(file: SpecFile) -> None:
    cards = file.dashboard.cards
    if repeated := _repeated([card.name for card in cards]):
        raise file.error(f"has two cards {repeated!r}", remedy="Each has a name of its own.")
    for index, card in enumerate(cards):
        if card.place.column + card.place.width > GRID_COLUMNS:
            raise file.error(f"does not fit into {GRID_COLUMNS} columns", remedy="Make it narrower.", card=index)
        for other in cards[:index]:
            if _overlap(card, other):
                raise file.error(f"lies over {other.name!r}", remedy="Give it another place.", card=index)


def _overlap(one: CardSpec, other: CardSpec) -> bool:
    a, b = one.place, other.place
    beside = a.column + a.width <= b.column or b.column + b.width <= a.column
    below = a.row + a.height <= b.row or b.row + b.height <= a.row
    return not (beside or below)


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for index, name in enumerate(names) if name in names[:index]), None)
