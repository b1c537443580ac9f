"""``duologue doctor``: a result and advice for each check, and no key."""

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
    """Skip the turns with a local service, which take time."""
    monkeypatch.setattr(doctor_service, "_CARRIERS", ())


def checks(outcome: Any) -> dict[str, list[tuple[str, str]]]:
    """The printed status and text by the name of the check."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in outcome.out.splitlines():
        status, rest = line.split(" ", 1)
        assert status in ("ok", "warn", "fail"), line
        name, _, said = rest.lstrip()[:16], "", rest.lstrip()[16:]
        found.setdefault(name.strip(), []).append((status, said))
    return found


@pytest.mark.realtime
def test_a_complete_installation(command: Command, serving_here: Serve) -> None:
    """Python, extras, codec, voice, a turn over each transport, key and service."""
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
    assert re.fullmatch(r"the service accepts the key, in \d+ ms", found["reach"][0][1])
    assert re.fullmatch(r"a spoken reply in \d+ ms", found["local webrtc"][0][1])


def test_the_json_object(command: Command, serving_here: Serve, quick: None) -> None:
    """``--json``: the result and the checks as objects."""
    url = serving_here(parts=Parts())
    outcome = command("doctor", "--base-url", url, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    printed = json.loads(outcome.out)
    assert printed["ok"] is True
    [key] = [check for check in printed["checks"] if check["name"] == "key"]
    assert key == {
        "name": "key",
        "status": "ok",
        "found": "none, and a service on loopback needs none",
        "advice": None,
    }


# The network.


def test_without_a_key_no_request_is_sent(command: Command, quick: None) -> None:
    """The network guard would fail the test; a missing key is only a warning."""
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
    assert found["reach"] == [("ok", "not checked: --reach contacts the service")]


def test_no_reach_sends_no_request(command: Command, quick: None) -> None:
    """Also with a key; the network guard would fail the test."""
    outcome = command("doctor", "--no-reach", env=SECRET)
    assert outcome.status == 0
    assert checks(outcome)["reach"][0][1].startswith("not checked")


def test_the_service_of_the_environment(
    command: Command, serving_here: Serve, quick: None
) -> None:
    """Without an option ``OPENAI_BASE_URL`` names the service."""
    url = serving_here(parts=Parts())
    outcome = command("doctor", env={**SECRET, "OPENAI_BASE_URL": url})
    assert outcome.status == 0
    assert checks(outcome)["service"] == [("ok", f"{url}, from OPENAI_BASE_URL")]


@pytest.mark.parametrize(
    ("provider", "env", "expected"),
    [
        (
            "xai",
            {},
            {
                "service": "https://api.x.ai/v1, from the default, provider xai",
                "key": "XAI_API_KEY is not set: export XAI_API_KEY=… to talk to the "
                "service; --local needs none",
                "model": "grok-voice-latest, from the table of ",
                "reach": "not checked: --reach contacts the service",
            },
        ),
        (
            "azure-preview",
            {
                "AZURE_OPENAI_ENDPOINT": "https://my.openai.azure.com?x=canary",
                "AZURE_OPENAI_API_KEY": "canary-key",
            },
            {
                "service": "https://my.openai.azure.com/openai?***, from "
                "AZURE_OPENAI_ENDPOINT, provider azure-preview",
                "key": "in AZURE_OPENAI_API_KEY",
                "model": "the provider has no default: name your deployment with "
                "--model or DUOLOGUE_MODEL",
                "reach": "not checked: azure-preview has no ephemeral keys; try --live",
            },
        ),
        (
            "plain",
            {},
            {"service": "the provider plain needs a base URL: set DUOLOGUE_BASE_URL"},
        ),
    ],
)
def test_each_provider(
    command: Command,
    quick: None,
    provider: str,
    env: dict[str, str],
    expected: dict[str, str],
) -> None:
    """Its URL, its variables and its model; no value of a query is shown."""
    outcome = command("doctor", "--provider", provider, env=env)
    assert "canary" not in outcome.out
    found = checks(outcome)
    for name, text in expected.items():
        assert found[name][0][1].startswith(text)


def test_the_deployment_of_azure(
    command: Command, serving_here: Serve, quick: None
) -> None:
    """``--model`` names it; the key is checked for it."""
    url = serving_here(parts=Parts(), key="sk-1")
    options = ("--provider", "plain", "--base-url", url, "--model", "mine")
    outcome = command("doctor", *options, env={"DUOLOGUE_API_KEY": "sk-1"})
    assert outcome.status == 0
    found = checks(outcome)
    assert found["model"] == [("ok", "mine, from --model")]
    assert found["key"] == [("ok", "in DUOLOGUE_API_KEY")]
    assert found["reach"][0][1].startswith("the service accepts the key")


def test_reach_without_a_key(
    command: Command, serving_here: Serve, quick: None
) -> None:
    """A refusal shows that the service answers."""
    url = serving_here(parts=Parts(), key="sk-right")
    outcome = command("doctor", "--base-url", url, "--reach")
    assert outcome.status == 0
    assert checks(outcome)["reach"] == [
        ("ok", "the service answers (401); there is no key to check")
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
    """The line has the answer and advice; some answers are only a warning."""
    url = serving_here(parts=Parts(), **answers)
    outcome = command("doctor", "--base-url", url, env=SECRET)
    [(found, text)] = checks(outcome)["reach"]
    assert (found, outcome.status) == (status, status == "fail")
    assert said in text
    assert "very-secret" not in outcome.out


def test_an_unreachable_service(command: Command, quick: None) -> None:
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
    """Also if the service repeats the beginning and the end of the key."""
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
        ("ek_abc", "warn", "an ephemeral key"),
        ("sk-a b", "fail", "with invalid characters"),
        ("“sk-a”", "fail", "with invalid characters"),
        ("", "warn", "is not set"),
        ("  ", "warn", "is not set"),
    ],
)
def test_an_invalid_key(
    command: Command, quick: None, key: str, status: str, said: str
) -> None:
    """The line names the problem without the key."""
    outcome = command("doctor", "--no-reach", env={"OPENAI_API_KEY": key})
    [(found, text)] = checks(outcome)["key"]
    assert found == status
    assert said in text
    assert outcome.status == (status == "fail")
    assert not key.strip() or key not in outcome.out


def test_an_ephemeral_key_is_not_used(command: Command, quick: None) -> None:
    """It cannot create a key, and may be valid for only one session."""
    outcome = command("doctor", env={"OPENAI_API_KEY": "ek_abc"})
    assert checks(outcome)["reach"] == [
        ("ok", "not checked: an ephemeral key can only start a session; try --live")
    ]


def test_a_password_in_the_address_is_not_shown(command: Command, quick: None) -> None:
    url = "https://me:hunter2@service.example/v1"
    outcome = command("doctor", env={"OPENAI_BASE_URL": url})
    assert checks(outcome)["service"] == [
        ("ok", "https://***@service.example/v1, from OPENAI_BASE_URL")
    ]


# A live turn.


@pytest.mark.realtime
@pytest.mark.parametrize("transport", ["websocket", "webrtc"])
def test_a_live_turn_without_differences(
    command: Command, serving_here: Serve, quick: None, tmp_path: Path, transport: str
) -> None:
    """One turn with its time and its text; ``--record`` writes its log."""
    url = serving_here()
    outcome = command(
        *("doctor", "--base-url", url, "--live", "--transport", transport),
        *("--record", "log.jsonl"),
    )
    assert outcome.status == 0, outcome.out
    reply, verdict = checks(outcome)["live"]
    assert re.fullmatch(r"a reply in \d+ ms: Hello in five words\.", reply[1])
    assert verdict == ("ok", "no differences from the expected protocol")
    [session] = fold(read_log_file(tmp_path / "log.jsonl")).sessions.values()
    assert session.connection.status == "closed"


@pytest.mark.realtime
def test_a_live_turn_with_differences(
    command: Command, serving_here: Serve, quick: None
) -> None:
    """Each difference is a warning on its own line."""
    lost = Fault(does=Drop(), events=("response.content_part.*",))
    url = serving_here(faults=Faults((lost,)))
    outcome = command("doctor", "--base-url", url, "--live", "--model", "new")
    assert outcome.status == 0
    assert [said for status, said in checks(outcome)["live"] if status == "warn"] == [
        f"{difference}: to report it, attach the log of --record"
        for difference in (
            "response.content_part.added is missing",
            "response.content_part.done is missing",
            "the cost is unknown: there is no price for the model new",
        )
    ]


def test_a_failed_live_turn(command: Command, serving_here: Serve, quick: None) -> None:
    """The command fails, and the received events are still compared."""
    cut = Fault(does=Cut(1011), events=("response.created",))
    url = serving_here(parts=Parts(), faults=Faults((cut,)))
    outcome = command("doctor", "--base-url", url, "--live")
    assert outcome.status == 1
    first, *others = checks(outcome)["live"]
    assert first[0] == "fail"
    assert "This close was requested by a fault. (1011)" in first[1]
    assert any("response.done is missing" in said for _, said in others)


def test_a_live_turn_needs_a_key(command: Command, quick: None) -> None:
    outcome = command("doctor", "--live")
    assert outcome.status == 1
    assert checks(outcome)["live"] == [
        ("fail", "there is no key: export OPENAI_API_KEY=…")
    ]


# Missing parts of this machine.


def test_a_library_that_is_missing(
    command: Command, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning with the command that installs it."""
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


def test_a_library_that_cannot_be_imported(
    command: Command, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is installed but broken, which is a failure."""
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
    """With the extra ``cli`` alone, it names the missing extra."""
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
    found = json.loads(done.stdout)["checks"]
    assert [check["advice"] for check in found if check["name"] == "service"] == [said]


def test_no_voice_and_no_devices(
    command: Command, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warnings with the advice of the error."""

    def no_voice() -> None:
        raise SynthesiserError("install the system package libflite1")

    def no_devices() -> None:
        raise DeviceError("sudo apt-get install libportaudio2")

    monkeypatch.setattr("duologue.local.components.find_synthesiser", no_voice)
    monkeypatch.setattr("duologue.adapters.audio.list_devices", no_devices)
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


def test_an_invalid_base_url_in_the_environment(command: Command, quick: None) -> None:
    """One line names the variable and the problem; the other checks still run."""
    outcome = command("doctor", "--live", env={"OPENAI_BASE_URL": "api.openai.com"})
    assert (outcome.status, outcome.err) == (1, "")
    found = checks(outcome)
    assert found["python"][0][0] == "ok"
    [(status, said)] = found["service"]
    assert status == "fail"
    assert said.startswith("OPENAI_BASE_URL 'api.openai.com': the base URL must")
