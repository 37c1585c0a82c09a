"""Charts as pictures within the page: SVG in several widths, that follows the reader's day or night."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from io import BytesIO
from itertools import count
from typing import Any
from urllib.parse import unquote_to_bytes

import polars
import vl_convert

from workbench.charts.theme import TWO_SIDED, one_sided

WIDTHS: Mapping[str, int | None] = {"wide": 1080, "middle": 540, "narrow": 300}
"""Of a chart that takes the width of what holds it, in CSS pixels: the page shows the one that fits best."""
ENDS = ("x2", "y2")
NAMES = re.compile(r'(\bid="|url\(#|href="#)([\w.-]+)')


class Pictures:
    """Draws the charts of one page: what is named within a picture is named once in the page."""

    def __init__(self) -> None:
        self._names = count()

    def draw(self, spec: Mapping[str, Any]) -> str:
        """A Vega-Lite specification as markup."""
        spec = _with_data_inside(spec)
        spec = _in_utc(spec, set(_moments(spec)))
        told = _told(spec)
        widths = WIDTHS if spec.get("width") == "container" else {"only": None}
        drawn = [
            f'<div class="wr-{name}">{self._svg(_as_wide(spec, width), told)}</div>' for name, width in widths.items()
        ]
        return f'<div class="wr-chart">{"".join(drawn)}</div>'

    def _svg(self, spec: Mapping[str, Any], told: str) -> str:
        written = json.dumps(spec)
        sides = dict(TWO_SIDED.findall(written))
        drawn = self._named(vl_convert.vegalite_to_svg(one_sided(written, dark=False)))
        drawn = drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(told)}" ', 1)
        return re.sub(r'"(#[0-9a-f]{6})"', lambda found: f'"{_two_sided(found[1], sides)}"', drawn, flags=re.IGNORECASE)

    def _named(self, drawn: str) -> str:
        """The picture with names of its own: the library counts them on from picture to picture."""
        names: dict[str, str] = {}

        def rename(found: re.Match[str]) -> str:
            if found[2] not in names:
                names[found[2]] = f"p{next(self._names)}"
            return found[1] + names[found[2]]

        return NAMES.sub(rename, drawn)


def _as_wide(spec: Mapping[str, Any], width: int | None) -> Mapping[str, Any]:
    return spec if width is None else {**spec, "width": width}


def _two_sided(colour: str, sides: Mapping[str, str]) -> str:
    night = sides.get(colour.lower())
    return colour if night is None else f"light-dark({colour}, {night})"


def _told(spec: Mapping[str, Any]) -> str:
    title = spec.get("title")
    text = title.get("text") if isinstance(title, Mapping) else title
    return str(spec.get("description") or text or "Chart; its figures stand beside it or below")


def _with_data_inside(spec: Any) -> Any:
    """The specification with data that stands in `data:` addresses put in its place."""
    if isinstance(spec, list):
        return [_with_data_inside(each) for each in spec]
    if not isinstance(spec, Mapping):
        return spec
    url = spec.get("url")
    if isinstance(url, str) and url.startswith("data:"):
        return {**{key: value for key, value in spec.items() if key != "url"}, **_values(url)}
    return {key: _with_data_inside(value) for key, value in spec.items()}


def _moments(spec: Any) -> Iterator[str]:
    """The fields that are moments: those drawn as such, and the ends of bars."""
    for key, value in spec.items() if isinstance(spec, Mapping) else enumerate(spec) if isinstance(spec, list) else ():
        if isinstance(value, Mapping) and "field" in value and (value.get("type") == "temporal" or key in ENDS):
            yield str(value["field"])
        yield from _moments(value)


def _in_utc(spec: Any, fields: set[str]) -> Any:
    """The specification with these fields in milliseconds, wherever rows stand in it.

    The library reads a moment without a time zone in that of the machine, and the end of a bar not at all.
    """
    if isinstance(spec, list):
        return [_in_utc(each, fields) for each in spec]
    if not isinstance(spec, Mapping):
        return spec
    return {key: _milliseconds(value) if key in fields else _in_utc(value, fields) for key, value in spec.items()}


def _milliseconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _values(url: str) -> dict[str, Any]:
    kind, content = decoded(url)
    if "arrow" in kind:
        frame = polars.read_ipc(BytesIO(content), use_pyarrow=False)
        # Moments as milliseconds, which no time zone of a machine can turn.
        moments = [polars.col(name).dt.epoch("ms") for name, dtype in frame.schema.items() if dtype.is_temporal()]
        return {"values": frame.with_columns(moments).to_dicts(), "format": {"type": "json"}}
    if "csv" in kind:
        return {"values": content.decode(), "format": {"type": "csv"}}
    return {"values": json.loads(content), "format": {"type": "json"}}


def decoded(url: str) -> tuple[str, bytes]:
    """Kind and content of a `data:` address."""
    head, _, body = url.removeprefix("data:").partition(",")
    content = base64.b64decode(body) if head.endswith(";base64") else unquote_to_bytes(body)
    return head.removesuffix(";base64"), content
