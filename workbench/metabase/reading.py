"""What a Metabase holds of what we want in it, and what else lies where we put our things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from workbench.metabase import answers
from workbench.metabase.client import Listed, Metabase
from workbench.metabase.desired import EMBEDDING, ORIGINS, Desired
from workbench.metabase.resources import Card, Collection, Connection, Dashboard, Key, Path, Resource, Setting, key_of

ROOT = "root"
OF_THAT_NAME = "has the name of another"
NOT_DESCRIBED = "no file describes it"
PUBLISHED = "it is published for embedding, and no file says so"


class Stranger(msgspec.Struct, frozen=True, kw_only=True):
    """Something that no file asks for."""

    kind: str
    id: int
    path: tuple[str, ...]
    why: str


class Holdings:
    """A Metabase's things by name, and what Metabase calls each.

    It reads when it is asked to; what was read is in `found`.
    """

    def __init__(self, metabase: Metabase, desired: Desired) -> None:
        self._metabase = metabase
        self._desired = desired
        self._listed: dict[str, Listed] = {}
        self.found: dict[Key, Resource] = {}
        self.ids: dict[Key, int] = {}
        self.strangers: list[Stranger] = []

    def read(self) -> None:
        """Read everything that is wanted, and see what lies beside it."""
        wanted = {key_of(each): each for each in self._desired.resources}
        listed = self._metabase.settings()
        for each in self._desired.resources:
            if isinstance(each, Setting):
                self._note_setting(each, listed)
        self._find_databases()
        for path in [each.path for each in wanted.values() if isinstance(each, Collection)]:
            self._find_collection(path, wanted)
        # What is on dashboards is named by the cards, so cards are read first.
        for kind in ("database", "card", "dashboard"):
            for key in [key for key in self.ids if key.kind == kind and key in wanted]:
                self.read_again(key)
        self._find_published()

    def read_again(self, key: Key) -> Resource | None:
        """Read one thing whose id is known, or a setting; None if it is not there."""
        if key.kind == "setting":
            (wanted,) = (each for each in self._desired.resources if key_of(each) == key)
            assert isinstance(wanted, Setting)
            self._note_setting(wanted, self._metabase.settings())
        else:
            read: dict[str, Callable[[Key], Resource]] = {
                "database": self._database,
                "collection": self._collection,
                "card": self._card,
                "dashboard": self._dashboard,
            }
            self.found[key] = read[key.kind](key)
        return self.found.get(key)

    def setting_key(self, key: str) -> str:
        """What this release of Metabase calls a setting."""
        return EMBEDDING[1] if key == EMBEDDING[0] and key not in self._listed else key

    def variable(self, key: str) -> str | None:
        """The environment variable of Metabase that decides a setting."""
        listed = self._listed.get(self.setting_key(key))
        return listed.variable if listed else None

    def id_of(self, kind: str, path: Path) -> int:
        """What Metabase calls a thing that is there."""
        return self.ids[Key(kind, path)]

    def dashcards(self, path: Path) -> dict[Path, int]:
        """The card on a dashboard to what Metabase calls its place."""
        document = self._metabase.get(f"/api/dashboard/{self.id_of('dashboard', path)}")
        places = {self._card_path(each.get("card_id")): each["id"] for each in document.get("dashcards") or []}
        return {card: place for card, place in places.items() if Key("card", card) in self.ids}

    def _note_setting(self, wanted: Setting, listed: dict[str, Listed]) -> None:
        self._listed = listed
        entry = listed.get(self.setting_key(wanted.key))
        if entry is None:
            return
        value = entry.value
        if value is None and entry.variable:
            # The list does not tell it; what is not told here either cannot be as it must be.
            value = self._metabase.properties().get(self.setting_key(wanted.key))
        if wanted.key == ORIGINS:
            value = answers.origins_of(value)
        self.found[key_of(wanted)] = msgspec.structs.replace(wanted, value=value)

    def _find_databases(self) -> None:
        answer = self._metabase.get("/api/database")
        wanted = {each.name for each in self._desired.resources if isinstance(each, Connection)}
        for document in answer["data"] if isinstance(answer, dict) else answer:
            if document["name"] in wanted:
                self.ids.setdefault(Key("database", (document["name"],)), document["id"])

    def _find_collection(self, path: Path, wanted: dict[Key, Resource]) -> None:
        parent: object = self.ids.get(Key("collection", path[:-1])) if len(path) > 1 else ROOT
        if parent is None:
            return
        found = [item for item in self._items(parent, "collection") if item["name"] == path[-1]]
        if not found:
            return
        key = Key("collection", path)
        self.ids[key] = found[0]["id"]
        self.read_again(key)
        for other in found[1:]:
            self._note_stranger("collection", other["id"], path, OF_THAT_NAME)
        for item in self._items(self.ids[key], "card", "dashboard", "collection", "dataset", "metric"):
            self._note_item(path, item, wanted)

    def _note_item(self, folder: Path, item: dict[str, Any], wanted: dict[Key, Resource]) -> None:
        kind = "card" if item["model"] in ("dataset", "metric") else item["model"]
        key = Key(kind, (*folder, item["name"]))
        if kind != "collection" and key in wanted and self.ids.setdefault(key, item["id"]) == item["id"]:
            return
        if key not in wanted or kind != "collection":
            self._note_stranger(kind, item["id"], key.path, OF_THAT_NAME if key in wanted else NOT_DESCRIBED)

    def _note_stranger(self, kind: str, number: int, path: Path, why: str) -> None:
        self.strangers.append(Stranger(kind=kind, id=number, path=path, why=why))

    def _find_published(self) -> None:
        """Whatever else may be embedded, wherever it is."""
        switch = self.found.get(Key("setting", (EMBEDDING[0],)))
        if not isinstance(switch, Setting) or switch.value is not True:
            return
        for kind in ("dashboard", "card"):
            ours = {number for key, number in self.ids.items() if key.kind == kind}
            for item in self._metabase.get(f"/api/{kind}/embeddable"):
                if item["id"] not in ours:
                    self._note_stranger(kind, item["id"], (item["name"],), PUBLISHED)

    def _items(self, collection: object, *models: str) -> Iterator[dict[str, Any]]:
        asked = "&".join(f"models={model}" for model in models)
        answer = self._metabase.get(f"/api/collection/{collection}/items?{asked}")
        yield from sorted(answer["data"], key=lambda item: item["id"])

    def _database(self, key: Key) -> Connection:
        document = self._metabase.get(f"/api/database/{self.ids[key]}")
        health = self._metabase.get(f"/api/database/{self.ids[key]}/healthcheck")
        return answers.connection_of(document, answers=health.get("status") == "ok")

    def _collection(self, key: Key) -> Collection:
        return answers.collection_of(self._metabase.get(f"/api/collection/{self.ids[key]}"), key.path)

    def _card(self, key: Key) -> Card:
        document = self._metabase.get(f"/api/card/{self.ids[key]}?legacy-mbql=true")
        databases: dict[object, str] = {
            number: each.path[0] for each, number in self.ids.items() if each.kind == "database"
        }
        number = document.get("database_id") or (document.get("dataset_query") or {}).get("database")
        return answers.card_of(document, key.path[:-1], databases.get(number, f"database {number}"))

    def _dashboard(self, key: Key) -> Dashboard:
        document = self._metabase.get(f"/api/dashboard/{self.ids[key]}")
        return answers.dashboard_of(document, key.path[:-1], self._card_path)

    def _card_path(self, number: int | None) -> Path:
        """The path of a card of ours; otherwise what there is to say of it."""
        ours = {each: key.path for key, each in self.ids.items() if key.kind == "card"}
        if number is None:
            return ("text",)
        return ours.get(number, (f"card {number}",))
