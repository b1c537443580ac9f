"""The command line from outside: output, exit status, files."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from duologue.core import __version__, dump, fold
from duologue.transports import read_log_file

if TYPE_CHECKING:
    from tests.conftest import FrameGuard

Run = Callable[..., Awaitable[Any]]
Serve = Callable[[bytes], Awaitable[str]]
Start = Callable[..., Awaitable[Any]]

HTML = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 26\r\n"
    b"Connection: close\r\n\r\n<html>It works!</html>\r\n\r\n"
)
REFUSED = (
    b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n"
    b"Content-Length: 57\r\nConnection: close\r\n\r\n"
    b'{"error": {"message": "Incorrect API key", "type": "x"}}\n'
)


def one_line(outcome: Any, *parts: str) -> None:
    """Check that it failed with one line that has these parts and no traceback."""
    assert (outcome.status, outcome.err.count("\n")) == (1, 1), outcome
    assert outcome.err.startswith("duologue: ")
    for part in parts:
        assert part in outcome.err


@pytest.mark.realtime
async def test_a_spoken_turn(duologue: Run, question: Path, tmp_path: Path) -> None:
    """``talk WAV`` prints the transcript and a summary, and writes files."""
    outcome = await duologue(
        *("talk", "--local", question),
        *("--output", "reply.wav", "--record", "session.jsonl"),
    )
    assert outcome.status == 0, outcome.err
    live, _, summary = outcome.out.partition("\nsession ")
    scripted = "assistant (scripted, not a language model): Yes, I can hear you well."
    assert "you: can you hear me" in live
    assert scripted in live
    assert summary.index("you: can you hear me") < summary.index(scripted)
    assert re.search(r"turn 1: \d+ ms from the end of speech", summary)
    assert re.search(r"connected in \d+ ms", summary)
    with wave.open(str(tmp_path / "reply.wav"), "rb") as file:
        seconds = file.getnframes() / file.getframerate()
    assert 1.0 < seconds < 3.0
    lines = (tmp_path / "session.jsonl").read_bytes().count(b"\n")
    assert lines > 20


@pytest.mark.realtime
async def test_live_and_replayed_state_print_the_same(
    duologue: Run, question: Path, tmp_path: Path, frame_guard: FrameGuard
) -> None:
    """``replay --json`` prints the same session as ``talk --json`` did.

    The service ran in the command's process: its events are read from the log.
    """
    talked = await duologue(
        "talk", "--local", question, "--json", "--record", "session.jsonl"
    )
    replayed = await duologue("replay", "session.jsonl", "--json")
    live, folded = json.loads(talked.out), json.loads(replayed.out)
    assert live.pop("connect_ms") > 0
    assert folded.pop("unchecked") == 0
    assert folded == live
    (session,) = live["sessions"]
    assert session["status"] == "closed"
    assert [line["role"] for line in session["transcript"]] == ["user", "assistant"]
    assert session["turns"][0]["first_audio_ms"] > 0
    records = list(read_log_file(tmp_path / "session.jsonl"))
    dump(fold(records))
    for record in records:
        if record.dir == "in":
            frame_guard.check(record.frame.decode())


@pytest.mark.realtime
async def test_typed_lines_are_turns(duologue: Run) -> None:
    """``talk --text`` answers each line of standard input, then ends."""
    outcome = await duologue(
        "talk", "--text", "--local", "--json", stdin="hello\n\nthank you\n"
    )
    assert outcome.status == 0, outcome.err
    (session,) = json.loads(outcome.out)["sessions"]
    assert [(line["role"], line["text"]) for line in session["transcript"]] == [
        ("user", "hello"),
        ("assistant", "Hello there. It is good to hear you."),
        ("user", "thank you"),
        ("assistant", "You are welcome."),
    ]


@pytest.mark.realtime
async def test_an_interruption_is_clean(
    started: Start, duologue: Run, question: Path, tmp_path: Path
) -> None:
    """Ctrl-C ends ``talk`` with 130 and no traceback; the log is complete."""
    process = await started(
        "talk", "--local", question, "--record", tmp_path / "session.jsonl"
    )
    while b"speech detected" not in (line := await process.stdout.readline()):
        assert line, "the output ended"
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        out, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")
    assert b"\nsession " in out
    replayed = await duologue("replay", "session.jsonl", "--json")
    (session,) = json.loads(replayed.out)["sessions"]
    assert session["status"] == "closed"
    assert [line["role"] for line in session["transcript"]] == ["user"]


@pytest.mark.realtime
async def test_sigterm_is_clean(
    started: Start, duologue: Run, question: Path, tmp_path: Path
) -> None:
    """SIGTERM ends ``talk`` as Ctrl-C does, with the status of the signal."""
    process = await started(
        "talk", "--local", question, "--record", tmp_path / "session.jsonl"
    )
    while b"speech detected" not in (line := await process.stdout.readline()):
        assert line, "the output ended"
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        _, err = await process.communicate()
    assert (process.returncode, err) == (143, b"")
    replayed = await duologue("replay", "session.jsonl", "--json")
    assert json.loads(replayed.out)["sessions"][0]["status"] == "closed"


@pytest.mark.realtime
@pytest.mark.parametrize("option", ["--record", "--output"])
async def test_a_full_disk_is_reported(
    duologue: Run, question: Path, tmp_path: Path, option: str
) -> None:
    """The conversation continues; then one line names the incomplete file."""
    outcome = await duologue("talk", "--local", question, option, "/dev/full")
    one_line(outcome, "/dev/full", "No space left on device")
    assert "Yes, I can hear you well." in outcome.out
    assert "wrote" not in outcome.out


@pytest.mark.realtime
async def test_invalid_utf8_is_replaced(duologue: Run) -> None:
    """The rest of the input is read."""
    outcome = await duologue(
        *("talk", "--text", "--local", "--json"),
        stdin=b"hello \xff\n",
        env={"PYTHONIOENCODING": "ascii:strict"},
    )
    assert outcome.status == 0, outcome.err
    (session,) = json.loads(outcome.out)["sessions"]
    assert session["transcript"][0]["text"] == "hello \ufffd"


async def test_a_failed_attempt_leaves_old_files(
    duologue: Run, question: Path, tmp_path: Path
) -> None:
    """Without a connection the files of ``--record`` and ``--output`` do not change."""
    for name in ("reply.wav", "session.jsonl"):
        (tmp_path / name).write_text("precious")
    outcome = await duologue(
        *("talk", question, "--base-url", "http://127.0.0.1:1/v1"),
        *("--output", "reply.wav", "--record", "session.jsonl"),
    )
    one_line(outcome, "127.0.0.1:1")
    assert "wrote" not in outcome.out
    for name in ("reply.wav", "session.jsonl"):
        assert (tmp_path / name).read_text() == "precious"


async def test_a_full_standard_output(tmp_path: Path, started: Start) -> None:
    """The error is one line; status 1."""
    write_log(tmp_path / "session.jsonl")
    with open("/dev/full", "wb") as full:
        process = await started("replay", "session.jsonl", stdout=full)
        _, err = await process.communicate()
    assert process.returncode == 1
    assert err == b"duologue: standard output: No space left on device\n"


async def test_the_version(duologue: Run) -> None:
    """``--version`` prints the version of the distribution."""
    assert (await duologue("--version")).out == f"duologue {__version__}\n"


async def test_without_a_key_the_error_has_advice(
    duologue: Run, question: Path
) -> None:
    """It names the variable and ``--local``."""
    one_line(await duologue("talk", question), "OPENAI_API_KEY", "--local")


@pytest.mark.parametrize(
    ("missing", "args", "extra"),
    [
        ("aiortc", ("talk", "--text", "--local"), "local"),
        ("uvicorn", ("talk", "--text", "--local"), "local"),
        ("aiortc", ("local",), "local"),
        ("aiortc", ("talk", "--text"), "webrtc"),
    ],
)
def test_a_missing_extra_is_named(
    missing: str, args: tuple[str, ...], extra: str
) -> None:
    """It is the extra that brings all libraries of the command."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv[1:] = {[*args]!r}; "
        "from duologue.adapters.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert f"pip install 'duologue[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("talk",),
        ("talk", "x.wav", "--text"),
        ("talk", "--text", "--local", "--base-url", "http://127.0.0.1/v1"),
        ("talk", "--text", "--base-url", "127.0.0.1:8000/v1"),
        ("talk", "--text", "--base-url", ""),
        ("talk", "--text", "--base-url", "http://[::1/v1"),
        ("talk", "--text", "--base-url", "http://127.0.0.1:99999/v1"),
        ("talk", "x.wav", "--local", "--output", "./x.wav"),
        ("talk", "--text", "--local", "--output", "x", "--record", "x"),
        ("talk", "x.wav", "--silence-ms", "soon"),
        ("replay",),
        ("local", "--port", "99999"),
        ("sing",),
    ],
)
async def test_wrong_usage_is_status_2(duologue: Run, args: tuple[str, ...]) -> None:
    """Invalid options are rejected before a session starts."""
    outcome = await duologue(*args)
    assert outcome.status == 2
    assert "Usage: " in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", ""),
        (b"ID3\x04 this is an mp3", ""),
    ],
)
async def test_an_invalid_wav(
    duologue: Run, tmp_path: Path, content: bytes | None, why: str
) -> None:
    """The error names the file and the reason."""
    path = tmp_path / "bad.wav"
    if content is not None:
        path.write_bytes(content)
    one_line(await duologue("talk", path, "--local"), "bad.wav", why)


async def test_an_unreachable_service(duologue: Run, question: Path) -> None:
    """The error names the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    one_line(await duologue("talk", question, "--base-url", url), f"127.0.0.1:{port}")


async def test_a_refused_key(duologue: Run, question: Path, answering: Serve) -> None:
    """The error names the status and the service's reason, never the key."""
    url = await answering(REFUSED)
    outcome = await duologue(
        *("talk", question, "--base-url", url),
        env={"OPENAI_API_KEY": "sk-very-secret"},
    )
    one_line(outcome, "401", "Incorrect API key")
    assert "very-secret" not in outcome.out + outcome.err


async def test_an_html_page_as_the_answer(
    duologue: Run, question: Path, answering: Serve
) -> None:
    """The error says that it is HTML."""
    url = await answering(HTML)
    one_line(await duologue("talk", question, "--base-url", url), "html")


@pytest.mark.realtime
async def test_a_channel_that_never_opens(
    duologue: Run, question: Path, answering: Serve, dead_answer: str
) -> None:
    """After a valid SDP answer the timeout names the data channel."""
    body = dead_answer.encode()
    url = await answering(
        b"HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
    )
    outcome = await duologue(
        "talk", question, "--base-url", url, "--timeout", "2", "--record", "log.jsonl"
    )
    one_line(outcome, "the data channel did not open within 2 s")


async def test_a_port_in_use(duologue: Run) -> None:
    """The error of ``local`` names the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = await duologue("local", "--port", str(port))
    one_line(outcome, f"127.0.0.1:{port}")


async def test_an_output_that_cannot_be_written(duologue: Run, question: Path) -> None:
    """A missing folder is an error before the session starts."""
    for option in ("--output", "--record"):
        outcome = await duologue("talk", question, "--local", option, "no/where.x")
        one_line(outcome, "no/where.x", "No such file or directory")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_local_prints_its_url_and_ends_cleanly(
    started: Start, number: int
) -> None:
    """Only the base URL is on standard output; a signal ends it with status 0."""
    process = await started("local")
    async with asyncio.timeout(20):
        first = await process.stdout.readline()
        assert re.fullmatch(rb"http://127\.0\.0\.1:\d+/v1\n", first)
        assert b"scripted, not a language model" in await process.stderr.readline()
        process.send_signal(number)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"", b"")


def write_log(path: Path) -> bytes:
    """A small log of one typed turn."""
    from duologue.core import Store, to_line

    store, lines = Store(), []
    for number, frame in enumerate(
        (
            '{"type":"session.created","event_id":"1","session":{"type":"realtime"}}',
            '{"type":"conversation.item.added","event_id":"2","previous_item_id":null,'
            '"item":{"type":"message","role":"user","id":"a","status":"completed",'
            '"content":[{"type":"input_text","text":"first words"}]}}',
            '{"type":"conversation.item.added","event_id":"3","previous_item_id":"a",'
            '"item":{"type":"message","role":"user","id":"b","status":"completed",'
            '"content":[{"type":"input_text","text":"last words"}]}}',
        )
    ):
        lines.append(to_line(store.feed("me", frame, at=float(number))))
    content = b"".join(lines)
    path.write_bytes(content)
    return content


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda log: log[:-40], "cut off"),
        (lambda log: log[:-80] + bytes([log[-80] ^ 1]) + log[-79:], "checksum"),
    ],
)
async def test_a_damaged_log_is_read_up_to_the_damage(
    duologue: Run, tmp_path: Path, spoil: Callable[[bytes], bytes], why: str
) -> None:
    """Then one line names the file and the line."""
    path = tmp_path / "session.jsonl"
    path.write_bytes(spoil(write_log(path)))
    outcome = await duologue("replay", path, "--json")
    one_line(outcome, "session.jsonl", "line 3", why)
    (session,) = json.loads(outcome.out)["sessions"]
    assert [line["text"] for line in session["transcript"]] == ["first words"]


async def test_an_empty_log(duologue: Run, tmp_path: Path) -> None:
    """A file without records is an error."""
    (tmp_path / "empty.jsonl").write_bytes(b"\n")
    one_line(await duologue("replay", "empty.jsonl"), "empty.jsonl: holds no records")


async def test_a_missing_log(duologue: Run) -> None:
    """The error names the file."""
    one_line(await duologue("replay", "none.jsonl"), "none.jsonl", "No such file")


async def test_a_log_is_read_from_standard_input(duologue: Run, tmp_path: Path) -> None:
    """``-`` in place of a file, for pipes."""
    log = write_log(tmp_path / "session.jsonl")
    named = await duologue("replay", "session.jsonl", "--json")
    piped = await duologue("replay", "-", "--json", stdin=log)
    assert (piped.status, piped.out) == (0, named.out)
    spoiled = await duologue("replay", "-", stdin=log[:-40])
    one_line(spoiled, "standard input: line 3", "cut off")
    one_line(await duologue("replay", "-"), "standard input: holds no records")


async def test_ignored_events_are_counted(duologue: Run) -> None:
    """The summary counts malformed, unknown and duplicate events."""
    events = [
        '{"type":7}',
        '{"type":"new"}',
        "[]",
        '{"type":"session.closed","event_id":"a"}',
    ]
    log = "".join(f'{{"dir":"in","event":{event}}}\n' for event in [*events, events[3]])
    outcome = await duologue("replay", "-", stdin=log)
    assert outcome.status == 0, outcome.err
    assert (
        "  of 5 events: 2 malformed, 1 of an unknown type, 1 duplicate\n" in outcome.out
    ), outcome.out


async def test_the_summary_has_usage_and_pending_calls(duologue: Run) -> None:
    """Tokens, cost, calls without output, and the codes of problems."""
    call = {"type": "function_call", "id": "i", "call_id": "c1", "name": "look[b]"}
    call |= {"arguments": "{}", "status": "completed"}
    usage = {
        "total_tokens": 30,
        "input_tokens": 10,
        "output_tokens": 20,
        "input_token_details": {"text_tokens": 10},
        "output_token_details": {"audio_tokens": 20},
    }
    response = {"id": "r", "status": "completed", "output": [call], "usage": usage}
    error = {"type": "invalid_request_error", "code": "bad_id", "message": "No item."}
    session = {"type": "realtime", "model": "gpt-realtime"}
    events: list[Any] = [
        {"type": "session.created", "event_id": "1", "session": session},
        {"type": "response.done", "event_id": "2", "response": response},
        {"type": "error", "event_id": "3", "error": error},
    ]
    log = "".join(json.dumps({"dir": "in", "event": event}) + "\n" for event in events)
    outcome = await duologue("replay", "-", stdin=log)
    assert outcome.status == 0, outcome.err
    assert outcome.out.splitlines()[2:] == [
        "  call without output: look[b] (c1)",
        "  problem: No item. (bad_id)",
        "  30 tokens, 0.0013 USD by gpt-realtime",
        "",
        "3 records without a checksum",
    ], outcome.out
    shown = json.loads((await duologue("replay", "-", "--json", stdin=log)).out)
    (session,) = shown["sessions"]
    assert (session["cost"]["usd"], shown["unchecked"]) == (0.00132, 3)


async def test_model_text_cannot_control_the_terminal(
    duologue: Run, tmp_path: Path
) -> None:
    """Escape sequences and Bidi_Control characters are removed."""
    path = tmp_path / "evil.jsonl"
    item = {
        "type": "message",
        "role": "assistant",
        "id": "a",
        "status": "completed",
        "content": [{"type": "output_text", "text": "a\x1b[31mb\u202ec[bold]d"}],
    }
    event = {"type": "conversation.item.done", "event_id": "1", "item": item}
    path.write_text(json.dumps({"dir": "in", "event": event}) + "\n")
    outcome = await duologue("replay", path)
    assert "assistant: abc[bold]d\n" in outcome.out
