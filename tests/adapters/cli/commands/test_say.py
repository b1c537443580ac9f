"""``duologue say``: complete and failed turns."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from duologue.core import fold, select_transcripts
from duologue.local import Faults, Parts, load_scenario
from duologue.local.faults.injector import Cut, Drop, Errors, Fault
from duologue.transports import read_log_file

Command = Callable[..., Any]
Serve = Callable[..., str]

HELLO = "Hello there. It is good to hear you."


SCRIPTED = "duologue say: the reply is scripted, not a language model\n"


def one_line(outcome: Any, *parts: str) -> None:
    """Check that it failed with one line that has these parts."""
    err = outcome.err.removeprefix(SCRIPTED)
    assert (outcome.status, err.count("\n")) == (1, 1), outcome
    assert err.startswith("duologue: ")
    for part in parts:
        assert part in err


def test_text_in_text_out(command: Command) -> None:
    """Only the reply is on standard output, the note is on standard error."""
    outcome = command("say", "hello", "--local", "--text-only")
    assert outcome.status == 0, outcome.err
    assert outcome.out == f"{HELLO}\n"
    assert outcome.err == SCRIPTED


@pytest.mark.realtime
@pytest.mark.parametrize("transport", ["websocket", "webrtc"])
def test_the_audio_of_the_reply(
    command: Command, tmp_path: Path, transport: str
) -> None:
    """``--output`` writes all of it over both transports, ``--record`` the log."""
    outcome = command(
        *("say", "hello", "--local", "--transport", transport),
        *("--output", "reply.wav", "--record", "log.jsonl"),
    )
    assert outcome.status == 0, outcome.err
    assert outcome.out == f"{HELLO}\n"
    with wave.open(str(tmp_path / "reply.wav"), "rb") as file:
        seconds = file.getnframes() / file.getframerate()
    assert 1.5 < seconds < 4.0
    state = fold(read_log_file(tmp_path / "log.jsonl"))
    [session] = state.sessions.values()
    assert session.connection.status == "closed"
    assert [line.text for line in select_transcripts(session)] == ["hello", HELLO]


def test_the_json_object(command: Command, tmp_path: Path) -> None:
    """``--json``: ids, text, status, latencies, usage, cost and problems."""
    outcome = command(
        *("say", "hello", "--local", "--text-only", "--json"),
        *("--model", "gpt-realtime-2.1", "--record", "log.jsonl"),
    )
    assert (outcome.status, outcome.err) == (0, "")
    said = json.loads(outcome.out)
    [session] = fold(read_log_file(tmp_path / "log.jsonl")).sessions.values()
    user, reply = select_transcripts(session)
    assert said.pop("connect_ms") > 0
    assert said.pop("reply_ms") >= said.pop("first_text_ms") >= 0
    assert said.pop("usage")["total"] > 0
    assert said.pop("cost")["usd"] > 0
    assert said == {
        "status": "completed",
        "failure": None,
        "text": HELLO,
        "item_id": reply.item_id,
        "user_item_id": user.item_id,
        "response_id": next(iter(session.responses.order)),
        "model": "gpt-realtime-2.1",
        "note": "scripted, not a language model",
        "first_audio_ms": None,
        "problems": [],
    }


def test_the_configuration_of_the_session(command: Command, tmp_path: Path) -> None:
    """It has model, voice, instructions and modality, and no turn detection."""
    command(
        *("say", "hello", "--local", "--text-only", "--record", "log.jsonl"),
        *("--model", "m", "--voice", "marin", "--instructions", "Be kind."),
    )
    wishes = [
        json.loads(record.frame)["event"]
        for record in read_log_file(tmp_path / "log.jsonl")
        if record.event.type == "duologue.requested"
    ]
    assert wishes[0]["session"] == {
        "type": "realtime",
        "model": "m",
        "output_modalities": ["text"],
        "instructions": "Be kind.",
        "audio": {
            "input": {"turn_detection": None, "transcription": None},
            "output": {"voice": "marin"},
        },
        "tools": [],
    }


def test_the_text_from_standard_input(command: Command) -> None:
    """``-`` reads all of it, as UTF-8 in every locale."""
    outcome = command("say", "-", "--local", "--text-only", stdin="say grüß gott\n")
    assert (outcome.status, outcome.out) == (0, "Grüß gott\n"), outcome


def test_a_reply_cannot_control_the_terminal(
    command: Command, serving_here: Serve, tmp_path: Path
) -> None:
    """Escape sequences are removed, line breaks are kept."""
    scenario = tmp_path / "evil.yaml"
    scenario.write_text(
        'rules:\n  - say: "\\e[31mred\\e]0;title\\a\\nnext\\u202e line"\n'
    )
    url = serving_here(parts=Parts(mind=load_scenario(scenario)))
    outcome = command("say", "x", "--base-url", url, "--text-only")
    assert (outcome.status, outcome.out) == (0, "red\nnext line\n"), outcome


# Failed turns.


def with_fault(does: Any, *events: str) -> dict[str, Any]:
    return {"parts": Parts(), "faults": Faults((Fault(does=does, events=events),))}


def test_an_incomplete_reply(command: Command, serving_here: Serve) -> None:
    """The received text is printed, the reason is one line; status 1."""
    url = serving_here(**with_fault(Cut(1011), "response.output_text.done"))
    outcome = command("say", "hello", "--base-url", url, "--text-only")
    one_line(outcome, "This close was requested by a fault. (1011)")
    assert outcome.out == f"{HELLO}\n"
    printed = command("say", "hello", "--base-url", url, "--text-only", "--json")
    assert printed.status == 1
    said = json.loads(printed.out)
    assert said["status"] == "incomplete"
    assert said["failure"] == "This close was requested by a fault. (1011)"
    assert said["text"] == HELLO


def test_the_first_and_the_last_problem(command: Command, serving_here: Serve) -> None:
    """Both are reported, the problems between them are not."""
    odd = [
        Fault(does=Errors(1, message=f"Odd {n}."), events=(event,))
        for n, event in enumerate(
            (
                "response.created",
                "response.output_item.added",
                "response.output_text.delta",
            )
        )
    ]
    cut = Fault(does=Cut(1011), events=("response.output_text.done",))
    url = serving_here(parts=Parts(), faults=Faults((*odd, cut)))
    outcome = command("say", "hello", "--base-url", url, "--text-only")
    one_line(outcome, "duologue: Odd 0.; This close was requested by a fault. (1011)")


def test_a_reply_that_does_not_end(command: Command, serving_here: Serve) -> None:
    """``--timeout`` limits the wait."""
    url = serving_here(**with_fault(Drop(), "response.done"))
    outcome = command(
        "say", "hello", "--base-url", url, "--text-only", "--timeout", "2"
    )
    one_line(outcome, "the reply was not over after 2 s")
    assert outcome.out == f"{HELLO}\n"


def test_an_error_with_a_complete_reply(command: Command, serving_here: Serve) -> None:
    """The turn succeeds; the error is among the problems."""
    fault = with_fault(Errors(1, message="Odd."), "response.created")
    url = serving_here(**fault)
    outcome = command("say", "hello", "--base-url", url, "--text-only", "--json")
    assert outcome.status == 0, outcome.err
    said = json.loads(outcome.out)
    assert [problem["message"] for problem in said["problems"]] == ["Odd."]
    assert (said["status"], said["text"]) == ("completed", HELLO)


def test_a_failed_response(command: Command, serving_here: Serve) -> None:
    """A spoken reply fails without a synthesiser; the service's reason is printed."""
    url = serving_here(parts=Parts())
    outcome = command("say", "hello", "--base-url", url)
    one_line(outcome, "voice")
    printed = command("say", "hello", "--base-url", url, "--json")
    assert (printed.status, json.loads(printed.out)["status"]) == (1, "failed")


@pytest.mark.parametrize("transport", ["websocket", "webrtc"])
def test_a_refused_key(command: Command, serving_here: Serve, transport: str) -> None:
    """One line names the refusal without the key; the JSON status is failed."""
    url = serving_here(parts=Parts(), key="sk-right")
    for json_too in ((), ("--json",)):
        outcome = command(
            *("say", "hello", "--base-url", url, "--transport", transport),
            *json_too,
            env={"OPENAI_API_KEY": "sk-very-secret"},
        )
        assert (outcome.status, outcome.err.count("\n")) == (1, 1), outcome
        assert "very-secret" not in outcome.out + outcome.err
    assert json.loads(outcome.out)["status"] == "failed"


def test_an_unreachable_service(command: Command, tmp_path: Path) -> None:
    """Its address is named, and existing files do not change."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("reply.wav", "log.jsonl"):
        (tmp_path / name).write_text("precious")
    outcome = command(
        *("say", "hello", "--base-url", f"http://127.0.0.1:{port}/v1"),
        *("--output", "reply.wav", "--record", "log.jsonl"),
    )
    one_line(outcome, f"127.0.0.1:{port}")
    for name in ("reply.wav", "log.jsonl"):
        assert (tmp_path / name).read_text() == "precious"


def test_without_a_key_the_error_has_advice(command: Command) -> None:
    """No request is sent: the network guard would fail the test."""
    one_line(command("say", "hello"), "OPENAI_API_KEY", "--local")


async def test_an_interruption_is_clean(
    started: Callable[..., Awaitable[Any]], serving_here: Serve, tmp_path: Path
) -> None:
    """Ctrl-C ends it with 130 and no traceback; the log is complete."""
    url = serving_here(**with_fault(Drop(), "response.done"))
    log = tmp_path / "log.jsonl"
    process = await started(
        "say", "hello", "--base-url", url, "--text-only", "--record", log
    )
    async with asyncio.timeout(20):
        while not log.exists() or b"output_item.done" not in log.read_bytes():
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")
    [session] = fold(read_log_file(log)).sessions.values()
    assert session.connection.status == "closed"


@pytest.mark.parametrize("option", ["--output", "--record"])
def test_a_file_that_cannot_be_written(command: Command, option: str) -> None:
    """The error comes before the session starts."""
    outcome = command("say", "hello", "--local", option, "no/where.x")
    one_line(outcome, "no/where.x", "No such file or directory")


@pytest.mark.parametrize(
    ("missing", "transport"), [("websockets", "websocket"), ("aiortc", "webrtc")]
)
def test_a_missing_extra_is_named(missing: str, transport: str) -> None:
    """It is the extra of the requested transport."""
    args = ["duologue", "say", "x", "--transport", transport]
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = {args!r}; "
        "from duologue.adapters.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert f"pip install 'duologue[{transport}]'" in done.stderr


@pytest.mark.parametrize(
    ("args", "stdin", "why"),
    [
        (("say",), b"", "Missing argument"),
        (("say", ""), b"", "the text is empty"),
        (("say", " \n"), b"", "the text is empty"),
        (("say", "-"), b"", "the text is empty"),
        (("say", "-"), b"\xff\xfe", "the text is not UTF-8"),
        (("say", "bad \udcff byte"), b"", "the text is not UTF-8"),
        (("say", "x", "--transport", "udp"), b"", "webrtc or websocket"),
        (("say", "x", "--text-only", "--output", "r.wav"), b"", "--output needs audio"),
        (("say", "x", "--output", "a", "--record", "./a"), b"", "the same file"),
        (("say", "x", "--base-url", "127.0.0.1/v1"), b"", "http://"),
        (
            ("say", "x", "--local", "--base-url", "http://127.0.0.1/v1"),
            b"",
            "exclude each other",
        ),
        (("say", "x", "--timeout", "0"), b"", "Invalid value for '--timeout'"),
    ],
)
def test_bad_input_is_status_2(
    command: Command, args: tuple[str, ...], stdin: bytes, why: str
) -> None:
    """It is rejected before a session starts."""
    outcome = command(*args, stdin=stdin)
    assert (outcome.status, outcome.out) == (2, "")
    assert why in " ".join(outcome.err.replace("│", " ").split())
