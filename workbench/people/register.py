"""The register of users, kept by the operator: as the administrator, one transaction a call, all of it audited.

Whatever takes something from a user also ends the user's sessions.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from psycopg.rows import class_row
from sqlmodel import Session, select

from pipeline.core import audit
from pipeline.core.clock import Clock, utc_now
from pipeline.core.database import Database
from pipeline.core.models import User
from pipeline.core.sessions import admin_session, driver
from pipeline.core.tenants import get_tenant
from workbench.people import attempts
from workbench.people.emails import normalized
from workbench.people.errors import UserError
from workbench.people.passwords import Passwords
from workbench.people.principal import Role
from workbench.people.sessions import SessionLimits
from workbench.people.strength import require_strong

CLOSE_SESSIONS = """
update control.user_sessions set closed_at = %(now)s
where user_id = %(user_id)s and closed_at is null
returning expires_at > %(now)s
"""
SESSIONS = """
select
    u.email, s.created_at, s.last_seen_at, s.expires_at, s.closed_at, s.address, s.client,
    case
        when s.expires_at <= coalesce(s.closed_at, %(now)s) then 'expired'
        when s.closed_at is not null then 'closed'
        when s.last_seen_at <= %(unused_since)s then 'expired'
        else 'open'
    end as state
from control.user_sessions as s
inner join control.users as u using (user_id)
where u.email = coalesce(%(email)s, u.email)
order by s.created_at desc
limit %(most)s
"""


class UserSession(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in as the operator sees it."""

    email: str
    state: str
    """open, closed or expired."""
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    address: str | None
    client: str


def add_user(
    database: Database,
    email: str,
    *,
    role: Role,
    tenant_id: str | None = None,
    password: str | None,
    actor: str,
    passwords: Passwords | None = None,
) -> User:
    """Add somebody who may sign in; without a password, with OIDC alone.

    Raises UserError for an e-mail that is taken or none, or a role that does not go with the tenant,
    PasswordRefused, and TenantError for an unknown tenant.
    """
    address = _address(email)
    hashed = _hashed(password, address, passwords)
    with admin_session(database) as session:
        if _find(session, address) is not None:
            raise UserError(f"There is a user {address} already.", remedy="`workbench users set` changes one.")
        user = User(email=address, role=role, tenant_id=_tenant(session, role, tenant_id), password_hash=hashed)
        session.add(user)
        session.flush()
        _note(session, user, actor, "add user", role=role, tenant_id=user.tenant_id)
        session.commit()
        session.refresh(user)
        return user


def list_users(database: Database, tenant_id: str | None = None) -> list[User]:
    """All users, or those of a tenant, by e-mail. Raises TenantError for an unknown tenant."""
    query = select(User).order_by(User.email)
    with admin_session(database) as session:
        if tenant_id is not None:
            get_tenant(session, tenant_id)
            query = query.where(User.tenant_id == tenant_id)
        return list(session.exec(query))


def set_user(
    database: Database,
    email: str,
    *,
    role: Role | None = None,
    tenant_id: str | None = None,
    status: str | None = None,
    forget_identity: bool = False,
    actor: str,
    clock: Clock = utc_now,
) -> User:
    """Change what is given of a user; whoever is no analyst any more has no tenant.

    Without the identity of OIDC the next sign-in may link another. Raises UserError and TenantError
    as `add_user` does.
    """
    with admin_session(database) as session:
        user = _get(session, email)
        before = _standing(user)
        wanted = role or user.role
        kept = user.tenant_id if wanted == "analyst" else None
        user.role, user.tenant_id = wanted, _tenant(session, wanted, tenant_id or kept)
        user.status = status or user.status
        if forget_identity:
            user.oidc_issuer = user.oidc_subject = None
        changed = {name: [before[name], value] for name, value in _standing(user).items() if value != before[name]}
        if changed:
            session.flush()
            _close_sessions(session, user, clock)
            _note(session, user, actor, "change user", changed=changed)
        session.commit()
        session.refresh(user)
        return user


def set_password(
    database: Database,
    email: str,
    password: str | None,
    *,
    actor: str,
    clock: Clock = utc_now,
    passwords: Passwords | None = None,
) -> None:
    """Give a user another password, or none; failed sign-ins are forgotten.

    Raises UserError for an unknown user, and PasswordRefused.
    """
    address = _address(email)
    hashed = _hashed(password, address, passwords)
    with admin_session(database) as session:
        user = _get(session, address)
        user.password_hash = hashed
        session.flush()
        _close_sessions(session, user, clock)
        attempts.forget(driver(session), attempts.of_email(address))
        _note(session, user, actor, "set password" if password is not None else "remove password")
        session.commit()


def sign_out_user(database: Database, email: str, *, actor: str, clock: Clock = utc_now) -> int:
    """Close a user's open sessions; how many there were. Raises UserError for an unknown user."""
    with admin_session(database) as session:
        user = _get(session, email)
        closed = _close_sessions(session, user, clock)
        _note(session, user, actor, "sign out user", sessions=closed)
        session.commit()
        return closed


def list_sessions(
    database: Database,
    email: str | None = None,
    *,
    most: int,
    limits: SessionLimits | None = None,
    clock: Clock = utc_now,
) -> list[UserSession]:
    """The newest sessions of a user, or of all. Raises UserError for an unknown user."""
    now = clock()
    with admin_session(database) as session:
        address = None if email is None else _get(session, email).email
        values = {
            "email": address,
            "now": now,
            "unused_since": now - (limits or SessionLimits()).idle,
            "most": most,
        }
        return driver(session).cursor(row_factory=class_row(UserSession)).execute(SESSIONS, values).fetchall()


def _address(email: str) -> str:
    address = normalized(email)
    if address is None:
        raise UserError(
            f"{email!r} is no e-mail address that can be used here.",
            remedy="It has one @, no spaces, and letters of ASCII only: others can look or compare alike.",
        )
    return address


def _find(session: Session, address: str) -> User | None:
    return session.exec(select(User).where(User.email == address).with_for_update()).one_or_none()


def _get(session: Session, email: str) -> User:
    user = _find(session, _address(email))
    if user is None:
        raise UserError(f"There is no user {email}.", remedy="`workbench users list` shows them.")
    return user


def _tenant(session: Session, role: str, tenant_id: str | None) -> str | None:
    """The tenant that goes with the role: an analyst's is a known one, others have none."""
    if role != "analyst":
        if tenant_id is not None:
            raise UserError(f"A user with role {role} belongs to no tenant.", remedy="Leave --tenant away.")
        return None
    if tenant_id is None:
        raise UserError("An analyst belongs to a tenant.", remedy="Say which one: --tenant TENANT.")
    return get_tenant(session, tenant_id).tenant_id


def _hashed(password: str | None, address: str, passwords: Passwords | None) -> str | None:
    if password is None:
        return None
    require_strong(password, email=address)
    return (passwords or Passwords()).hash(password)


def _standing(user: User) -> dict[str, str | None]:
    return {
        "role": user.role,
        "tenant_id": user.tenant_id,
        "status": user.status,
        "oidc_issuer": user.oidc_issuer,
        "oidc_subject": user.oidc_subject,
    }


def _close_sessions(session: Session, user: User, clock: Clock) -> int:
    """Close them; how many were not at their end anyway."""
    closed = driver(session).execute(CLOSE_SESSIONS, {"user_id": user.user_id, "now": clock()}).fetchall()
    return sum(was_open for (was_open,) in closed)


def _note(session: Session, user: User, actor: str, action: str, **details: object) -> None:
    audit.record(driver(session), actor=actor, action=action, details={"email": user.email} | details)
