"""What is made of a typed statement before the database hears of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.session.errors import StatementFailed, StatementRefused
from workbench.session.statement import read_statement

QUIET = (
    "'$name; select'",
    "e'it\\'s $name; x'",
    "'it''s $name;'",
    '"a ""$name"" ; column"',
    "$$ $name ; $$",
    "$body$ $name $$ ; $body$",
    "/* $name ; /* nested ; */ $name */ 1",
    "1 -- $name ;\n",
    "column$name",
)


@pytest.mark.parametrize("quiet", QUIET)
def test_what_looks_like_a_place_or_an_end_inside_texts_names_and_comments_is_none(quiet: str) -> None:
    statement = read_statement(f"select {quiet}, $name", {"name": 7})
    assert statement.text == f"select {quiet}, $1"
    assert statement.values == [7]


def test_a_name_that_comes_twice_has_one_value() -> None:
    statement = read_statement("select $a, $b, $a", {"a": 1, "b": 2})
    assert statement.text == "select $1, $2, $1"
    assert statement.values == [1, 2]
    assert statement.with_casts(["date", None]) == 'select ($1::pg_catalog."date"), ($2::text), ($1::pg_catalog."date")'


def test_numbers_are_places_as_they_stand() -> None:
    statement = read_statement("select $2, $1", ["x", "y"])
    assert statement.values == ["x", "y"]
    assert statement.with_casts(["uuid", "int8"]) == 'select ($2::pg_catalog."int8"), ($1::pg_catalog."uuid")'


@pytest.mark.parametrize("tail", [";", " ; ", ";;", "; -- done", "; /* done; */ ;"])
def test_semicolons_at_the_end_are_left_out(tail: str) -> None:
    assert read_statement("select 1" + tail).text.strip() == "select 1"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "no statement"),
        (" ; -- nothing", "no statement"),
        ("select 1; select 2", "more than one statement"),
        ("select 1;;values (2)", "more than one statement"),
        ("explain select 1", "EXPLAIN is refused"),
        ("/* a /* b */ */ -- c\n ExPlAiN select 1", "EXPLAIN is refused"),
        ("((explain select 1))", "EXPLAIN is refused"),
        ("set statement_timeout = 0", "SET is not a statement"),
        ("do $$begin end$$", "DO is not a statement"),
        ("commit", "COMMIT is not a statement"),
        ("copy freshness to stdout", "COPY is not a statement"),
        ("select '\0'", "zero character"),
        ("select '\ud800'", "UTF-8"),
    ],
)
def test_what_does_not_read_is_refused_with_a_reason(query: str, reason: str) -> None:
    with pytest.raises(StatementRefused, match=reason):
        read_statement(query)


@pytest.mark.parametrize(
    ("query", "params", "reason"),
    [
        ("select $1", [], "asks for 1 values, 0 are given"),
        ("select 1", [1], "asks for 0 values, 1 are given"),
        ("select $a", {}, r"No value is given for \$a"),
        ("select 1", {"a": 1}, r"does not ask for \$a"),
        ("select $a", [1], r"asks for \$a"),
        ("select $1", "x", "a single text"),
    ],
)
def test_values_and_places_that_do_not_fit_are_told(query: str, params: object, reason: str) -> None:
    with pytest.raises(StatementFailed, match=reason):
        read_statement(query, params)  # type: ignore[arg-type]


@given(st.text(), st.text())
def test_any_text_is_read_or_refused_and_values_never_enter_it(query: str, value: str) -> None:
    try:
        statement = read_statement("select " + query, {"name": value} if "$name" in query else ())
    except (StatementRefused, StatementFailed):
        return
    assert statement.text.startswith("select ")
    assert len(statement.text) <= len(query) + len("select ")
