"""A report is of one promotion, the same each time, and whole or not there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import marimo
import pytest

from tests.unit.workbench.reports.sources import InMemory, moment_of
from workbench.reports import Report, ReportError, file_name, make_report, write_report
from workbench.session import ConnectionLost

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def made() -> Report:
    """A report of the overview."""
    return make_report(InMemory(), "overview", moment_of=moment_of)


def test_it_is_dated_and_named_by_the_promotion_and_says_nothing_of_what_came_later(made: Report) -> None:
    assert file_name(made) == "overview-acme-promotion-7.html"
    assert (made.title, made.promotion_id, made.tenant_id) == ("Overview", 7, "acme")
    for part in (
        "Acme &amp; Sons",
        "2 March 2026, 10:30 UTC",
        "Promotion 7",
        "<h1>Overview</h1>",
        "&lt;b&gt;odd&lt;/b&gt;",
    ):
        assert part in made.html
    for part in ("held back", "<script", "<b>odd</b>", "import marimo", "<marimo", "random-id"):
        assert part not in made.html
    assert made.html.count("<h1") == 1


def test_the_same_promotion_gives_the_same_bytes_in_another_process_too(made: Report) -> None:
    code = (
        "from tests.unit.workbench.reports.sources import InMemory, moment_of;"
        " from workbench.reports import make_report;"
        " print(make_report(InMemory(), 'overview', moment_of=moment_of).sha256)"
    )
    seeds = [{"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)} for seed in ("1", "2")]
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env=seed, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in seeds
    }
    assert found == {made.sha256}


@pytest.mark.parametrize(
    ("source", "wanted", "told"),
    [
        (InMemory(None), None, "Nothing of acme is published yet. `workbench promote --tenant acme`"),
        (InMemory(7), 6, "What is published of acme is of promotion 7, not of 6."),
        (InMemory(7, 8), None, "Promotion 8 of acme was published while the report was made."),
    ],
)
def test_what_is_not_of_one_promotion_is_no_report(source: InMemory, wanted: int | None, told: str) -> None:
    with pytest.raises(ReportError) as raised:
        make_report(source, "overview", moment_of=moment_of, promotion_id=wanted)
    assert str(raised.value).startswith(told)


@pytest.mark.parametrize("name", ["quality", "nothing", "../overview", "frame"])
def test_only_notebooks_about_one_tenant_are_reported(name: str) -> None:
    with pytest.raises(ReportError, match=r"no notebook .* There are: overview"):
        make_report(InMemory(), name, moment_of=moment_of)


def test_data_that_cannot_be_read_is_an_error_though_the_notebook_shows_a_screen() -> None:
    with pytest.raises(ConnectionLost):
        make_report(InMemory(failing=ConnectionLost("Gone.")), "overview", moment_of=moment_of)


def test_a_cell_that_raises_is_told_with_what_it_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    app = marimo.App()

    @app.cell
    def _():  # type: ignore[no-untyped-def]
        raise ValueError("no such day")

    whole = importlib.import_module
    broken = SimpleNamespace(app=app)
    monkeypatch.setattr(importlib, "import_module", lambda name: broken if name.endswith("overview") else whole(name))
    with pytest.raises(ReportError, match=r"The notebook overview failed for acme: ValueError: no such day"):
        make_report(InMemory(), "overview", moment_of=moment_of)


def test_a_file_is_written_whole_or_not_at_all(made: Report, tmp_path: Path) -> None:
    write_report(made, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == made.html.encode()
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="cannot be written: Not a directory"):
        write_report(made, tmp_path / "file" / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ReportError, match="cannot be written"):
        write_report(made, tmp_path / "folder.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.html", "report.html"]
