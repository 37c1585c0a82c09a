"""Applying: from nothing to all dashboards, again without a write, and on after it was cut off anywhere."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.core.database import Database
from pipeline.core.errors import MetabaseError
from tests.fakes.metabase import FakeMetabase, running_metabase
from tests.fakes.metabase.store import Store
from tests.integration.metabase.world import PASSWORD, SECRET, USER, Provisioned
from workbench.metabase.resources import Dashboard

KNOWN = "select slug, dashboard_id, embedded from control.dashboards order by slug"
CRASHES_TRIED = 7


def names(documents: dict[int, dict[str, Any]]) -> set[str]:
    """What there is, by name."""
    return {each["name"] for each in documents.values()}


def content(store: Store) -> dict[str, Any]:
    """All that a store says, with names for numbers, so that two of them can be compared."""
    collections: dict[int | None, str] = {
        None: "",
        **{number: each["name"] for number, each in store.collections.items()},
    }
    cards = {number: (collections[each["collection_id"]], each["name"]) for number, each in store.cards.items()}
    dashboards: dict[tuple[str, str], dict[str, Any]] = {}
    for each in store.dashboards.values():
        told = copy.deepcopy(
            {name: each[name] for name in ("name", "parameters", "enable_embedding", "embedding_params")}
        )
        told["cards"] = sorted(
            (cards[card["card_id"]], card["row"], card["col"], len(card["parameter_mappings"]))
            for card in each["dashcards"]
        )
        dashboards[(collections[each["collection_id"]], each["name"])] = told
    return {
        "settings": store.settings,
        "databases": sorted((each["name"], sorted(each["details"].items())) for each in store.databases.values()),
        "collections": sorted((each["name"], collections[each["parent_id"]]) for each in store.collections.values()),
        "cards": sorted((cards[number], str(each["dataset_query"]["stages"])) for number, each in store.cards.items()),
        "dashboards": dashboards,
    }


def test_a_new_metabase_is_set_up_and_gets_every_dashboard(provisioned: Provisioned) -> None:
    store = provisioned.metabase.store
    assert names(store.dashboards) == {"Usage", "Adoption", "Retention", "All tenants", "Quality", "Loss ledger"}
    assert names(store.databases) == {"Tenant figures", "Workbench"}
    assert {each["details"]["user"] for each in store.databases.values()} == {"workbench_embed", "workbench_bi"}
    published = {
        each["name"]: each["embedding_params"] for each in store.dashboards.values() if each["enable_embedding"]
    }
    assert set(published) == {"Usage", "Adoption", "Retention"}
    assert published["Adoption"] == {"tenant": "locked", "from": "enabled", "to": "enabled"}
    assert (store.setting("anon-tracking-enabled"), store.setting("enable-public-sharing")) == (False, False)


def test_a_second_apply_writes_nothing(provisioned: Provisioned) -> None:
    before, writes = copy.deepcopy(provisioned.metabase.store.dashboards), provisioned.metabase.writes
    again = provisioned.apply()
    assert (again.changes, again.allow_list, again.set_up) == ((), (), False)
    assert provisioned.metabase.writes == writes
    assert provisioned.metabase.store.dashboards == before
    assert provisioned.look().is_as_described


def test_the_database_knows_what_may_be_embedded(provisioned: Provisioned) -> None:
    numbers = {each["name"]: number for number, each in provisioned.metabase.store.dashboards.items()}
    with provisioned.database.connect_admin() as connection:
        known = connection.execute(
            "select slug, dashboard_id, embedded from control.dashboards order by slug"
        ).fetchall()
        state = connection.execute("select site_url, secret_generation, next_generation from control.metabase_state")
        assert state.fetchone() == ("https://metabase.example.com", 1, None)
        audited = connection.execute("select actor, action from control.audit_log").fetchall()
    assert known == [
        ("adoption", numbers["Adoption"], True),
        ("ledger", numbers["Loss ledger"], False),
        ("quality", numbers["Quality"], False),
        ("retention", numbers["Retention"], True),
        ("tenants", numbers["All tenants"], False),
        ("usage", numbers["Usage"], True),
    ]
    assert audited == [("tests", "metabase_apply")]


def require_same_end(provisioned: Provisioned, *, step: int) -> None:
    """After a crash at every so many writes, applying again comes to the end of an apply without one."""
    whole, wanted = provisioned.metabase.writes, content(provisioned.metabase.store)
    with running_metabase() as fake:
        fresh = Provisioned(provisioned.database, fake)
        for writes in range(1, whole + 1, step):
            fake.store = Store()
            fake.crashes_after = writes
            with pytest.raises(MetabaseError):
                fresh.apply()
            fake.crashes_after = None
            fresh.apply()
            assert content(fake.store) == wanted, f"after {writes} writes"


def test_after_a_crash_the_next_apply_comes_to_the_same_end(provisioned: Provisioned) -> None:
    require_same_end(provisioned, step=provisioned.metabase.writes // CRASHES_TRIED)


@pytest.mark.long
def test_after_a_crash_at_any_write_the_next_apply_comes_to_the_same_end(provisioned: Provisioned) -> None:
    require_same_end(provisioned, step=1)


@pytest.mark.long
def test_a_crash_at_every_write_in_turn_still_comes_to_an_end(database: Database, metabase: FakeMetabase) -> None:
    provisioned, crashes = Provisioned(database, metabase), 0
    while True:
        metabase.crashes_after = 1
        try:
            provisioned.apply()
        except MetabaseError:
            crashes += 1
            continue
        break
    metabase.crashes_after = None
    assert crashes == metabase.writes
    assert provisioned.look().is_as_described


def test_what_metabase_takes_and_does_not_keep_is_told(
    provisioned: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.fakes.metabase.content.DASHCARD_KEYS", ("id", "card_id", "size_x", "size_y", "row", "col")
    )
    for dashboard in provisioned.metabase.store.dashboards.values():
        dashboard["dashcards"] = []
    with pytest.raises(MetabaseError, match=r"dashboard .* did not keep .*mappings"):
        provisioned.apply()


def test_a_wrong_database_is_refused_in_the_drivers_words(database: Database, metabase: FakeMetabase) -> None:
    provisioned = Provisioned(database, metabase)
    desired = provisioned.desired()
    elsewhere = [
        each if not hasattr(each, "dbname") else type(each)(**{**_fields(each), "dbname": "nowhere"})
        for each in desired.resources
    ]
    wrong = type(desired)(resources=tuple(elsewhere), slugs=desired.slugs)
    with pytest.raises(MetabaseError, match='database "nowhere" does not exist'):
        provisioned.apply(wrong)


def test_a_release_with_other_names_and_shapes_is_understood(database: Database, metabase: FakeMetabase) -> None:
    metabase.store.switch, metabase.store.answers_older_shape = "enable-embedding-modular", False
    provisioned = Provisioned(database, metabase)
    provisioned.apply()
    assert metabase.store.is_embedding_on()
    assert provisioned.look().is_as_described


def test_two_that_apply_at_once_make_everything_once(database: Database, metabase: FakeMetabase) -> None:
    metabase.add_user(USER, PASSWORD, is_superuser=True)
    with ThreadPoolExecutor(3) as pool:
        applied = list(pool.map(lambda _: Provisioned(database, metabase).apply(), range(3)))
    assert sorted(len(each.changes) > 0 for each in applied) == [False, False, True]
    assert len(names(metabase.store.dashboards)) == len(metabase.store.dashboards)


def test_no_error_and_no_value_repeats_a_secret(provisioned: Provisioned) -> None:
    provisioned.metabase.store.settings["embedding-secret-key"] = "ab" * 32
    (change,) = provisioned.look().changes
    assert "ab" * 32 not in str(change)
    assert SECRET not in repr(provisioned.administrator)
    assert provisioned.administrator.password not in repr(provisioned.administrator)


def test_a_card_of_an_embedded_dashboard_is_never_published_by_itself(provisioned: Provisioned) -> None:
    assert not any(each["enable_embedding"] for each in provisioned.metabase.store.cards.values())


def test_every_card_of_an_embedded_dashboard_takes_the_locked_tenant(provisioned: Provisioned) -> None:
    for resource in provisioned.desired().resources:
        if isinstance(resource, Dashboard) and resource.embedded:
            (tenant,) = (each.id for each in resource.parameters if each.slug == "tenant")
            assert resource.embedding["tenant"] == "locked"
            assert all(tenant in {wire.parameter for wire in placed.mappings} for placed in resource.cards)


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
