"""`workbench quality report` as a steward calls it."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.database import Database
from tests.command_line import CommandLine


def test_the_report_is_short_in_a_terminal_and_whole_as_json(workbench: CommandLine) -> None:
    shown = workbench.run("quality", "report")
    for part in ("clock_is_not_ahead", "Days to come.", "fct_usage_events +30 ~0 -0", "held since 2026-03-01", "g1"):
        assert part in shown.stdout
    assert "workbench holds release globex" in shown.stderr
    assert "workbench rollback 5" in shown.stderr
    document = workbench.json("quality", "report")
    assert document["promotion"]["promotion_id"] == 5
    assert [tenant["tenant_id"] for tenant in document["tenants"]] == ["globex", "initech", "acme"]
    assert document["tenants"][0]["findings"][0]["samples"][0]["page"] == "<script>alert(1)</script>"
    assert len(document["trend"]) == 3
    of_tenant = workbench.json("quality", "report", "--promotion", "1", "--tenant", "globex")
    assert [tenant["tenant_id"] for tenant in of_tenant["tenants"]] == ["globex"]
    assert "No rules are on record" in workbench.run("quality", "report", "--promotion", "1").stdout


def test_the_page_is_written_where_it_is_asked_for(workbench: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    written = workbench.run("quality", "report", "--html", str(file))
    assert str(file) in written.stderr
    assert written.stdout == ""
    assert "Promotion 5: 2 tenants held, 1 promoted" in file.read_text()
    assert workbench.json("quality", "report", "--html", str(file))["promotion"]["promotion_id"] == 5


def test_a_place_that_cannot_be_written_is_told_with_a_remedy(workbench: CommandLine, tmp_path: Path) -> None:
    for option in ("--html", "--data-docs"):
        (tmp_path / "file").write_text("")
        refused = workbench.run("quality", "report", option, str(tmp_path / "file" / "there"), exits=1).stderr
        assert "cannot be written: Not a directory." in refused
        assert f"Remedy: Name a place in a folder that exists and is yours: {option}." in refused


def test_data_docs_name_every_suite_and_how_it_ended(workbench: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    written = workbench.run("quality", "report", "--data-docs", str(folder))
    site = folder / "gx" / "uncommitted" / "data_docs" / "local_site"
    assert str(site / "index.html") in written.stderr.replace("\n", "")
    index = (site / "index.html").read_text()
    suites = {"metrics.tenant_usage_metrics": "Succeeded", "raw_to_facts.fct_usage_events": "Failed"}
    for suite, ended in suites.items():
        [page] = site.glob(f"validations/{suite.replace('.', '/')}/**/*.html")
        text = page.read_text()
        assert suite in text
        assert suite in index
        assert f">{ended}<" in text.replace(" ", "").replace("\n", "")
        assert "promotion-5" in text
        # One for the suite, one for its only rule.
        assert text.count("fa-check-circle") == (2 if ended == "Succeeded" else 0)
    assert "9 of 37 rows" in text
    assert "clock_is_not_ahead: Days to come." in text
    assert "It could not be evaluated; the quality report has the reason." in text
    # Another promotion is put beside it.
    workbench.run("quality", "report", "--promotion", "3", "--data-docs", str(folder))
    assert len(list(site.glob("validations/raw_to_facts/**/*.html"))) == 2
    refused = workbench.run("quality", "report", "--promotion", "1", "--data-docs", str(folder), exits=1).stderr
    assert "No rules are on record of promotion 1, so there are no Data Docs of it." in refused


def test_a_report_reads_as_the_steward_and_changes_nothing(workbench: CommandLine, seeded: Database) -> None:
    with seeded.connect_admin() as connection:
        connection.execute("revoke select on control.promotion_checks from workbench_steward")
    refused = workbench.run("quality", "report", exits=1)
    assert "permission denied" in str(refused.exception) + refused.stderr
