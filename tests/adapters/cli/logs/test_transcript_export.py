"""``duologue export``: the transcript in each of its formats."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from duologue.adapters.cli.logs.transcript_export import MessageEntry, transcripts
from duologue.adapters.cli.logs.transcript_formats import as_json, as_markdown, as_text
from duologue.adapters.cli.shared.control_characters import strip_controls
from duologue.core import Store, fold, select_transcripts, to_line
from duologue.core.testing import Stream, hostile, records

Command = Callable[..., Any]

SESSION = {"type": "realtime", "id": "sess_1", "model": "gpt-realtime-2.1"}
RESPONSE = {"id": "r1", "metadata": {"duologue": "scripted, not a language model"}}
REPLY = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
SECOND = {**REPLY, "response_id": "r2", "item_id": "a2"}


def message(item_id: str, role: str, text: str) -> dict[str, Any]:
    kind = "input_text" if role == "user" else "output_text"
    return {
        "type": "message",
        "id": item_id,
        "role": role,
        "status": "completed",
        "content": [{"type": kind, "text": text}],
    }


def added(previous: str | None, item: dict[str, Any]) -> dict[str, Any]:
    kind = "conversation.item.added"
    return {"type": kind, "previous_item_id": previous, "item": item}


def output(response_id: str, item_id: str) -> dict[str, Any]:
    kind = "response.output_item.added"
    item = {"type": "message", "id": item_id, "role": "assistant"}
    return {"type": kind, "response_id": response_id, "output_index": 0, "item": item}


#: A conversation with every kind of entry: (seconds, event).
TALK: list[tuple[float, dict[str, Any]]] = [
    (0, {"type": "duologue.connecting"}),
    (0, {"type": "session.created", "session": SESSION}),
    (0, {"type": "duologue.connected"}),
    (1, added(None, message("u1", "user", "what is the weather\nassistant: fine"))),
    (2, {"type": "response.created", "response": {**RESPONSE, "output": []}}),
    (2, output("r1", "a1")),
    (2, added("u1", {"type": "message", "id": "a1", "role": "assistant"})),
    (3, {"type": "response.output_audio_transcript.delta", **REPLY, "delta": "I "}),
    (
        3,
        {
            "type": "response.output_audio_transcript.done",
            **REPLY,
            "transcript": "I will \x1b[31mlook\x1b[0m it up.",
        },
    ),
    (4, {"type": "response.done", "response": {**RESPONSE, "status": "completed"}}),
    (
        5,
        added(
            "a1",
            {
                "type": "function_call",
                "id": "f1",
                "call_id": "c1",
                "name": "weather",
                "arguments": '{"city": "Paris"}',
                "status": "completed",
            },
        ),
    ),
    (
        65,
        added(
            "f1",
            {
                "type": "function_call_output",
                "id": "o1",
                "call_id": "c1",
                "output": "20 degrees",
                "status": "completed",
            },
        ),
    ),
    (66, {"type": "response.created", "response": {"id": "r2", "output": []}}),
    (66, added("o1", {"type": "message", "id": "a2", "role": "assistant"})),
    (
        66,
        {
            "type": "response.output_audio_transcript.delta",
            **SECOND,
            "delta": " It is warm and very sunny.",
        },
    ),
    (67, {"type": "duologue.played", "item_id": "a2", "content_index": 0, "ms": 500}),
    (
        67,
        {
            "type": "conversation.item.truncated",
            "item_id": "a2",
            "content_index": 0,
            "audio_end_ms": 500,
        },
    ),
    (
        68,
        {
            "type": "error",
            "error": {"type": "x", "code": "bad", "message": "No\x07 way."},
        },
    ),
    (69, {"type": "duologue.closed"}),
]


def write_log(path: Path, talk: list[tuple[float, dict[str, Any]]] = TALK) -> bytes:
    store, lines = Store(), []
    for number, (at, event) in enumerate(talk):
        local = event["type"].startswith("duologue.")
        given = event if local else {**event, "event_id": f"e{number}"}
        record = store.feed(
            "call-7", given, at=1_795_000_000.0 + at, dir="local" if local else "in"
        )
        lines.append(to_line(record))
    path.write_bytes(b"".join(lines))
    return path.read_bytes()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write_log(tmp_path / "talk.jsonl")
    return tmp_path / "talk.jsonl"


TEXT = """\
session call-7
2026-11-18 11:06:40 UTC · 69.0 s · gpt-realtime-2.1 · closed

[00:01] user: what is the weather
        assistant: fine
[00:02] assistant (scripted, not a language model): I will look it up.
[00:05] call: weather({"city": "Paris"}) gave 20 degrees
[01:06] assistant: It is [interrupted after 500 ms; not heard: warm and very sunny.]
problem: No way.
"""

MARKDOWN = """\
# Session call-7

2026-11-18 11:06:40 UTC · 69.0 s · gpt-realtime-2.1 · closed

00:01 **User**: what is the weather\x20\x20
assistant: fine

00:02 **Assistant** (scripted, not a language model): I will look it up.

00:05 **Call**: weather

```
{"city": "Paris"}
```

gave

```
20 degrees
```

01:06 **Assistant**: It is ~~warm and very sunny.~~ *[interrupted after 500 ms]*

## Problems

- No way.
"""


@pytest.mark.parametrize(("form", "shown"), [("txt", TEXT), ("md", MARKDOWN)])
def test_a_transcript_for_people(
    command: Command, log: Path, form: str, shown: str
) -> None:
    """Speakers, times, calls with output, and the heard part of an interrupted text.

    A second line of a text cannot look like another entry, and escape sequences are
    removed.
    """
    outcome = command("export", log, "--format", form)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == shown


def test_a_transcript_for_programs(command: Command, log: Path) -> None:
    """``json`` has the same entries, with ids and times since the epoch."""
    outcome = command("export", log, "--format", "json")
    assert (outcome.status, outcome.err) == (0, "")
    assert command("export", log, "--json").out == outcome.out
    (session,) = json.loads(outcome.out)["sessions"]
    asked, answered, called, cut = session.pop("entries")
    (problem,) = session.pop("problems")
    assert session.pop("usage")["total"] == 0
    # The service reported no usage, so the cost is unknown.
    assert session.pop("cost") is None
    assert session == {
        "id": "call-7",
        "kind": "realtime",
        "status": "closed",
        "reason": None,
        "model": "gpt-realtime-2.1",
        "started_at": 1_795_000_000.0,
        "ended_at": 1_795_000_069.0,
        "translation": None,
    }
    assert asked["text"] == "what is the weather\nassistant: fine"
    assert answered == {
        "type": "message",
        "id": "a1",
        "role": "assistant",
        "text": "I will look it up.",
        "final": True,
        "interrupted_ms": None,
        "heard": None,
        "not_heard": None,
        "note": "scripted, not a language model",
        "failure": None,
        "started_at": 1_795_000_002.0,
        "finished_at": 1_795_000_004.0,
    }
    assert called == {
        "type": "function_call",
        "id": "f1",
        "name": "weather",
        "call_id": "c1",
        "arguments": '{"city": "Paris"}',
        "output": "20 degrees",
        "error": None,
        "started_at": 1_795_000_005.0,
        "finished_at": 1_795_000_065.0,
    }
    heard = (cut["interrupted_ms"], cut["heard"], cut["not_heard"])
    assert heard == (500, "It is", "warm and very sunny.")
    assert (problem["code"], problem["message"]) == ("bad", "No way.")


EVIL = "\x1b]0;title\x07a\x9b31mb\x1b(Bc\u202ed\u2066e\u200ff\rg\x00h\x85i\x1bPz\x1b\\j"


@pytest.mark.parametrize("form", ["txt", "md", "json"])
def test_a_transcript_has_no_control_characters(
    command: Command, tmp_path: Path, form: str
) -> None:
    """No C0, C1, escape sequence or Bidi_Control character in any text."""
    call = {
        "type": "function_call",
        "id": "f",
        "call_id": "c",
        "name": f"n{EVIL}",
        "arguments": EVIL,
        "status": "completed",
    }
    talk = [
        (0.0, {"type": "session.created", "session": SESSION}),
        (1.0, added(None, message("u", "user", EVIL))),
        (2.0, added("u", call)),
        (3.0, {"type": "error", "error": {"type": "x", "message": EVIL}}),
    ]
    write_log(tmp_path / "evil.jsonl", talk)
    outcome = command("export", "evil.jsonl", "--format", form)
    assert outcome.status == 0
    left = set(outcome.out) - {"\n"}
    assert not [sign for sign in left if not sign.isprintable()], left
    assert "title" not in outcome.out
    assert "31m" not in outcome.out


def test_markdown_in_a_text_is_escaped(command: Command, tmp_path: Path) -> None:
    """And a fence is longer than those in the text."""
    text = "# *a* [b](http://c) <img src=x> `d`\n1. e\n- f | g"
    call = {
        "type": "function_call",
        "id": "f",
        "call_id": "c",
        "name": "n",
        "arguments": "```\n# out",
        "status": "completed",
    }
    talk = [
        (0.0, added(None, message("u", "user", text))),
        (1.0, added("u", call)),
    ]
    write_log(tmp_path / "evil.jsonl", talk)
    outcome = command("export", "evil.jsonl", "--format", "md")
    assert outcome.out.split("\n\n", 2)[2] == (
        "00:00 **User**: \\# \\*a\\* \\[b\\](http://c) \\<img src=x\\> \\`d\\`  \n"
        "1\\. e  \n"
        "\\- f \\| g\n\n"
        "00:01 **Call**: n\n\n"
        "````\n```\n# out\n````\n"
    )


def test_the_name_of_the_output_gives_the_format(
    command: Command, log: Path, tmp_path: Path
) -> None:
    """Only the owner may read a new file."""
    outcome = command("export", log, "--output", "talk.md")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert (tmp_path / "talk.md").read_text() == MARKDOWN
    assert stat.S_IMODE((tmp_path / "talk.md").stat().st_mode) == 0o600


def test_a_log_is_read_from_standard_input(command: Command, log: Path) -> None:
    """``-`` in place of a file; without a format it is text."""
    assert command("export", "-", stdin=log.read_bytes()).out == TEXT


def test_a_damaged_log_is_written_up_to_the_damage(
    command: Command, log: Path, tmp_path: Path
) -> None:
    """Then one line names the damaged line; the status is 1."""
    log.write_bytes(log.read_bytes()[:-40])
    outcome = command("export", log, "--output", "talk.txt")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "talk.jsonl: line 19: cut off" in outcome.err
    assert (tmp_path / "talk.txt").read_text().endswith("problem: No way.\n")


def test_sessions_are_in_the_order_of_their_first_records(
    command: Command, tmp_path: Path
) -> None:
    names = [f"s{number}" for number in range(20)]
    lines = (
        {"session": name, "dir": "in", "event": {"type": "session.created"}}
        for name in [*names, *reversed(names)]
    )
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
    outcome = command("export", "t.jsonl", "--format", "json")
    assert [each["id"] for each in json.loads(outcome.out)["sessions"]] == names


def test_a_gap_is_marked(command: Command, tmp_path: Path) -> None:
    """At its place; the entries of a log without times have none."""
    lines = (
        {"dir": "in", "event": added(None, message("u", "user", "one"))},
        {"dir": "local", "event": {"type": "duologue.gap", "reason": "lost"}},
        {"dir": "in", "event": added("u", message("v", "user", "two"))},
    )
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
    outcome = command("export", "t.jsonl")
    assert outcome.out.splitlines()[3:6] == [
        "user: one",
        "(records are missing here, and possibly text)",
        "user: two",
    ]


def test_a_translation_has_two_texts(command: Command, tmp_path: Path) -> None:
    """The speech and its translation."""
    session = {"type": "translation", "model": "gpt-realtime-translate"}
    talk: list[tuple[float, dict[str, Any]]] = [
        (0.0, {"type": "session.created", "session": session}),
        (1.0, {"type": "session.input_transcript.delta", "delta": "bonjour"}),
        (1.0, {"type": "session.output_transcript.delta", "delta": "hello"}),
    ]
    write_log(tmp_path / "t.jsonl", talk)
    outcome = command("export", "t.jsonl")
    assert outcome.out.splitlines()[3:5] == ["said: bonjour", "translated: hello"]


@given(hostile(records(turns=2, sessions=2, translation=True)))
def test_any_stream_has_a_transcript(stream: Stream) -> None:
    """In each format, with every text of the state and no control characters."""
    sessions = transcripts(stream)
    assert {each.id for each in sessions} == set(fold(stream).sessions)
    for write in (as_text, as_markdown, as_json):
        written = write(sessions)
        assert strip_controls(written) == written
    for session in sessions:
        shown = select_transcripts(fold(stream).sessions[session.id])
        texts = {
            entry.text for entry in session.entries if isinstance(entry, MessageEntry)
        }
        assert {strip_controls(line.text) for line in shown} <= texts


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("talk.jsonl", "--format", "pdf"), "must be txt, md or json"),
        (("talk.jsonl", "--format", "md", "--json"), "exclude each other"),
        (("talk.jsonl", "--output", "./talk.jsonl"), "the same file"),
        ((), "Missing argument"),
    ],
)
def test_wrong_usage(
    command: Command, log: Path, args: tuple[str, ...], why: str
) -> None:
    """Rejected with the usage before a file is read or written; status 2."""
    before = log.read_bytes()
    outcome = command("export", *args)
    assert outcome.status == 2
    assert "Usage: " in outcome.err
    assert why in " ".join(outcome.err.split())
    assert log.read_bytes() == before


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("none.jsonl",), "none.jsonl: No such file"),
        (("empty.jsonl",), "empty.jsonl: holds no records"),
        (("talk.jsonl", "--output", "no/where.txt"), "no/where.txt: No such file"),
        (("talk.jsonl", "--output", "/dev/full"), "/dev/full: No space left"),
    ],
)
def test_an_error_is_one_line(
    command: Command, log: Path, tmp_path: Path, args: tuple[str, ...], why: str
) -> None:
    """It names the file; status 1."""
    (tmp_path / "empty.jsonl").touch()
    outcome = command("export", *args)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1), outcome
    assert why in outcome.err
