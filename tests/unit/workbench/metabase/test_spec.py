"""Files of dashboards: what they say, and where they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pipeline.core.errors import SpecError
from pipeline.core.metrics.catalog import read_metrics
from tests.unit.workbench.metabase.files import text, written
from workbench.metabase.lint import require_fit
from workbench.metabase.spec import Display, ParameterType, read_spec, read_specs

PAGE = Path(__file__).parents[4] / "docs" / "dashboards.md"


def test_the_dashboards_that_are_shipped_are_fit() -> None:
    files = read_specs()
    require_fit(files, {*(metric.name for metric in read_metrics()), "freshness"})
    audiences = {file.slug: file.dashboard.audience for file in files}
    assert audiences == {
        "adoption": "customers",
        "ledger": "staff",
        "quality": "staff",
        "retention": "customers",
        "tenants": "staff",
        "usage": "customers",
    }


def test_a_file_is_a_dashboard_of_its_name(tmp_path: Path) -> None:
    file = read_spec(written(tmp_path, text(), "weekly-usage.yml"))
    assert (file.slug, file.dashboard.title, file.dashboard.cards[0].place.width) == ("weekly-usage", "Usage", 12)


@pytest.mark.parametrize(
    ("wrong", "line", "told"),
    [
        (text().replace("display: line", "display: sparkle"), 7, "sparkle"),
        (text().replace("display: line", "displays: line"), 7, "displays"),
        (text().replace("width: 12", "width: 0"), 8, ">= 1"),
        (text().replace("title: Usage", "titel: Usage"), 1, "titel"),
        (text().replace("audience: customers", "audience: everybody"), 2, "everybody"),
        (text(more="title: Again\n"), 11, "'title' is given twice"),
        (text(more="    place: 3\n"), 11, "'place' is given twice"),
        (text(more="  - : :\n ]"), 11, "is not YAML"),
        (text(parameters="[{slug: From, name: From, type: date/single}]"), 4, "matching regex"),
        ("title: Usage\naudience: staff\ndescription: x\ncards: []\n", 4, "length >= 1"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, wrong: str, line: int, told: str) -> None:
    with pytest.raises(SpecError) as refused:
        read_spec(written(tmp_path, wrong))
    assert refused.value.message.startswith(f"{tmp_path}/usage.yml:{line}: ")
    assert told in refused.value.message


def test_a_file_needs_a_name_that_can_be_a_slug(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no slug"):
        read_spec(written(tmp_path, text(), "My Usage.yml"))


def test_a_folder_without_dashboards_and_a_file_that_is_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="There is no dashboard"):
        read_specs(tmp_path)
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec(tmp_path / "usage.yml")


def test_the_dashboard_of_the_documentation_is_fit(tmp_path: Path) -> None:
    _, _, after = PAGE.read_text().partition("<!-- test: dashboard -->\n```yaml\n")
    file = read_spec(written(tmp_path, after.partition("```")[0], "weekly.yml"))
    require_fit([file], {"active_users"})
    assert file.dashboard.title == "Weekly"


def test_the_documentation_names_every_display_and_type() -> None:
    page = PAGE.read_text()
    assert all(f"`{name}`" in page for name in (*get_args(Display), *get_args(ParameterType)))


def test_the_documentation_names_every_dashboard_that_is_shipped() -> None:
    page = PAGE.read_text()
    assert all(f"| `{file.slug}` | {file.dashboard.audience} |" in page for file in read_specs())
