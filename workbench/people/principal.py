"""Who is asking: the values that go between the notebook server and the people it lets in."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec
from msgspec.structs import force_setattr

Role = Literal["analyst", "steward", "admin"]
LONGEST_NOTE = 200


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A user who is signed in, and whose account is active; an analyst's tenant is, too."""

    user_id: UUID
    email: str
    role: Role
    tenant_id: str | None
    """The analyst's one tenant; None for stewards and admins."""

    def as_user(self) -> dict[str, str | None]:
        """What notebooks find as `request.user`."""
        return {"user_id": str(self.user_id), "email": self.email, "role": self.role, "tenant_id": self.tenant_id}


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sign-in comes from; of what is given the first 200 printable characters."""

    address: str | None
    """The IP address; None where there is none to know, which all such clients share."""
    note: str = ""
    """What the browser calls itself, for the list of sessions."""

    def __post_init__(self) -> None:
        force_setattr(self, "note", _plain(self.note))
        force_setattr(self, "address", None if self.address is None else _plain(self.address))


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What an OIDC provider vouches for, out of a verified ID token."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """An answered sign-in; the token is nowhere else, and cannot be had again."""

    principal: Principal
    token: str
    """43 characters of base64url, 256 bits: the value of the session's cookie."""


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:LONGEST_NOTE]).strip()
