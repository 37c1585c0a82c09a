"""What the notebook server says to the database about people, as the role that may say no more.

Whether a user may be let in is one condition, the same for a sign-in and for every later request.
"""

from __future__ import annotations

MAY_ENTER = """u.status = 'active' and (
    u.tenant_id is null
    or exists (select from control.tenants as t where t.tenant_id = u.tenant_id and t.status = 'active')
)"""
OPEN = "s.closed_at is null and s.expires_at > %(now)s and s.last_seen_at > %(unused_since)s"
PRINCIPAL = "u.user_id, u.email, u.role, u.tenant_id"

# ------------------------------------------------------------------ whose sign-in it is

STORED_PASSWORD = "select user_id, password_hash from control.users where email = %(email)s"

# The hash must still be the one that was compared: the password may have been changed meanwhile.
ENTER_BY_PASSWORD = f"""
update control.users as u
set last_sign_in_at = %(now)s, password_hash = coalesce(%(rehashed)s, u.password_hash)
where u.user_id = %(user_id)s and u.password_hash = %(compared)s and {MAY_ENTER}
returning {PRINCIPAL}
"""  # noqa: S608
ENTER_BY_IDENTITY = f"""
update control.users as u
set last_sign_in_at = %(now)s
where u.oidc_issuer = %(issuer)s and u.oidc_subject = %(subject)s and {MAY_ENTER}
returning {PRINCIPAL}
"""  # noqa: S608
LINK_IDENTITY = f"""
update control.users as u
set oidc_issuer = %(issuer)s, oidc_subject = %(subject)s, last_sign_in_at = %(now)s
where
    u.email = %(email)s
    and u.oidc_issuer is null
    and not exists (
        select from control.users as o where o.oidc_issuer = %(issuer)s and o.oidc_subject = %(subject)s
    )
    and {MAY_ENTER}
returning {PRINCIPAL}
"""  # noqa: S608

# ------------------------------------------------------------------ sessions

OPEN_SESSION = """
insert into control.user_sessions (token_hash, user_id, created_at, last_seen_at, expires_at, address, client)
values (%(token_hash)s, %(user_id)s, %(now)s, %(now)s, %(expires_at)s, %(address)s, %(client)s)
"""
FORGET_OLD_SESSIONS = "delete from control.user_sessions where user_id = %(user_id)s and expires_at < %(before)s"
FIND_SESSION = f"""
select {PRINCIPAL}
from control.user_sessions as s
inner join control.users as u using (user_id)
where s.token_hash = %(token_hash)s and {OPEN} and {MAY_ENTER}
"""  # noqa: S608
TOUCH_SESSION = """
update control.user_sessions set last_seen_at = %(now)s
where token_hash = %(token_hash)s and last_seen_at < %(seen_before)s
"""
CLOSE_SESSION = """
update control.user_sessions as s set closed_at = %(now)s
from control.users as u
where u.user_id = s.user_id and s.token_hash = %(token_hash)s and s.closed_at is null
returning u.email, u.tenant_id
"""

# ------------------------------------------------------------------ a user's own change of the password

CHANGE_PASSWORD = """
update control.users set password_hash = %(wanted)s
where user_id = %(user_id)s and password_hash = %(compared)s
returning user_id
"""
CLOSE_OTHER_SESSIONS = """
update control.user_sessions set closed_at = %(now)s
where user_id = %(user_id)s and token_hash <> %(token_hash)s and closed_at is null
"""

# ------------------------------------------------------------------ tenants that there are to look at

TENANTS = """
select t.tenant_id, t.display_name, l.role_name as login
from control.tenants as t
inner join control.tenant_logins as l using (tenant_id)
where t.status = 'active'
"""
ALL_TENANTS = f"{TENANTS} order by t.display_name, t.tenant_id"
ONE_TENANT = f"{TENANTS} and t.tenant_id = %(tenant_id)s"
