"""The page: whole, harmless, self-contained, and small however many tenants there are."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import pytest

from tests.unit.workbench.quality.reports import (
    HOSTILE,
    check,
    finding,
    full_report,
    held,
    hold,
    point,
    promotion,
    report,
    tenant,
)
from workbench.quality import outline as outlines
from workbench.quality.page import render
from workbench.quality.report import Tenant

VOID = {"meta", "link", "rect", "img", "br"}


class Read(HTMLParser):
    """What a page consists of; fails where elements are not closed in their order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    @property
    def words(self) -> str:
        """The text with single spaces."""
        return " ".join(self.text.split())


def test_what_tenants_sent_is_text_and_never_markup() -> None:
    page = Read(render(full_report()))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "b" in page.tags, "ours"
    assert not [name for name, _ in page.attributes if name.startswith("on") and name != "on"]
    assert HOSTILE[0] in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "\\u202egnp" in page.text
    assert "\\x00b\\x1b[2J" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page.text)
    assert "… cut, 8,192 characters" in page.words
    assert "<b>name</b>" in page.text


def test_a_page_asks_nobody_for_anything() -> None:
    source = render(full_report())
    page = Read(source)
    links = [value for name, value in page.attributes if name in ("src", "href", "srcset", "action", "data")]
    assert all(value == "data:," or (value or "").startswith("#") for value in links)
    assert "http" not in re.sub(r'<meta http-equiv="', "", source)
    assert "url(" not in source
    assert "@import" not in source
    targets = {value for name, value in page.attributes if name == "id"}
    assert {(value or "#")[1:] for value in links if value != "data:,"} <= targets


def test_a_page_is_in_order_for_those_who_do_not_see_it() -> None:
    page = Read(render(full_report()))
    assert ("lang", "en") in page.attributes
    assert page.tags.count("h1") == 1
    headings = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert page.tags.count("table") <= page.tags.count("thead")
    boxes = [value for name, value in page.attributes if name == "class" and value == "scroll"]
    assert len(boxes) == len([value for name, value in page.attributes if (name, value) == ("tabindex", "0")])
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert "Events: 84 in the last of 12, from 7 to 84" in labels


def test_a_held_tenant_is_shown_with_reason_rows_difference_and_commands() -> None:
    page = Read(render(report(held(), tenant()))).words
    assert "Promotion 12: 1 tenant held, 1 promoted" in page
    assert "Usage would show on days that have not come." in page
    assert "2 failing rows, boundary raw_to_facts" in page
    assert "-1,000" in page
    assert "What it would change against the last good state" in page
    assert "waits for a decision" in page
    for command in ("show globex", 'release globex --reason "..."', 'discard globex --reason "..."', "rerun globex"):
        assert f"workbench holds {command}" in page
    assert 'workbench rollback 12 --reason "..."' in page


def test_what_nobody_could_judge_is_only_judged_again() -> None:
    errored = held(
        verdict="errored",
        findings=[
            finding(outcome="errored", detail="It could not be judged: out of time.", samples=(), failing_rows=0)
        ],
        holds=[hold(verdict="errored")],
    )
    about = promotion(promoted=0, unjudged=1, undoable=False)
    page = Read(render(report(errored, promotion=about, checks=[]))).words
    assert "Promotion 12 could not be judged: 1 tenant held" in page
    assert "It could not be judged: out of time." in page
    assert "workbench holds rerun globex" in page
    assert "holds release" not in page
    assert "holds discard" not in page
    assert "rollback" not in page
    assert "No rules are on record of this promotion" in page


def test_released_and_rolled_back_tenants_are_not_among_those_that_passed() -> None:
    page = Read(render(full_report())).words
    passed = page[page.index("Tenants that passed") :]
    assert "2 tenants with 10 new events" in passed
    assert "initech" not in passed
    assert "hooli" not in passed
    assert "What it had changed, until it was rolled back" in page
    assert "Held, released or rolled back" in page


def test_what_passed_in_a_promotion_that_failed_is_not_called_promoted_or_held() -> None:
    about = promotion(state="failed", error="The candidate <changed>.", promoted=0, undoable=False)
    page = Read(render(report(tenant(promoted=False), promotion=about))).words
    assert "Promotion 12 failed: nothing was published" in page
    assert "The candidate <changed>." in page
    assert "What it would change against the last good state" in page
    assert "held now" not in page
    assert "not held any more" not in page


def test_the_report_of_a_tenant_is_about_it_alone() -> None:
    about = promotion(tenants=26, promoted=25, failed=1)
    page = Read(render(report(held(), promotion=about, tenant_id="globex"))).words
    assert "Promotion 12: globex was not promoted" in page
    assert "Tenants that passed" not in page
    assert "workbench rollback" not in page
    assert "each over the rows of all 26 tenants, globex among them" in page


@pytest.mark.parametrize("samples", [0, 20])
def test_thousands_of_tenants_make_no_large_page_and_what_is_missing_is_counted(samples: int) -> None:
    rows = [{f"column_{number}": '<&">' * 2048 for number in range(12)}] * samples
    failing: list[Tenant] = [
        held(f"held-{number:04}", findings=[finding(f"rule_{rule}", samples=rows) for rule in range(30)])
        for number in range(2000)
    ]
    passing = [tenant(f"fine-{number:04}", findings=[finding(severity="warn", samples=rows)]) for number in range(3000)]
    source = render(report(*failing, *passing, checks=[check(f"rule_{number}") for number in range(80)]))
    page = Read(source).words
    assert len(source.encode()) < 3_000_000
    assert (
        f"{2000 - outlines.DETAILED - outlines.LISTED:,} more tenants that did not pass are not on this page." in page
    )
    assert f"{3000 - outlines.LISTED:,} more tenants that passed are not on this page." in page
    assert "workbench quality report --promotion 12 --json" in page
    assert "10 more findings: in --json" in page
    assert "and 2,990 more tenants (--json)" in page
    assert ("20 sample rows not shown here, for the size of this page" in page) == bool(samples)


def test_what_did_not_pass_stands_first_and_stops_apart_from_warnings() -> None:
    checks = [
        check("a_passed"),
        check("b_warns", severity="warn", outcome="failed"),
        check("c_stops", outcome="failed"),
        check("d_warns", severity="warn", outcome="failed"),
        check("a_user", boundary="users"),
    ]
    page = Read(render(report(tenant(), checks=checks, trend=[point()]))).words
    places = [page.index(name) for name in ("c_stops", "b_warns", "d_warns", "a_passed", "a_user")]
    assert places == sorted(places)
    assert "raw_to_facts 4 rules ■ 1 stops ▲ 2 warn" in page
    assert "users 1 rule ✓ all passed" in page
    assert "The first promotion that judged anything: there is nothing yet to compare it with." in page
