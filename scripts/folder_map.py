"""The section "Where things are" of docs/architecture.md, made from the folders."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from rendering import join, markdown, table

__all__ = ["with_map"]

ROOTS = ("core", "transports", "local", "adapters")
TITLE = "## Where things are"


def with_map(page: str, top: Path) -> str:
    """The page with its last section, the map, as the folders are now."""
    return page.partition(TITLE)[0] + join(
        TITLE,
        "`make docs` generates these tables. Each subject is the first line of the "
        "folder's docstring. Tests have the same paths below `tests/`.",
        *(_root(top / root / "duologue" / root, root) for root in ROOTS),
    )


def _root(folder: Path, root: str) -> str:
    rows = [_row(package, folder) for package in _packages(folder)]
    return join(
        f"### {root}",
        f"Below `{root}/duologue/{root}/`:",
        table("| folder | subject | modules |", rows),
    )


def _packages(folder: Path) -> Iterator[Path]:
    yield folder
    for path in sorted(folder.rglob("__init__.py")):
        if path.parent != folder:
            yield path.parent


def _row(package: Path, folder: Path) -> str:
    name = package.relative_to(folder).as_posix()
    modules = sorted(p.stem for p in package.glob("*.py") if p.stem != "__init__")
    shown = ", ".join(f"`{module}`" for module in modules if module != "_version")
    place = "" if name == "." else f"`{name}/`"
    return f"| {place} | {_subject(package / '__init__.py')} | {shown} |"


def _subject(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    return markdown(text.split("\n\n")[0].replace("\n", " ")).replace("|", "\\|")
