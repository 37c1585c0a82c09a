"""The control tables that the application reads and writes by row, as SQLModel classes.

The migrations decide what the tables are; a test compares these classes with the migrated database.
Ledgers and promotions are written set-wise, by named SQL statements beside their owners.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlmodel import Field, SQLModel

SCHEMA = {"schema": "control"}
SHARDS = "over how many partitions of the stream the tenant's events are spread"
ANY_TYPE = "the only event types allowed; null allows any"
ALIKE = "in lower case and ASCII, so that no two are alike"
NO_PASSWORD = "null: signs in with OIDC alone"
IDENTITY = "the identity of the first sign-in with OIDC; from then on no other"


def _moment(*, nullable: bool) -> Column[datetime]:
    default = None if nullable else func.now()
    return Column(DateTime(timezone=True), nullable=nullable, server_default=default)


class Tenant(SQLModel, table=True):
    """A customer of the SaaS company; `event_types` None allows any type."""

    __tablename__ = "tenants"
    __table_args__ = SCHEMA

    tenant_id: str = Field(sa_column=Column(Text, primary_key=True))
    display_name: str = Field(sa_column=Column(Text, nullable=False))
    status: str = Field(default="active", sa_column=Column(Text, nullable=False, server_default="active"))
    event_types: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text), comment=ANY_TYPE))
    created_at: datetime | None = Field(default=None, sa_column=_moment(nullable=False))
    suspended_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    shards: int = Field(default=1, sa_column=Column(Integer, nullable=False, server_default="1", comment=SHARDS))


class TenantLogin(SQLModel, table=True):
    """The opaque LOGIN role of a tenant, for people who type SQL."""

    __tablename__ = "tenant_logins"
    __table_args__ = SCHEMA | {"comment": "which LOGIN role is which tenant; read by control.current_tenant() alone"}

    tenant_id: str = Field(sa_column=Column(Text, ForeignKey(Tenant.tenant_id), primary_key=True))
    role_name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    created_at: datetime | None = Field(default=None, sa_column=_moment(nullable=False))


class ApiKey(SQLModel, table=True):
    """A key of a tenant; of the secret only its SHA-256 is kept."""

    __tablename__ = "api_keys"
    __table_args__ = SCHEMA

    tenant_id: str = Field(sa_column=Column(Text, ForeignKey(Tenant.tenant_id), primary_key=True))
    key_id: str = Field(sa_column=Column(Text, primary_key=True, unique=True))
    label: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    secret_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    created_at: datetime | None = Field(default=None, sa_column=_moment(nullable=False))
    expires_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    revoked_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    last_used_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))


class User(SQLModel, table=True):
    """Somebody who may sign in; `tenant_id` is an analyst's, `password_hash` None of who has OIDC alone."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("oidc_issuer", "oidc_subject"),
        Index("users_by_tenant", "tenant_id", postgresql_where=text("tenant_id is not null")),
        SCHEMA | {"comment": "who may sign in to the notebooks, and as what"},
    )

    user_id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    email: str = Field(sa_column=Column(Text, nullable=False, unique=True, comment=ALIKE))
    role: str = Field(sa_column=Column(Text, nullable=False))
    tenant_id: str | None = Field(default=None, sa_column=Column(Text, ForeignKey(Tenant.tenant_id)))
    status: str = Field(default="active", sa_column=Column(Text, nullable=False, server_default="active"))
    password_hash: str | None = Field(default=None, sa_column=Column(Text, comment=NO_PASSWORD))
    oidc_issuer: str | None = Field(default=None, sa_column=Column(Text))
    oidc_subject: str | None = Field(default=None, sa_column=Column(Text, comment=IDENTITY))
    created_at: datetime | None = Field(default=None, sa_column=_moment(nullable=False))
    last_sign_in_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
