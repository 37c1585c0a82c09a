"""Slots tell the processes of a folder apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.slots import claimed_slot, is_held


def test_each_holder_has_the_first_free_number_and_a_number_is_free_again_at_the_end(tmp_path: Path) -> None:
    home = tmp_path / "not there yet"
    with claimed_slot(home, "consumer") as first:
        with claimed_slot(home, "consumer") as second, claimed_slot(home, "other") as other:
            assert (first, second, other) == (0, 1, 0)
            assert is_held(home / "consumer-1.lock")
        assert not is_held(home / "consumer-1.lock")
        with claimed_slot(home, "consumer") as again:
            assert again == 1


def test_a_slot_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), claimed_slot(tmp_path, "consumer"):
        raise ZeroDivisionError
    with claimed_slot(tmp_path, "consumer") as number:
        assert number == 0
