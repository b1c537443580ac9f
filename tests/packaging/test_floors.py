"""The floors: what each root may import, and that the core stands alone."""

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

#: What a base install brings, so what every root may use anywhere.
BASE = {"attr", "attrs", "immutables", "msgspec"}

#: The one module, or package, that may import a library, whatever the root.
HOMES = {
    "aioice": "duologue.transports.drivers.webrtc.peer",
    "aiortc": "duologue.transports.drivers.webrtc.peer",
    "av": "duologue.transports.drivers.webrtc.opus",
    "httpx": "duologue.transports.http.signalling",
    "pyee": "duologue.transports.client.emitter",
    "websockets": "duologue.transports.drivers.websocket.websocket_transport",
    "hypothesis": "duologue.core.testing",
    "rich": "duologue.adapters.cli",
    "typer": "duologue.adapters.cli",
    "livekit": "duologue.adapters.audio.processing",
    "sounddevice": "duologue.adapters.audio.portaudio",
}

#: Libraries whose home differs by root.
HOMES_BY_ROOT = {
    ("local", "httpx"): "duologue.local.speech.remote",
    ("local", "starlette"): "duologue.local.server.http_app",
    ("local", "uvicorn"): "duologue.local.server.listener",
    ("adapters", "starlette"): "duologue.adapters.web",
}

#: The extras that make a root complete.
EXTRAS = {
    "core": {"testing"},
    "transports": {"webrtc", "websocket"},
    "local": {"local", "espeak"},
    "adapters": {"aec", "audio", "cli", "testing", "web"},
}

#: Libraries that are imported by another name than they are installed by.
IMPORTED_AS = {"PyYAML": "yaml"}

#: Prints what a base install has to be able to do.
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
    """Dotted names that the file imports from elsewhere, wherever they stand."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def foreign(root: str) -> dict[str, set[str]]:
    """Library to the modules of ``root`` that import it."""
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
    """Only the home knows the library, so only the home translates its errors."""
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
    """A missing line here is an ImportError on a user's machine."""
    assert set(foreign(root)) <= libraries(EXTRAS[root])


def libraries(extras: set[str]) -> set[str]:
    """Import names of what the extras ask for, those of nested extras included."""
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
    """Else the core would need Hypothesis."""
    for module, path in modules("core"):
        if within(module, "duologue.core.testing"):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom):
                names = {f"{node.module or ''}.{alias.name}" for alias in node.names}
                assert not {n for n in names if "testing" in n.split(".")}, module


def test_the_core_stands_alone(tmp_path: Path) -> None:
    """It imports and folds where the other roots do not exist, nor other libraries.

    ``-S`` keeps the environment away, whose ``.pth`` would bring the roots back.
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
    """The control: in a small tree of the same layout, one bad line is found."""
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
