"""The distribution: an sdist, a wheel built from it, and its installation."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
WHEELS = TOP / ".wheels"
ROOTS = ("core", "transports", "local", "adapters")

#: One process builds for all tests.
pytestmark = pytest.mark.xdist_group("wheel")

FOLD = """
from duologue.core import Store
store = Store()
frame = (b'{"type":"session.created","event_id":"e1",'
         b'"session":{"type":"realtime","id":"sess_1"}}')
store.feed("s1", frame, at=0.0)
assert store.session("s1") is not None
"""

INSTALLED = """
import importlib.metadata
print(*sorted({d.name.lower() for d in importlib.metadata.distributions()}))
"""


def run(*command: object) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel built from it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, TOP)
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with only the wheel."""
    home = tmp_path_factory.mktemp("base")
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    # `--isolated` ignores the pip settings of this machine.
    pip = (python, "-m", "pip", "--isolated", "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--find-links", WHEELS, wheel)
    return python


def test_the_wheel_holds_every_module_and_no_more(wheel: Path) -> None:
    """The wheel contains the modules of all four roots."""
    expected = {
        str(path.relative_to(TOP / root))
        for root in ROOTS
        for path in (TOP / root).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
    assert names == expected
    for root in ROOTS:
        assert f"duologue/{root}/py.typed" in names
    assert "duologue/__init__.py" not in names


def test_the_sdist_can_be_tested(dist: Path) -> None:
    """The sdist contains the tests and their data."""
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "LICENSE",
        "Makefile",
        "README.md",
        "constraints.txt",
        "scripts/setup.sh",
        "tests/conftest.py",
    } <= names


def test_pytest_has_nothing_to_warn_of(wheel: Path, tmp_path: Path) -> None:
    """With duologue installed and warnings as errors, pytest runs other tests.

    The wheel is unpacked as an installer does, because pytest reads its file list.
    """
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (tmp_path / "test_mine.py").write_text(
        "def test_mine(duologue):\n    assert duologue\n", encoding="utf-8"
    )
    # pytest-asyncio is installed here and warns about its own setting.
    quiet = ("-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_license_travels_with_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/licenses/LICENSE"))
        assert archive.read(name).startswith(b"MIT License")


def test_a_base_install_is_the_core_and_three_libraries(installed: Path) -> None:
    names = set(run(installed, "-I", "-c", INSTALLED).split())
    assert names - {"pip", "setuptools"} == {
        "attrs",
        "duologue",
        "immutables",
        "msgspec",
    }


def test_a_base_install_folds(installed: Path) -> None:
    run(installed, "-I", "-W", "error", "-c", FOLD)


def test_a_base_install_has_a_command_that_names_the_missing_extra(
    installed: Path,
) -> None:
    """The command prints one line and exits with 1, without a traceback."""
    done = subprocess.run(
        [installed.parent / "duologue", "talk", "--local"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "duologue[" in done.stderr
    assert "Traceback" not in done.stderr
