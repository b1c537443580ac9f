"""Hours of conversation in minutes, without losses and without leaks."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from duologue.core import (
    Session,
    SessionConfig,
    SessionStatus,
    fold,
    select_is_settled,
    select_problems,
    select_transcripts,
)
from duologue.local import LocalService, Options, Parts
from duologue.local.faults.injector import NO_FAULTS, Cut, Fault, Faults
from duologue.local.replies.scripted_replies import Rule, ScriptedReplies, Step
from duologue.transports import (
    Client,
    Credentials,
    LiveSession,
    read_log_file,
    record,
    websocket,
)

pytestmark = [pytest.mark.realtime, pytest.mark.deep]

SESSIONS, RECONNECTS, EVENTS = 20, 100, 200_000
#: Words of one reply, one per delta.
WORDS = 500
REPLY = " ".join(f"word{number}" for number in range(WORDS))
#: An interrupted reply has half of its events.
TURNS = EVENTS // SESSIONS // WORDS + 2
CONFIG = SessionConfig(output_modalities=("text",), turn_detection=None)
PATIENCE = 120.0
#: Sessions after which the caches are full.
REMEMBERED = 1_100
#: Seconds after which a new connection is idle.
CALM = 3.0
#: MiB that the process may grow in the second half. The text that both ends keep is
#: nearly four MiB: 220 replies of 4 KB, and fifty interrupted replies in pieces.
ROOM = 8.0


def long_winded() -> Parts:
    rule = Rule(hear=".", do=[Step(say=REPLY)])
    return Parts(mind=ScriptedReplies([rule]))


def resident() -> float:
    """Resident MiB of this process after freed memory was returned."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def held() -> dict[str, int]:
    """Other things that could accumulate."""
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


def asked(session: Session) -> list[str]:
    return [line.text for line in select_transcripts(session) if line.role == "user"]


def has_turns(count: int, session: Session) -> bool:
    return select_is_settled(session) and len(asked(session)) == count


async def talk(session: LiveSession, turns: range) -> None:
    """Each turn to its end, over reconnects."""
    for turn in turns:
        await session.send_text(f"question {turn}")
        await session.until(partial(has_turns, turn + 1), timeout=PATIENCE)


#: Each connection is cut off in the middle of its fourth reply.
CUTS = Faults(
    (
        Fault(
            does=Cut(),
            events=("response.output_text.delta",),
            nth=frozenset({7 * WORDS // 2}),
        ),
    )
)


@asynccontextmanager
async def talking(faults: Faults) -> AsyncIterator[Client]:
    options = Options(pace=float("inf"))
    async with (
        LocalService(parts=long_winded(), options=options, faults=faults) as service,
        Client(credentials=Credentials("x"), base_url=service.base_url) as client,
    ):
        yield client


async def test_a_long_talk_of_twenty_that_are_cut_off_a_hundred_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F20: memory is stable, every question has a reply, the logs are complete.

    An interrupted reply keeps the text it had when its connection ended.
    """
    async with talking(CUTS) as client:
        sessions = [
            await client.start_session(
                CONFIG, transport=record(websocket(), tmp_path / f"{number}.jsonl")
            )
            for number in range(SESSIONS)
        ]
        half = TURNS // 2
        await asyncio.gather(*(talk(s, range(half)) for s in sessions))
        await asyncio.sleep(CALM)
        before, things = resident(), held()
        await asyncio.gather(*(talk(s, range(half, TURNS)) for s in sessions))
        await asyncio.sleep(CALM)
        after = resident()
        states = [session.state for session in sessions]
        assert held() == things
    events = sum(state.dedup.events for state in states)
    epochs = sum(state.connection.epoch for state in states)
    with capsys.disabled():
        print(f"\n{events} events, {epochs} reconnects: {before:.1f} MiB at half the")
        print(f"way, {after:.1f} MiB at the end")
    assert epochs == RECONNECTS
    assert events >= EVENTS
    for number, (session, state) in enumerate(zip(sessions, states, strict=True)):
        assert state.connection.status is SessionStatus.OPEN
        assert asked(state) == [f"question {turn}" for turn in range(TURNS)]
        replies = [
            line.text for line in select_transcripts(state) if line.role == "assistant"
        ]
        cut = [text for text in replies if text != REPLY]
        assert all(REPLY.startswith(text) for text in cut)
        assert len(cut) == len(select_problems(state)) == state.connection.epoch
        logged = fold(read_log_file(tmp_path / f"{number}.jsonl"))
        assert logged.sessions[session.id] == session.state
    assert after - before < ROOM


async def test_sessions_that_come_and_go(capsys: pytest.CaptureFixture[str]) -> None:
    """Closed and forgotten sessions leave no memory, for any number of sessions."""
    async with talking(NO_FAULTS) as client:

        async def cycles(count: int) -> float:
            for _ in range(count):
                session = await client.start_session(CONFIG, transport=websocket())
                await talk(session, range(1))
                await client.close_session(session.id)
            await asyncio.sleep(CALM)
            return resident()

        # Selectors cache the latest sessions.
        await cycles(REMEMBERED)
        before, things = await cycles(100), held()
        after = await cycles(300)
        assert held() == things
    with capsys.disabled():
        print(f"\n300 sessions more: {before:.1f} MiB before, {after:.1f} MiB after")
    assert after - before < 2.0
