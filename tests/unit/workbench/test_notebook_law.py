"""The law of served notebooks: those that we ship keep it, and each rule catches what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

import workbench
from workbench.serving.law import RULES, violations

NOTEBOOKS = sorted((Path(workbench.__file__).parent / "notebooks").glob("*.py"))

BAD = [
    ("no persistent cache", "with mo.persistent_cache('rows'):\n    rows = read()"),
    ("no persistent cache", "@mo.persistent_cache\ndef rows(): ..."),
    ("no persistent cache", "from marimo import persistent_cache as cached"),
    ("no persistent cache", "keep = getattr(mo, 'persistent_cache')"),
    ("no persistent cache", "mo.runtime.cache_cells = True"),
    ("no environment", "import os\nos.environ['TENANT'] = tenant"),
    ("no environment", "from os import environ"),
    ("no environment", "import os as system\nsystem.getenv('DATABASE_URL')"),
    ("no text run as code", "eval(word.value)"),
    ("no text run as code", "exec(word.value)"),
    ("no mo.sql with values", "mo.sql(f\"select * from t where x = '{word.value}'\")"),
    ("no mo.sql with values", "mo.sql(word.value)"),
    ("no mo.sql with values", "mo.sql('select 1' + word.value)"),
    ("no mo.sql with values", "marimo.sql(query=query)"),
    ("no SQL put together", "wb.sql(f\"select * from t where x = '{x}'\")"),
    ("no SQL put together", "wb.sql('select * from t where x = ' + x)"),
    ("no SQL put together", "wb.sql(x + ' order by 1')"),
    ("no SQL put together", "wb.sql('select * from t where x = %s' % x)"),
    ("no SQL put together", "wb.sql('select {}'.format(x))"),
    ("no SQL put together", "wb.sql(query=f'table {x}')"),
    ("no SQL put together", "connection.execute(f'{x}; drop table t')"),
    ("no SQL put together", "query = f'select * from {table}'\nwb.sql(query)"),
    ("no SQL put together", "query = 'with t as (select 1) ' + more"),
    ("no SQL put together", "query = f'''\n    INSERT INTO t VALUES ({x})\n'''"),
    ("no SQL put together", "wb.duckdb().query(f'from {x}')"),
    ("no settings of its own", "# [tool.marimo.runtime]\n# serve_cached_sessions_in_apps = true"),
    ("no settings of its own", "# [ tool.marimo.experimental ]"),
    ("no settings of its own", "# tool.marimo.runtime = { cache_cells = true }"),
]

GOOD = [
    "wb.sql('select * from t where x = $1', [word.value])",
    "wb.sql(editor.value, most_rows=1_000)",
    "mo.sql('select 1')",
    "mo.sql(f'select 1')",
    "mo.md(f'Select a day: {day}, with {n} users from {place}')",
    "mo.md(f'With {n} users as ({n})')",
    "text = 'Select ' + name",
    "mo.cache",
    "frame.filter(pl.col('x') == word.value)",
    "', '.join(names)",
    "# [tool.marimo.display]\n# theme = 'system'",
    "wb.sql('select 1 ' + 'from t')",
]


@pytest.mark.parametrize(("rule", "source"), BAD)
def test_a_rule_catches_what_it_is_for(rule: str, source: str) -> None:
    assert rule in {each.rule for each in violations(source)}


@pytest.mark.parametrize("source", GOOD)
def test_what_is_harmless_is_let_be(source: str) -> None:
    assert violations(source) == []


def test_each_rule_has_a_bad_sample_and_a_reason() -> None:
    assert set(RULES) < {rule for rule, _ in BAD}
    assert all(why for why, _ in RULES.values())


def test_a_violation_names_its_line_once() -> None:
    found = violations("import os\n\nx = os.environ\ny = f'select {os.environ}'\n")
    assert [(each.line, each.rule) for each in found] == [
        (3, "no environment"),
        (4, "no SQL put together"),
        (4, "no environment"),
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_that_we_ship_keeps_the_law(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8")) == []
