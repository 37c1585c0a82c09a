"""The process's workbenches by tenant: opened when first asked for, the longest unused at rest when they are many.

A server installs one. What has no server, such as a notebook on an analyst's machine, has none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from workbench.session.workbench import Workbench

Open = Callable[[str], Workbench]

MOST_OPEN = 200
IDLE_SECONDS = 4 * 3600.0


class _Opened(msgspec.Struct):
    workbench: Workbench
    last_asked: float


class Registry:
    """Workbenches by tenant id. Thread-safe.

    One that goes for being unused comes to rest; whoever still has it can go on with it. One that reads at
    the moment stays. `clock` counts seconds.
    """

    def __init__(
        self,
        open_one: Open,
        *,
        most_open: int = MOST_OPEN,
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_one
        self._most_open = most_open
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: dict[str, _Opened] = {}
        """The longest unused first."""

    def workbench(self, tenant_id: str) -> Workbench:
        """The tenant's workbench, open. Raises what opening one raises, such as TenantError."""
        with self._lock:
            known = tenant_id in self._opened
        # Nobody waits for another tenant's opening; of two that open the same one, the first stays.
        opening = None if known else _Opened(self._open(tenant_id), 0.0)
        with self._lock:
            opened = self._opened.pop(tenant_id, None) or opening or _Opened(self._open(tenant_id), 0.0)
            opened.last_asked = self._clock()
            self._opened[tenant_id] = opened
            surplus = self._surplus()
        if opening is not None and opening is not opened:
            surplus.append(opening.workbench)
        for each in surplus:
            each.rest()
        return opened.workbench

    def forget(self, tenant_id: str) -> None:
        """Close the tenant's workbench, as when the tenant is suspended or renamed."""
        with self._lock:
            opened = self._opened.pop(tenant_id, None)
        if opened is not None:
            opened.workbench.close()

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            opened, self._opened = self._opened, {}
        for each in opened.values():
            each.workbench.close()

    def _surplus(self) -> list[Workbench]:
        long_ago = self._clock() - self._idle_seconds
        many = len(self._opened) - self._most_open
        unused = [
            tenant_id
            for number, (tenant_id, opened) in enumerate(self._opened.items())
            if (number < many or opened.last_asked < long_ago) and not opened.workbench.is_reading
        ]
        return [self._opened.pop(tenant_id).workbench for tenant_id in unused]


class _Installed:
    """The process's registry, if there is one."""

    registry: Registry | None = None


def install(open_one: Open) -> Registry:
    """Make a registry the process's, in place of the one before, which is closed."""
    uninstall()
    _Installed.registry = Registry(open_one)
    return _Installed.registry


def uninstall() -> None:
    """Close the process's registry; it has none then."""
    installed, _Installed.registry = _Installed.registry, None
    if installed is not None:
        installed.close()


def current() -> Registry | None:
    """The process's registry, or None."""
    return _Installed.registry
