"""The optional protocols of a transport: found by ``isinstance``, checked by types."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from duologue.transports import memory, record, replay, webrtc, websocket
from duologue.transports.contract import (
    Audible,
    Flushable,
    Following,
    Recorder,
    Rejoining,
    Repeatable,
    Reporting,
    Sourced,
    Tappable,
    Timed,
    Transport,
)

OPTIONAL: tuple[Any, ...] = (
    *(Audible, Flushable, Following, Recorder, Rejoining, Repeatable, Reporting),
    *(Sourced, Tappable, Timed),
)
AUDIO: set[Any] = {Audible, Flushable, Repeatable, Tappable}


def test_each_driver_has_its_protocols(tmp_path: Path) -> None:
    """Without a protocol, a driver could not reconnect, mute or write a log."""
    log = tmp_path / "log.jsonl"
    log.write_text('{"dir": "in", "event": {"type": "session.created"}}\n')
    wrapped = record(websocket(), tmp_path / "new.jsonl")
    expected: dict[object, set[Any]] = {
        memory.pair()[0]: set(),
        webrtc(): AUDIO | {Reporting},
        websocket(): AUDIO | {Rejoining, Reporting},
        replay(log): {Following, Repeatable, Reporting, Sourced, Timed},
        wrapped: AUDIO | {Following, Recorder, Rejoining, Reporting, Timed},
    }
    for transport, protocols in expected.items():
        assert isinstance(transport, Transport)
        assert {each for each in OPTIONAL if isinstance(transport, each)} == protocols


def test_a_sideband_rejoins_its_session(tmp_path: Path) -> None:
    """Its next transport joins the same call; another WebSocket has a new session."""
    for call_id, rejoins in (("rtc_1", True), (None, False)):
        transport = websocket(call_id=call_id)
        assert transport.rejoins is rejoins
        assert transport.again().rejoins is rejoins
        wrapped = record(transport, tmp_path / f"{call_id}.jsonl")
        assert isinstance(wrapped, Rejoining)
        assert wrapped.rejoins is rejoins


MINE = """
from __future__ import annotations

from duologue.core.log.record import Record
from duologue.transports.contract import Recorder, Repeatable, Transport
from duologue.transports.drivers.memory import MemoryTransport

class Right(MemoryTransport):
    def again(self) -> Right: return self

class Misspelt(MemoryTransport):
    def agian(self) -> Misspelt: return self

class Wrong(MemoryTransport):
    async def again(self) -> Wrong: return self

class Half(MemoryTransport):
    def log(self, record: Record) -> None: ...

def check(right: Right, misspelt: Misspelt, wrong: Wrong, half: Half) -> None:
    a: Transport = right
    b: Repeatable = right
    c: Repeatable = misspelt  # error
    d: Repeatable = wrong  # error
    e: Recorder = half  # error
"""


@pytest.mark.deep
def test_a_type_checker_finds_a_wrong_member(tmp_path: Path) -> None:
    """A misspelt, wrong or missing method is a type error, not a lost ability."""
    pytest.importorskip("mypy")
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", f"--cache-dir={tmp_path}", path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    marked = {n for n, line in enumerate(MINE.split("\n"), 1) if "# error" in line}
    found = re.findall(r"mine\.py:(\d+): error: Incompatible types", done.stdout)
    assert ({int(number) for number in found}, len(found)) == (marked, 3), done.stdout
