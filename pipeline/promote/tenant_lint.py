"""`python -m pipeline.promote.tenant_lint`: no model may mix tenants. Needs no database.

dbt renders every model, so that what the macros wrote is judged and not what they meant to; then come
the rules of `tenant_lint_rules`, and that each yml leads with the tenant. It does not run anything.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from pipeline.core.errors import DeploymentError, PromotionError
from pipeline.promote.marts import read_cached_views, read_marts
from pipeline.promote.tenant_lint_rules import FINAL, violations
from pipeline.promote.tenant_lint_sql import TENANT

DBT_DIR = Path("dbt")


def main(arguments: list[str]) -> int:
    """Print what is wrong in the dbt project (the argument, or the folder `dbt`); 1 if anything is."""
    dbt_dir = Path(arguments[0]) if arguments else DBT_DIR
    try:
        problems = [*lint_declarations(dbt_dir), *lint_queries(compile_models(dbt_dir) | cached_views(dbt_dir))]
    except (DeploymentError, PromotionError) as error:
        problems = [str(error)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def lint_queries(queries: Mapping[Path, str]) -> Iterator[str]:
    """A line for each violation: file, line, CTE, problem, remedy; `queries` are rendered, by their file."""
    for path, query in queries.items():
        for found in violations(query):
            yield f"{path}:{_line(path, found.where)}: in {found.where}: {found.problem}. {found.remedy}"


def lint_declarations(dbt_dir: Path) -> Iterator[str]:
    """A line for each model without a yml, or whose yml does not begin with the tenant."""
    read_marts(dbt_dir)
    read_cached_views(dbt_dir)
    for path in sorted((dbt_dir / "models").rglob("*.sql")):
        declaration = path.with_suffix(".yml")
        if not declaration.exists():
            yield f"{path}:1: the model has no {declaration.name} beside it. Describe its columns and grain there."
            continue
        for model in yaml.safe_load(declaration.read_text())["models"]:
            columns = [column["name"] for column in model.get("columns") or ()]
            if columns[:1] != [TENANT]:
                yield f"{declaration}:1: {model['name']} does not begin with {TENANT}. Make it the first column."
            if "one row per tenant" not in str(model.get("description", "")).rpartition(". ")[2].lower():
                yield f"{declaration}:1: {model['name']} hides its grain. End its description: One row per tenant..."


def cached_views(dbt_dir: Path) -> dict[Path, str]:
    """The cached views' SQL, which is plain, by file."""
    return {dbt_dir / "cache" / f"{view.name}.sql": view.sql for view in read_cached_views(dbt_dir)}


def compile_models(dbt_dir: Path) -> dict[Path, str]:
    """Every model's SQL as dbt renders it, by file. Raises PromotionError with dbt's own words."""
    from dbt.cli.main import dbtRunner

    with TemporaryDirectory(prefix="workbench-lint-") as scratch:
        places = ["--project-dir", str(dbt_dir), "--profiles-dir", str(dbt_dir)]
        places += ["--target-path", scratch, "--log-path", scratch]
        offline = ["--no-introspect", "--no-populate-cache", "--select", "resource_type:model"]
        outcome = dbtRunner().invoke(["compile", *offline, "--quiet", "--log-level", "none", *places])
    if not outcome.success:
        raise PromotionError(f"dbt cannot render the models: {outcome.exception}", remedy="Correct what it names.")
    return {dbt_dir / result.node.original_file_path: result.node.compiled_code for result in outcome.result}


def _line(path: Path, where: str) -> int:
    """Where a CTE begins in its file; the final select ends it."""
    lines = path.read_text().splitlines()
    pattern = r"select\b" if where == FINAL else rf"(with\s+)?{re.escape(where)}\s+as\b"
    matches = [number for number, line in enumerate(lines, start=1) if re.match(pattern, line)]
    return matches[-1] if matches else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
