"""What lies between two things, told field by field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.metabase.differences import HIDDEN, Difference, change_of, changes
from workbench.metabase.resources import Card, Key, Setting, Tag, key_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)


def card(settings: dict[str, Any], **others: Any) -> Card:
    """A card with these settings."""
    fields: dict[str, Any] = {
        "path": ("Folder", "Card"),
        "description": None,
        "database": "Figures",
        "sql": "select 1",
        "tags": (Tag(id="1", name="tenant", display_name="Tenant", type="text"),),
        "display": "line",
        "settings": settings,
    }
    return Card(**fields | others)


def differs(one: Any, other: Any) -> bool:
    """Whether two documents are not the same, of which 1 and true are not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() != other.keys() or any(differs(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) != len(other) or any(map(differs, one, other))
    return type(one) is not type(other) or one != other


@given(wanted=st.dictionaries(st.sampled_from("ab"), JSON), found=st.dictionaries(st.sampled_from("ab"), JSON))
def test_there_is_a_change_exactly_where_two_things_differ(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    change = change_of(card(wanted), card(found))
    assert (change is not None) == differs(wanted, found)
    if change is not None:
        assert change.differences
        assert all(each.field.startswith("settings") for each in change.differences)


@pytest.mark.parametrize(
    ("found", "field", "wanted", "is_"),
    [
        (card({"a": [1, {"b": 3}]}), "settings.a[1].b", 2, 3),
        (card({"a": [1]}), "settings.a", [1, {"b": 2}], [1]),
        (card({"a": [1, {"b": 2}], "c": None}), "settings.c", None, None),
        (card({"a": [1, {"b": 2}]}, tags=()), "tags", None, []),
        (card({"a": [1, {"b": 2}]}, sql="select 2"), "sql", "select 1", "select 2"),
    ],
)
def test_the_innermost_field_is_named(found: Card, field: str, wanted: object, is_: object) -> None:
    change = change_of(card({"a": [1, {"b": 2}]}), found)
    assert change is not None
    (difference,) = change.differences
    assert difference.field == field
    if field != "tags":
        assert difference == Difference(field=field, wanted=wanted, found=is_)


def test_what_is_not_there_is_created_in_the_order_of_what_is_wanted() -> None:
    wanted = [Setting(key="b", value=1), Setting(key="a", value=2), Setting(key="c", value=3)]
    there = {key_of(wanted[1]): wanted[1], Key("setting", ("x",)): wanted[0]}
    assert [(each.action, each.path) for each in changes(wanted, there)] == [("create", ("b",)), ("create", ("c",))]


def test_of_a_secret_it_is_told_that_it_differs_and_nothing_else() -> None:
    change = change_of(Setting(key="k", value="one", secret=True), Setting(key="k", value="two", secret=True))
    assert change is not None
    assert change.differences == (Difference(field="value", wanted=HIDDEN, found=HIDDEN),)
