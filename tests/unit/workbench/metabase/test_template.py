"""SQL with tags: which there are, and what is left when some have no value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.metabase.embedding import prepared
from workbench.metabase.template import parse

PLAIN = st.text(alphabet="ab ,()\n", max_size=6)
TAG = st.sampled_from(["{{one}}", "{{ two }}", "{{three}}"])
GROUP = st.lists(PLAIN, max_size=2).flatmap(lambda parts: TAG.map(lambda tag: f"[[{tag.join(['', *parts])}{tag}]]"))
SQL = st.lists(st.one_of(PLAIN, TAG, GROUP), max_size=8).map("".join)


def test_tags_are_told_apart_by_where_they_stand() -> None:
    template = parse("select {{a}} [[and {{b}}]] [[or {{ a }} {{c}}]]")
    assert template.tags == ("a", "b", "c")
    assert template.required == {"a"}
    assert template.optional == {"a", "b", "c"}


def test_brackets_go_when_one_of_their_tags_has_no_value() -> None:
    template = parse("x [[a {{a}} {{b}}]] y [[{{b}} z]]")
    assert template.render({"a", "b"}, lambda tag: tag.upper()) == "x a A B y B z"
    assert template.render({"b"}, lambda tag: tag.upper()) == "x  y B z"
    assert template.render((), str) == "x  y "


@given(sql=SQL, given_tags=st.sets(st.sampled_from(["one", "two", "three"])))
def test_it_is_rendered_as_metabase_does_it(sql: str, given_tags: set[str]) -> None:
    template = parse(sql)
    given_tags |= template.required
    statement, values = prepared(sql, {tag: tag for tag in given_tags})
    order = iter(range(1, len(values) + 1))
    assert template.render(given_tags, lambda _: f"${next(order)}") == statement
