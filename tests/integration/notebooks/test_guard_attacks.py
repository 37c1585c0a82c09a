"""The attacks on marimo's sessions: each works on marimo as it comes, and none works here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.notebooks import attacks
from tests.integration.notebooks.served import Target, bare, ours
from workbench.serving.catalog import NotebookRefused, read_catalog
from workbench.serving.law import violations

Attack = Callable[[Target], bool]
ON_SESSIONS = (
    attacks.takes_over_by_socket,
    attacks.takes_over_by_post,
    attacks.is_hijacked_from_elsewhere,
    attacks.reads_files_of_others,
)
BY_NOTEBOOKS = (
    ("cached", attacks.CACHED, attacks.cache_leaks, "no persistent cache"),
    ("injected", attacks.INJECTED, attacks.sql_is_injected, "no mo.sql with values"),
)


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("bare")
    sources = {name: source for name, source, _, _ in BY_NOTEBOOKS}
    with bare(attacks.write_notebooks(folder, rows=attacks.ROWS, **sources)) as target:
        yield target


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with ours(attacks.write_notebooks(tmp_path_factory.mktemp("ours"), rows=attacks.ROWS)) as target:
        yield target


@pytest.mark.parametrize("attack", ON_SESSIONS, ids=lambda attack: attack.__name__)
def test_an_attack_works_on_marimo_as_it_comes(unguarded: Target, attack: Attack) -> None:
    assert attack(unguarded)


@pytest.mark.parametrize("attack", ON_SESSIONS, ids=lambda attack: attack.__name__)
def test_an_attack_does_not_work_here(guarded: Target, attack: Attack) -> None:
    assert not attack(guarded)


@pytest.mark.parametrize(("name", "source", "attack", "rule"), BY_NOTEBOOKS, ids=[each[0] for each in BY_NOTEBOOKS])
def test_a_notebook_that_leaks_on_marimo_as_it_comes_is_not_served_here(
    unguarded: Target, tmp_path: Path, name: str, source: str, attack: Attack, rule: str
) -> None:
    assert attack(unguarded)
    with pytest.raises(NotebookRefused):
        read_catalog(attacks.write_notebooks(tmp_path, **{name: source}))
    assert rule in {each.rule for each in violations(source)}
