"""Stand-ins for the people of a notebook server: three tenants' worth of persons, kept in memory."""

from __future__ import annotations

import secrets
from uuid import UUID, uuid4

import msgspec

from workbench.people.errors import PasswordRefused, SignInRefused, TooManyAttempts
from workbench.people.principal import Client, Identity, Principal, Role, SignedIn

PASSWORD = "a password that is good enough"


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as people see it."""

    tenant_id: str
    display_name: str


def person(email: str, role: Role = "analyst", tenant_id: str | None = None, user_id: UUID | None = None) -> Principal:
    """Somebody; an analyst of the tenant that is named in front of the at sign, unless told otherwise."""
    tenant = tenant_id or (email.partition("@")[0] if role == "analyst" else None)
    return Principal(user_id=user_id or uuid4(), email=email, role=role, tenant_id=tenant)


class FakePeople:
    """The port `workbench.serving.port.People`, in memory; everybody has the same password."""

    def __init__(self) -> None:
        self.tenant_names = [
            Named(tenant_id="acme", display_name="Acme Inc."),
            Named(tenant_id="globex", display_name="Globex <Corporation>"),
        ]
        self.persons = {
            each.email: each
            for each in (
                person("acme@example.com"),
                person("acme.second@example.com", tenant_id="acme"),
                person("globex@example.com"),
                person("steward@example.com", "steward"),
                person("admin@example.com", "admin"),
            )
        }
        self.tokens: dict[str, Principal] = {}
        self.suspended: set[str] = set()
        self.attempts = 0
        self.most_attempts = 10
        self.clients: list[Client] = []

    def sign_in(self, email: str, password: str, *, client: Client) -> SignedIn:
        """Anybody known, with the password."""
        self.clients.append(client)
        if self.attempts >= self.most_attempts:
            raise TooManyAttempts(60.0)
        if email not in self.persons or password != PASSWORD:
            self.attempts += 1
            raise SignInRefused
        return self.signed_in(email)

    def sign_in_by_identity(self, identity: Identity, *, client: Client) -> SignedIn:
        """Anybody known, by a verified e-mail."""
        self.clients.append(client)
        if not identity.email_verified or identity.email not in self.persons:
            raise SignInRefused
        return self.signed_in(identity.email)

    def signed_in(self, email: str) -> SignedIn:
        """A new sign-in."""
        token = secrets.token_urlsafe(32)
        self.tokens[token] = self.persons[email]
        return SignedIn(principal=self.persons[email], token=token)

    def principal_of(self, token: str) -> Principal | None:
        """Whose token it is; nobody's whose tenant is suspended."""
        found = self.tokens.get(token)
        return None if found is None or found.tenant_id in self.suspended else found

    def watch(self, token: str) -> Principal | None:
        """The same."""
        return self.principal_of(token)

    def sign_out(self, token: str) -> None:
        """Forget the token."""
        self.tokens.pop(token, None)

    def change_password(self, token: str, current: str, wanted: str) -> None:
        """Only long ones are good; nothing is changed."""
        if current != PASSWORD:
            raise SignInRefused
        if len(wanted) < 12:
            raise PasswordRefused("The password is too short.")
        mine = self.tokens[token]
        self.tokens = {key: each for key, each in self.tokens.items() if key == token or each != mine}

    def tenants(self) -> list[Named]:
        """All that are not suspended."""
        return [each for each in self.tenant_names if each.tenant_id not in self.suspended]

    def tenant(self, tenant_id: str) -> Named | None:
        """One of them."""
        return next((each for each in self.tenants() if each.tenant_id == tenant_id), None)
