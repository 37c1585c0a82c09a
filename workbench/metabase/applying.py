"""Bringing a Metabase to what it must hold: one thing after another, each read back and compared.

Metabase strips what it does not know from what it is sent and says nothing, so only what was read back counts. A run
that ends in the middle leaves things made and things not made; the next one finds which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pipeline.core.errors import MetabaseError
from workbench.metabase import bodies
from workbench.metabase.client import Metabase
from workbench.metabase.desired import Desired
from workbench.metabase.differences import Change, change_of, changes
from workbench.metabase.reading import Holdings
from workbench.metabase.resources import Card, Collection, Connection, Dashboard, Key, Resource, Setting, key_of

Progress = Callable[[str], None]
Passwords = Callable[[str], str | None]


class Applier:
    """Writes what differs."""

    def __init__(
        self, metabase: Metabase, desired: Desired, holdings: Holdings, *, passwords: Passwords, progress: Progress
    ) -> None:
        self._metabase = metabase
        self._desired = desired
        self._holdings = holdings
        self._passwords = passwords
        self._progress = progress

    def apply(self) -> list[Change]:
        """Do what must be done; answers it. Raises MetabaseError for what Metabase refuses, or does not keep."""
        wanted = {key_of(each): each for each in self._desired.resources}
        todo = changes(self._desired.resources, self._holdings.found)
        for number, change in enumerate(todo, start=1):
            self._progress(f"[{number}/{len(todo)}] {change.action} {change.key}")
            self._write(wanted[change.key])
            self._require_kept(wanted[change.key])
        return todo

    def _write(self, wanted: Resource) -> None:
        if isinstance(wanted, Setting):
            self._write_setting(wanted)
        elif isinstance(wanted, Connection):
            self._make_or_change("database", wanted, bodies.connection(wanted, self._passwords(wanted.user)))
        elif isinstance(wanted, Collection):
            self._write_collection(wanted)
        elif isinstance(wanted, Card):
            self._write_card(wanted)
        else:
            self._write_dashboard(wanted)

    def _write_setting(self, wanted: Setting) -> None:
        if variable := self._holdings.variable(wanted.key):
            raise MetabaseError(
                f"Metabase has the setting {wanted.key} from its environment, and it is not as it must be.",
                remedy=f"Take {variable} out of Metabase's environment, and start Metabase again.",
            )
        self._metabase.put(f"/api/setting/{self._holdings.setting_key(wanted.key)}", {"value": wanted.value})

    def _write_collection(self, wanted: Collection) -> None:
        body: dict[str, Any] = {"name": wanted.path[-1], "description": wanted.description}
        if len(wanted.path) > 1:
            body["parent_id"] = self._holdings.id_of("collection", wanted.path[:-1])
        self._make_or_change("collection", wanted, body)

    def _write_card(self, wanted: Card) -> None:
        body = bodies.card(
            wanted,
            database=self._holdings.id_of("database", (wanted.database,)),
            collection=self._holdings.id_of("collection", wanted.path[:-1]),
        )
        more = {"description": wanted.description, "enable_embedding": wanted.embedded}
        self._make_or_change("card", wanted, body, when_there=more)

    def _write_dashboard(self, wanted: Dashboard) -> None:
        key, collection = key_of(wanted), self._holdings.id_of("collection", wanted.path[:-1])
        if key not in self._holdings.ids:
            made = self._metabase.post("/api/dashboard", bodies.dashboard(wanted, collection=collection))
            self._holdings.ids[key] = made["id"]
        content = bodies.dashboard_content(
            wanted,
            cards={each.path: number for each, number in self._holdings.ids.items() if each.kind == "card"},
            places=self._holdings.dashcards(wanted.path),
        )
        self._metabase.put(f"/api/dashboard/{self._holdings.ids[key]}", content)

    def _make_or_change(
        self,
        kind: Literal["database", "collection", "card"],
        wanted: Connection | Collection | Card,
        body: Mapping[str, Any],
        *,
        when_there: Mapping[str, Any] | None = None,
    ) -> None:
        key = Key(kind, wanted.path)
        if key in self._holdings.ids:
            there = {name: value for name, value in body.items() if name != "parent_id"}
            self._metabase.put(f"/api/{kind}/{self._holdings.ids[key]}", {**there, **(when_there or {})})
        else:
            self._holdings.ids[key] = self._metabase.post(f"/api/{kind}", body)["id"]

    def _require_kept(self, wanted: Resource) -> None:
        key = key_of(wanted)
        left = change_of(wanted, self._holdings.read_again(key))
        if left is None:
            return
        fields = ", ".join(each.field for each in left.differences) or "all of it"
        raise MetabaseError(
            f"Metabase took the {key} and did not keep {fields}.",
            remedy="Is it of a release that this one does not know? docs/dashboards.md names those that are tested.",
        )
