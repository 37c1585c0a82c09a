"""Which workbenches stay open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workbench.session import Workbench, registry
from workbench.session.extracts import ExtractCache
from workbench.session.pool import Pool
from workbench.session.registry import Registry


class Opener:
    """Opens workbenches that know no database, and tells which are open."""

    def __init__(self, cache: ExtractCache) -> None:
        self._cache = cache
        self.open: list[str] = []
        self.reading: set[str] = set()

    def __call__(self, tenant_id: str) -> Workbench:
        opener = self

        class Told(Workbench):
            @property
            def is_reading(self) -> bool:
                return self.tenant_id in opener.reading

            def rest(self) -> None:
                opener.open.remove(self.tenant_id)
                super().rest()

        self.open.append(tenant_id)
        return Told(tenant_id=tenant_id, display_name="", url="postgresql://t@/x", pool=Pool(), cache=self._cache)


@pytest.fixture
def opener(tmp_path_factory: pytest.TempPathFactory) -> Opener:
    return Opener(ExtractCache(tmp_path_factory.getbasetemp()))


@pytest.fixture
def nothing_installed() -> Iterator[None]:
    registry.uninstall()
    yield
    registry.uninstall()


def test_a_tenant_has_one_workbench(opener: Opener) -> None:
    found = Registry(opener)
    assert found.workbench("a") is found.workbench("a")
    assert found.workbench("a") is not found.workbench("b")


def test_beyond_the_most_the_longest_unused_comes_to_rest(opener: Opener) -> None:
    found = Registry(opener, most_open=2)
    for tenant in ("a", "b", "a", "c"):
        found.workbench(tenant)
    assert sorted(opener.open) == ["a", "c"]


def test_one_that_reads_stays_open_though_it_is_the_longest_unused(opener: Opener) -> None:
    found = Registry(opener, most_open=1)
    opener.reading.add("a")
    found.workbench("a")
    found.workbench("b")
    assert sorted(opener.open) == ["a", "b"]
    opener.reading.clear()
    found.workbench("b")
    assert opener.open == ["b"]


def test_what_nobody_asks_for_any_more_comes_to_rest(opener: Opener) -> None:
    now = 0.0
    found = Registry(opener, idle_seconds=10, clock=lambda: now)
    found.workbench("a")
    now = 5.0
    found.workbench("b")
    now = 11.0
    found.workbench("c")
    assert sorted(opener.open) == ["b", "c"]


def test_one_can_be_forgotten_and_all_be_closed(opener: Opener) -> None:
    found = Registry(opener)
    for tenant in ("a", "b"):
        found.workbench(tenant)
    found.forget("a")
    found.forget("never opened")
    assert opener.open == ["b"]
    found.close()
    assert opener.open == []


@pytest.mark.usefixtures("nothing_installed")
def test_a_process_has_the_registry_that_was_installed_last(opener: Opener) -> None:
    assert registry.current() is None
    registry.install(opener).workbench("a")
    later = registry.install(opener)
    assert registry.current() is later
    assert opener.open == []
