"""Recordings of sessions that lost their connection, replayed under a client."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from duologue.core import (
    Session,
    SessionConfig,
    dump,
    fold,
    select_is_settled,
    select_problems,
    select_transcripts,
)
from duologue.local import LocalService, Options, Parts
from duologue.local.faults.injector import Cut, Fault, Faults
from duologue.transports import (
    Client,
    Credentials,
    LiveSession,
    ReplayDrift,
    read_log_file,
    record,
    replay,
    websocket,
)

pytestmark = pytest.mark.realtime

CONFIG = SessionConfig(output_modalities=("text",), turn_detection=None)
#: Cut once after the start of a reply, and later once after the end of one.
CUTS = Faults(
    (
        Fault(
            does=Cut(),
            events=("response.output_text.delta",),
            nth=frozenset({2}),
            sessions=frozenset({1}),
        ),
        Fault(
            does=Cut(),
            events=("rate_limits.updated",),
            nth=frozenset({1}),
            sessions=frozenset({2}),
        ),
    )
)


def has_turns(count: int, session: Session) -> bool:
    asked = [line for line in select_transcripts(session) if line.role == "user"]
    return len(asked) == count and select_is_settled(session)


async def application(session: LiveSession, last: str = "count to five") -> None:
    questions = ("count to three", "count to four", last)
    for number, text in enumerate(questions, start=1):
        await session.send_text(text)
        await session.until(partial(has_turns, number), timeout=20)


@pytest.fixture
async def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    service = LocalService(parts=Parts(), options=Options(pace=20.0), faults=CUTS)
    async with (
        service,
        Client(credentials=Credentials("x"), base_url=service.base_url) as client,
    ):
        session = await client.start_session(
            CONFIG, transport=record(websocket(), path)
        )
        await application(session)
        assert session.state.connection.epoch == 2
        assert len(select_problems(session.state)) == 2
    return path


@pytest.mark.parametrize("speed", [None, 4])
async def test_all_connections_are_replayed(recorded: Path, speed: int | None) -> None:
    """One after the other, as the client connects; the state is the same."""
    async with Client(credentials=Credentials("other")) as client:
        recording = replay(recorded, speed=speed)
        session = await client.start_session(CONFIG, transport=recording)
        await application(session)
    assert session.failure is None
    assert session.state.connection.epoch == 2
    assert dump(client.store.state) == dump(fold(read_log_file(recorded)))


async def test_drift_on_a_later_connection_is_shown(recorded: Path) -> None:
    """Later connections are compared too."""
    async with Client(credentials=Credentials("other")) as client:
        session = await client.start_session(CONFIG, transport=replay(recorded))
        with pytest.raises(ReplayDrift, match='recorded "count to five", sent "stop"'):
            await application(session, last="stop")
