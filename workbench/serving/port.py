"""What the notebook server asks of others: who somebody is, which tenants there are, how fresh their data is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from workbench.people.principal import Client, Identity, Principal, SignedIn
    from workbench.session.freshness import Freshness


class TenantName(Protocol):
    """A tenant as people see it."""

    @property
    def tenant_id(self) -> str:
        """Its id."""

    @property
    def display_name(self) -> str:
        """Its name."""


class People(Protocol):
    """Sign-ins; each call may wait for the database, and raises DatabaseUnavailable where that is away."""

    def sign_in(self, email: str, password: str, *, client: Client) -> SignedIn:
        """Raises SignInRefused."""

    def sign_in_by_identity(self, identity: Identity, *, client: Client) -> SignedIn:
        """Raises SignInRefused."""

    def principal_of(self, token: str) -> Principal | None:
        """Whose token it is, which counts as use; None once it has ended, by whatever means."""

    def watch(self, token: str) -> Principal | None:
        """The same, without counting as use."""

    def sign_out(self, token: str) -> None:
        """End the sign-in, if there is one."""

    def change_password(self, token: str, current: str, wanted: str) -> None:
        """Raises SignInRefused or PasswordRefused."""

    def tenants(self) -> Sequence[TenantName]:
        """The active tenants."""

    def tenant(self, tenant_id: str) -> TenantName | None:
        """An active tenant."""


FreshnessOf = Callable[[str], "Freshness"]
"""A tenant's state of publication; raises WorkbenchError where it cannot be read."""
