"""`workbench users`: the register from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.integration.notebooks.people.conftest import HOME, JANE, WORD, House
from workbench.people.passwords import Passwords
from workbench.people.people import People, open_people

OTHER = "mango7 piano2 fog"


@pytest.fixture
def workbench(house: House, tmp_path: Path) -> CommandLine:
    """The command line, configured for the shared database."""
    return CommandLine(
        {
            "DATABASE_URL": house.database.admin_url,
            "WORKBENCH_SECRET": "the users command's integration tests",
            "WORKBENCH_HOME": str(tmp_path),
        }
    )


@pytest.fixture
def people(house: House) -> Iterator[People]:
    """The people as the notebook server meets them, now."""
    with open_people(house.database, passwords=Passwords(house.hashing)) as people:
        yield people


def test_a_user_is_added_with_a_password_that_is_typed_twice(workbench: CommandLine, people: People) -> None:
    words = ("users", "add", "Jane@Acme.com", "--role", "analyst", "--tenant", "acme")
    added = workbench.run(*words, given=f"{WORD}\n{WORD}\n")
    assert "User jane@acme.com is added: analyst of tenant acme." in added.stdout
    assert WORD not in added.output
    assert people.sign_in(JANE, WORD, client=HOME).principal.tenant_id == "acme"
    assert "already" in workbench.run(*words, "--oidc-only", exits=1).stderr


def test_a_password_may_come_from_standard_input_or_there_may_be_none(workbench: CommandLine, people: People) -> None:
    steward = ("users", "add", "sam@example.com", "--role", "steward")
    assert "choose one of" in workbench.run(*steward, "--password-stdin", "--oidc-only", exits=2).stderr
    workbench.run(*steward, "--password-stdin", given=f"{WORD} \r\nanother line\n")
    assert people.sign_in("sam@example.com", f"{WORD} ", client=HOME).principal.role == "steward"
    admin = workbench.json("users", "add", "ada@example.com", "--role", "admin", "--oidc-only")
    assert (admin["role"], admin["tenant_id"], admin["signs_in_with"]) == ("admin", None, ["OIDC"])


def test_what_cannot_be_added_is_told_with_a_remedy(workbench: CommandLine) -> None:
    for words, given, told in (
        ((JANE, "--role", "analyst"), WORD, "--tenant"),
        ((JANE, "--role", "admin", "--tenant", "acme"), WORD, "no tenant"),
        ((JANE, "--role", "analyst", "--tenant", "nobody"), WORD, "workbench tenants list"),
        (("jane", "--role", "admin"), WORD, "no e-mail address"),
        ((JANE, "--role", "admin"), "short", "12 characters"),
        ((JANE, "--role", "admin"), "", "12 characters"),
        ((JANE, "--role", "admin"), "password1234", "first that are guessed"),
        ((JANE, "--role", "admin"), JANE, "e-mail address"),
    ):
        refused = workbench.run("users", "add", *words, "--password-stdin", exits=1, given=given)
        assert told in refused.stderr
        assert "Remedy:" in refused.stderr
    assert workbench.json("users", "list") == []


def test_users_are_listed_with_what_they_sign_in_with(workbench: CommandLine, people: People) -> None:
    assert "no users yet" in workbench.run("users", "list").stdout
    add(workbench, JANE, "--role", "analyst", "--tenant", "acme")
    add(workbench, "joe@globex.com", "--role", "analyst", "--tenant", "globex")
    people.sign_in(JANE, WORD, client=HOME)
    listed = workbench.json("users", "list")
    assert [(row["email"], row["signs_in_with"], row["last_sign_in_at"] is not None) for row in listed] == [
        (JANE, ["password"], True),
        ("joe@globex.com", ["password"], False),
    ]
    assert "argon2" not in workbench.run("users", "list").output
    assert [row["email"] for row in workbench.json("users", "list", "--tenant", "globex")] == ["joe@globex.com"]
    assert "workbench tenants list" in workbench.run("users", "list", "--tenant", "nobody", exits=1).stderr


def test_a_user_is_moved_promoted_disabled_and_enabled(workbench: CommandLine, people: People) -> None:
    add(workbench, JANE, "--role", "analyst", "--tenant", "acme")
    assert workbench.json("users", "set", JANE, "--tenant", "globex")["tenant_id"] == "globex"
    promoted = workbench.json("users", "set", JANE, "--role", "admin")
    assert (promoted["role"], promoted["tenant_id"]) == ("admin", None)
    assert "--tenant" in workbench.run("users", "set", JANE, "--role", "analyst", exits=1).stderr
    token = people.sign_in(JANE, WORD, client=HOME).token
    assert "admin, disabled" in workbench.run("users", "set", JANE, "--disable").stdout
    assert people.principal_of(token) is None
    assert workbench.json("users", "set", JANE, "--enable")["status"] == "active"
    assert "say what to change" in workbench.run("users", "set", JANE, exits=2).stderr
    assert "choose one of" in workbench.run("users", "set", JANE, "--enable", "--disable", exits=2).stderr
    workbench.run("users", "set", JANE, "--forget-identity")


def test_another_password_ends_the_sessions_and_none_leaves_oidc(workbench: CommandLine, people: People) -> None:
    add(workbench, JANE, "--role", "admin")
    token = people.sign_in(JANE, WORD, client=HOME).token
    workbench.run("users", "password", JANE, given=f"{OTHER}\n{OTHER}\n")
    assert people.principal_of(token) is None
    people.sign_in(JANE, OTHER, client=HOME)
    assert "OIDC alone" in workbench.run("users", "password", JANE, "--oidc-only").stdout
    assert workbench.json("users", "list")[0]["signs_in_with"] == ["OIDC"]
    assert "first that are guessed" in (
        workbench.run("users", "password", JANE, "--password-stdin", exits=1, given="password1234").stderr
    )


def test_sessions_are_listed_and_ended(workbench: CommandLine, people: People) -> None:
    assert "Nobody has signed in" in workbench.run("users", "sessions").stdout
    add(workbench, JANE, "--role", "admin")
    add(workbench, "sam@example.com", "--role", "steward")
    tokens = [people.sign_in(JANE, WORD, client=HOME).token for _ in range(2)]
    people.sign_out(tokens[0])
    people.sign_in("sam@example.com", WORD, client=HOME)
    rows = workbench.json("users", "sessions", JANE)
    assert [(row["email"], row["state"], row["address"], row["client"]) for row in rows] == [
        (JANE, "open", "192.0.2.1", "Firefox"),
        (JANE, "closed", "192.0.2.1", "Firefox"),
    ]
    assert [row["email"] for row in workbench.json("users", "sessions", "--limit", "1")] == ["sam@example.com"]
    printed = workbench.run("users", "sessions").output
    assert not any(token in printed for token in tokens)
    assert "signed out of 1 session." in workbench.run("users", "sign-out", JANE).stdout
    assert people.principal_of(tokens[1]) is None
    assert [row["state"] for row in workbench.json("users", "sessions", JANE)] == ["closed", "closed"]


def test_every_command_on_an_unknown_user_tells_where_the_known_ones_are(workbench: CommandLine) -> None:
    for words in (
        ("set", JANE, "--disable"),
        ("password", JANE, "--oidc-only"),
        ("sessions", JANE),
        ("sign-out", JANE),
    ):
        assert "workbench users list" in workbench.run("users", *words, exits=1).stderr


def test_what_is_done_to_users_is_audited_with_who_did_it(workbench: CommandLine, house: House) -> None:
    add(workbench, JANE, "--role", "analyst", "--tenant", "acme")
    workbench.run("users", "set", JANE, "--role", "steward")
    workbench.run("users", "password", JANE, "--oidc-only")
    workbench.run("users", "sign-out", JANE)
    rows = house.ask("select actor, action, details from control.audit_log order by audit_id")
    assert [action for _, action, _ in rows] == ["add user", "change user", "remove password", "sign out user"]
    assert all("@" in actor and details["email"] == JANE for actor, _, details in rows)
    assert rows[1][2]["changed"] == {"role": ["analyst", "steward"], "tenant_id": ["acme", None]}
    assert "argon2" not in str(rows)


def add(workbench: CommandLine, email: str, *options: str) -> None:
    """Add a user whose password is the usual one."""
    workbench.run("users", "add", email, *options, "--password-stdin", given=f"{WORD}\n")
