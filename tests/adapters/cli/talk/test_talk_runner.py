"""``duologue talk`` with several sessions, over both transports, with tools."""

from __future__ import annotations

import asyncio
import json
import re
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from duologue.core import RealtimeEventType
from duologue.local.faults.injector import Drop, Fault, Faults

Run = Callable[..., Awaitable[Any]]
Serve = Callable[[bytes], Awaitable[str]]
Start = Callable[..., Awaitable[Any]]

TYPED = ("talk", "--text", "--local", "--transport", "websocket")
TOOLS = """
def weather(city: str = "Oslo") -> dict[str, float]:
    "The weather in a city."
    print("looked it up")
    return {"Oslo": 21.5}

def broken_lamp() -> None:
    "Switch the lamp."
    raise RuntimeError("no \\x1b[31mlamp")

tools = [weather, broken_lamp]
"""


def said(session: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["role"], line["text"]) for line in session["transcript"]]


async def test_each_line_goes_to_its_session(duologue: Run, tmp_path: Path) -> None:
    """Each session has its own log; the JSON object has them in order."""
    outcome = await duologue(
        *(*TYPED, "--sessions", "3", "--json", "--record", "log.jsonl"),
        stdin="/2 hello\n/focus 3\nthank you\n/9 nobody\n/1 goodbye\n",
    )
    assert outcome.status == 0, outcome.err
    printed = json.loads(outcome.out)
    assert [said(session) for session in printed["sessions"]] == [
        [
            ("user", "goodbye"),
            ("assistant", "Goodbye, and thank you for the conversation."),
        ],
        [("user", "hello"), ("assistant", "Hello there. It is good to hear you.")],
        [("user", "thank you"), ("assistant", "You are welcome.")],
    ]
    assert printed["connect_ms"] > 0
    names = [session["id"] for session in printed["sessions"]]
    assert [name.rpartition("-")[2] for name in names] == ["001", "002", "003"]
    for number, name in enumerate(names, start=1):
        (record, *_) = (tmp_path / f"log-{number}.jsonl").read_text().splitlines()
        assert json.loads(record)["session"] == name


async def test_printed_lines_are_numbered(duologue: Run, tmp_path: Path) -> None:
    """Complete lines and tool calls, each with the number of the session."""
    (tmp_path / "mine.py").write_text(TOOLS)
    outcome = await duologue(
        *(*TYPED, "--sessions", "2", "--tools", "mine:tools"),
        stdin="what is the weather\n/2 switch the lamp\n/3\n",
    )
    assert outcome.status == 0, outcome.err
    live, _, summary = outcome.out.partition("\nsession ")
    lines = live.splitlines()
    scripted = "assistant (scripted, not a language model)"
    assert [line for line in lines if line.startswith("1 ")] == [
        "1 you: what is the weather",
        '1 (weather is called with {"city":"what is the weather"})',
        f"1 {scripted}: The answer is: Oslo 21.5.",
    ]
    assert [line for line in lines if line.startswith("2 ")] == [
        "2 you: switch the lamp",
        "2 (broken_lamp is called with {})",
        f"2 {scripted}: The answer is: error RuntimeError: no lamp.",
    ]
    assert "there is no session 3: they are 1 to 2" in lines
    assert summary.count("\nsession ") == 1
    assert "problem: RuntimeError: no lamp" in summary
    assert "\x1b" not in outcome.out


@pytest.mark.realtime
@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_a_file_is_played_to_all(
    duologue: Run, question: Path, tmp_path: Path, transport: str
) -> None:
    """Over both transports; each session writes its own file."""
    outcome = await duologue(
        *("talk", "--local", question, "--sessions", "2", "--json"),
        *("--transport", transport, "--output", "reply.wav"),
    )
    assert outcome.status == 0, outcome.err
    sessions = json.loads(outcome.out)["sessions"]
    for number, session in enumerate(sessions, start=1):
        assert [line["role"] for line in session["transcript"]] == ["user", "assistant"]
        with wave.open(str(tmp_path / f"reply-{number}.wav"), "rb") as file:
            assert file.getnframes() / file.getframerate() > 1.0


async def test_a_failed_session_does_not_end_the_others(
    duologue: Run, started: Start, tmp_path: Path
) -> None:
    """The others continue; at the end one line says how many failed."""
    (tmp_path / "cut.yaml").write_text(
        "faults:\n- {event: response.created, session: 1, cut: 4000}\n"
    )
    service = await started("local", "--faults", "cut.yaml")
    url = (await service.stdout.readline()).decode().strip()
    outcome = await duologue(
        *("talk", "--text", "--base-url", url, "--transport", "websocket"),
        *("--sessions", "2"),
        stdin="/1 hello\n/2 hello\n",
    )
    assert outcome.status == 1
    assert re.fullmatch(
        r"duologue: 1 of 2 sessions failed; session \d: the session ended: "
        r"This close was requested by a fault\. \(4000\)\n",
        outcome.err,
    ), outcome.err
    summary = outcome.out.partition("\nsession ")[2]
    assert summary.count("Hello there. It is good to hear you.") == 1
    assert summary.count("(failed)") == 1


async def test_the_end_of_the_only_session_ends_the_input(
    duologue: Run, started: Start, tmp_path: Path
) -> None:
    """Although standard input is still open."""
    (tmp_path / "cut.yaml").write_text("faults:\n- {at: 0.3, cut: 4000}\n")
    service = await started("local", "--faults", "cut.yaml")
    url = (await service.stdout.readline()).decode().strip()
    talk = await started(
        "talk", "--text", "--base-url", url, "--transport", "websocket"
    )
    async with asyncio.timeout(20):
        assert await talk.wait() == 1
    assert b"duologue: the session ended: This close" in await talk.stderr.read()


@pytest.mark.parametrize(
    "args",
    [
        ("--text", "--sessions", "0"),
        ("--text", "--sessions", "101"),
        ("--text", "--transport", "tcp"),
        ("--mic", "--sessions", "2"),
        ("reply-2.wav", "--sessions", "2", "--output", "reply.wav"),
        ("--text", "--sessions", "2", "--output", "x", "--record", "x"),
    ],
)
async def test_wrong_usage_is_status_2(duologue: Run, args: tuple[str, ...]) -> None:
    """Invalid options are rejected before a session starts."""
    outcome = await duologue("talk", "--local", *args)
    assert outcome.status == 2, outcome
    assert "Usage: " in outcome.err
    assert "Traceback" not in outcome.err


async def test_invalid_tools_are_rejected(duologue: Run, tmp_path: Path) -> None:
    """In one line without control characters, before a session starts."""
    (tmp_path / "mine.py").write_text("raise ValueError('no\\x1b[2J\\nway')")
    outcome = await duologue(*TYPED, "--tools", "mine:tools")
    assert (outcome.status, outcome.out, outcome.err) == (
        1,
        "",
        "duologue: --tools mine:tools: cannot be imported: ValueError: no way\n",
    )


async def test_json_is_complete_and_escaped(duologue: Run) -> None:
    """C1 and Bidi_Control characters are escaped, so the values do not change."""
    evil = "a\x1b[31m\x9b2J\u202eb\x7f\u2028c\U0001f600ä"
    item = {
        "type": "message",
        "role": "assistant",
        "id": "a",
        "status": "completed",
        "content": [{"type": "output_text", "text": evil}],
    }
    event = {"type": "conversation.item.done", "event_id": "1", "item": item}
    outcome = await duologue(
        "replay", "-", "--json", stdin=json.dumps({"dir": "in", "event": event})
    )
    assert outcome.status == 0, outcome.err
    (session,) = json.loads(outcome.out)["sessions"]
    assert said(session) == [("assistant", evil)]
    assert not set(outcome.out) & set("\x1b\x9b\u202e\x7f\u2028")
    assert "\U0001f600ä" in outcome.out


async def test_an_error_of_the_service_cannot_control_the_terminal(
    duologue: Run, answering: Serve
) -> None:
    body = json.dumps({"error": {"message": "no \x1b[31m\x9b2Jentry\u202e"}}).encode()
    url = await answering(
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
    )
    outcome = await duologue("talk", "--text", "--base-url", url)
    assert outcome.status == 1
    assert "the service refused the key (403): no " in outcome.err
    assert not set(outcome.err) & set("\x1b\x9b\u202e")


async def test_a_session_without_a_reply_does_not_end_the_others(
    duologue: Run, serving_here: Callable[..., str]
) -> None:
    """It fails with one line."""
    replies = tuple(name for name in RealtimeEventType if name.startswith("response."))
    silent = Fault(does=Drop(), events=replies, sessions=frozenset({1}))
    outcome = await duologue(
        *("talk", "--text", "--transport", "websocket", "--sessions", "2", "--json"),
        *("--base-url", serving_here(faults=Faults((silent,)))),
        *("--timeout", "8"),
        stdin="/1 hello\n/2 hello\n/1 thank you\n/2 thank you\n",
    )

    talks = sorted(map(said, json.loads(outcome.out)["sessions"]), key=len)
    assert "no reply began in 8 s" in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.status == 1
    assert [role for role, _ in talks[1]] == ["user", "assistant"] * 2
    assert [text for role, text in talks[0] if role == "user"] == ["hello"]
