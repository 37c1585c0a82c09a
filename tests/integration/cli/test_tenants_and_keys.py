"""Tenants and keys from the command line."""

from __future__ import annotations

from psycopg_pool import ConnectionPool

from pipeline.core.database import Database, ServiceRole
from pipeline.core.keys import KeyDirectory
from tests.command_line import CommandLine


def test_a_tenant_is_added_listed_suspended_and_resumed(workbench: CommandLine) -> None:
    added = workbench.json("tenants", "add", "acme", "--name", "Acme [Inc]", "--event-type", "page_view")
    assert (added["tenant_id"], added["status"], added["event_types"]) == ("acme", "active", ["page_view"])
    workbench.run("tenants", "add", "globex")
    table = workbench.run("tenants", "list").stdout
    assert "Acme [Inc]" in table
    assert "any" in table
    workbench.run("tenants", "suspend", "acme")
    refused = workbench.run("sql", "--tenant", "acme", "select 1", exits=1)
    assert "suspended" in refused.stderr
    assert "workbench tenants resume acme" in refused.stderr
    assert [tenant["status"] for tenant in workbench.json("tenants", "list")] == ["suspended", "active"]
    workbench.run("tenants", "resume", "acme")
    workbench.run("sql", "--tenant", "acme", "select 1")


def test_what_cannot_be_done_to_a_tenant_is_told_with_a_remedy(workbench: CommandLine) -> None:
    workbench.run("tenants", "add", "acme")
    assert "already there" in workbench.run("tenants", "add", "acme", exits=1).stderr
    assert "Remedy:" in workbench.run("tenants", "add", "Acme Inc", exits=1).stderr
    for words in (["tenants", "suspend"], ["keys", "create"], ["keys", "list", "--tenant"], ["db", "url", "--tenant"]):
        assert "workbench tenants list" in workbench.run(*words, "nobody", exits=1).stderr


def test_a_tenants_name_and_shards_are_changed(workbench: CommandLine) -> None:
    assert workbench.json("tenants", "add", "acme")["shards"] == 1
    assert workbench.json("tenants", "set", "acme", "--shards", "4")["shards"] == 4
    renamed = workbench.json("tenants", "set", "acme", "--name", "Acme Corporation")
    assert (renamed["display_name"], renamed["shards"]) == ("Acme Corporation", 4)
    assert [tenant["shards"] for tenant in workbench.json("tenants", "list")] == [4]
    ended = workbench.run("tenants", "set", "acme", "--shards", "13")
    assert "13 shards" in ended.stdout
    assert "more than the topic's 12 partitions" in ended.stderr
    assert "workbench tenants list" in workbench.run("tenants", "set", "nobody", "--shards", "2", exits=1).stderr
    assert "cannot be empty" in workbench.run("tenants", "set", "acme", "--name", " ", exits=1).stderr


def test_a_key_is_alone_on_standard_output_and_opens_the_api_until_it_is_revoked(
    workbench: CommandLine, database: Database
) -> None:
    workbench.run("tenants", "add", "acme")
    made = workbench.run("keys", "create", "acme", "--label", "backend")
    key = made.stdout.strip()
    assert f"Authorization: Bearer {key}" in made.stderr
    with ConnectionPool(database.url(ServiceRole.API), open=True) as pool:
        grant = KeyDirectory(pool).verify(key)
    assert (grant.tenant_id, sorted(grant.scopes)) == ("acme", ["ingest"])

    second = workbench.json("keys", "create", "acme", "--scope", "ingest", "--scope", "read", "--expires-in-days", "7")
    assert second["scopes"] == ["ingest", "read"]
    assert f"workbench keys revoke {grant.key_id}" in workbench.run("keys", "create", "acme", exits=1).stderr

    workbench.run("keys", "revoke", grant.key_id)
    listed = workbench.json("keys", "list", "--tenant", "acme")
    assert [(row["label"], row["state"]) for row in listed] == [("backend", "revoked"), ("", "live")]
    assert key.split("_")[3] not in workbench.run("keys", "list").output
