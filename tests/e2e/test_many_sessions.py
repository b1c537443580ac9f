"""Many sessions of one process at once, one of them failing every second.

Turns are typed, so the test covers frames, reconnects, records and logs, not speech
recognition. Client and service share the process and its two cores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
from duologue.local import LocalService, Parts
from duologue.local.faults.injector import Cut, Fault, Faults
from duologue.transports import (
    Client,
    ConnectionLost,
    Credentials,
    LiveSession,
    NotConnected,
    Transport,
    read_log_file,
    record,
    webrtc,
    websocket,
)

pytestmark = pytest.mark.realtime

TYPED = SessionConfig(output_modalities=("text",), turn_detection=None)
TURN = [("user", "count to three"), ("assistant", "One, two, three.")]
#: Turns of each session, and seconds between turns.
TURNS, PAUSE = 9, 1.0
PATIENCE = 60.0


def words(session: Session) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in select_transcripts(session)]


def asked(session: Session) -> int:
    return sum(role == "user" for role, _ in words(session))


def has_turns(count: int, session: Session) -> bool:
    return select_is_settled(session) and asked(session) == count


async def talk(session: LiveSession) -> None:
    """Ask, wait for the complete reply, and repeat until a failure."""
    try:
        for turn in range(1, TURNS + 1):
            await session.send_text(TURN[0][1])
            await session.until(partial(has_turns, turn), timeout=PATIENCE)
            await asyncio.sleep(PAUSE)
    except (ConnectionLost, NotConnected):
        await session.until(
            lambda s: s.connection.status is SessionStatus.FAILED, timeout=PATIENCE
        )


def failing(every: int, count: int) -> Faults:
    """The n-th session of a group is cut off in its n-th second."""
    return Faults(
        tuple(
            Fault(does=Cut(), at=1.0 + number, sessions=frozenset({1 + every * number}))
            for number in range(count)
        )
    )


@pytest.mark.parametrize(
    ("make", "count", "every"), [(websocket, 50, 7), (webrtc, 20, 3)]
)
async def test_the_others_do_not_notice(
    make: Callable[[], Transport], count: int, every: int, tmp_path: Path
) -> None:
    """Their transcripts are complete. Half of the failing sessions may reconnect.

    Those have all their lines; an interrupted reply has the received words. Each log
    folds to the live state.
    """
    cut = range(0, count, every)
    doomed = cut[::2]
    faults = failing(every, len(cut))
    key = Credentials("made-up")
    async with (
        LocalService(parts=Parts(), faults=faults) as service,
        Client(credentials=key, base_url=service.base_url) as client,
        Client(
            credentials=key,
            base_url=service.base_url,
            store=client.store,
            backoff=None,
        ) as giving_up,
    ):
        sessions = [
            await (giving_up if number in doomed else client).start_session(
                TYPED,
                id=f"s{number}",
                transport=record(make(), tmp_path / f"s{number}.jsonl"),
            )
            for number in range(count)
        ]
        await asyncio.gather(*map(talk, sessions))
        states = [session.state for session in sessions]
    for number, state in enumerate(states):
        if number not in cut:
            assert words(state) == TURN * TURNS, number
            assert select_problems(state) == ()
        elif number in doomed:
            assert state.connection.status is SessionStatus.FAILED
        else:
            ended = (state.connection.status, state.connection.epoch)
            assert ended == (SessionStatus.OPEN, 1), number
            assert asked(state) == TURNS
        if number in cut:
            kinds = [problem.kind for problem in select_problems(state)]
            # A failed session also lists its unconfirmed events.
            assert kinds in (
                ["disconnected"],
                ["disconnected", "gap"][: 1 + (number in doomed)],
            )
            for _, text in words(state)[1::2]:
                assert TURN[1][1].startswith(text)
    for session in sessions:
        logged = fold(read_log_file(tmp_path / f"{session.id}.jsonl"))
        assert logged.sessions[session.id] == session.state
