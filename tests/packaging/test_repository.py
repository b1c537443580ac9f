"""The repository: make targets, pins, links."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[2]

PAGES = sorted(
    path.relative_to(TOP).as_posix()
    for path in (*TOP.glob("*.md"), *TOP.glob("docs/*.md"))
)


def read(path: str) -> str:
    return (TOP / path).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


def pins() -> list[str]:
    lines = read("constraints.txt").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(
    "target",
    ["run", "demo", "check", "test", "test-deep", "bench", "docs", "clean", "help"],
)
def test_make_knows_the_target(target: str) -> None:
    """A dry run parses and prints commands."""
    done = subprocess.run(
        ["make", "--dry-run", target],
        cwd=TOP,
        env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("script", [".ci/run", "scripts/setup.sh"])
def test_a_script_can_be_run(script: str) -> None:
    assert os.access(TOP / script, os.X_OK)
    shell = read(script).splitlines()[0].split("/")[-1].split()[-1]
    subprocess.run([shell, "-n", script], cwd=TOP, check=True)


def test_pins_are_names_and_versions() -> None:
    """No host, address or hash, so that pins work with any index."""
    pin = re.compile(
        r'[A-Za-z0-9][\w.-]*==\d[\w.]*(; python_version [!=<>]=? "3\.\d+")?'
    )
    assert [line for line in pins() if not pin.fullmatch(line)] == []


def test_pins_are_in_order_and_named_once() -> None:
    lines = pins()
    assert lines == sorted(lines, key=str.casefold)
    plain = [line.partition("==")[0].lower() for line in lines if ";" not in line]
    assert len(plain) == len(set(plain))


def requirements() -> Iterator[str]:
    data = project()
    yield from data["build-system"]["requires"]
    yield from data["project"]["dependencies"]
    for lines in data["project"]["optional-dependencies"].values():
        yield from lines
    for lines in data["dependency-groups"].values():
        yield from (line for line in lines if isinstance(line, str))


def test_every_requirement_is_pinned() -> None:
    names = {line.partition("==")[0].lower() for line in pins()}
    asked = {re.split(r"[^\w.-]", line)[0].lower() for line in requirements()}
    assert asked - {"duologue"} <= names


def test_the_readme_names_every_extra() -> None:
    text = read("README.md")
    extras = project()["project"]["optional-dependencies"]
    assert [extra for extra in extras if f"| `{extra}` |" not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """The file and the heading of each link exist."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (TOP / page).parent / name if name else TOP / page
        if not target.exists() or (anchor and anchor not in headings(target)):
            broken.append(link)
    assert broken == []


def headings(path: Path) -> set[str]:
    """The anchors of a page, as code hosts make them."""
    lines = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}
