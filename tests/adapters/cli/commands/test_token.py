"""``duologue token``: an ephemeral key, without showing the API key."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from duologue.local import Parts
from duologue.transports import read_log_file

Command = Callable[..., Any]
Serve = Callable[..., str]

KEY = {"OPENAI_API_KEY": "sk-very-secret"}


def one_line(outcome: Any, *parts: str) -> None:
    """Check that it failed with one line that has these parts and no key."""
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert outcome.err.startswith("duologue: ")
    assert "very-secret" not in outcome.err
    for part in parts:
        assert part in outcome.err


def test_only_the_key_is_printed_and_it_starts_a_session(
    command: Command, serving_here: Serve
) -> None:
    url = serving_here(parts=Parts(), key="sk-very-secret")
    minted = command("token", "--base-url", url, env=KEY)
    assert (minted.status, minted.err) == (0, "")
    key, rest = minted.out.split("\n")
    assert key.startswith("ek_")
    assert rest == ""
    said = command(
        *("say", "hello", "--base-url", url, "--text-only"),
        env={"OPENAI_API_KEY": key},
    )
    assert (said.status, said.out) == (0, "Hello there. It is good to hear you.\n")


def test_the_json_object(command: Command, serving_here: Serve) -> None:
    """``--json`` has the key, its lifetime, its service and its model."""
    url = serving_here(parts=Parts())
    outcome = command(
        *("token", "--base-url", url, "--json"),
        *("--expires-after", "60", "--model", "m"),
        env=KEY,
    )
    assert (outcome.status, outcome.err) == (0, "")
    printed = json.loads(outcome.out)
    assert printed.pop("value").startswith("ek_")
    assert printed == {"expires_after": 60, "base_url": url, "model": "m"}
    assert "very-secret" not in outcome.out


def test_the_key_carries_the_configuration(
    command: Command, serving_here: Serve, tmp_path: Path
) -> None:
    """A session that starts with the key has it."""
    url = serving_here(parts=Parts())
    minted = command("token", "--base-url", url, "--instructions", "Be kind.", env=KEY)
    command(
        *("say", "hello", "--base-url", url, "--text-only", "--record", "log.jsonl"),
        env={"OPENAI_API_KEY": minted.out.strip()},
    )
    first = next(r for r in read_log_file(tmp_path / "log.jsonl") if r.dir == "in")
    assert first.event.type == "session.created"
    assert json.loads(first.frame)["session"]["instructions"] == "Be kind."


def test_a_service_on_this_machine_needs_no_key(
    command: Command, serving_here: Serve
) -> None:
    url = serving_here(parts=Parts())
    for args, env in (
        (("--base-url", url), {}),
        ((), {"OPENAI_BASE_URL": url}),
    ):
        outcome = command("token", *args, env=env)
        assert (outcome.status, outcome.out[:3]) == (0, "ek_"), outcome


def test_no_key(command: Command) -> None:
    """No request is sent: the network guard would fail the test."""
    one_line(command("token"), "OPENAI_API_KEY is not set")


def test_an_ephemeral_key_cannot_create_one(command: Command) -> None:
    outcome = command("token", env={"OPENAI_API_KEY": "ek_very-secret"})
    one_line(outcome, "OPENAI_API_KEY holds an ephemeral key")


def test_a_refused_key(command: Command, serving_here: Serve) -> None:
    url = serving_here(parts=Parts(), key="sk-right")
    outcome = command("token", "--base-url", url, env=KEY)
    one_line(outcome, "the service refused the key (401)")


def test_a_key_with_invalid_characters(command: Command, serving_here: Serve) -> None:
    url = serving_here(parts=Parts())
    env = {"OPENAI_API_KEY": "sk-very-secret\nX-Evil: 1"}
    outcome = command("token", "--base-url", url, env=env)
    one_line(outcome, "the key has characters that are invalid in a header")


async def test_a_service_that_repeats_the_key(
    duologue: Callable[..., Awaitable[Any]],
    answering: Callable[[bytes], Awaitable[str]],
) -> None:
    """An API key in the answer, as key or in an error, is not printed."""
    for status, body in (
        ("200 OK", b'{"value": "sk-very-secret"}'),
        ("401 No", b'{"error": {"message": "Wrong key: sk-very-secret"}}'),
        ("404 No", b"<p>sk-very-secret</p>"),
    ):
        url = await answering(
            b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (status.encode(), len(body), body)
        )
        outcome = await duologue("token", "--base-url", url, "--json", env=KEY)
        one_line(outcome)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--expires-after", "9"), "Invalid value for '--expires-after'"),
        (("--expires-after", "7201"), "Invalid value for '--expires-after'"),
        (("--expires-after", "soon"), "Invalid value for '--expires-after'"),
        (("--base-url", "127.0.0.1/v1"), "http://"),
        (("now",), "unexpected extra argument"),
    ],
)
def test_wrong_usage(command: Command, args: tuple[str, ...], why: str) -> None:
    outcome = command("token", *args, env=KEY)
    assert (outcome.status, outcome.out) == (2, "")
    assert why in " ".join(outcome.err.replace("│", " ").split())
