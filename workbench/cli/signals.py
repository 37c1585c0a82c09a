"""How a process of ours is told to end: SIGINT, SIGTERM, or the end of its standard input.

Handlers are set explicitly, since a process may be started with SIGINT ignored, as shells do for
what runs in the background. Either signal raises KeyboardInterrupt in the main thread.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM)


class Ending:
    """Set once the process is told to end; signals that come after the first change nothing.

    For a process that runs until it is told to end. It also serves as a `threading.Event` to wait on,
    for those who work in libraries that keep a KeyboardInterrupt to themselves.
    """

    def __init__(self) -> None:
        self._told = threading.Event()

    def install(self) -> None:
        """Listen to the signals from now on."""
        for number in ENDINGS:
            signal.signal(number, self._tell)

    def end_with_input(self, grace_seconds: float) -> None:
        """End with standard input too, and at the latest `grace_seconds` later by force.

        A pipe from the parent ends when the parent does, whatever it died of: unlike a signal at the
        parent's death, which only Linux knows, this works on every system.
        """

        def watch() -> None:
            with suppress(OSError):
                while os.read(0, 4096):
                    pass
            main = threading.main_thread()
            if main.ident is not None:
                signal.pthread_kill(main.ident, signal.SIGTERM)
            _end_if_it_hangs(main, grace_seconds)

        threading.Thread(target=watch, name="end with input", daemon=True).start()

    def end_by_force(self, grace_seconds: float) -> None:
        """Once told to end, end at the latest so many seconds later, whatever hangs."""

        def watch() -> None:
            self._told.wait()
            _end_if_it_hangs(threading.main_thread(), grace_seconds)

        threading.Thread(target=watch, name="end by force", daemon=True).start()

    @contextmanager
    def heard_by_loop(self, tell: Callable[[], None]) -> Iterator[None]:
        """A block of the running event loop in which the signal to end calls `tell` and interrupts nothing."""
        import asyncio

        def hear() -> None:
            self._told.set()
            tell()

        loop = asyncio.get_running_loop()
        for number in ENDINGS:
            loop.add_signal_handler(number, hear)
        if self._told.is_set():
            tell()
        try:
            yield
        finally:
            for number in ENDINGS:
                loop.remove_signal_handler(number)
            self.install()

    def is_set(self) -> bool:
        """Whether the process was told to end."""
        return self._told.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the process is told to end; whether it was."""
        with suppress(KeyboardInterrupt):
            self._told.wait(timeout)
        return self._told.is_set()

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        if not self._told.is_set():
            self._told.set()
            raise KeyboardInterrupt


def _end_if_it_hangs(main: threading.Thread, grace_seconds: float) -> None:
    main.join(grace_seconds)
    # Once it has ended, the interpreter is about to: its own exit code counts.
    if main.is_alive():
        os._exit(1)


def interrupt_on_signals() -> None:
    """From now on SIGINT and SIGTERM both raise KeyboardInterrupt, each time."""
    # The default handler and no other is one that asyncio replaces by an orderly cancellation.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _as_interrupt)


def wait_for_interrupt() -> None:
    """Wait for the next signal, and take it as an orderly end."""
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


@contextmanager
def shielded() -> Iterator[None]:
    """A block that signals do not interrupt, for cleaning up; those that come meanwhile are forgotten."""
    before = {number: signal.signal(number, _nothing) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextmanager
def shielded_exit() -> Iterator[ExitStack]:
    """Contexts to enter for the block; signals do not interrupt their exits."""
    parts = ExitStack()
    try:
        yield parts
    finally:
        with shielded():
            parts.close()


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass
