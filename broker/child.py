"""A child process that does not outlive its parent, although it does not watch a pipe itself.

Beside the child runs a shell that watches a pipe from the parent. The pipe ends with the parent,
whatever the parent dies of, and the shell then kills the child, even one that is stopped by SIGSTOP.
Unlike PR_SET_PDEATHSIG this works on every system, and does not end the child with the thread that
started it. The pipe is inherited by nobody, except by processes that the parent forks without exec:
the child lives until those end too.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# The shell becomes the child by exec, so $$ is the child. Any line from the parent releases it.
WATCHED = 'exec 3<&0; { read -r _ <&3 || kill -9 $$; } & exec 3<&-; exec "$@" </dev/null'


class Child:
    """One run of a command in a session of its own: a terminal's Ctrl-C reaches the parent alone."""

    def __init__(self, command: Sequence[str | Path], *, log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["sh", "-c", WATCHED, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended; a stopped process runs."""
        if self._process.poll() is None:
            return True
        self._release()
        return False

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens where it has ended."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals, *, grace_seconds: float) -> None:
        """Send it the signal and wait until it has ended, which SIGKILL sees to after `grace_seconds`."""
        self.send(number)
        # A stopped process takes no signal but SIGKILL.
        self.send(signal.SIGCONT)
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._release()

    def _release(self) -> None:
        """Let the shell beside it go: its process id may soon be another's."""
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            return
        with suppress(BrokenPipeError), pipe:
            pipe.write(b"\n")
