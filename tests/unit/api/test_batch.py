"""Cutting bodies into events: strictly where the JSON allows it, by brackets and strings where not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.batch import Form, split_events
from api.refusals import Refusal
from pipeline.core.settings import IngestLimits

LIMITS = IngestLimits(events=50)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=6), st.booleans())
def test_an_element_that_is_no_json_leaves_the_others_as_they_are(elements: list[object], ascii_only: bool) -> None:
    texts = [json.dumps(element, ensure_ascii=ascii_only).encode() for element in elements]
    for poison in (b"NaN", rb'"\ud800"', b'{"a":1e}', b"[" * 2000 + b"]" * 2000, b""):
        body = b" [ " + b" ,\n".join([*texts, poison, *texts]) + b" ] "
        assert split_events(body, Form.JSON, LIMITS) == [*texts, poison, *texts]


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=6))
def test_lines_are_cut_at_line_feeds_alone(elements: list[object]) -> None:
    texts = [json.dumps(element, ensure_ascii=False).encode() for element in elements]
    body = b"\n\n" + b"\r\n \n".join(texts)
    assert split_events(body, Form.LINES, LIMITS) == texts


def test_an_object_is_one_event_whatever_it_holds() -> None:
    assert split_events(b' {"a": [\n1,2]} ', Form.JSON, LIMITS) == [b'{"a": [\n1,2]}']


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 5_000_000, id="brackets"),
        pytest.param(b"[" + b"[]," * 2_000_000 + b"1]", id="elements"),
        pytest.param(b"[[" + b"1," * 2_000_000 + b"1]]", id="commas within one element"),
        pytest.param(b'["' + b"\\\\" * 2_000_000, id="a string without end"),
    ],
)
def test_cutting_costs_no_more_than_its_bounds(body: bytes) -> None:
    with pytest.raises(Refusal):
        split_events(body, Form.JSON, LIMITS)
