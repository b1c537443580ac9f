"""The pages of `docs/`: examples run, links lead somewhere, the reference is fresh."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import duologue.adapters.audio
import duologue.adapters.pytest_plugin
import duologue.adapters.web
import duologue.core
import duologue.core.testing
import duologue.local
import duologue.local.faults
import duologue.transports
import duologue.transports.testing

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
ROOTS = ("core", "transports", "local", "adapters")
PAGES = sorted(path.relative_to(TOP).as_posix() for path in DOCS.rglob("*.md"))

#: Few examples: this tests the page, not the core.
CONFTEST = """
from hypothesis import HealthCheck, settings
settings.register_profile(
    "docs",
    max_examples=5,
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("docs")
"""


class Block(NamedTuple):
    """A piece of Python on a page."""

    page: str
    line: int
    code: str


def blocks() -> list[Block]:
    """All blocks except the files of `examples/`, which have their own tests."""
    files = [
        path.read_text(encoding="utf-8") for path in (TOP / "examples").glob("*.py")
    ]
    found = []
    for page in PAGES:
        text = (TOP / page).read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.S | re.M):
            line = text.count("\n", 0, match.start()) + 1
            if match[1] not in files:
                found.append(Block(page, line, match[1]))
    return found


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(TOP / root) for root in ROOTS)
    return subprocess.run(
        [sys.executable, *(str(word) for word in command)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("block", blocks(), ids=lambda b: f"{b.page}:{b.line}")
def test_an_example_does_what_it_says(block: Block, tmp_path: Path) -> None:
    """Each block runs on its own and prints exactly its comments at the left margin.

    pytest runs a block that contains tests.
    """
    if re.search(r"^(def test_|class Test|Test\w+ = )", block.code, re.MULTILINE):
        (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (tmp_path / "test_page.py").write_text(block.code, encoding="utf-8")
        options = ("-q", "-p", "no:cacheprovider")
        done = run("-m", "pytest", *options, cwd=tmp_path)
        assert done.returncode == 0, done.stdout
        assert " passed" in done.stdout
        return
    done = run("-c", block.code, cwd=tmp_path)
    said = re.findall(r"^# ?(.*)$", block.code, re.MULTILINE)
    assert (done.stdout.splitlines(), done.stderr) == (said, "")
    assert said or "print(" not in block.code


def test_the_pages_have_examples() -> None:
    """The control of the test above: there are blocks to run."""
    assert {"docs/rules.md", "docs/embedding.md", "docs/property-testing.md"} <= {
        block.page for block in blocks()
    }


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """The file and the heading of each link exist."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(TOP / page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (TOP / page).parent / name if name else TOP / page
        if not target.exists() or (anchor and anchor not in headings(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_a_heading_is_on_a_page_once(page: str) -> None:
    """A duplicate heading gets another anchor, so links lead to the first."""
    found = headings(TOP / page)
    assert sorted(set(found)) == sorted(found)


def headings(path: Path) -> list[str]:
    """The anchors of a page, as code hosts make them."""
    lines = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines]


def prose(path: Path) -> str:
    """A page without its code blocks."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)


def test_every_page_can_be_reached() -> None:
    """Links from the README reach every page."""
    seen, queue = set[Path](), [TOP / "README.md"]
    while queue:
        page = queue.pop()
        seen.add(page)
        for link in re.findall(r"\]\(([^)\s#]+)", prose(page)):
            target = (page.parent / link).resolve()
            if target.suffix == ".md" and target.exists() and target not in seen:
                queue.append(target)
    assert {TOP / page for page in PAGES} - seen == set()


# The reference.


def reference(*options: object) -> subprocess.CompletedProcess[str]:
    return run(TOP / "scripts" / "reference.py", *options, cwd=TOP)


def test_the_reference_is_what_the_code_says() -> None:
    done = reference("--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_check_finds_what_is_not(tmp_path: Path) -> None:
    """The control: a changed page, a missing page, an extra page."""
    assert reference("--to", tmp_path).returncode == 0
    assert reference("--check", "--to", tmp_path).returncode == 0

    page = tmp_path / "events.md"
    page.write_text(page.read_text(encoding="utf-8") + "\nmore\n", encoding="utf-8")
    (tmp_path / "state.md").unlink()
    (tmp_path / "old.md").touch()
    done = reference("--check", "--to", tmp_path)
    assert done.returncode == 1
    assert [line.partition(";")[0] for line in done.stderr.splitlines()] == [
        "events.md is not what the code says",
        "old.md is not made any more",
        "state.md is missing",
    ]

    assert reference("--to", tmp_path).returncode == 0
    assert reference("--check", "--to", tmp_path).returncode == 0


def test_the_reference_is_the_same_on_each_run(tmp_path: Path) -> None:
    """The hash seed of Python makes no difference."""
    for seed in ("1", "2"):
        path = os.pathsep.join(str(TOP / root) for root in ROOTS)
        subprocess.run(
            [sys.executable, "scripts/reference.py", "--to", tmp_path / seed],
            cwd=TOP,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
            check=True,
        )
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / seed).iterdir()}
        for seed in ("1", "2")
    )
    assert one == other


def test_every_event_and_fact_has_its_entry() -> None:
    """The headings of the page are the catalogue of names."""
    for page, names in (
        ("events.md", duologue.core.RealtimeEventType),
        ("facts.md", duologue.core.LocalEventType),
    ):
        text = (DOCS / "reference" / page).read_text(encoding="utf-8")
        assert [n.value for n in names if f"\n### {n.value}\n" not in text] == []


@pytest.mark.parametrize(
    "module",
    [
        duologue.core,
        duologue.core.testing,
        duologue.transports,
        duologue.transports.testing,
        duologue.local,
        duologue.local.faults,
        duologue.adapters.audio,
        duologue.adapters.web,
        duologue.adapters.pytest_plugin,
    ],
)
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    """Each has a heading, or is in the list of names on other pages."""
    pages = [
        path.read_text(encoding="utf-8") for path in (DOCS / "reference").iterdir()
    ]
    text = "\n".join(pages)
    missing = [
        name
        for name in module.__all__
        if not re.search(
            rf"^(### {name}( \(function\))?$|- `{name}`:|`{name}` is the module)",
            text,
            re.MULTILINE,
        )
    ]
    assert missing == []
