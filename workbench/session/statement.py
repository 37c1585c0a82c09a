"""What an analyst types, made ready to be asked: one reading statement, with places for its values.

Values stand as `$1`, `$2` or, by name, as `$day`: as DuckDB has it, so that a statement fits both. The
text is never filled in; a name becomes a number. The statement becomes the subquery of a SELECT of our
own: that grammar takes a single SELECT, WITH, VALUES or TABLE, so the server refuses whatever else is
asked, however it is spelt. What is refused here is refused early, to say why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from workbench.session.errors import StatementFailed, StatementRefused

TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*)
    | (?P<escaped> [eE]'(?:[^'\\]|''|\\.)*')
    | (?P<quoted> '(?:[^']|'')*' | "(?:[^"]|"")*")
    | (?P<dollar> \$(?P<tag>[A-Za-z_\x80-\U0010ffff][\w]*)?\$)
    | \$(?P<number>[1-9][0-9]*)
    | \$(?P<name>[A-Za-z_\x80-\U0010ffff]\w*)
    | (?P<word> [A-Za-z_\x80-\U0010ffff][\w$]*)
    | (?P<end> ;)
    | (?P<space> \s+)
    | (?P<other> .)
    """,
    re.VERBOSE | re.DOTALL,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")

READING = frozenset({"select", "with", "values", "table"})
READABLE = "Ask with one SELECT, WITH, VALUES or TABLE statement."
SINGLE = "Ask them one by one."
LAST_NUMBER = 65_535
"""The protocol counts parameters with 16 bits."""


class Place(msgspec.Struct, frozen=True):
    """Where a parameter stands in the text."""

    start: int
    end: int
    index: int
    """Of its value, from 0."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A reading statement and its values; `text` has neither a semicolon at its end nor names of parameters."""

    text: str
    places: Sequence[Place]
    values: Sequence[object]

    def with_casts(self, types: Sequence[str | None]) -> str:
        """The text in which each parameter is read as text and cast to its type, None leaves it text."""
        parts, last = [], 0
        for place in self.places:
            kind = types[place.index]
            cast = "::text" if kind is None else f'::pg_catalog."{kind}"'
            parts += [self.text[last : place.start], f"(${place.index + 1}{cast})"]
            last = place.end
        return "".join([*parts, self.text[last:]])


def read_statement(query: str, params: Sequence[object] | Mapping[str, object] = ()) -> Statement:
    """One statement with its values.

    Raises StatementRefused for more than one statement or one that does not read, StatementFailed if
    values and places do not fit each other.
    """
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise StatementRefused("The statement is not text in UTF-8.") from error
    if "\0" in query:
        raise StatementRefused("The statement holds a zero character.")
    pieces = list(_pieces(query))
    _require_reading(pieces)
    end = _end(pieces, len(query))
    asked = [piece for piece in pieces if piece.kind in ("number", "name") and piece.start < end]
    if isinstance(params, Mapping):
        return _by_name(query[:end], asked, params)
    return _by_number(query[:end], asked, params)


class _Piece(msgspec.Struct, frozen=True):
    kind: str
    text: str
    start: int
    end: int


def _pieces(query: str) -> Sequence[_Piece]:
    """The statement's tokens as PostgreSQL's own lexer parts them, as far as it matters here."""
    pieces, at = [], 0
    while at < len(query):
        found = TOKEN.match(query, at)
        if found is None or found.lastgroup is None:
            raise StatementRefused("The statement cannot be read.", remedy=READABLE)
        kind = "dollar" if found["dollar"] else found.lastgroup
        end = _comment_end(query, at) if found["comment"] == "/*" else found.end()
        if kind == "dollar":
            closing = query.find(found[0], end)
            end = len(query) if closing < 0 else closing + len(found[0])
        text = found["number"] or found["name"] or found[0]
        pieces.append(_Piece(kind, text, at, end))
        at = end
    return pieces


def _comment_end(query: str, start: int) -> int:
    """Block comments nest."""
    depth = 0
    for edge in COMMENT_EDGE.finditer(query, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(query)


def _require_reading(pieces: Sequence[_Piece]) -> None:
    first = next((p for p in pieces if p.kind not in ("comment", "space") and p.text not in "(;"), None)
    if first is None:
        raise StatementRefused("There is no statement.", remedy=READABLE)
    word = first.text.lower()
    if word == "explain":
        raise StatementRefused(
            "EXPLAIN is refused: its estimates and counts tell of other tenants' rows.", remedy=READABLE
        )
    if first.kind == "word" and word not in READING:
        raise StatementRefused(f"{first.text.upper()} is not a statement that can be asked here.", remedy=READABLE)


def _end(pieces: Sequence[_Piece], length: int) -> int:
    """Where the statement ends; after its semicolon there may be comments and more semicolons, no more."""
    ends = [number for number, piece in enumerate(pieces) if piece.kind == "end"]
    if not ends:
        return length
    if any(piece.kind not in ("comment", "space", "end") for piece in pieces[ends[0] :]):
        raise StatementRefused("That is more than one statement.", remedy=SINGLE)
    return pieces[ends[0]].start


def _by_number(text: str, asked: Sequence[_Piece], params: Sequence[object]) -> Statement:
    if isinstance(params, str | bytes):
        raise StatementFailed("The values are a single text.", remedy="Give them as a list: [value].")
    named = [piece.text for piece in asked if piece.kind == "name"]
    if named:
        raise StatementFailed(
            f"The statement asks for ${named[0]}.", remedy=f'Give values by name: {{"{named[0]}": ...}}.'
        )
    most = max((int(piece.text) for piece in asked), default=0)
    if most != len(params) or most > LAST_NUMBER:
        raise StatementFailed(
            f"The statement asks for {most:,} values, {len(params):,} are given.",
            remedy="$1 is the first value, $2 the second.",
        )
    places = [Place(piece.start, piece.end, int(piece.text) - 1) for piece in asked]
    return Statement(text=text, places=places, values=list(params))


def _by_name(text: str, asked: Sequence[_Piece], params: Mapping[str, object]) -> Statement:
    names = list(dict.fromkeys(piece.text for piece in asked))
    missing = [name for name in names if name not in params]
    unused = [name for name in params if name not in names]
    if missing:
        raise StatementFailed(f"No value is given for ${missing[0]}.", remedy="Give one value for each name.")
    if unused:
        raise StatementFailed(f"The statement does not ask for ${unused[0]}.", remedy="Leave that value out.")
    index = {name: number for number, name in enumerate(names)}
    parts, places, last, at = [], [], 0, 0
    for piece in asked:
        before = text[last : piece.start]
        place = f"${index[piece.text] + 1}"
        at += len(before)
        places.append(Place(at, at + len(place), index[piece.text]))
        parts += [before, place]
        at += len(place)
        last = piece.end
    return Statement(text="".join([*parts, text[last:]]), places=places, values=[params[name] for name in names])
