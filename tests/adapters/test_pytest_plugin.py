"""The pytest plugin, in tests of a small app that pytest runs."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

#: An app that sends one line and returns the transcript.
APP = """
from duologue.core import SessionConfig, select_is_settled, select_transcripts

CONFIG = SessionConfig(model="a-model", output_modalities=("text",))

def answered(session):
    last = [line.role for line in select_transcripts(session)][-1:]
    return last == ["assistant"] and select_is_settled(session)

async def app(client, transport, text):
    session = await client.start_session(CONFIG, transport=transport)
    await session.send_text(text)
    state = await session.until(answered, timeout=20)
    return [line.text for line in select_transcripts(state)]
"""

TEST = """
import pytest
from app import app

@pytest.mark.duologue("hello.jsonl")
async def test_hello(duologue):
    async with duologue.client() as client:
        lines = await app(client, duologue.transport(), {text!r})
    assert lines == [{text!r}, "Hello there. It is good to hear you."]
"""

ASYNC = "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """``run(source, …)``: run pytest with this test of the small app."""
    pytester.makeini("[pytest]\npythonpath = .\n" + ASYNC)
    pytester.makepyfile(app=APP)

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_app=source)
        # The entry point is blocked, so that the plugin is not loaded twice.
        plugin = ("-p", "no:duologue", "-p", "duologue.adapters.pytest_plugin")
        if "--duologue-record" in options:
            # The service loads libraries that a process can load only once.
            return pytester.runpytest_subprocess(*plugin, *options)
        return pytester.runpytest_inprocess(*plugin, *options)

    return run


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    """The recording, which is made once for all tests of this module."""
    return {}


@pytest.fixture
def recorded(run: Run, kept: dict[str, bytes]) -> Path:
    """The recording of a run against the local service."""
    path = Path.cwd() / "hello.jsonl"
    if not kept:
        result = run(TEST.format(text="hello"), "--duologue-record")
        result.assert_outcomes(passed=1)
        kept["hello"] = path.read_bytes()
    path.write_bytes(kept["hello"])
    return path


def test_a_recording_is_replayed(run: Run, recorded: Path) -> None:
    """It replaces the service, with the recorded times and ids."""
    before = recorded.read_bytes()
    source = TEST.format(text="hello") + (
        "    folded = fold(read_log_file(duologue.path))\n"
        "    assert list(client.sessions) == list(folded.sessions)\n"
        "    assert dump(client.store.state) == dump(folded)\n"
    )
    source = (
        "from duologue.core import dump, fold\n"
        "from duologue.transports import read_log_file\n" + source
    )
    run(source).assert_outcomes(passed=1)
    assert recorded.read_bytes() == before


def test_a_different_event_fails(run: Run, recorded: Path) -> None:
    """The failure shows the first difference."""
    result = run(TEST.format(text="goodbye"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*hello.jsonl: event 1 differs from record * of the recording: at "
            '$.item.content[[]0].text: recorded "hello", sent "goodbye"*'
        ]
    )


def test_a_missing_event_fails(run: Run, recorded: Path) -> None:
    """Even if the test itself passes."""
    result = run(
        """
import pytest
from app import CONFIG

@pytest.mark.duologue("hello.jsonl")
async def test_hello(duologue):
    async with duologue.client() as client:
        await client.start_session(CONFIG, transport=duologue.transport())
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*event 1 was not sent: record * is conversation.item.create*"]
    )


def test_an_app_that_waits_forever_fails(run: Run, recorded: Path) -> None:
    """After ``patience`` seconds the failure names the expected event."""
    result = run(
        """
import pytest
from app import CONFIG, answered

@pytest.mark.duologue("hello.jsonl", patience=0.1)
async def test_hello(duologue):
    async with duologue.client() as client:
        session = await client.start_session(CONFIG, transport=duologue.transport())
        await session.until(answered)
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*event 1 was not sent: *(then ConnectionLost: *"])


def test_types_alone_can_be_compared(run: Run, recorded: Path) -> None:
    """The option ``sends`` of the marker selects the comparison."""
    source = TEST.format(text="hello")
    source = source.replace('"hello.jsonl")', '"hello.jsonl", sends="order")')
    source = source.replace(
        "duologue.transport(), 'hello'", "duologue.transport(), 'hi'"
    )
    run(source).assert_outcomes(passed=1)


def test_a_missing_recording_is_named(run: Run) -> None:
    """With the option that creates it; the default name is that of the test."""
    source = TEST.format(text="hello").replace(
        '@pytest.mark.duologue("hello.jsonl")', ""
    )
    result = run(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*no recording */recordings/test_hello.jsonl: --duologue-record creates it*"]
    )


def test_a_failed_test_keeps_the_old_recording(run: Run, recorded: Path) -> None:
    """Only a passed test replaces it."""
    before = recorded.read_bytes()
    source = TEST.format(text="hello").replace("It is good", "It is bad")
    run(source, "--duologue-record").assert_outcomes(failed=1)
    assert recorded.read_bytes() == before
    assert sorted(path.name for path in Path.cwd().glob(".*.new")) == []


def test_a_failure_without_drift_is_not_changed(run: Run, recorded: Path) -> None:
    source = TEST.format(text="hello").replace("It is good", "It is bad")
    result = run(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*AssertionError*"])


def test_the_options_are_explained(run: Run) -> None:
    """The marker and the options are in the help of pytest."""
    result = run("", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.duologue(path=None*"])
    result = run("", "--help")
    result.stdout.fnmatch_lines(["*--duologue-record*", "*--duologue-base-url*"])


def test_pytest_finds_it_by_its_entry_point() -> None:
    """So an installation has the fixture without configuration."""
    top = Path(__file__).parents[2]
    project = tomllib.loads((top / "pyproject.toml").read_text(encoding="utf-8"))
    [module] = project["project"]["entry-points"]["pytest11"].values()
    plugin = importlib.import_module(module)
    assert plugin.pytest_plugins == ("duologue.adapters.pytest_plugin",)
