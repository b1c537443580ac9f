"""``duologue replay`` in real time, faster, and step by step."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from rich.console import Console

from duologue.adapters.cli.logs.log_playback import paced, stepped
from duologue.adapters.cli.shared.control_characters import strip_controls
from duologue.core import Record, Store, read_log, to_line
from duologue.core.testing import Stream, hostile
from duologue.core.testing import records as streams

Command = Callable[..., Any]

REPLY = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
DELTA = {"type": "response.output_audio_transcript.delta", **REPLY}
TALK: list[tuple[float, str, dict[str, Any]]] = [
    (10.0, "local", {"type": "duologue.connecting"}),
    (10.0, "in", {"type": "session.created", "session": {"type": "realtime"}}),
    (10.5, "local", {"type": "duologue.connected"}),
    (11.0, "in", {"type": "input_audio_buffer.speech_started", "item_id": "u1"}),
    (12.0, "in", {"type": "input_audio_buffer.speech_stopped", "item_id": "u1"}),
    (12.5, "in", {"type": "response.created", "response": {"id": "r1", "output": []}}),
    (13.0, "in", {**DELTA, "delta": "Hello "}),
    (13.5, "in", {**DELTA, "delta": "th\x07ere."}),
    (
        14.0,
        "in",
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "u1",
            "content_index": 0,
            "transcript": "good morning",
        },
    ),
    (16.0, "in", {"type": "error", "error": {"type": "x", "message": "Too slow."}}),
    (18.0, "local", {"type": "duologue.closed"}),
]


def write_log(path: Path) -> bytes:
    store, lines = Store(), []
    for number, (at, way, event) in enumerate(TALK):
        given = event if way == "local" else {**event, "event_id": f"e{number}"}
        lines.append(to_line(store.feed("me", given, at=at, dir=way)))  # type: ignore[arg-type]
    path.write_bytes(b"".join(lines))
    return path.read_bytes()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write_log(tmp_path / "talk.jsonl")
    return tmp_path / "talk.jsonl"


def records(log: Path) -> list[Record]:
    with log.open("rb") as file:
        return list(read_log(file))


class FakeTime:
    """A clock that only advances in `sleep`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 8.0), (4.0, 2.0), (0.5, 16.0)])
def test_the_pace_is_that_of_the_recording(
    log: Path, speed: float, seconds: float
) -> None:
    """Each record is due at its recorded time divided by ``speed``."""
    time, due = FakeTime(), []
    for record in paced(
        iter(records(log)),
        Console(file=io.StringIO()),
        speed,
        sleep=time.sleep,
        clock=lambda: time.now,
    ):
        due.append((record.at, round((time.now - 100.0) * speed + 10.0, 6)))
    assert time.now - 100.0 == pytest.approx(seconds)
    assert all(at == shown for at, shown in due), due


def test_a_delay_of_the_consumer_is_made_up_for(log: Path) -> None:
    """A late record is not delayed, so that the next one is on time."""
    time = FakeTime()
    for record in paced(
        iter(records(log)),
        Console(file=io.StringIO()),
        1.0,
        sleep=time.sleep,
        clock=lambda: time.now,
    ):
        if record.at == 12.0:
            time.now += 3.0
    assert time.now - 100.0 == pytest.approx(8.0)
    assert sum(time.slept) == pytest.approx(5.0)


def test_the_transcript_is_printed_as_recorded(command: Command, log: Path) -> None:
    """Deltas on one line, each speaker on another, with the time since the start."""
    outcome = command("replay", log, "--speed", "10000")
    assert (outcome.status, outcome.err) == (0, "")
    words, _, summary = outcome.out.partition("\nsession ")
    assert words == (
        "  0.000 s session me: open\n"
        "  1.000 s (speech detected)\n"
        "  3.000 s assistant: Hello there.\n"
        "  4.000 s you: good morning\n"
        "  6.000 s problem: Too slow.\n"
        "  8.000 s session me: closed\n"
    )
    assert f"\nsession {summary}" == command("replay", log).out


def test_a_log_without_times_is_not_delayed(command: Command, tmp_path: Path) -> None:
    lines = (
        {"dir": "in", "event": {"type": "session.created", "session": {}}},
        {"close": {"code": 1006, "reason": "gone"}},
    )
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
    outcome = command("replay", "t.jsonl", "--speed", "0.001")
    assert outcome.status == 0
    assert "session t: failed" in outcome.out


def test_step_by_step(command: Command, log: Path) -> None:
    """Enter shows one record, a number that many, and q ends.

    The summary is that of the shown records.
    """
    outcome = command("replay", log, "--step", stdin="\n5\nwhat\nq\n")
    assert (outcome.status, outcome.err) == (0, "")
    shown, _, summary = outcome.out.partition("\nsession ")
    hint = "Enter shows the next record, a number that many, q ends."
    assert shown.splitlines() == [
        hint,
        "    1   0.000 s local duologue.connecting",
        "    2   0.000 s in    session.created",
        "    3   0.500 s local duologue.connected",
        "    4   1.000 s in    input_audio_buffer.speech_started",
        "    5   2.000 s in    input_audio_buffer.speech_stopped",
        "    6   2.500 s in    response.created",
        "    7   3.000 s in    response.output_audio_transcript.delta  Hello",
        hint,
    ]
    assert summary.startswith("me (open)\n")
    assert "assistant: Hello" in summary
    assert "there" not in summary


def test_the_end_of_the_input_ends_the_steps(command: Command, log: Path) -> None:
    outcome = command("replay", log, "--step", stdin="")
    assert outcome.status == 0
    assert "duologue.connecting" in outcome.out
    assert "session.created" not in outcome.out


def test_up_to_a_record(command: Command, log: Path) -> None:
    """``--until`` is the last record, with and without ``--speed``."""
    states = [
        json.loads(command("replay", log, "--json", *until).out)["sessions"][0]
        for until in ((), ("--until", "7"), ("--until", "99"))
    ]
    texts = [[line["text"] for line in state["transcript"]] for state in states]
    assert texts == [
        ["good morning", "Hello th\x07ere."],
        ["", "Hello"],
        ["good morning", "Hello th\x07ere."],
    ]
    assert [state["status"] for state in states] == ["closed", "open", "closed"]
    paced_too = command("replay", log, "--speed", "10000", "--until", "7")
    assert "Hello" in paced_too.out
    assert "good morning" not in paced_too.out


@given(hostile(streams(turns=2, sessions=2, translation=True)))
def test_any_stream_can_be_shown(stream: Stream) -> None:
    """Every record is yielded, and the output has no control characters."""
    shown = io.StringIO()
    console = Console(file=shown, soft_wrap=True)
    assert list(paced(iter(stream), console, 1e9)) == list(stream)
    steps = stepped(iter(stream), console, lines=iter(["9999"]))
    assert list(steps) == list(stream)
    assert strip_controls(shown.getvalue()) == shown.getvalue()


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--speed", "0"), "--speed must be a number above 0"),
        (("--speed", "-1"), "--speed must be a number above 0"),
        (("--speed", "nan"), "--speed must be a number above 0"),
        (("--speed", "inf"), "--speed must be a number above 0"),
        (("--speed", "fast"), "Invalid value for '--speed'"),
        (("--until", "0"), "Invalid value for '--until'"),
        (("--speed", "2", "--step"), "--speed and --step exclude each other"),
        (("--step", "--json"), "--step and --json exclude each other"),
        (("--speed", "2", "--json"), "--speed and --json exclude each other"),
    ],
)
def test_wrong_usage(
    command: Command, log: Path, args: tuple[str, ...], why: str
) -> None:
    outcome = command("replay", log, *args)
    assert (outcome.status, outcome.out) == (2, "")
    assert why in " ".join(outcome.err.split())


def test_step_needs_a_file(command: Command, log: Path) -> None:
    outcome = command("replay", "-", "--step", stdin=log.read_bytes())
    assert outcome.status == 2
    assert "give the log as a file" in " ".join(outcome.err.split())


def test_a_damaged_log_is_shown_up_to_the_damage(command: Command, log: Path) -> None:
    """With each option; then one line names the damaged line."""
    log.write_bytes(log.read_bytes()[:-40])
    for options in (("--speed", "10000"), ("--step",), ("--until", "5")):
        outcome = command("replay", log, *options, stdin="\n" * 20)
        assert (outcome.status, outcome.err.count("\n")) == (1, 1)
        assert "talk.jsonl: line 11: cut off" in outcome.err
        assert "session me (open)" in outcome.out


def test_it_says_why_a_session_reconnected(command: Command, tmp_path: Path) -> None:
    """At the end, and at the time at which it was connected again."""
    policy = {"timeout": 15, "reconnects": True, "first": 0.2, "longest": 5}
    policy |= {"patience": 30, "longest_asked": 20, "steady": 2}
    lost = {
        "lost": True,
        "can_repeat": True,
        "reason": "the connection was lost (1006)",
    }
    facts: list[tuple[int, str, dict[str, Any]]] = [
        (0, "connecting", {"policy": policy}),
        (0, "connected", {}),
        (0, "disconnected", lost),
        (1, "connecting", {"attempt": 1}),
        (1, "connect_failed", {"attempt": 1, "can_repeat": True, "reason": "busy"}),
        (1, "connecting", {"attempt": 2, "reason": "busy"}),
        (1, "connected", {"attempt": 2}),
        (2, "connecting", {"successor": True, "reason": "it [b]expires[/b] soon"}),
        (2, "connected", {"successor": True}),
        (2, "switched", {}),
    ]
    store = Store()
    records = [
        store.feed(
            "call",
            {"type": f"duologue.{name}", **fields},
            at=10.0 + seq,
            dir="local",
            epoch=epoch,
        )
        for seq, (epoch, name, fields) in enumerate(facts)
    ]
    log = tmp_path / "call.jsonl"
    log.write_bytes(b"".join(to_line(record) for record in records))
    lines = [
        "reconnected (attempt 2): the connection was lost (1006)",
        "moved to a new connection: it [b]expires[/b] soon",
    ]
    shown = command("replay", log).out.splitlines()
    assert [f"  {line}" for line in lines] == shown[2:4]
    paced_too = command("replay", log, "--speed", "10000").out
    assert [line in paced_too for line in lines] == [True, True]
    (session,) = json.loads(command("replay", log, "--json").out)["sessions"]
    made = session["reconnections"]
    assert [(each["epoch"], each["attempt"], each["reason"]) for each in made] == [
        (1, 2, "the connection was lost (1006)"),
        (2, 1, "it [b]expires[/b] soon"),
    ]
