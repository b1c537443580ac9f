"""The parts of ``talk``: keys and lines, tools, the sound of several, notes."""

from __future__ import annotations

import io
import logging
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from duologue.adapters.audio import FLOOR_DBFS
from duologue.adapters.cli.shared.audio_sinks import Gauge, Metered, Several, Shared
from duologue.adapters.cli.shared.session_report import clean, spoken
from duologue.adapters.cli.talk.console_log import Notes
from duologue.adapters.cli.talk.input_line import Typed, read_line
from duologue.adapters.cli.talk.keyboard import LineEditor, read_lines
from duologue.adapters.cli.talk.screen_layout import Scene
from duologue.adapters.cli.talk.talk_options import numbered
from duologue.adapters.cli.talk.terminal_display import Display
from duologue.adapters.cli.talk.tool_import import load_tools
from duologue.core import DuologueError, Transcript
from duologue.core.events import McpToolServer
from duologue.transports import BufferSink, QueueSource, Tool

# Keys.


@pytest.mark.parametrize(
    ("keys", "lines", "left"),
    [
        ("hello\r", ["hello"], ""),
        ("one\ntwo\nthr", ["one", "two"], "thr"),
        ("helo\x7flo\r", ["hello"], ""),
        ("\x7f\x08a", [], "a"),
        ("no\x15yes", [], "yes"),
        ("say these words\x17", [], "say these "),
        ("one\x17", [], ""),
        ("a\x1b[Db\x1b[1;5Cc\x1bOAd\x1bxe", [], "abcde"),
        ("a\x1b\x1b[Db", [], "ab"),
        ("ä\x01\x07日\t.", [], "ä日\t."),
        ("a\x04b", [], "ab"),
    ],
)
def test_keys_make_lines(keys: str, lines: list[str], left: str) -> None:
    """Rubbed out by letter, word and line; keys without a letter do nothing."""
    editor = LineEditor()
    assert (editor.feed(keys), editor.text, editor.ended) == (lines, left, False)


def test_keys_come_one_by_one() -> None:
    """A sequence that comes in pieces is one all the same."""
    editor = LineEditor()
    assert [line for key in "a\x1b[200~b\r" for line in editor.feed(key)] == ["ab"]


def test_an_end_is_one_on_an_empty_line() -> None:
    editor = LineEditor()
    editor.feed("hello\x04")
    assert not editor.ended
    editor.feed("\x15\x04")
    assert editor.ended


# Lines.


async def test_lines_of_a_pipe() -> None:
    """However they come in pieces; the last one needs no end."""
    reading, writing = os.pipe()
    for data in (b"one\ntw", b"o\n\n\xff", b"three"):
        os.write(writing, data)
    os.close(writing)
    try:
        lines = [line async for line in read_lines(reading)]
    finally:
        os.close(reading)
    assert lines == ["one", "two", "", "\ufffdthree"]


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("hello", Typed(2, "hello")),
        (" /1 hello there\n", Typed(1, "hello there")),
        ("/3", Typed(3)),
        ("/focus 1", Typed(1)),
        ("/focus on it", Typed(2, "/focus on it")),
        ("1 hello", Typed(2, "1 hello")),
        (" \n", None),
    ],
)
def test_what_a_line_means_to_several_sessions(line: str, typed: Typed | None) -> None:
    assert read_line(line, focus=2, sessions=3) == typed


@pytest.mark.parametrize("line", ["/0", "/4 hello", "/focus 9"])
def test_a_session_that_there_is_not(line: str) -> None:
    with pytest.raises(ValueError, match=r"there is no session \d: they are 1 to 3"):
        read_line(line, focus=1, sessions=3)


def test_one_session_gets_every_line_as_it_is() -> None:
    assert read_line("/2 hello\n", focus=1, sessions=1) == Typed(1, "/2 hello")


# Files.


def test_each_of_several_has_a_file_of_its_own() -> None:
    assert numbered(Path("a/reply.wav"), 2, 3) == Path("a/reply-2.wav")
    assert numbered(Path("a/log"), 1, 2) == Path("a/log-1")
    assert numbered(Path("a/reply.wav"), 1, 1) == Path("a/reply.wav")


# Tools.

MODULE = """
from duologue.core.events import McpToolServer
from duologue.transports import tool

def weather(city: str) -> str:
    return city

def no_names(*cities): ...

async def later(): ...

weather_too = tool(weather, name="weather_too")
server = McpToolServer(server_label="maps", server_url="https://x.test")
several = [weather, weather_too, later, server]
twice = (weather, weather)
mixed = [weather, 3]
number = 3
class Registry:
    @staticmethod
    def look() -> str: ...
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two modules in the current folder: one of tools, one that is broken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "talk_tools.py").write_text(MODULE)
    (tmp_path / "broken_tools.py").write_text("1 / 0")
    yield
    for name in ("talk_tools", "broken_tools"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("weather", ["weather"]),
        ("weather_too", ["weather_too"]),
        ("several", ["weather", "weather_too", "later", "maps"]),
    ],
)
def test_tools_are_found_in_the_current_folder(
    modules: None, name: str, names: list[str]
) -> None:
    """A function, a `Tool`, or a list of them and of MCP servers."""
    found = load_tools(f"talk_tools:{name}")
    assert names == [
        one.server_label if isinstance(one, McpToolServer) else one.name
        for one in found
    ]


def test_an_object_within_an_object(modules: None) -> None:
    """As far as dots lead."""
    (found,) = load_tools("talk_tools:Registry.look")
    assert isinstance(found, Tool)
    assert found.name == "look"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("weather", "it must be module:object"),
        (":weather", "it must be module:object"),
        ("talk_tools:", "it must be module:object"),
        ("no_such:x", "cannot be imported: ModuleNotFoundError: No module named"),
        ("broken_tools:x", "cannot be imported: ZeroDivisionError: division by zero"),
        ("talk_tools:x", "there is no x in talk_tools"),
        ("talk_tools:weather.x", "there is no x in talk_tools"),
        ("talk_tools:number", "int is no tool; a function is one, or a list of them"),
        ("talk_tools:mixed", "int is no tool; a function is one, or a list of them"),
        ("talk_tools:no_names", "no_names: *cities cannot be given by its name"),
        ("talk_tools:twice", "there are two tools 'weather'"),
    ],
)
def test_what_is_no_tool_is_named(modules: None, name: str, why: str) -> None:
    with pytest.raises(DuologueError) as caught:
        load_tools(name)
    assert str(caught.value).startswith(f"--tools {name}: {why}")


# Sound.


def loud(ms: int = 100) -> bytes:
    """Sound at full scale."""
    return struct.pack("<h", -32768) * (24 * ms)


def test_a_gauge_falls_silent_by_itself() -> None:
    """Sound that stops coming is silence, though nobody says so."""
    now = [5.0]
    gauge = Gauge(lambda: now[0])
    levels = [gauge.peak_dbfs]
    gauge.write(loud())
    for now[0] in (5.0, 5.2, 5.4):
        levels.append(gauge.peak_dbfs)

    assert levels == [FLOOR_DBFS, 0.0, 0.0, FLOOR_DBFS]


def test_a_measured_source_gives_what_it_has() -> None:
    source, gauge = QueueSource(), Gauge()
    source.push(loud(20))
    metered = Metered(source, gauge)

    assert metered.read(480) == loud(20)
    assert gauge.peak_dbfs == 0.0
    assert metered.read(480) == b""


def test_one_microphone_is_heard_by_one_session_at_a_time() -> None:
    """And its speaker plays that one: the others neither play nor flush."""
    microphone, speaker = QueueSource(), BufferSink()
    turn = [1]

    def share(number: int) -> Shared:
        return Shared(microphone, speaker, lambda: turn[0] == number)

    first, second = share(1), share(2)
    microphone.push(loud(40))
    for turn[0] in (1, 2):
        said = [one.read(480) for one in (first, second)]
        assert said == ([loud(20), b""] if turn[0] == 1 else [b"", loud(20)])
        for pcm, one in ((b"\1\1", first), (b"\2\2", second)):
            one.write(pcm)
            one.flush()

    assert (speaker.pcm, speaker.flushes) == (b"\1\1\2\2", 2)


def test_several_sinks_get_the_same() -> None:
    sinks = BufferSink(), BufferSink()
    both = Several(*sinks)
    both.write(b"\1\1")
    both.flush()

    assert [(sink.pcm, sink.flushes) for sink in sinks] == [(b"\1\1", 1)] * 2


# What is said beside the talk.


def test_notes_are_held_back_while_a_screen_is_drawn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the warnings of what is running; then each goes where it belongs."""
    out = io.StringIO()
    notes = Notes(Console(file=out), keep=True)
    with notes:
        notes.say("one\x1b[2J [b]note[/b]")
        logging.getLogger("duologue.test").warning("a\x9b2Jb %s", "c\nd")
        logging.getLogger("duologue.test").info("never mind")
        assert notes.latest == ("one\x1b[2J [b]note[/b]", "a\x9b2Jb c\nd")
        assert (out.getvalue(), capsys.readouterr().err) == ("", "")
    logging.getLogger("duologue.test").warning("later")

    assert out.getvalue() == "one [b]note[/b]\n"
    assert capsys.readouterr().err == "ab c\nd\n"


def test_notes_are_printed_at_once_where_nothing_is_drawn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = io.StringIO()
    with Notes(Console(file=out), keep=False) as notes:
        notes.say("one")
        assert (out.getvalue(), notes.latest) == ("one\n", ())
        logging.getLogger("duologue.test").warning("two")
        assert capsys.readouterr().err == "two\n"


def test_what_is_printed_while_a_screen_is_drawn_goes_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A tool that prints does not spoil the screen, and what it says is not lost."""
    printed: list[str] = []
    with Display(lambda: Scene(seats=()), printed.append):
        print("one\ntwo", end="")
        print(" three\nfour", end="", file=sys.stderr)
    print("five")

    assert printed == ["one", "two three", "four"]
    assert capsys.readouterr() == ("five\n", "")


def test_a_screen_that_cannot_be_drawn_ends_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> Scene:
        raise RuntimeError("no scene")

    with Display(broken, print):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        "the screen cannot be drawn"
    ]


# Words.


def test_words_on_one_line() -> None:
    assert clean("a\nb\tc\r\nd\x1b]0;title\x07") == "a b c d"


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        ("one two", "one two [interrupted after 420 ms, not heard: three]"),
        # The service's words begin with a space that a transcript has not.
        (" one two", "one two [interrupted after 420 ms, not heard: three]"),
        ("", "[interrupted after 420 ms, not heard: one two three]"),
        ("one two three", "one two three [interrupted after 420 ms]"),
        (None, "one two three [interrupted after 420 ms]"),
    ],
)
def test_words_of_an_interrupted_line(heard: str | None, words: str) -> None:
    """Where nobody knows what was heard, nothing is called unheard."""
    line = Transcript("i", "assistant", "one two three", True, 420, heard)
    assert spoken(line).plain == words


def test_a_line_without_words() -> None:
    """As a summary has it, and where they may still come."""
    line = Transcript("i", "user", "", False)
    assert spoken(line).plain == "(spoken, no words)"
    assert spoken(line, silent="…").plain == "…"


def test_of_a_long_line_the_end_is_kept() -> None:
    line = Transcript("i", "assistant", "one two three", True, 420, "one two")
    assert spoken(line, room=8).plain == (
        "wo [interrupted after 420 ms, not heard: three]"
    )
    assert spoken(line, room=3).plain == "[interrupted after 420 ms, not heard: ree]"
    assert spoken(Transcript("i", "user", "one two", True), room=3).plain == "two"
