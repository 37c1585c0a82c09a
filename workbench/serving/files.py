"""Whose each virtual file is: marimo keeps those of all sessions of a process in one drawer, by name alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from marimo._runtime.context import ContextNotInitializedError, get_context
from marimo._runtime.virtual_file.storage import DEFAULT_CHUNK_SIZE, VirtualFileStorageManager

from workbench.serving.rules import OWNER


class OwnedFiles:
    """marimo's storage of virtual files, which remembers who made each file.

    It is marimo's `VirtualFileStorage`; the kernel that stores a file says whose it is by the query
    parameter that the guard gave its session. A file of nobody is read by nobody. There is no lock: each
    step is one of a dictionary's, and a session that is collected as garbage calls `shutdown` from anywhere.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[str | None, bytes]] = {}

    @property
    def stale(self) -> bool:
        """It serves as long as the process."""
        return False

    def install(self) -> None:
        """Be the storage of this process. Must precede its first session."""
        VirtualFileStorageManager().storage = self

    def owner(self, key: str) -> str | None:
        """Whose a file is; None for an unknown one."""
        return self._files.get(key, (None, b""))[0]

    def store(self, key: str, buffer: bytes) -> None:
        """Keep a file for whose session is running. A name is given once."""
        self._files.setdefault(key, (_running_owner(), buffer))

    def read(self, key: str, byte_length: int) -> bytes:
        """The first bytes of a file. Raises KeyError."""
        return self._files[key][1][:byte_length]

    def read_chunked(
        self, key: str, byte_length: int, chunk_size: int = DEFAULT_CHUNK_SIZE, start: int = 0
    ) -> Iterator[bytes]:
        """Bytes of a file from `start`, in chunks. Raises KeyError."""
        buffer = self._files[key][1]
        end = min(start + byte_length, len(buffer))
        for at in range(start, end, chunk_size):
            yield buffer[at : min(at + chunk_size, end)]

    def remove(self, key: str) -> None:
        """Forget a file."""
        self._files.pop(key, None)

    def shutdown(self, keys: Iterable[str] | None = None) -> None:
        """Forget these files, or all."""
        for key in list(self._files if keys is None else keys):
            self._files.pop(key, None)

    def has(self, key: str) -> bool:
        """Whether there is such a file."""
        return key in self._files


def _running_owner() -> str | None:
    try:
        found = get_context().query_params.get(OWNER)
    except ContextNotInitializedError:
        return None
    return found if isinstance(found, str) else None
