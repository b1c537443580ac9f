"""``duologue doctor``: each line says how it is and what to do, and shows no key."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from duologue.adapters.audio import DeviceError
from duologue.adapters.cli.doctor import service_checks as doctor_service
from duologue.core import fold
from duologue.local import Faults, Parts
from duologue.local.faults.injector import Cut, Drop, Fault
from duologue.local.interfaces import SynthesiserError
from duologue.transports import read_log_file

Command = Callable[..., Any]
Serve = Callable[..., str]

SECRET = {"OPENAI_API_KEY": "sk-very-secret"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the turns with a service of its own, which take their time."""
    monkeypatch.setattr(doctor_service, "_CARRIERS", ())


def checks(outcome: Any) -> dict[str, list[tuple[str, str]]]:
    """Name of a check to how it is and all that it says; from the printed lines."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in outcome.out.splitlines():
        status, rest = line.split(" ", 1)
        assert status in ("ok", "warn", "fail"), line
        name, _, said = rest.lstrip()[:16], "", rest.lstrip()[16:]
        found.setdefault(name.strip(), []).append((status, said))
    return found


@pytest.mark.realtime
def test_what_works(command: Command, serving_here: Serve) -> None:
    """Python, libraries, codec, voice, a turn over each transport, key and service."""
    url = serving_here(parts=Parts(), key="sk-very-secret")
    outcome = command("doctor", "--base-url", url, env=SECRET)
    assert (outcome.status, outcome.err) == (0, ""), outcome.out
    assert "very-secret" not in outcome.out
    found = checks(outcome)
    fine = [name for name, said in found.items() if said[0][0] == "ok"]
    assert set(fine) >= {
        *("python", "duologue", "extra webrtc", "extra websocket", "extra audio"),
        *("extra aec", "extra local", "extra web", "opus", "echo", "voice"),
        *("local websocket", "local webrtc", "service", "key", "model", "reach"),
    }
    assert "aiortc 1." in found["extra webrtc"][0][1]
    assert found["service"][0][1] == f"{url}, from --base-url"
    assert found["key"][0][1] == "in OPENAI_API_KEY"
    assert re.fullmatch(
        r"it answers and takes the key, in \d+ ms", found["reach"][0][1]
    )
    assert re.fullmatch(r"a spoken reply in \d+ ms", found["local webrtc"][0][1])


def test_one_object(command: Command, serving_here: Serve, quick: None) -> None:
    """``--json``: whether all is well, and the same checks as objects."""
    url = serving_here(parts=Parts())
    outcome = command("doctor", "--base-url", url, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    told = json.loads(outcome.out)
    assert told["ok"] is True
    [key] = [check for check in told["checks"] if check["name"] == "key"]
    assert key == {
        "name": "key",
        "status": "ok",
        "found": "none, and none is needed on loopback",
        "advice": None,
    }


# -- the network


def test_without_a_key_nobody_is_asked(command: Command, quick: None) -> None:
    """The guard of the network would fail it; the missing key is no failure."""
    outcome = command("doctor")
    assert outcome.status == 0
    found = checks(outcome)
    assert found["service"] == [("ok", "https://api.openai.com/v1, from the default")]
    assert found["key"] == [
        (
            "warn",
            "OPENAI_API_KEY is not set: export OPENAI_API_KEY=… to talk to the "
            "service; --local needs none",
        )
    ]
    assert found["reach"] == [("ok", "not asked for: --reach asks the service")]


def test_nobody_is_asked_against_the_users_will(command: Command, quick: None) -> None:
    """``--no-reach`` with a key: the guard of the network sees to it."""
    outcome = command("doctor", "--no-reach", env=SECRET)
    assert outcome.status == 0
    assert checks(outcome)["reach"][0][1].startswith("not asked for")


def test_only_the_service_is_asked(
    command: Command, serving_here: Serve, quick: None
) -> None:
    """That of ``OPENAI_BASE_URL``, if no option names another."""
    url = serving_here(parts=Parts())
    outcome = command("doctor", env={**SECRET, "OPENAI_BASE_URL": url})
    assert outcome.status == 0
    assert checks(outcome)["service"] == [("ok", f"{url}, from OPENAI_BASE_URL")]


def test_reach_without_a_key(
    command: Command, serving_here: Serve, quick: None
) -> None:
    """An answer is an answer, though it is a refusal."""
    url = serving_here(parts=Parts(), key="sk-right")
    outcome = command("doctor", "--base-url", url, "--reach")
    assert outcome.status == 0
    assert checks(outcome)["reach"] == [
        ("ok", "it answers (401); there is no key to try")
    ]


@pytest.mark.parametrize(
    ("answers", "status", "said"),
    [
        ({"key": "sk-right"}, "fail", "the service refused the key (401)"),
        ({"fail": (429,)}, "warn", "the service refused (429)"),
        ({"fail": (503,)}, "fail", "the service refused (503)"),
        ({"fail": (404,)}, "warn", "a base URL ends in /v1"),
    ],
)
def test_a_service_that_refuses(
    command: Command,
    serving_here: Serve,
    quick: None,
    answers: dict[str, Any],
    status: str,
    said: str,
) -> None:
    """The line says what it answered and what to do; status 1 where it is useless."""
    url = serving_here(parts=Parts(), **answers)
    outcome = command("doctor", "--base-url", url, env=SECRET)
    [(found, text)] = checks(outcome)["reach"]
    assert (found, outcome.status) == (status, status == "fail")
    assert said in text
    assert "very-secret" not in outcome.out


def test_a_service_that_is_not_there(command: Command, quick: None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outcome = command("doctor", "--base-url", f"http://127.0.0.1:{port}/v1")
    [(status, said)] = checks(outcome)["reach"]
    assert (status, outcome.status) == ("fail", 1)
    assert f"nothing answers at 127.0.0.1:{port}" in said


async def test_no_part_of_a_key_is_shown(
    command: Command,
    answering: Callable[[bytes], Awaitable[str]],
    quick: None,
) -> None:
    """A service repeats a key with its middle left out: its end is a part of it too."""
    body = (
        b'{"error": {"message": "Incorrect API key: sk-very********CRET, not '
        b'ek_AbCd or sk-very-secret."}}'
    )
    url = await answering(
        b"HTTP/1.1 401 No\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
        % (len(body), body)
    )
    outcome = await asyncio.to_thread(
        command, "doctor", "--base-url", url, "--json", env=SECRET
    )
    assert outcome.status == 1
    assert "Incorrect API key: sk-***, not ek_*** or ***." in outcome.out


@pytest.mark.parametrize(
    ("key", "status", "said"),
    [
        ("ek_abc", "warn", "an ephemeral one"),
        ("sk-a b", "fail", "with characters that no key has"),
        ("“sk-a”", "fail", "with characters that no key has"),
        ("", "warn", "is not set"),
        ("  ", "warn", "is not set"),
    ],
)
def test_a_key_that_is_odd(
    command: Command, quick: None, key: str, status: str, said: str
) -> None:
    """What is wrong with it is said without it."""
    outcome = command("doctor", "--no-reach", env={"OPENAI_API_KEY": key})
    [(found, text)] = checks(outcome)["key"]
    assert found == status
    assert said in text
    assert outcome.status == (status == "fail")
    assert not key.strip() or key not in outcome.out


def test_an_ephemeral_key_is_not_tried_out(command: Command, quick: None) -> None:
    """It mints no other, and a session may be what it is good for once."""
    outcome = command("doctor", env={"OPENAI_API_KEY": "ek_abc"})
    assert checks(outcome)["reach"] == [
        ("ok", "not asked: an ephemeral key is for sessions; try --live")
    ]


def test_a_password_in_the_address_is_not_shown(command: Command, quick: None) -> None:
    url = "https://me:hunter2@service.example/v1"
    outcome = command("doctor", env={"OPENAI_BASE_URL": url})
    assert checks(outcome)["service"] == [
        ("ok", "https://***@service.example/v1, from OPENAI_BASE_URL")
    ]


# -- a live turn


@pytest.mark.realtime
@pytest.mark.parametrize("transport", ["websocket", "webrtc"])
def test_a_live_turn_as_expected(
    command: Command, serving_here: Serve, quick: None, tmp_path: Path, transport: str
) -> None:
    """One turn, its time and its text; ``--record`` keeps the log of it."""
    url = serving_here()
    outcome = command(
        *("doctor", "--base-url", url, "--live", "--transport", transport),
        *("--record", "log.jsonl"),
    )
    assert outcome.status == 0, outcome.out
    reply, verdict = checks(outcome)["live"]
    assert re.fullmatch(r"a reply in \d+ ms: Hello in five words\.", reply[1])
    assert verdict == ("ok", "all was as expected")
    [session] = fold(read_log_file(tmp_path / "log.jsonl")).sessions.values()
    assert session.connection.status == "closed"


@pytest.mark.realtime
def test_what_differs_in_a_live_turn(
    command: Command, serving_here: Serve, quick: None
) -> None:
    """Each difference is a line of its own; the turn went well all the same."""
    lost = Fault(does=Drop(), events=("response.content_part.*",))
    url = serving_here(faults=Faults((lost,)))
    outcome = command("doctor", "--base-url", url, "--live", "--model", "new")
    assert outcome.status == 0
    assert [said for status, said in checks(outcome)["live"] if status == "warn"] == [
        f"{difference}: a report needs the log of --record"
        for difference in (
            "response.content_part.added did not come",
            "response.content_part.done did not come",
            "no price is known for the model new, so the cost is not",
        )
    ]


def test_a_live_turn_that_fails(
    command: Command, serving_here: Serve, quick: None
) -> None:
    """It fails the command, and what came until then is looked at."""
    cut = Fault(does=Cut(1011), events=("response.created",))
    url = serving_here(parts=Parts(), faults=Faults((cut,)))
    outcome = command("doctor", "--base-url", url, "--live")
    assert outcome.status == 1
    first, *others = checks(outcome)["live"]
    assert first[0] == "fail"
    assert "This cut was asked for. (1011)" in first[1]
    assert any("response.done did not come" in said for _, said in others)


def test_a_live_turn_needs_a_key(command: Command, quick: None) -> None:
    outcome = command("doctor", "--live")
    assert outcome.status == 1
    assert checks(outcome)["live"] == [
        ("fail", "there is no key: export OPENAI_API_KEY=…")
    ]


# -- what is missing on this machine


def test_a_library_that_is_missing(
    command: Command, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning with the line that installs it: not everybody needs it."""
    version = importlib.metadata.version

    def without_av(name: str) -> str:
        if name == "av":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_av)
    outcome = command("doctor")
    assert outcome.status == 0
    assert checks(outcome)["extra webrtc"] == [
        ("warn", "without av: pip install 'duologue[webrtc]'")
    ]


def test_a_library_that_does_not_load(
    command: Command, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is installed and useless: a failure."""
    monkeypatch.setitem(
        sys.modules, "duologue.transports.drivers.websocket.websocket_transport", None
    )
    outcome = command("doctor")
    assert outcome.status == 1
    [(status, said)] = checks(outcome)["extra websocket"]
    assert status == "fail"
    assert "pip install --force-reinstall 'duologue[websocket]'" in said


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("httpx", "signalling needs httpx: pip install 'duologue[webrtc]'"),
        ("pyee", "live sessions need pip install 'duologue[webrtc]'"),
    ],
)
def test_an_install_without_sessions(missing: str, said: str) -> None:
    """Where nothing but the command line is installed, it says what is missing."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None; "
        "sys.argv = ['duologue', 'doctor', '--json']; "
        "from duologue.adapters.cli import main; main()"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    told = json.loads(done.stdout)["checks"]
    assert [check["advice"] for check in told if check["name"] == "service"] == [said]


def test_no_voice_and_no_devices(
    command: Command, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warnings with the advice of the one who misses them."""

    def voiceless() -> None:
        raise SynthesiserError("install the system package libflite1")

    def deaf() -> None:
        raise DeviceError("sudo apt-get install libportaudio2")

    monkeypatch.setattr("duologue.local.components.find_synthesiser", voiceless)
    monkeypatch.setattr("duologue.adapters.audio.list_devices", deaf)
    outcome = command("doctor")
    assert outcome.status == 0
    found = checks(outcome)
    [(status, said)] = found["voice"]
    assert (status, said.endswith("install the system package libflite1")) == (
        "warn",
        True,
    )
    [(status, said)] = found["devices"]
    assert (status, said.endswith("sudo apt-get install libportaudio2")) == (
        "warn",
        True,
    )


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--base-url", "api.openai.com"), "http://"),
        (("--transport", "udp"), "webrtc or websocket"),
        (("--record", "log.jsonl"), "--record needs --live"),
        (("--live", "--no-reach"), "exclude each other"),
        (("now",), "unexpected extra argument"),
    ],
)
def test_wrong_usage(command: Command, args: tuple[str, ...], why: str) -> None:
    outcome = command("doctor", *args)
    assert (outcome.status, outcome.out) == (2, "")
    assert why in " ".join(outcome.err.replace("│", " ").split())


def test_a_base_url_of_the_environment_that_is_none(
    command: Command, quick: None
) -> None:
    """A line names the variable and what is wrong with it; the others are there."""
    outcome = command("doctor", "--live", env={"OPENAI_BASE_URL": "api.openai.com"})
    assert (outcome.status, outcome.err) == (1, "")
    found = checks(outcome)
    assert found["python"][0][0] == "ok"
    [(status, said)] = found["service"]
    assert status == "fail"
    assert said.startswith("OPENAI_BASE_URL 'api.openai.com': the base URL has to")
