"""What every answer tells browsers to forbid."""

from __future__ import annotations

import base64
import hashlib

from workbench.serving.headers import OWN_PAGES, notebook_policy, secured


def hashed(code: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def scripts(policy: str) -> str:
    return next(part for part in policy.split("; ") if part.startswith("script-src"))


def test_inline_scripts_run_by_their_hashes_and_data_does_not_count() -> None:
    page = (
        b"<script>one()</script><SCRIPT data-x='y'>\r\ntwo()</SCRIPT><script>one()</script>"
        b'<script type="application/json">{}</script><script type="module" src="./x.js"></script>'
        b'<script type="module">three()</script>'
    )
    found = scripts(notebook_policy(page, "https://x.example"))
    assert found == f"script-src 'self' {hashed('one()')} {hashed(chr(10) + 'two()')} {hashed('three()')} 'unsafe-eval'"


def test_a_page_connects_to_its_own_server_alone() -> None:
    policy = notebook_policy(b"", "https://x.example")
    assert "connect-src 'self' data: blob: wss://x.example;" in policy
    assert "ws://127.0.0.1:8080" in notebook_policy(b"", "http://127.0.0.1:8080")
    assert "frame-ancestors 'none'" in policy


def test_headers_of_others_that_open_doors_are_replaced() -> None:
    given = [
        (b"Access-Control-Allow-Origin", b"*"),
        (b"access-control-allow-credentials", b"true"),
        (b"Server", b"uvicorn"),
        (b"Referrer-Policy", b"unsafe-url"),
        (b"content-security-policy", b"default-src *"),
        (b"cache-control", b"public"),
        (b"content-type", b"text/html"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]
    found = secured(given, policy=OWN_PAGES, secure=True, cache="no-store")
    names = [name.lower() for name, _ in found]
    assert not [name for name in names if name.startswith(b"access-control") or name == b"server"]
    assert names.count(b"referrer-policy") == names.count(b"content-security-policy") == 1
    assert names.count(b"set-cookie") == 2
    assert dict(found)[b"cache-control"] == b"no-store"
    assert dict(found)[b"content-security-policy"] == OWN_PAGES.encode()
    assert dict(found)[b"strict-transport-security"]
    plain = dict(secured(given, policy=OWN_PAGES, secure=False))
    assert b"strict-transport-security" not in plain
    assert plain[b"cache-control"] == b"public"
