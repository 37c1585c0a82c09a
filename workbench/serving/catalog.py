"""Which notebooks there are, what each answers, and who may open it. Read from their sources; none is run."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.core.errors import WorkbenchError
from workbench.serving.law import violations

if TYPE_CHECKING:
    from workbench.people.principal import Principal

ORDER = ("overview", "explore", "funnels", "retention", "features", "sql", "quality")
FOR_STEWARDS = frozenset({"quality"})


class NotebookRefused(WorkbenchError):
    """The notebook cannot be served."""


class Notebook(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook by its name in URLs, its title, the question that it answers, and its file."""

    name: str
    title: str
    question: str
    path: Path

    @property
    def for_stewards(self) -> bool:
        """Whether it is about all tenants: for stewards and admins, not for a tenant's analysts."""
        return self.name in FOR_STEWARDS


def read_catalog(folder: Path) -> list[Notebook]:
    """The notebooks of a folder, in the order in which people come to need them.

    A notebook is a module that makes a `marimo.App`. Raises NotebookRefused for one without title and
    question, or that breaks the law of served notebooks.
    """
    found = [notebook for path in sorted(folder.glob("*.py")) if (notebook := _read(path)) is not None]
    if not found:
        raise NotebookRefused(f"There is no notebook in {folder}.")
    return sorted(found, key=lambda each: (ORDER.index(each.name) if each.name in ORDER else len(ORDER), each.name))


def may_open(principal: Principal, notebook: Notebook) -> bool:
    """Whether a person of this role may open the notebook at all; whose rows it shows is decided elsewhere."""
    if principal.role == "admin":
        return True
    if principal.role == "steward":
        return notebook.for_stewards
    return principal.tenant_id is not None and not notebook.for_stewards


def may_choose(principal: Principal, tenants: Sequence[str]) -> bool:
    """Whether the tenants that a URL names are this person's to choose.

    None is everybody's choice; more than one is nobody's. An analyst has one tenant and may at most name
    it; stewards read about all tenants, and admins see any.
    """
    if not tenants:
        return True
    return len(tenants) == 1 and (principal.role in ("steward", "admin") or tenants[0] == principal.tenant_id)


def _read(path: Path) -> Notebook | None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, filename=str(path))
    if not any(isinstance(node, ast.Call) and ast.unparse(node.func) == "marimo.App" for node in ast.walk(tree)):
        return None
    broken = violations(source)
    if broken:
        first = broken[0]
        raise NotebookRefused(f"{path.name}, line {first.line}: {first.rule}.", remedy=first.why)
    title, question = _opening(tree)
    if not title or not question:
        raise NotebookRefused(
            f"{path.name} does not say what it is.",
            remedy="Begin its docstring with a title, then, after an empty line, the question that it answers.",
        )
    return Notebook(name=path.stem, title=title, question=question, path=path)


def _opening(tree: ast.Module) -> tuple[str, str]:
    """Title and question: the docstring's first line and second paragraph."""
    paragraphs = (ast.get_docstring(tree) or "").split("\n\n")
    title = paragraphs[0].splitlines()[0].strip().rstrip(".") if paragraphs[0] else ""
    return title, " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""
