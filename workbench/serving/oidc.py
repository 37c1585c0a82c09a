"""Signing in with an OpenID Connect provider: the authorization code flow with PKCE, state and nonce.

What comes back counts only if it belongs to a flow that this browser began here, and if the ID token is signed
by the provider's keys for us, now, in answer to that flow. Whose account it is, `workbench.people` decides.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import msgspec
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pipeline.core.errors import WorkbenchError
from workbench.people.principal import Identity

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
"""Signatures by a key that only the provider has; those with a shared secret, and none, are refused."""
SCOPE = "openid email"
FLOW_SECONDS = 600
MOST_FLOWS = 10_000
LEEWAY_SECONDS = 60
TIMEOUT_SECONDS = 10.0


class OidcError(WorkbenchError):
    """The sign-in with the provider did not work."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider, and what it knows us as."""

    issuer: str
    client_id: str
    client_secret: str


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in under way: what only we know of it, and where the person was going."""

    state: str
    nonce: str
    verifier: str
    next: str
    ends_at: float


class Flows:
    """The sign-ins under way, by the id in the browser's cookie; each is good once, and for ten minutes."""

    def __init__(self, most: int = MOST_FLOWS) -> None:
        self._most = most
        self._flows: OrderedDict[str, Flow] = OrderedDict()

    def begin(self, wanted: str) -> tuple[str, Flow]:
        """A new flow and its id."""
        flow = Flow(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            next=wanted,
            ends_at=time.monotonic() + FLOW_SECONDS,
        )
        flow_id = secrets.token_urlsafe(32)
        self._flows[flow_id] = flow
        while len(self._flows) > self._most:
            self._flows.popitem(last=False)
        return flow_id, flow

    def take(self, flow_id: str | None, state: str | None) -> Flow:
        """The flow that comes back. Raises OidcError unless this browser began it, lately, and for the first time."""
        flow = self._flows.pop(flow_id or "", None)
        if flow is None or flow.ends_at < time.monotonic():
            raise OidcError("This sign-in has expired, or was begun in another browser.")
        if not secrets.compare_digest(flow.state, state or ""):
            raise OidcError("This answer belongs to another sign-in.")
        return flow


class Oidc:
    """Talks to the provider."""

    def __init__(self, provider: Provider, *, redirect_uri: str, transport: httpx.AsyncBaseTransport | None = None):
        self._provider = provider
        self._redirect_uri = redirect_uri
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, transport=transport)
        self._metadata: dict[str, Any] | None = None
        self._keys: KeySet | None = None

    async def authorization_url(self, flow: Flow) -> str:
        """Where to send the browser. Raises OidcError where the provider does not answer as one."""
        metadata = await self._discovered()
        query = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": SCOPE,
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": create_s256_code_challenge(flow.verifier),
            "code_challenge_method": "S256",
        }
        endpoint = str(metadata["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def identity(self, flow: Flow, answer: Mapping[str, str]) -> Identity:
        """Whom the provider vouches for, in answer to a flow. Raises OidcError."""
        if "error" in answer:
            raise OidcError("The provider did not sign you in.")
        # RFC 9207: a provider that names itself in the answer must be the one that was asked.
        if answer.get("iss", self._provider.issuer) != self._provider.issuer:
            raise OidcError("The answer comes from another provider.")
        token = await self._exchanged(answer.get("code", ""), flow)
        signed = await self._signed(str(token.get("id_token", "")))
        self._require_valid(signed, flow, str(token.get("access_token", "")))
        claims = signed.claims
        email = claims.get("email")
        return Identity(
            issuer=self._provider.issuer,
            subject=str(claims["sub"]),
            email=email if isinstance(email, str) else None,
            email_verified=claims.get("email_verified") is True,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _exchanged(self, code: str, flow: Flow) -> dict[str, Any]:
        metadata = await self._discovered()
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": flow.verifier,
        }
        # By the specification that is the way of a provider which does not say; each part is encoded first.
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        client_id, secret = self._provider.client_id, self._provider.client_secret
        if "client_secret_basic" in methods:
            options: dict[str, Any] = {"auth": httpx.BasicAuth(quote(client_id, safe=""), quote(secret, safe=""))}
        else:
            options = {}
            fields |= {"client_id": client_id, "client_secret": secret}
        return await self._asked("POST", str(metadata["token_endpoint"]), data=fields, **options)

    async def _signed(self, token: str) -> jwt.Token:
        """A token that the provider has signed; its keys are read anew if it seems to use a new one."""
        try:
            return jwt.decode(token, await self._signing_keys(fresh=False), algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            pass
        try:
            return jwt.decode(token, await self._signing_keys(fresh=True), algorithms=ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise OidcError("The provider's answer is not signed by it.") from error

    def _require_valid(self, signed: jwt.Token, flow: Flow, access_token: str) -> None:
        options = {
            "iss": {"essential": True, "value": self._provider.issuer},
            "aud": {"essential": True, "value": self._provider.client_id},
            "nonce": {"essential": True, "value": flow.nonce},
        }
        params = {"nonce": flow.nonce, "client_id": self._provider.client_id, "access_token": access_token}
        checked = CodeIDToken(signed.claims, signed.header, options=options, params=params)
        try:
            checked.validate(leeway=LEEWAY_SECONDS)
        except JoseError as error:
            raise OidcError("The provider's answer was not meant for this sign-in.") from error

    async def _signing_keys(self, *, fresh: bool) -> KeySet:
        if self._keys is None or fresh:
            metadata = await self._discovered()
            try:
                self._keys = KeySet.import_key_set(await self._asked("GET", str(metadata["jwks_uri"])))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError) as error:
                raise OidcError("The provider's keys cannot be read.") from error
        return self._keys

    async def _discovered(self) -> dict[str, Any]:
        if self._metadata is None:
            issuer = self._provider.issuer
            found = await self._asked("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if found.get("issuer") != issuer or any(not isinstance(found.get(name), str) for name in needed):
                raise OidcError("The provider's configuration is not that of the issuer that is set.")
            self._metadata = found
        return self._metadata

    async def _asked(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        try:
            answer = await self._client.request(method, url, **options)
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise OidcError("The provider does not answer as it should.") from error
        if not isinstance(found, dict):
            raise OidcError("The provider does not answer as it should.")
        return found
