"""Which notebooks there are, and who may open them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.workbench.serving.people import person
from workbench.people.principal import Principal
from workbench.serving.catalog import Notebook, NotebookRefused, may_choose, may_open, read_catalog

SOURCE = '"""{title}\n\n{question}\n\nMore about it.\n"""\n\nimport marimo\n\napp = marimo.App()\n{rest}'
ANALYST, STEWARD, ADMIN = person("acme@x"), person("s@x", "steward"), person("a@x", "admin")


def write(folder: Path, name: str, title: str = "Title.", question: str = "Which\none?", rest: str = "") -> None:
    (folder / f"{name}.py").write_text(SOURCE.format(title=title, question=question, rest=rest))


def test_notebooks_stand_in_the_order_of_need_with_title_and_question(tmp_path: Path) -> None:
    for name in ("quality", "zebra", "overview", "alpha"):
        write(tmp_path, name, title=f"{name.title()}.")
    (tmp_path / "frame.py").write_text('"""No notebook."""\n')
    found = read_catalog(tmp_path)
    assert [each.name for each in found] == ["overview", "quality", "alpha", "zebra"]
    assert (found[0].title, found[0].question) == ("Overview", "Which one?")


@pytest.mark.parametrize("docstring", ["", '"""Title."""', '"""\n\nQuestion?"""'])
def test_a_notebook_that_does_not_say_what_it_is_is_refused(tmp_path: Path, docstring: str) -> None:
    (tmp_path / "mute.py").write_text(f"{docstring}\nimport marimo\napp = marimo.App()\n")
    with pytest.raises(NotebookRefused, match=r"mute\.py does not say what it is"):
        read_catalog(tmp_path)


def test_a_notebook_that_breaks_the_law_is_refused_with_line_and_reason(tmp_path: Path) -> None:
    write(tmp_path, "bad", rest="import os\nos.environ['X']\n")
    with pytest.raises(NotebookRefused, match=r"bad\.py, line 13: no environment\.") as refused:
        read_catalog(tmp_path)
    assert "secrets" in (refused.value.remedy or "")


def test_a_folder_without_notebooks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotebookRefused, match="no notebook"):
        read_catalog(tmp_path)


@pytest.mark.parametrize(
    ("principal", "overview", "quality"), [(ANALYST, True, False), (STEWARD, False, True), (ADMIN, True, True)]
)
def test_each_role_opens_its_own(principal: Principal, overview: bool, quality: bool) -> None:
    def named(name: str) -> Notebook:
        return Notebook(name=name, title="", question="", path=Path())

    assert may_open(principal, named("overview")) is overview
    assert may_open(principal, named("quality")) is quality


@pytest.mark.parametrize(
    ("principal", "tenants", "may"),
    [
        (ANALYST, [], True),
        (ANALYST, ["acme"], True),
        (ANALYST, ["globex"], False),
        (ANALYST, [""], False),
        (ANALYST, ["acme", "globex"], False),
        (ANALYST, ["acme", "acme"], False),
        (ADMIN, ["globex"], True),
        (ADMIN, ["acme", "globex"], False),
        (STEWARD, ["globex"], True),
        (STEWARD, [], True),
    ],
)
def test_an_analyst_chooses_no_tenant_and_others_one(principal: Principal, tenants: list[str], may: bool) -> None:
    assert may_choose(principal, tenants) is may
