"""The layers: the allowed imports of each root, and the core without the others."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
ROOTS = ("core", "transports", "local", "adapters")

#: The libraries of a base install: every module may import them.
BASE = {"attr", "attrs", "immutables", "msgspec"}

#: The one module or package that may import a library, in every root.
HOMES = {
    "aioice": "duologue.transports.drivers.webrtc.peer",
    "aiortc": "duologue.transports.drivers.webrtc.peer",
    "av": "duologue.transports.drivers.webrtc.opus",
    "httpx": "duologue.transports.http.http_client",
    "pyee": "duologue.transports.client.emitter",
    "websockets": "duologue.transports.drivers.websocket.websocket_transport",
    "hypothesis": "duologue.core.testing",
    "rich": "duologue.adapters.cli",
    "typer": "duologue.adapters.cli",
    "livekit": "duologue.adapters.audio.echo_cancellation",
    "sounddevice": "duologue.adapters.audio.portaudio",
}

#: Libraries with a different importing module in each root.
HOMES_BY_ROOT = {
    ("local", "httpx"): "duologue.local.speech.http_endpoint",
    ("local", "starlette"): "duologue.local.server.http_app",
    ("local", "uvicorn"): "duologue.local.server.listener",
    ("adapters", "starlette"): "duologue.adapters.web",
}

#: The extras of each root.
EXTRAS = {
    "core": {"testing"},
    "transports": {"webrtc", "websocket"},
    "local": {"local", "espeak"},
    "adapters": {"aec", "audio", "cli", "testing", "web"},
}

#: Libraries whose import name differs from the distribution's name.
IMPORTED_AS = {"PyYAML": "yaml"}

#: A base install must be able to run this.
FOLD = """
from duologue.core import Store
store = Store()
frame = (b'{"type":"session.created","event_id":"e1",'
         b'"session":{"type":"realtime","id":"sess_1"}}')
store.feed("s1", frame, at=0.0)
assert store.session("s1") is not None
"""


def modules(root: str) -> Iterator[tuple[str, Path]]:
    """Every module of ``root`` with its dotted name."""
    for path in sorted((TOP / root).rglob("*.py")):
        parts = path.relative_to(TOP / root).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path


def imported(path: Path) -> Iterator[str]:
    """The absolute imports of a file, at any depth."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def foreign(root: str) -> dict[str, set[str]]:
    """Each library with the modules of ``root`` that import it."""
    found: dict[str, set[str]] = {}
    for module, path in modules(root):
        for name in imported(path):
            library = name.partition(".")[0]
            if library not in sys.stdlib_module_names | BASE | {"duologue"}:
                found.setdefault(library, set()).add(module)
    return found


def within(module: str, home: str) -> bool:
    return module == home or module.startswith(f"{home}.")


@pytest.mark.parametrize("root", ROOTS)
def test_a_library_is_imported_where_it_lives(root: str) -> None:
    """One module imports a library and translates its errors."""
    strays = {
        f"{module} imports {library}"
        for library, importers in foreign(root).items()
        for module in importers
        if (home := HOMES_BY_ROOT.get((root, library)) or HOMES.get(library))
        and not within(module, home)
    }
    assert strays == set()


@pytest.mark.parametrize("root", ROOTS)
def test_a_library_without_a_named_home_has_one_module_in_a_root(root: str) -> None:
    named = set(HOMES) | {library for _, library in HOMES_BY_ROOT}
    spread = {
        library: importers
        for library, importers in foreign(root).items()
        if library not in named and len(importers) > 1
    }
    assert spread == {}


@pytest.mark.parametrize("root", ROOTS)
def test_what_a_root_imports_is_in_an_extra_of_it(root: str) -> None:
    """A missing requirement is an ImportError on a user's machine."""
    assert set(foreign(root)) <= libraries(EXTRAS[root])


def libraries(extras: set[str]) -> set[str]:
    """The import names of the extras' requirements, nested extras included."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    table = project["project"]["optional-dependencies"]
    found: set[str] = set()
    for requirement in (line for extra in extras for line in table[extra]):
        if nested := re.fullmatch(r"duologue\[(.+)\]", requirement):
            found |= libraries(set(nested[1].split(",")))
        else:
            name = re.match(r"[\w.-]+", requirement)
            assert name is not None
            found.add(IMPORTED_AS.get(name[0], name[0].replace("-", "_")))
    return found


def test_nothing_in_the_core_leans_on_its_testing_part() -> None:
    """Otherwise the core would need Hypothesis."""
    for module, path in modules("core"):
        if within(module, "duologue.core.testing"):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom):
                names = {f"{node.module or ''}.{alias.name}" for alias in node.names}
                assert not {n for n in names if "testing" in n.split(".")}, module


def test_the_core_stands_alone(tmp_path: Path) -> None:
    """It imports and folds without the other roots and other libraries.

    ``-S`` ignores the environment, whose ``.pth`` file would add the other roots.
    """
    root = tmp_path / "core"
    shutil.copytree(TOP / "core", root, ignore=shutil.ignore_patterns("__pycache__"))
    site = tmp_path / "site"
    site.mkdir()
    for library in BASE:
        (site / library).symlink_to(Path(sysconfig.get_path("platlib"), library))
    code = f"""
import sys
sys.path += [{str(root)!r}, {str(site)!r}]
{FOLD}
import importlib.util
for other in {ROOTS[1:]!r}:
    assert importlib.util.find_spec(f"duologue.{{other}}") is None, other
import duologue
assert list(duologue.__path__) == [{str(root / "duologue")!r}]
tops = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(tops - sys.stdlib_module_names))
print(*sorted(tops & {{"asyncio", "socket", "ssl", "random", "logging"}}))
"""
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    libraries, effects = run.stdout.splitlines()
    assert set(libraries.split()) - {"__main__", "duologue"} <= BASE
    assert effects == ""


def lint_imports(top: Path) -> subprocess.CompletedProcess[str]:
    script = Path(sysconfig.get_path("scripts")) / "lint-imports"
    path = os.pathsep.join(str(top / root) for root in ROOTS)
    return subprocess.run(
        [str(script), "--no-cache", "--config", str(top / "pyproject.toml")],
        cwd=top,
        env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_hold() -> None:
    run = lint_imports(TOP)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        pytest.param("core", "import duologue.transports", id="up"),
        pytest.param("core", "import asyncio", id="impure"),
        pytest.param("core", "import httpx", id="foreign"),
        pytest.param("transports", "import duologue.local", id="up-from-transports"),
        pytest.param("local", "import duologue.adapters", id="up-from-local"),
        pytest.param("adapters/web", "import duologue.adapters.audio", id="sideways"),
        pytest.param("adapters/web", "import duologue.adapters.cli", id="to-the-cli"),
    ],
)
def test_the_contracts_break(module: str, line: str, tmp_path: Path) -> None:
    """The control: one bad line in a small tree of the same layout is found."""
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    for name in (*ROOTS, "adapters/cli", "adapters/web", "adapters/audio"):
        root, _, part = name.partition("/")
        folder = tmp_path / root / "duologue" / root / part
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    kept = lint_imports(tmp_path)
    assert kept.returncode == 0, kept.stdout

    root, _, part = module.partition("/")
    target = tmp_path / root / "duologue" / root / part / "__init__.py"
    target.write_text(f"{line}\n", encoding="utf-8")
    broken = lint_imports(tmp_path)
    assert broken.returncode == 1, broken.stdout
    assert "BROKEN" in broken.stdout


def test_the_base_dependencies_are_the_three() -> None:
    requirements = importlib.metadata.requires("duologue") or []
    base = {
        re.split(r"[^\w-]", line)[0] for line in requirements if "extra" not in line
    }
    assert base == {"attrs", "immutables", "msgspec"}
