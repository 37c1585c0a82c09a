"""An event loop hears the signal to end, and is not torn by it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from workbench.cli.signals import ENDINGS, Ending

# It is told to end, and then hangs in a thread that Python waits for.
HANGS = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
from workbench.cli.signals import Ending
ending = Ending()
ending.install()
ending.end_by_force(0.2)
ThreadPoolExecutor(1).submit(time.sleep, 300)
print("ready", flush=True)
ending.wait()
"""


@pytest.fixture
def ending() -> Iterator[Ending]:
    before = {number: signal.getsignal(number) for number in ENDINGS}
    ending = Ending()
    ending.install()
    yield ending
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDINGS)
def test_a_loop_is_told_once_and_interrupted_never(ending: Ending, number: signal.Signals) -> None:
    async def work() -> str:
        stop = asyncio.Event()
        with ending.heard_by_loop(stop.set):
            os.kill(os.getpid(), number)
            await stop.wait()
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), number)
        return "done"

    assert asyncio.run(asyncio.wait_for(work(), 10)) == "done"
    assert ending.is_set()


def test_a_loop_that_begins_after_the_signal_is_told_at_once(ending: Ending) -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)

    async def work() -> bool:
        stop = asyncio.Event()
        with ending.heard_by_loop(stop.set):
            return stop.is_set()

    assert asyncio.run(work())


def test_what_hangs_at_the_end_is_cut_off() -> None:
    process = subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 1
    process.stdout.close()
