#!/usr/bin/env python3
"""Run the core's tests, and check that each module is covered by its own test module.

    own_coverage.py [--fail-under PERCENT]       all of them
    own_coverage.py reducer/parts state/rope     these, by their own tests

One run of `tests/core` records for every line and branch the test modules that ran it.
Then two checks follow: all tests together cover the core to ``--fail-under`` percent,
and the test module that mirrors a module covers every line and branch of that module.
Lines that run at import count for all. With ``--fail-under 0`` the result is printed
and never fails.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import sys
import tempfile
from pathlib import Path

import coverage
import pytest

TOP = Path(__file__).resolve().parents[2]
CORE = TOP / "core" / "duologue" / "core"
TESTS = TOP / "tests" / "core"
CONFIG = str(TOP / "pyproject.toml")
#: Test modules of modules that have none of their own name, by the names of both.
MIRRORS = {
    "errors": "log/test_lines",
    "prices": "selectors/test_cost",
    "reducer/__init__": "reducer/test_dispatch",
    "selectors/waits": "selectors/test_session",
    "wire/event_ids": "views/test_view_patch",
    "testing/__init__": "testing/test_extra",
    "testing/mutations": "testing/test_streams",
    "testing/naive_model": "testing/test_store_machine",
    "testing/session_script": "testing/test_streams",
    "testing/service_frames": "testing/test_streams",
    "testing/strategies": "testing/test_streams",
}


class Contexts:
    """A pytest plugin: records coverage under the name of the running test module."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """The core is imported before any test is, so that this counts for all."""
        core = importlib.import_module("duologue.core")
        for module in pkgutil.walk_packages(core.__path__, "duologue.core."):
            importlib.import_module(module.name)

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """A module is about to be imported."""
        if isinstance(collector, pytest.Module):
            self._measured.switch_context(context(collector.path))

    def pytest_runtest_logstart(
        self, nodeid: str, location: tuple[str, int | None, str]
    ) -> None:
        """A test is about to run, with its fixtures."""
        self._measured.switch_context(context(TOP / nodeid.partition("::")[0]))


def context(path: Path) -> str:
    """The coverage context of a test module: `testing/test_checks`."""
    return path.relative_to(TESTS).with_suffix("").as_posix()


def mirror(module: Path) -> str:
    """The test module of a module; one for all events."""
    name = module.relative_to(CORE).with_suffix("").as_posix()
    if name in MIRRORS:
        return MIRRORS[name]
    folder, _, stem = name.rpartition("/")
    if folder == "reducer/identity":
        return "reducer/test_identity"
    if folder == "events" and stem != "types":
        return "events/test_events"
    return f"{folder}/test_{stem}".lstrip("/")


def run(tests: list[str]) -> int:
    """Run these tests measured; gives pytest's exit status."""
    # The same examples each time, so that coverage does not vary.
    os.environ["HYPOTHESIS_PROFILE"] = "ci"
    measured = coverage.Coverage(source=[str(TOP / "core")], config_file=CONFIG)
    measured.erase()
    with measured.collect():
        options = ["-q", "-m", "not realtime and not deep", "-p", "no:cacheprovider"]
        status = pytest.main([*options, *tests], plugins=[Contexts(measured)])
    measured.save()
    return int(status)


def gaps(measured: coverage.Coverage, module: Path) -> list[str]:
    """The lines and branches of a module that its own test module does not run."""
    with tempfile.NamedTemporaryFile("r") as file:
        measured.json_report(
            [str(module)],
            outfile=file.name,
            contexts=["^$", f"^{mirror(module)}$"],
        )
        [found] = json.load(file)["files"].values()
    lines: list[int] = found["missing_lines"]
    branches: list[list[int]] = found["missing_branches"]
    return [
        *map(str, lines),
        *(f"{a}->{'exit' if b < 0 else b}" for a, b in branches if a not in lines),
    ]


def report(modules: list[Path]) -> bool:
    """Print the gaps of each module in its own test module; whether there are none."""
    measured = coverage.Coverage(config_file=CONFIG)
    measured.load()
    count = 0
    for module in modules:
        if missing := gaps(measured, module):
            count += 1
            print(f"{module.relative_to(TOP)}: {mirror(module)} does not cover")
            print(f"    {', '.join(missing)}")
    print(f"{count} of {len(modules)} modules are not covered by their own tests")
    return not count


def main() -> int:
    """Run, report, and say whether it is enough."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="as reducer/parts; default all")
    parser.add_argument("--fail-under", type=float, default=100.0)
    options = parser.parse_args()
    modules = [CORE / f"{name}.py" for name in options.modules]
    tests = [f"{TESTS / mirror(module)}.py" for module in modules]
    if status := run(tests or [str(TESTS)]):
        return status
    whole = coverage.Coverage(config_file=CONFIG)
    whole.load()
    percent = 100.0 if modules else whole.report()
    owned = report(modules or sorted(CORE.rglob("*.py")))
    enough = owned and percent >= options.fail_under
    return 0 if enough or not options.fail_under else 2


if __name__ == "__main__":
    sys.exit(main())
