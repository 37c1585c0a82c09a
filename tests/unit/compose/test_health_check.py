"""docker/healthy.py, which the health checks of our services run."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.composition import ROOT


class Answers(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Where it listens."""
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("statuses", "well"), [((200,), True), ((200, 204), True), ((503,), False), ((200, 503), False)]
)
def test_it_is_well_only_where_every_address_answers_with_success(
    url: str, statuses: tuple[int, ...], well: bool
) -> None:
    addresses = [f"{url}/{status}" for status in statuses]
    # A proxy of the environment is not asked: it is this container.
    command = [sys.executable, "-IS", str(ROOT / "docker" / "healthy.py"), *addresses]
    ended = subprocess.run(
        command, env={"http_proxy": "http://127.0.0.1:9"}, capture_output=True, timeout=30, check=False
    )
    assert (ended.returncode == 0) is well
