"""Whatever is changed by hand in what was applied, `drift` finds it and `apply` sets it back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import MetabaseError
from tests.fakes.metabase.store import Store
from tests.integration.metabase.world import Provisioned
from workbench.metabase.resources import Setting

Where = tuple[str | int, ...]

NOT_OURS = {"id", "entity_id", "lib/type", "sectionId", "values_query_type", "engine", "password", "card"}
"""Fields that Metabase gives, that only shape its menus, or that nobody can read."""
KEPT = ("databases", "collections", "cards", "dashboards")
EXAMPLES, REPAIRED = 25, 5
SHARES = 8
"""Into which everything is divided where each of it is tried."""
NUMBERS = st.integers(min_value=0, max_value=1_000_000)
"""Of which the remainder chooses what is changed."""


def leaves(document: Any, where: Where) -> Iterator[Where]:
    """Every value in a document, and every mapping or list as a whole."""
    if where and where[-1] in NOT_OURS and not ((len(where) > 3 and "parameters" in where) or "template-tags" in where):
        return
    if isinstance(document, dict):
        for name, value in document.items():
            yield from leaves(value, (*where, name))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from leaves(value, (*where, index))
    yield where


def places(store: Store, provisioned: Provisioned) -> list[Where]:
    """Everything that can be changed by hand."""
    found: list[Where] = []
    for kind in KEPT:
        for number, document in getattr(store, kind).items():
            found += [(kind, number, *where) for where in leaves(document, ()) if where]
    wanted = (each.key for each in provisioned.desired().resources if isinstance(each, Setting))
    return [*found, *(("settings", key) for key in wanted)]


def other(value: Any) -> Any:
    """Something else of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, dict):
        return {**value, "another": "thing"}
    if isinstance(value, list):
        return value[:-1] if value else None
    return f"{value or ''}x"


def change(store: Store, where: Where) -> bool:
    """Change one value; whether that made a difference that anybody could mean."""
    kind, key, *inside = where
    holder, last = getattr(store, str(kind)), key
    for step in inside:
        holder, last = holder[last], step
    before = holder[last]
    after = other(before)
    if isinstance(before, dict) and last not in ("visualization_settings", "embedding_params", "template-tags"):
        # Metabase itself adds to the others.
        return False
    if isinstance(before, list) and (not before or last == "stages"):
        # A question without a query is nothing that Metabase keeps.
        return False
    if last == "template-tags":
        after = {}
        if not before:
            return False
    holder[last] = after
    return True


@pytest.fixture
def everything(provisioned: Provisioned) -> list[Where]:
    """All that can be changed by hand in what was applied."""
    return places(provisioned.metabase.store, provisioned)


@pytest.fixture
def changed(provisioned: Provisioned) -> Callable[[Where], bool]:
    """Changes one thing in a Metabase that is otherwise as it was applied."""
    applied = copy.deepcopy({kind: getattr(provisioned.metabase.store, kind) for kind in (*KEPT, "settings")})

    def one(where: Where) -> bool:
        for kind, documents in applied.items():
            setattr(provisioned.metabase.store, kind, copy.deepcopy(documents))
        return change(provisioned.metabase.store, where)

    return one


def require_found(provisioned: Provisioned, where: Where) -> None:
    """`drift` must not call it as described."""
    standing = provisioned.look()
    assert standing.strangers or not standing.is_as_described, where


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=NUMBERS)
def test_whatever_is_changed_by_hand_is_found(
    provisioned: Provisioned, changed: Callable[[Where], bool], everything: list[Where], number: int
) -> None:
    where = everything[number % len(everything)]
    if changed(where):
        require_found(provisioned, where)


@settings(max_examples=REPAIRED, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=NUMBERS)
def test_applying_sets_it_back(
    provisioned: Provisioned, changed: Callable[[Where], bool], everything: list[Where], number: int
) -> None:
    where = everything[number % len(everything)]
    if changed(where):
        provisioned.apply()
        assert provisioned.look().changes == ()


@pytest.mark.long
@pytest.mark.parametrize("share", range(SHARES))
def test_each_thing_that_can_be_changed_by_hand_is_found_and_set_back(
    provisioned: Provisioned, changed: Callable[[Where], bool], everything: list[Where], share: int
) -> None:
    tried = 0
    for where in everything[share::SHARES]:
        if changed(where):
            applied = provisioned.apply()
            assert applied.changes or applied.strangers, where
            assert provisioned.look().changes == (), where
            tried += 1
    assert tried > 50


def test_a_drift_is_told_with_what_must_be_and_what_is(provisioned: Provisioned) -> None:
    store = provisioned.metabase.store
    (card,) = (each for each in store.cards.values() if each["name"] == "Active users")
    card["dataset_query"]["stages"][0]["native"] = "select 1"
    (change,) = provisioned.look().changes
    (difference,) = change.differences
    assert (change.action, change.kind, change.path[-1]) == ("change", "card", "Active users")
    assert (difference.field, difference.found) == ("sql", "select 1")


def test_what_nobody_described_is_told_and_left_alone(provisioned: Provisioned) -> None:
    store = provisioned.metabase.store
    (usage,) = (each for each in store.dashboards.values() if each["name"] == "Usage")
    mine = {**copy.deepcopy(usage), "id": 900, "name": "Mine", "enable_embedding": False}
    elsewhere = {**mine, "id": 901, "name": "Elsewhere", "collection_id": None, "enable_embedding": True}
    store.dashboards |= {900: copy.deepcopy(mine), 901: copy.deepcopy(elsewhere)}
    standing = provisioned.look()
    assert standing.is_as_described
    assert [(each.path[-1], each.why) for each in standing.strangers] == [
        ("Mine", "no file describes it"),
        ("Elsewhere", "it is published for embedding, and no file says so"),
    ]
    provisioned.apply()
    assert (store.dashboards[900], store.dashboards[901]) == (mine, elsewhere)


def test_of_two_things_of_one_name_the_older_is_ours(provisioned: Provisioned) -> None:
    store = provisioned.metabase.store
    (usage,) = (each for each in store.dashboards.values() if each["name"] == "Usage")
    store.dashboards[900] = {**copy.deepcopy(usage), "id": 900, "enable_embedding": False}
    standing = provisioned.look()
    assert standing.is_as_described
    assert [(each.id, each.why) for each in standing.strangers] == [(900, "has the name of another")]


def test_a_dashboard_keeps_its_number_and_its_cards_keep_their_places(provisioned: Provisioned) -> None:
    store = provisioned.metabase.store
    (usage,) = (each for each in store.dashboards.values() if each["name"] == "Usage")
    before = {each["card_id"]: each["id"] for each in usage["dashcards"]}
    removed = usage["dashcards"].pop()
    usage["dashcards"][0]["size_x"] = 3
    provisioned.apply()
    after = {each["card_id"]: each["id"] for each in usage["dashcards"]}
    assert after.keys() == before.keys()
    assert {card for card in before if after[card] != before[card]} == {removed["card_id"]}


def test_a_setting_from_metabases_environment_is_compared_and_not_written(provisioned: Provisioned) -> None:
    store = provisioned.metabase.store
    store.environment["site-url"] = "https://metabase.example.com"
    assert provisioned.look().is_as_described
    store.environment["site-url"] = "https://elsewhere.example.com"
    assert [each.path for each in provisioned.look().changes] == [("site-url",)]
    with pytest.raises(MetabaseError, match="from its environment") as refused:
        provisioned.apply()
    assert refused.value.remedy is not None
    assert "MB_SITE_URL" in refused.value.remedy


def test_an_embedding_secret_of_metabases_environment_is_refused(provisioned: Provisioned) -> None:
    provisioned.metabase.store.environment["embedding-secret-key"] = "ab" * 32
    with pytest.raises(MetabaseError, match="from its environment") as refused:
        provisioned.apply()
    assert refused.value.remedy is not None
    assert "MB_EMBEDDING_SECRET_KEY" in refused.value.remedy


def test_of_two_collections_of_one_name_the_older_is_ours(provisioned: Provisioned) -> None:
    store = provisioned.metabase.store
    (ours,) = (each for each in store.collections.values() if each["name"] == "Customer dashboards")
    store.collections[900] = {**ours, "id": 900}
    standing = provisioned.look()
    assert standing.is_as_described
    assert [(each.kind, each.id, each.why) for each in standing.strangers] == [
        ("collection", 900, "has the name of another")
    ]


def test_a_lost_database_entry_is_drift_and_comes_back(provisioned: Provisioned) -> None:
    with provisioned.database.connect_admin() as connection:
        connection.execute("delete from control.dashboards where slug = 'usage'")
    assert provisioned.look().allow_list == ("usage",)
    assert provisioned.apply().allow_list == ("usage",)
    assert provisioned.look().is_as_described


def test_a_secret_that_was_replaced_while_it_was_applied_is_noticed(provisioned: Provisioned) -> None:
    with provisioned.database.connect_admin() as connection:
        connection.execute("update control.metabase_state set secret_generation = 2")
    with pytest.raises(MetabaseError, match="replaced meanwhile"):
        provisioned.apply()


def test_nothing_is_applied_while_the_secret_is_being_replaced(provisioned: Provisioned) -> None:
    with provisioned.database.connect_admin() as connection:
        connection.execute("update control.metabase_state set next_generation = 2")
    with pytest.raises(MetabaseError, match="being replaced"):
        provisioned.apply()
