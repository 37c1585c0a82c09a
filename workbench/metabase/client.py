"""Metabase's API as this package uses it: JSON out and in, its refusals as our errors.

Metabase answers 429 and 503 before it does anything, so those are tried again whatever was asked. A connection that
breaks is tried again for what only reads: whether a write was done is for the next reading to find out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from pipeline.core.errors import MetabaseError, MetabaseUnavailable

SESSION_HEADER = "X-Metabase-Session"
TRIES = 6
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 15.0
START_SECONDS = 600.0
"""Metabase's first start brings its own database about; minutes on a small machine."""
NOT_NOW = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE})
WAIT = re.compile(r"wait (\d{1,4}) second")
LONGEST_ANSWER = 300
"""Characters of an answer that is no JSON which an error repeats."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A setting as Metabase lists it; what its environment says is not told."""

    value: Any
    variable: str | None = None
    """The environment variable of Metabase that decides it."""


class Metabase:
    """A Metabase, for its administrator once signed in."""

    def __init__(
        self,
        http: httpx.Client,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._sleep = sleep
        self._monotonic = monotonic
        self._session: dict[str, str] = {}

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Return once Metabase is healthy. Raises MetabaseUnavailable after so many seconds."""
        deadline, tries = self._monotonic() + seconds, 0
        while True:
            try:
                answer = self._http.get("/api/health")
                if answer.status_code == HTTPStatus.OK:
                    return
                reason = f"it says {answer.text[:LONGEST_ANSWER] or answer.status_code}"
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            if self._monotonic() > deadline:
                raise self._unavailable(reason)
            self._sleep(_delay(tries))
            tries += 1

    def properties(self) -> Mapping[str, Any]:
        """What Metabase tells of itself: more, once signed in."""
        return dict(self.get("/api/session/properties"))

    def is_set_up(self) -> bool:
        """Whether there is an administrator."""
        return bool(self.properties().get("has-user-setup"))

    def set_up(self, *, email: str, password: str, site_name: str) -> None:
        """Make the administrator, who is signed in then. Raises MetabaseError if there is one."""
        user = {"email": email, "password": password, "first_name": "Analytics", "last_name": "Workbench"}
        prefs = {"site_name": site_name, "site_locale": "en"}
        token = self.properties().get("setup-token")
        self._signed_in(self._ask("POST", "/api/setup", {"token": token, "user": user, "prefs": prefs}))

    def sign_in(self, *, email: str, password: str) -> None:
        """Become the administrator. Raises MetabaseError if Metabase does not know who this is."""
        self._signed_in(self._ask("POST", "/api/session", {"username": email, "password": password}))

    def get(self, path: str) -> Any:
        """What is there."""
        return self._ask("GET", path)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Make something."""
        return self._ask("POST", path, body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change something."""
        return self._ask("PUT", path, body)

    def settings(self) -> dict[str, Listed]:
        """Every setting that an administrator may change, by key."""
        return {each["key"]: _listed(each) for each in self.get("/api/setting")}

    def write_setting(self, key: str, value: object) -> None:
        """Change a setting, and see that it stayed. Raises MetabaseError, without the value, if it did not."""
        self.put(f"/api/setting/{key}", {"value": value})
        listed = self.settings().get(key)
        if listed is None or listed.value != value:
            raise MetabaseError(
                f"Metabase took the setting {key} and did not keep it.",
                remedy="Is it set by an environment variable of Metabase? Those win.",
            )

    def _signed_in(self, answer: Any) -> None:
        self._session = {SESSION_HEADER: str(answer["id"])}

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        for tries in range(TRIES):
            try:
                answer = self._http.request(method, path, json=body, headers=self._session)
            except httpx.TransportError as error:
                if method != "GET" or tries == TRIES - 1:
                    raise self._unavailable(str(error) or type(error).__name__) from error
                self._sleep(_delay(tries))
                continue
            wait = _asked_to_wait(answer, tries)
            if wait is None:
                return self._answer_of(answer, method, path)
            if tries == TRIES - 1:
                break
            self._sleep(wait)
        raise self._unavailable(f"{method} {path} answers {answer.status_code}: {_told(answer)}")

    def _answer_of(self, answer: httpx.Response, method: str, path: str) -> Any:
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _refusal(answer, f"{method} {path.partition('?')[0]}")

    def _unavailable(self, reason: str) -> MetabaseUnavailable:
        return MetabaseUnavailable(
            f"Metabase does not answer at {self._http.base_url}: {reason.rstrip('.')}.",
            remedy="Is it running, and is WORKBENCH_METABASE_URL its address?",
        )


def _listed(entry: Mapping[str, Any]) -> Listed:
    """Metabase answers null for what is as it comes, and for what the environment decides."""
    variable = entry["env_name"] if entry.get("is_env_setting") else None
    value = entry["value"]
    return Listed(value=entry.get("default") if value is None and variable is None else value, variable=variable)


def _delay(tries: int) -> float:
    return min(FIRST_DELAY_SECONDS * 2.0**tries, LONGEST_DELAY_SECONDS)


def _asked_to_wait(answer: httpx.Response, tries: int) -> float | None:
    """How long Metabase wants to be left alone; None if it has answered."""
    told = WAIT.search(answer.text) if answer.is_error else None
    if told:
        return float(told[1])
    if answer.status_code not in NOT_NOW:
        return None
    asked = answer.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else _delay(tries)


def _refusal(answer: httpx.Response, what: str) -> MetabaseError:
    status, told = answer.status_code, _told(answer)
    if status == HTTPStatus.UNAUTHORIZED:
        return MetabaseError(
            f"Metabase does not let us in ({told}).",
            remedy="WORKBENCH_METABASE_ADMIN_EMAIL and _ADMIN_PASSWORD are those of an administrator of it.",
        )
    if status == HTTPStatus.FORBIDDEN:
        return MetabaseError(
            f"Metabase forbids {what}: {told}.",
            remedy="The account of WORKBENCH_METABASE_ADMIN_EMAIL must be an administrator.",
        )
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return MetabaseError(f"{what} is not part of Metabase's free edition: {told}.")
    return MetabaseError(f"Metabase refuses {what} ({status}): {told}.")


def _told(answer: httpx.Response) -> str:
    """What Metabase says is wrong: it has several ways to say so."""
    try:
        document = answer.json()
    except ValueError:
        return answer.text[:LONGEST_ANSWER].strip().rstrip(".") or HTTPStatus(answer.status_code).phrase
    if not isinstance(document, dict):
        return str(document).rstrip(".")
    errors = document.get("errors")
    each = [f"{field}: {problem}" for field, problem in errors.items()] if isinstance(errors, dict) else []
    told = [document[name] for name in ("message", "error") if isinstance(document.get(name), str)]
    return "; ".join(map(str, (*told, *each))).rstrip(".") or str(document)[:LONGEST_ANSWER]
