"""A small OpenID Connect provider that keeps to the contract: codes are good once and for their verifier alone.

It signs everybody in who comes, as the person that it is told. What it says can be falsified, to see whether
it is believed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "workbench", "a secret: with/odd?characters"


@dataclass
class Provider:
    """The provider's state; `claims` are added to each ID token, `signing` makes it."""

    issuer: str
    redirect_uri: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    claims: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str] = field(default_factory=dict)
    """Added to what comes back to the callback."""
    signing: Callable[[Provider, dict[str, Any]], str] | None = None
    auth_methods: list[str] | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def discovery(self, _request: Request) -> Response:
        """Where everything is."""
        found: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        if self.auth_methods is not None:
            found["token_endpoint_auth_methods_supported"] = self.auth_methods
        return JSONResponse(found)

    def keys(self, _request: Request) -> Response:
        """The public keys."""
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    def authorize(self, request: Request) -> Response:
        """Sign the person in, and send them back with a code."""
        asked = dict(request.query_params)
        fits = (
            asked.get("client_id") == CLIENT_ID
            and asked.get("redirect_uri") == self.redirect_uri
            and asked.get("response_type") == "code"
            and "openid" in asked.get("scope", "").split()
            and asked.get("code_challenge_method") == "S256"
            and len(asked.get("code_challenge", "")) == 43
            and len(asked.get("state", "")) >= 22
            and len(asked.get("nonce", "")) >= 22
        )
        if not fits:
            self.refused.append("authorize")
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.issuer} | self.answer
        return RedirectResponse(f"{self.redirect_uri}?{urlencode(back)}", status_code=302)

    async def token(self, request: Request) -> Response:
        """Exchange a code: once, by the client that it was made for, with its verifier."""
        fields = {key: values[0] for key, values in parse_qs((await request.body()).decode()).items()}
        asked = self.codes.pop(fields.get("code", ""), None)
        problem = self._problem(request, fields, asked)
        if problem or asked is None:
            self.refused.append(problem or "code")
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "subject-1",
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
        } | self.claims
        sign = self.signing or signed
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": sign(self, claims)})

    def _problem(self, request: Request, fields: dict[str, str], asked: dict[str, str] | None) -> str:
        if asked is None:
            return "code"
        if _credentials(request, fields) != (CLIENT_ID, CLIENT_SECRET):
            return "client"
        if fields.get("grant_type") != "authorization_code" or fields.get("redirect_uri") != asked["redirect_uri"]:
            return "redirect_uri"
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        return "" if _base64url(digest) == asked["code_challenge"] else "verifier"


def signed(provider: Provider, claims: dict[str, Any]) -> str:
    """As it should be."""
    return jwt.encode({"alg": "RS256", "kid": provider.key.kid}, claims, provider.key)


def signed_by_somebody_else(_provider: Provider, claims: dict[str, Any]) -> str:
    """By a key of the same name that is not the provider's."""
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, RSAKey.generate_key(2048))


def signed_with_the_secret(_provider: Provider, claims: dict[str, Any]) -> str:
    """By what the client knows, too."""
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET))


def signed_with_the_public_key(provider: Provider, claims: dict[str, Any]) -> str:
    """As if the public key were a shared secret, which everybody knows."""
    head, body = (_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "one"}, claims))
    digest = hmac.digest(provider.key.as_pem(private=False), f"{head}.{body}".encode(), hashlib.sha256)
    return f"{head}.{body}.{_base64url(digest)}"


def not_signed(_provider: Provider, claims: dict[str, Any]) -> str:
    """By nobody."""
    return jwt.encode({"alg": "none"}, claims, OctKey.generate_key(), algorithms=["none"])


@contextmanager
def provided() -> Iterator[Provider]:
    """A provider on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    provider = Provider(issuer=f"http://127.0.0.1:{listener.getsockname()[1]}")
    routes = [
        Route("/.well-known/openid-configuration", provider.discovery),
        Route("/keys", provider.keys),
        Route("/authorize", provider.authorize),
        Route("/token", provider.token, methods=["POST"]),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _credentials(request: Request, fields: dict[str, str]) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
        return unquote(client_id), unquote(secret)
    return fields.get("client_id", ""), fields.get("client_secret", "")
