"""`workbench metabase`, as people and pipelines call it."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.command_line import CommandLine
from tests.fakes.metabase import FakeMetabase
from tests.integration.metabase.world import PASSWORD, SECRET
from workbench.metabase.spec import read_spec, read_specs

MINE = """\
title: Mine
audience: customers
description: One card.
cards:
  - name: Figures as of
    display: table
    place: {row: 0, column: 0, width: 24, height: 3}
    sql: select as_of from metrics.freshness({{tenant}})
"""


def folder_of(path: Path, **files: str) -> str:
    """A folder with these dashboards."""
    path.mkdir(exist_ok=True)
    for slug, content in files.items():
        (path / f"{slug}.yml").write_text(content)
    return str(path)


def test_plan_apply_plan(workbench: CommandLine, metabase: FakeMetabase) -> None:
    planned = workbench.json("metabase", "plan", exits=3)
    assert planned["is_new"]
    assert metabase.writes == 0
    applied = workbench.json("metabase", "apply")
    assert applied["set_up"]
    done, told = ([change["path"] for change in document["changes"]] for document in (applied, planned))
    # The setup has given Metabase its name.
    assert done == [path for path in told if path != ["site-name"]]
    assert {each["slug"] for each in applied["dashboards"] if each["embedded"]} == {"usage", "adoption", "retention"}
    writes = metabase.writes
    assert "as described" in workbench.run("metabase", "plan").stdout
    assert "nothing to do" in workbench.run("metabase", "apply").stdout
    assert metabase.writes == writes


def test_apply_tells_each_step(workbench: CommandLine) -> None:
    told = workbench.run("metabase", "apply").stderr
    assert "Waiting for Metabase" in told
    assert "Setting Metabase up, with metabase@example.com as its administrator" in told
    assert "] create dashboard Customer dashboards / Usage / Usage" in told
    assert PASSWORD not in told
    assert SECRET not in told


def test_drift_is_an_exit_code_and_a_table(workbench: CommandLine, metabase: FakeMetabase) -> None:
    workbench.run("metabase", "apply")
    workbench.run("metabase", "drift")
    (usage,) = (each for each in metabase.store.dashboards.values() if each["name"] == "Usage")
    usage["embedding_params"]["tenant"] = "enabled"
    metabase.store.dashboards[900] = {**usage, "id": 900, "name": "By hand", "dashcards": []}
    told = workbench.run("metabase", "drift", exits=3).stdout
    assert "embedding.tenant" in told
    assert "locked" in told
    assert "no file describes it" in told
    document = workbench.json("metabase", "drift", exits=3)
    assert document["changes"][0]["differences"] == [
        {"field": "embedding.tenant", "wanted": "locked", "found": "enabled"}
    ]
    workbench.run("metabase", "apply")
    assert usage["embedding_params"]["tenant"] == "locked"


def test_a_file_that_is_not_fit_is_refused_before_anything_is_asked(
    workbench: CommandLine, metabase: FakeMetabase, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "mine", mine=MINE.replace("({{tenant}})", "([[{{tenant}}]])"))
    for command in ("check", "plan", "apply"):
        refused = workbench.run("metabase", command, "--spec", folder, exits=1)
        assert f"{folder}/mine.yml:5: card 'Figures as of' has {{{{tenant}}}} within [[ ]]" in refused.stderr
        assert "Remedy: Write metrics.NAME({{tenant}}, ...), outside of [[ ]]." in refused.stderr
    assert metabase.requests == []


def test_dashboards_of_ones_own_take_the_place_of_those_shipped(
    workbench: CommandLine, metabase: FakeMetabase, tmp_path: Path
) -> None:
    workbench.run("metabase", "apply")
    applied = workbench.json("metabase", "apply", "--spec", folder_of(tmp_path / "mine", mine=MINE))
    assert [each["slug"] for each in applied["dashboards"]] == ["mine"]
    assert applied["allow_list"] == ["adoption", "ledger", "mine", "quality", "retention", "tenants", "usage"]
    told = {each["why"] for each in applied["strangers"]}
    assert "it is published for embedding, and no file says so" in told
    assert "Usage" in {each["name"] for each in metabase.store.dashboards.values()}


def test_the_files_can_be_checked_alone(tmp_path: Path) -> None:
    alone = CommandLine({"WORKBENCH_HOME": str(tmp_path)})
    assert [each["dashboard"] for each in alone.json("metabase", "check")] == [file.slug for file in read_specs()]
    assert list(tmp_path.iterdir()) == []


def test_what_was_applied_is_exported_as_it_was_written(workbench: CommandLine, tmp_path: Path) -> None:
    workbench.run("metabase", "apply")
    folder = tmp_path / "exported"
    folder.mkdir()
    for file in read_specs():
        path = folder / f"{file.slug}.yml"
        workbench.run("metabase", "export", file.slug, "--output", str(path))
        exported, shipped = read_spec(path).dashboard, file.dashboard
        assert exported.cards == tuple(sorted(shipped.cards, key=lambda card: (card.place.row, card.place.column)))
        assert (exported.title, exported.audience) == (shipped.title, shipped.audience)
        assert (exported.description, exported.parameters) == (shipped.description, shipped.parameters)
    workbench.run("metabase", "plan", "--spec", str(folder))
    assert yaml.safe_load(workbench.run("metabase", "export", "usage").stdout)["title"] == "Usage"


def test_what_a_file_cannot_say_is_not_exported(workbench: CommandLine, metabase: FakeMetabase) -> None:
    workbench.run("metabase", "apply")
    (number,) = (number for number, each in metabase.store.dashboards.items() if each["name"] == "Usage")
    card = metabase.store.dashboards[number]["dashcards"][0]
    card["visualization_settings"] = {"card.title": "Another"}
    assert "looks otherwise" in workbench.run("metabase", "export", "usage", exits=1).stderr
    card["card_id"] = None
    assert "there is no question" in workbench.run("metabase", "export", str(number), exits=1).stderr
    assert "There are: adoption, " in workbench.run("metabase", "export", "nothing", exits=1).stderr


def test_what_is_missing_in_the_settings_is_told(metabase: FakeMetabase) -> None:
    nobody = CommandLine({"WORKBENCH_METABASE_URL": metabase.url})
    for command in ("plan", "apply", "drift"):
        assert "WORKBENCH_METABASE_ADMIN_EMAIL" in nobody.run("metabase", command, exits=1).stderr


def test_a_wrong_password_and_an_account_that_administers_nothing_are_told(
    workbench: CommandLine, metabase: FakeMetabase
) -> None:
    metabase.add_user("metabase@example.com", "another password 1")
    metabase.store.setup_token = None
    assert "does not let us in" in workbench.run("metabase", "apply", exits=1).stderr
    metabase.add_user("metabase@example.com", PASSWORD)
    assert "must be an administrator" in workbench.run("metabase", "apply", exits=1).stderr


def test_metabase_may_still_be_starting(workbench: CommandLine, metabase: FakeMetabase) -> None:
    metabase.initializing = 2
    workbench.run("metabase", "apply")
    assert metabase.requests.count("GET /api/health") == 3
