"""What lies between what must be and what is: pure comparison, told field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from workbench.metabase.resources import Key, Resource, Setting, key_of

HIDDEN = "(hidden)"
Action = Literal["create", "change"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A field that is not as it must be."""

    field: str
    wanted: Any
    found: Any


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be made, or to be brought in order."""

    action: Action
    kind: str
    path: tuple[str, ...]
    differences: tuple[Difference, ...] = ()
    """Of what is there already."""

    @property
    def key(self) -> Key:
        """What it is about."""
        return Key(self.kind, self.path)


def changes(wanted: Sequence[Resource], found: Mapping[Key, Resource]) -> list[Change]:
    """What must be done, in the order of what is wanted."""
    return [change for each in wanted if (change := change_of(each, found.get(key_of(each)))) is not None]


def change_of(wanted: Resource, found: Resource | None) -> Change | None:
    """What must be done about one thing; None if it is as it must be."""
    key = key_of(wanted)
    if found is None:
        return Change(action="create", kind=key.kind, path=key.path)
    different = tuple(_between(msgspec.to_builtins(wanted), msgspec.to_builtins(found), ""))
    if not different:
        return None
    if isinstance(wanted, Setting) and wanted.secret:
        different = tuple(msgspec.structs.replace(each, wanted=HIDDEN, found=HIDDEN) for each in different)
    return Change(action="change", kind=key.kind, path=key.path, differences=different)


def _between(wanted: Any, found: Any, field: str) -> Iterator[Difference]:
    """The innermost fields that differ; what one side lacks is None there."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in dict.fromkeys((*wanted, *found)):
            if (name in wanted) != (name in found):
                yield Difference(field=_join(field, name), wanted=wanted.get(name), found=found.get(name))
            else:
                yield from _between(wanted[name], found[name], _join(field, name))
    elif isinstance(wanted, (list, tuple)) and isinstance(found, (list, tuple)) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _between(one, other, f"{field}[{index}]")
    elif isinstance(wanted, bool) is not isinstance(found, bool) or wanted != found:
        yield Difference(field=field, wanted=wanted, found=found)


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
