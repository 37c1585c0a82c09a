"""What holds for all rules, read without running them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from checks.suites import SUITES
from pipeline.promote.marts import read_marts

DBT_DIR = Path(__file__).parents[3] / "dbt"


def test_every_mart_has_a_suite_with_its_own_key() -> None:
    assert {suite.table.name: suite.table.key for suite in SUITES} == {
        mart.name: mart.key for mart in read_marts(DBT_DIR)
    }


def test_a_rule_is_on_record_by_its_boundary_and_name_so_no_two_share_them() -> None:
    names = Counter((suite.boundary, rule.name) for suite in SUITES for rule in suite.rules)
    assert [name for name, times in names.items() if times > 1] == []


def test_every_rule_says_why_in_whole_sentences() -> None:
    whys = {rule.name: rule.why for suite in SUITES for rule in suite.rules}
    assert [name for name, why in whys.items() if len(why) < 30 or not why[0].isupper() or not why.endswith(".")] == []


def test_reading_the_rules_does_not_import_great_expectations() -> None:
    program = "import sys, checks.gate; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
