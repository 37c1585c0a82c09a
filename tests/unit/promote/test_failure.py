"""Failures as people read them."""

from __future__ import annotations

import psycopg
import pytest

from pipeline.core.errors import DatabaseUnavailable, PromotionError
from pipeline.promote.failure import explain


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (psycopg.errors.UndefinedColumn("column is missing"), "workbench db migrate"),
        (psycopg.errors.UniqueViolation("it is there already"), "--full-refresh"),
        (PromotionError("dbt failed.", remedy="Correct the model."), "Correct the model."),
        (ValueError("odd"), "stays pending"),
    ],
)
def test_a_failure_names_promotion_and_step_and_says_what_to_do(error: Exception, remedy: str) -> None:
    explained = explain(error, promotion_id=7, step="publish", connected=True)
    assert type(explained) is PromotionError
    assert explained.message.startswith("Promotion 7 failed in the step 'publish': ")
    assert str(error).split(".")[0] in explained.message
    assert remedy in (explained.remedy or "")


def test_a_lost_connection_may_be_tried_again_and_does_not_claim_an_outcome() -> None:
    explained = explain(psycopg.OperationalError("gone"), promotion_id=7, step="publish", connected=False)
    assert type(explained) is DatabaseUnavailable
    assert explained.retryable
    assert "workbench status" in (explained.remedy or "")
