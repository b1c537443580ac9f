"""``duologue devices`` and ``talk --mic`` with missing and with named devices.

A stub replaces ``sounddevice``, because the devices of the machine are unknown.
``tests/e2e/test_devices.py`` uses real ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from duologue.adapters.audio import can_process

Run = Callable[..., Awaitable[Any]]
ROOT = Path(__file__).parents[4]

#: The error of sounddevice on Linux without the system's library.
NO_PORTAUDIO = "raise OSError('PortAudio library not found')"
NO_DEVICE = """
from types import SimpleNamespace
default = SimpleNamespace(device=(-1, -1))
class PortAudioError(Exception): pass
def query_devices(): return []
def query_hostapis(): return []
"""
HEADSET = """
from types import SimpleNamespace
default = SimpleNamespace(device=(0, 1))
class PortAudioError(Exception): pass
def query_hostapis(): return [{"name": "ALSA"}]
def query_devices():
    common = {"hostapi": 0, "default_samplerate": 48000.0}
    return [
        {"index": 0, "name": "Head\\x1b[31mset", "max_input_channels": 1,
         "max_output_channels": 0, **common},
        {"index": 1, "name": "Speakers", "max_input_channels": 0,
         "max_output_channels": 2, **common},
    ]
"""


def sounddevice(folder: Path, source: str) -> dict[str, str]:
    """An environment with this source as ``sounddevice``."""
    (folder / "stub").mkdir()
    (folder / "stub" / "sounddevice.py").write_text(source)
    roots = [ROOT / root for root in ("core", "transports", "local", "adapters")]
    return {"PYTHONPATH": os.pathsep.join(map(str, (folder / "stub", *roots)))}


async def test_devices_are_listed(duologue: Run, tmp_path: Path) -> None:
    """The defaults are marked; a device's name cannot control the terminal."""
    outcome = await duologue("devices", env=sounddevice(tmp_path, HEADSET))
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[:2] == [
        "  0 Headset  ALSA, 48000 Hz, microphone (default)",
        "  1 Speakers  ALSA, 48000 Hz, speaker (default)",
    ]


async def test_devices_as_json(duologue: Run, tmp_path: Path) -> None:
    outcome = await duologue("devices", "--json", env=sounddevice(tmp_path, HEADSET))
    assert outcome.status == 0, outcome.err
    printed = json.loads(outcome.out)
    assert printed["devices"][1] == {
        "index": 1,
        "name": "Speakers",
        "api": "ALSA",
        "input_channels": 0,
        "output_channels": 2,
        "rate": 48_000,
        "default_input": False,
        "default_output": True,
    }
    assert printed["echo_cancellation"] is can_process()


async def test_a_machine_without_devices(duologue: Run, tmp_path: Path) -> None:
    """An empty list is no error; ``talk --mic`` without a microphone is one."""
    env = sounddevice(tmp_path, NO_DEVICE)
    listed = await duologue("devices", env=env)
    as_json = await duologue("devices", "--json", env=env)
    spoken = await duologue("talk", "--mic", "--local", env=env)
    assert listed.status == 0
    assert listed.out.splitlines()[:2] == [
        "there is no microphone on this machine",
        "there is no speaker on this machine",
    ]
    assert (as_json.status, json.loads(as_json.out)["devices"]) == (0, [])
    assert (spoken.status, spoken.err) == (
        1,
        "duologue: there is no microphone on this machine\n",
    )


@pytest.mark.parametrize("command", [("devices",), ("talk", "--mic", "--local")])
async def test_a_missing_library_is_named(
    duologue: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    outcome = await duologue(*command, env=sounddevice(tmp_path, NO_PORTAUDIO))
    assert (outcome.status, outcome.err) == (
        1,
        "duologue: microphone and speaker need the library PortAudio: "
        "sudo apt-get install libportaudio2\n",
    )


async def test_an_unknown_device(duologue: Run, tmp_path: Path) -> None:
    """The message names the existing devices."""
    outcome = await duologue(
        *("talk", "--mic", "--local", "--input-device", "webcam"),
        env=sounddevice(tmp_path, HEADSET),
    )
    assert outcome.status == 1
    assert outcome.err.startswith("duologue: there is no microphone 'webcam'")
    assert "there are: 0 'Head" in outcome.err


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(("--mic", "--text"), id="keyboard and microphone"),
        pytest.param(("--mic", "some.wav"), id="microphone and file"),
        pytest.param(("--text", "--input-device", "1"), id="a device without --mic"),
    ],
)
async def test_wrong_usage_is_status_2(duologue: Run, args: tuple[str, ...]) -> None:
    outcome = await duologue("talk", "--local", *args)
    assert outcome.status == 2
    assert "Usage: " in outcome.err
