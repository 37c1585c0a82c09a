"""A TCP proxy on the loopback that can be made to fail, to stand before a broker or a database.

Toxiproxy does more, and is a server in Go that would have to be installed; its Python clients bring
none. This one knows bytes and connections, not protocols. Kafka's clients go where the broker sends
them, so the broker must advertise the proxy:

    port = free_port()
    with FaultyProxy("127.0.0.1", port) as proxy, LocalBroker(folder, port=port, advertised_port=proxy.port): ...
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from broker.ports import LOOPBACK, free_port

CHUNK = 65_536
SLICES_PER_SECOND = 20
PATIENCE_SECONDS = 10.0
RESET = struct.pack("ii", 1, 0)


class FaultyProxy:
    """Forwards to a TCP port, or to libpq's socket where `target_host` is a folder, until told otherwise."""

    def __init__(self, target_host: str, target_port: int, *, port: int = 0) -> None:
        self.port = port or free_port()
        self._target = (target_host, target_port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._bytes_per_second: int | None = None

    def start(self) -> None:
        """Listen, and forward. It starts once."""
        self._thread.start()
        self.restore()

    def stop(self) -> None:
        """Close everything for good."""
        self.cut()
        self._run(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        self._run(self._cut())

    def restore(self) -> None:
        """Forward again, at full speed; connections that were cut stay cut."""
        self._run(self._restore())

    def stall(self) -> None:
        """Accept connections, keep those there are, and forward nothing until `restore`."""
        self._run(self._stall())

    def slow(self, bytes_per_second: int) -> None:
        """Forward so many bytes a second, in each direction of each connection."""
        self._bytes_per_second = bytes_per_second

    def _run(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(PATIENCE_SECONDS)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in {writer for writer in self._writers if not writer.is_closing()}:
            # Without lingering a close is a reset, as of a machine that is gone, and not an orderly end.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _stall(self) -> None:
        self._flowing.clear()

    async def _finish(self) -> None:
        """Let the connections that were cut end, those too that were stalled."""
        ending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _restore(self) -> None:
        self._bytes_per_second = None
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = {writer}
        self._writers |= writers
        with suppress(OSError):
            from_target, to_target = await self._connect()
            writers.add(to_target)
            self._writers |= writers
            await asyncio.gather(self._pump(reader, to_target), self._pump(from_target, writer))
        for ended in writers:
            ended.transport.abort()
        self._writers -= writers

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._target
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            while data:
                await self._flowing.wait()
                speed = self._bytes_per_second
                share = max(1, speed // SLICES_PER_SECOND) if speed else len(data)
                writer.write(data[:share])
                await writer.drain()
                data = data[share:]
                await asyncio.sleep(share / speed if speed else 0)
        writer.write_eof()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
