"""A line of an export is cut into tenant and event, and nothing but the tenant is changed."""

from __future__ import annotations

from uuid import UUID

import pytest

from workbench.importing.lines import AnyLine, Line, Unreadable, read_lines

ID = UUID("0198b5a4-7c1e-7aaa-8bbb-000000000001")


def cut(*texts: bytes, tenant_field: str = "tenant_id") -> list[AnyLine]:
    return list(read_lines(texts, tenant_field=tenant_field, new_id=lambda: ID))


def cut_one(text: bytes, tenant_field: str = "tenant_id") -> AnyLine:
    [line] = cut(text, tenant_field=tenant_field)
    return line


@pytest.mark.parametrize(
    "value",
    [
        b"1e2",
        b"100.0",
        b"12345678901234567890123",
        b'"\\u00e9"',
        b'{ "tenant_id" : [1,  2] , "tenant_id" : 3}',
        '"grüße"'.encode(),
        b'"a:b"',
        b"null",
    ],
)
def test_values_are_sent_byte_for_byte(value: bytes) -> None:
    line = cut_one(b'{"event_id":"x","properties":' + value + b',"tenant_id":"acme"}\n')
    assert isinstance(line, Line)
    assert (line.tenant_id, line.id_given) == ("acme", False)
    assert line.event == b'{"event_id":"x","properties":' + value + b"}"


@pytest.mark.parametrize("text", [b'{"tenant_id":"acme"}', b'{"tenant_id":"acme","event_id":null}'])
def test_a_line_without_an_id_gets_one_so_that_trying_again_counts_once(text: bytes) -> None:
    line = cut_one(text)
    assert isinstance(line, Line)
    assert line.id_given
    assert line.event == b'{"event_id":"%s"}' % str(ID).encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[1]", "is no JSON object"),
        (b'{"tenant_id":"acme"', "is no JSON object"),
        (b'{"tenant_id":"acme","properties":NaN}', "is no JSON object"),
        (b'{"tenant_id":"\xff"}', "that is no text"),
        (b'{"tenant_id":"acme","user_id":"\xff","a":1,"a":2}', "is no JSON object"),
        (b'{"event_type":"page_view"}', "has no field tenant_id"),
        (b'{"tenant_id":7}', "that is no text"),
        (b'{"tenant_id":"acme","tenant_id":"globex"}', "has a field twice"),
        (b'{"tenant_id":"acme","user_id":"a:b","user_id":"c"}', "has a field twice"),
    ],
)
def test_a_line_that_names_no_tenant_for_certain_is_unreadable(text: bytes, reason: str) -> None:
    line = cut_one(text)
    assert isinstance(line, Unreadable)
    assert reason in line.reason
    assert line.original == text


def test_lines_are_numbered_as_an_editor_does() -> None:
    lines = cut(b"\n", b'{"tenant_id":"acme"}\r\n', b"  \n", b"x\n")
    assert [line.number for line in lines] == [2, 4]


def test_the_tenant_may_stand_in_any_field() -> None:
    line = cut_one(b'{"account":"acme","event_id":"x","tenant_id":"sent on"}', tenant_field="account")
    assert isinstance(line, Line)
    assert (line.tenant_id, line.event) == ("acme", b'{"event_id":"x","tenant_id":"sent on"}')
