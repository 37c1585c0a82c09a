"""Turns at starting: who waits, who goes on, and that no turn is ever lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from workbench.serving.starting import Starts

DEADLINE = 5.0


class Browser:
    """A WebSocket of a browser: what it says, and what it was told."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.says.put_nowait({"type": "websocket.connect"})
        self.told: list[dict[str, Any]] = []

    async def send(self, message: Any) -> None:
        self.told.append(message)

    def is_told(self) -> bool:
        return bool(self.told)

    def leave(self) -> None:
        self.says.put_nowait({"type": "websocket.disconnect", "code": 1001})


class Notebook:
    """An application that tells what it is told to, and ends when its browser leaves."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.heard: dict[str, list[str]] = {}
        self.sends: dict[str, Callable[[Any], Awaitable[None]]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = scope["name"]
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        self.running.append(name)
        self.sends[name] = send
        self.heard[name] = []
        while (message := await receive())["type"] != "websocket.disconnect":
            self.heard[name].append(message["text"])

    async def say(self, name: str, text: str) -> None:
        await self.sends[name]({"type": "websocket.send", "text": text})


class Room:
    """Browsers that open the notebook one after another."""

    def __init__(self, starts: Starts) -> None:
        self.notebook = Notebook()
        self.browsers: dict[str, Browser] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._serve = starts.around(self.notebook)

    async def open(self, *names: str) -> None:
        for name in names:
            browser = self.browsers[name] = Browser()
            scope: Any = {"type": "websocket", "name": name}
            self.tasks[name] = asyncio.create_task(self._open(scope, browser))
            await until(browser.is_told)

    async def _open(self, scope: Any, browser: Browser) -> None:
        await self._serve(scope, browser.says.get, browser.send)

    async def leave(self, name: str) -> None:
        self.browsers[name].leave()
        await asyncio.wait_for(self.tasks[name], DEADLINE)

    async def runs(self, *names: str) -> None:
        """These have begun, in this order, and no other does soon."""
        await until(lambda: len(self.notebook.running) >= len(names))
        for _ in range(20):
            await asyncio.sleep(0)
        assert self.notebook.running == list(names)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.001)


def test_a_few_start_at_once_and_the_others_in_the_order_in_which_they_came() -> None:
    async def play() -> None:
        room = Room(Starts(at_once=2))
        await room.open("a", "b", "c", "d")
        await room.runs("a", "b")
        await room.notebook.say("b", '{"op": "cell-op"}')
        await room.runs("a", "b")
        await room.notebook.say("b", '{"op": "completed-run"}')
        await room.runs("a", "b", "c")
        await room.notebook.say("a", '{"op": "reconnected"}')
        await room.runs("a", "b", "c", "d")

    asyncio.run(play())


def test_the_browser_is_let_in_once_while_it_waits_and_hears_everything_after() -> None:
    async def play() -> None:
        room = Room(Starts(at_once=1))
        await room.open("a", "b")
        waiting = room.browsers["b"]
        assert waiting.told == [{"type": "websocket.accept"}]
        waiting.says.put_nowait({"type": "websocket.receive", "text": "still here"})
        await room.leave("a")
        await room.runs("a", "b")
        await until(lambda: room.notebook.heard["b"] == ["still here"])
        await room.notebook.say("b", "hello")
        assert waiting.told == [{"type": "websocket.accept"}, {"type": "websocket.send", "text": "hello"}]

    asyncio.run(play())


def test_who_leaves_while_waiting_never_starts_and_keeps_nobody_waiting() -> None:
    async def play() -> None:
        room = Room(Starts(at_once=1))
        await room.open("a", "b", "c")
        await room.leave("b")
        await room.leave("a")
        await room.runs("a", "c")

    asyncio.run(play())


def test_one_end_of_a_turn_lets_one_in() -> None:
    """However often a notebook runs afterwards, and by whatever else its turn would have ended."""

    async def play() -> None:
        room = Room(Starts(at_once=1))
        await room.open("a", "b", "c")
        for _ in range(3):
            await room.notebook.say("a", '{"op": "completed-run"}')
        await room.leave("a")
        await room.runs("a", "b")

    asyncio.run(play())


def test_a_first_run_that_takes_long_lets_the_next_one_begin() -> None:
    async def play() -> None:
        room = Room(Starts(at_once=1, longest_seconds=0.01))
        await room.open("a", "b")
        await room.runs("a", "b")

    asyncio.run(play())


@pytest.mark.parametrize("who", ["a", "b"])
def test_a_turn_outlives_no_task_that_is_cancelled(who: str) -> None:
    async def play() -> None:
        room = Room(Starts(at_once=1))
        await room.open("a", "b", "c")
        room.tasks[who].cancel()
        await asyncio.wait([room.tasks[who]], timeout=DEADLINE)
        if who == "b":
            await room.leave("a")
        await room.runs("a", "c" if who == "b" else "b")

    asyncio.run(play())
