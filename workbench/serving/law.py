"""What a notebook that is served to tenants must not do, read from its source. Pure functions.

Each rule answers an attack that works on bare marimo: a persistent cache that falls back to the source as its
key hands one tenant's rows to another, the environment and the modules are everybody's, and SQL put together from
text can be made to say something else. The server refuses to serve a notebook that breaks one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

import msgspec

SQL_CALLS = frozenset({"sql", "execute", "executemany", "query", "read_database", "read_database_uri", "read_sql"})
BEGINNINGS = (
    r"select\b",
    r"with\s+\w+(?:\s*\([^)]*\))?\s+as\s*\(",
    r"(?:insert\s+into|delete\s+from|values\s*\(|alter\s+table|(?:create|drop)\s+(?:table|view))",
    r"(?:update\s+\S+\s+set|copy\s+\S+\s+(?:to|from))\b",
)
# In small or in capital letters, as statements are written; a sentence has one capital: "Select a day".
SQL_TEXT = re.compile(
    rf"\s*(?=[a-z]+\b|[A-Z]+\b)(?i:{'|'.join(BEGINNINGS)}).*",
    re.S,
)
PASTING = frozenset({"format", "format_map", "join", "replace"})
BANNED_CALLS = frozenset({"exec", "eval", "compile", "__import__"})
ENVIRONMENT = frozenset({"environ", "getenv", "putenv", "environb"})
CACHES = frozenset({"persistent_cache", "cache_cells"})


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a notebook, the rule that it breaks, and why there is such a rule."""

    line: int
    rule: str
    why: str


def violations(source: str) -> list[Violation]:
    """All violations in the source of one notebook, by line. Raises SyntaxError if it is no Python."""
    tree = ast.parse(source)
    found = {
        (node.lineno, rule): Violation(line=node.lineno, rule=rule, why=why)
        for rule, (why, breaks) in RULES.items()
        for node in breaks(tree)
    }
    found |= {(each.line, each.rule): each for each in _in_header(source)}
    return [found[key] for key in sorted(found)]


def _names(tree: ast.AST, names: frozenset[str]) -> Iterator[ast.expr | ast.stmt]:
    """Wherever one of these names is used, whatever it is an attribute of, or imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            # getattr(mo, "persistent_cache")
            yield from (each for each in node.args if isinstance(each, ast.Constant) and each.value in names)
        elif isinstance(node, ast.expr | ast.stmt) and not names.isdisjoint(_named(node)):
            yield node


def _named(node: ast.expr | ast.stmt) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    return [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []


def _persistent_caches(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    return _names(tree, CACHES)


def _environment(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    return _names(tree, ENVIRONMENT)


def _run_text(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
            yield node


def _marimo_sql(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """`mo.sql` of anything that is not plain text: it has no parameters, so values could only be pasted in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_marimo_sql(node.func) and not _is_plain(_statement(node)):
            yield node


def _pasted_sql(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """A statement put together from text, in a call that runs it or in a variable that reads like SQL."""
    for node in ast.walk(tree):
        runs = isinstance(node, ast.Call) and _name(node.func) in SQL_CALLS and _is_pasted(_statement(node))
        if isinstance(node, ast.expr) and (runs or (_is_pasted(node) and SQL_TEXT.fullmatch(_text(node)))):
            yield node


def _statement(call: ast.Call) -> ast.expr | None:
    named = next((each.value for each in call.keywords if each.arg in ("query", "sql", "statement", "operation")), None)
    return named if named is not None else next(iter(call.args), None)


def _is_marimo_sql(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "sql"
        and isinstance(function.value, ast.Name)
        and function.value.id in ("mo", "marimo")
    )


def _is_plain(expression: ast.expr | None) -> bool:
    """A text without anything put in; marimo itself writes `mo.sql(f"...")` even for those."""
    if isinstance(expression, ast.JoinedStr):
        return all(isinstance(value, ast.Constant) for value in expression.values)
    return isinstance(expression, ast.Constant) and isinstance(expression.value, str)


def _is_pasted(expression: ast.expr | None) -> bool:
    """Text with something put in: an f-string, a sum, a `%`, a `.format()`."""
    if isinstance(expression, ast.JoinedStr):
        return not _is_plain(expression)
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Add | ast.Mod):
        return bool(_text(expression)) and not _all_text(expression)
    if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
        return expression.func.attr in PASTING and bool(_text(expression.func.value))
    return False


def _all_text(expression: ast.expr) -> bool:
    if isinstance(expression, ast.BinOp):
        return _all_text(expression.left) and _all_text(expression.right)
    return _is_plain(expression)


def _text(expression: ast.expr) -> str:
    """The text of an expression, without what is put in; "" where there is none."""
    if isinstance(expression, ast.Constant):
        return expression.value if isinstance(expression.value, str) else ""
    if isinstance(expression, ast.JoinedStr):
        return " ".join(filter(None, map(_text, expression.values)))
    if isinstance(expression, ast.BinOp):
        return " ".join(filter(None, (_text(expression.left), _text(expression.right))))
    if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
        return _text(expression.func.value)
    return ""


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _in_header(source: str) -> Iterator[Violation]:
    """A notebook's own marimo settings, in the comment at its top, except how it looks."""
    for number, line in enumerate(source.splitlines(), 1):
        if re.match(r"#\s*\[\s*tool\s*\.\s*marimo\b(?!\.display\])|#\s*(tool\.)?marimo\b.*=", line):
            why = "A notebook's settings override the server's, which were checked."
            yield Violation(line=number, rule="no settings of its own", why=why)


Breaks = Callable[[ast.AST], Iterator[ast.expr | ast.stmt]]
RULES: dict[str, tuple[str, Breaks]] = {
    "no persistent cache": (
        "Its key can be the source alone, and then one tenant reads another's rows.",
        _persistent_caches,
    ),
    "no environment": ("It is one for all tenants, and holds the server's secrets.", _environment),
    "no text run as code": ("What a tenant types must never run as code in the process of all.", _run_text),
    "no mo.sql with values": ("It binds no values, so text of a tenant's would become SQL.", _marimo_sql),
    "no SQL put together": ("Values are bound: wb.sql(query, params).", _pasted_sql),
}
