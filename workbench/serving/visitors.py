"""Who sends a request: the cookie, the sign-in that it stands for, and the person."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

import msgspec
from anyio import to_thread

from workbench.serving.binding import Ids

if TYPE_CHECKING:
    from workbench.people.principal import Principal
    from workbench.serving.port import People

COOKIE = "workbench_sign_in"


class Visitor(msgspec.Struct, frozen=True, kw_only=True):
    """A person who is signed in; `sign_in` is the digest by which everything of theirs is bound."""

    principal: Principal
    sign_in: str
    token: str

    def __repr__(self) -> str:
        return f"Visitor({self.principal.email}, {self.sign_in[:8]})"


class Visitors:
    """Finds visitors by their cookies."""

    def __init__(self, people: People, ids: Ids, *, secure: bool) -> None:
        self._people = people
        self._ids = ids
        self.cookie = cookie_name(COOKIE, secure=secure)

    def token(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        """The sign-in's token in a request, None without one, or with two: none of ours sends that."""
        found = cookies(headers, self.cookie)
        return found[0] if len(found) == 1 and found[0] else None

    async def of(self, headers: list[tuple[bytes, bytes]]) -> Visitor | None:
        """Who sends this, asked of the database each time: a sign-in that ended counts no more."""
        token = self.token(headers)
        if token is None:
            return None
        principal = await to_thread.run_sync(self._people.principal_of, token)
        if principal is None:
            return None
        return Visitor(principal=principal, sign_in=self._ids.sign_in(token), token=token)

    async def still(self, token: str) -> Principal | None:
        """Whose the sign-in is now, without counting as use."""
        return await to_thread.run_sync(self._people.watch, token)

    async def may_be_read(self, tenant_id: str) -> bool:
        """Whether there is such a tenant, and it is active."""
        return await to_thread.run_sync(self._people.tenant, tenant_id) is not None


def cookie_name(name: str, *, secure: bool) -> str:
    """A cookie's name; `__Host-` lets browsers take it from nobody but this very host, over https."""
    return f"__Host-{name}" if secure else name


def cookies(headers: list[tuple[bytes, bytes]], name: str) -> list[str]:
    """All values of a cookie in a request."""
    found = []
    for pair in (pair for key, value in headers if key == b"cookie" for pair in value.decode("latin-1").split(";")):
        parsed: SimpleCookie = SimpleCookie()
        try:
            parsed.load(pair.strip())
        except CookieError:
            continue
        found += [morsel.value for key, morsel in parsed.items() if key == name]
    return found
