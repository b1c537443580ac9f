"""Sessions over a network that drops, duplicates, delays and cuts traffic.

A relay between client and service, on loopback, causes the faults.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
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
from duologue.core import events as ev
from duologue.core.effects.backoff import Backoff
from duologue.local import LocalService, Options, Parts
from duologue.transports import (
    Client,
    Credentials,
    LiveSession,
    Target,
    read_log_file,
    record,
    webrtc,
    websocket,
)
from duologue.transports.drivers.webrtc import webrtc_transport as _webrtc
from duologue.transports.drivers.websocket import websocket_transport as _websocket
from duologue.transports.http.signalling import Answer, create_call

from .relays import Bad, TcpRelay, UdpRelay

pytestmark = pytest.mark.realtime

TYPED = SessionConfig(output_modalities=("text",), turn_detection=None)
QUESTION, REPLY = "count to thirty", "thirty"
PATIENCE = 90.0
#: Words are sent twenty times faster than speech.
QUICK = Options(pace=20.0)
TRYING = Backoff()


def lines(session: Session) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in select_transcripts(session)]


async def ask(session: LiveSession) -> None:
    """Ask a question and wait for the end of the reply."""
    before = len(lines(session.state))
    await session.send_text(QUESTION)
    await session.until(
        lambda s: select_is_settled(s) and len(lines(s)) == before + 2,
        timeout=PATIENCE,
    )
    assert lines(session.state)[-1][1].lower().rstrip(".").endswith(REPLY)


async def status(session: LiveSession, *wanted: SessionStatus) -> Session:
    return await session.until(
        lambda s: s.connection.status in wanted, timeout=PATIENCE
    )


def deltas(path: Path) -> tuple[list[str], list[str]]:
    """The concatenated deltas of each reply in order of arrival, and its text."""
    pieces: dict[str, str] = {}
    texts: dict[str, str] = {}
    for each in read_log_file(path):
        if isinstance(each.event, ev.ResponseOutputTextDelta):
            item_id = each.event.item_id
            pieces[item_id] = pieces.get(item_id, "") + each.event.delta
        elif isinstance(each.event, ev.ResponseOutputTextDone):
            texts[each.event.item_id] = each.event.text
    return list(pieces.values()), list(texts.values())


# -- WebRTC


@asynccontextmanager
async def over_udp(
    patch: pytest.MonkeyPatch, bad: Bad, path: Path
) -> AsyncIterator[tuple[UdpRelay, LiveSession]]:
    """A session over WebRTC whose packets go through a relay."""
    async with (
        LocalService(parts=Parts(), options=QUICK) as service,
        UdpRelay(bad) as relay,
        Client(credentials=Credentials("made-up"), base_url=service.base_url) as client,
    ):

        async def hidden(target: Target, offer: str) -> Answer:
            answer = await create_call(target, await relay.hide(offer))
            return Answer(await relay.hide(answer.sdp), answer.call_id)

        patch.setattr(_webrtc, "create_call", hidden)
        session = await client.start_session(
            TYPED, transport=record(webrtc(), path), timeout=PATIENCE
        )
        yield relay, session
    assert fold(read_log_file(path)).sessions[session.id] == session.state


@pytest.mark.parametrize(
    ("bad", "turns"),
    [
        pytest.param(Bad(loss=0.05), 2, id="5 % lost"),
        pytest.param(Bad(delay=0.04, jitter=0.02, twice=0.1), 2, id="jitter, doubles"),
        pytest.param(Bad(loss=0.05), 10, id="5 %", marks=pytest.mark.deep),
        pytest.param(Bad(loss=0.1), 10, id="10 %", marks=pytest.mark.deep),
        pytest.param(Bad(loss=0.2), 10, id="20 %", marks=pytest.mark.deep),
        pytest.param(
            Bad(loss=0.1, delay=0.04, jitter=0.02, twice=0.2),
            10,
            id="all at once",
            marks=pytest.mark.deep,
        ),
    ],
)
async def test_events_come_whole_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    bad: Bad,
    turns: int,
) -> None:
    """F6: lost packets are resent; no event is duplicated, and no error logged."""
    path = tmp_path / "log.jsonl"
    async with over_udp(monkeypatch, bad, path) as (relay, session):
        for _ in range(turns):
            await ask(session)
        assert session.state.connection.epoch == 0
        assert select_problems(session.state) == ()
    pieces, texts = deltas(path)
    assert len(texts) == turns
    assert pieces == texts
    assert (relay.dropped > 0) is (bad.loss > 0)
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


async def test_a_short_cut_is_made_up_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """F7, 3 s: the connection continues, and delayed events arrive."""
    bad = Bad()
    path = tmp_path / "log.jsonl"
    async with over_udp(monkeypatch, bad, path) as (_, session):
        await ask(session)
        bad.cut = True
        asking = asyncio.create_task(ask(session))
        await asyncio.sleep(3)
        assert not asking.done()
        bad.cut = False
        await asking
        assert session.state.connection.epoch == 0
        assert select_problems(session.state) == ()


@pytest.mark.deep
@pytest.mark.parametrize("seconds", [40.0, float("inf")])
async def test_a_long_cut_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float
) -> None:
    """F7, 40 s and permanent: a new connection or a failure, with its reason."""
    bad = Bad()
    path = tmp_path / "log.jsonl"
    async with over_udp(monkeypatch, bad, path) as (_, session):
        await ask(session)
        before = lines(session.state)
        bad.cut = True
        if seconds < PATIENCE:
            asyncio.get_running_loop().call_later(seconds, setattr, bad, "cut", False)
        async with asyncio.timeout(20):
            await status(session, SessionStatus.RECONNECTING)
        state = await status(session, SessionStatus.OPEN, SessionStatus.FAILED)
        assert select_problems(state)[0].message == (
            "the connection failed: the far side cannot be reached"
        )
        if state.connection.status is SessionStatus.OPEN:
            await ask(session)
            assert state.connection.epoch == 1
        else:
            assert len(select_problems(state)) == 2
        assert seconds < PATIENCE or state.connection.status is SessionStatus.FAILED
        assert lines(session.state)[: len(before)] == before


# -- WebSocket


@asynccontextmanager
async def over_tcp(
    path: Path, *, backoff: Backoff = TRYING, timeout: float = PATIENCE
) -> AsyncIterator[tuple[TcpRelay, LiveSession]]:
    """A session over WebSocket whose bytes go through a relay."""
    async with LocalService(parts=Parts(), options=QUICK) as service:
        port = httpx.URL(service.base_url).port
        assert port is not None
        async with TcpRelay(port) as relay:
            url = f"http://127.0.0.1:{relay.port}/v1"
            key = Credentials("made-up")
            async with Client(credentials=key, base_url=url, backoff=backoff) as client:
                session = await client.start_session(
                    TYPED, transport=record(websocket(), path), timeout=timeout
                )
                yield relay, session
    assert fold(read_log_file(path)).sessions[session.id] == session.state


async def test_a_slow_line_is_only_slow(tmp_path: Path) -> None:
    """40 kbit/s: every event arrives in order on the first connection."""
    path = tmp_path / "log.jsonl"
    async with over_tcp(path) as (relay, session):
        relay.rate = 5_000.0
        await ask(session)
        assert session.state.connection.epoch == 0
        assert select_problems(session.state) == ()
    pieces, texts = deltas(path)
    assert pieces == texts


async def test_a_pause_of_the_line_is_made_up_for(tmp_path: Path) -> None:
    """F7, 3 s: the connection continues."""
    async with over_tcp(tmp_path / "log.jsonl") as (relay, session):
        await ask(session)
        relay.passes.clear()
        asking = asyncio.create_task(ask(session))
        await asyncio.sleep(3)
        assert not asking.done()
        relay.passes.set()
        await asking
        assert session.state.connection.epoch == 0
        assert select_problems(session.state) == ()


async def test_a_line_that_is_reset_is_followed_by_another(tmp_path: Path) -> None:
    """RST: the state shows it, and the conversation continues."""
    async with over_tcp(tmp_path / "log.jsonl") as (relay, session):
        for epoch in range(3):
            await ask(session)
            relay.reset()
            await status(session, SessionStatus.RECONNECTING)
            state = await status(session, SessionStatus.OPEN)
            assert state.connection.epoch == epoch + 1
        await ask(session)
        assert len(lines(session.state)) == 8
        problems = [problem.message for problem in select_problems(session.state)]
        assert problems == ["the connection broke off"] * 3


async def half_open(
    relay: TcpRelay, session: LiveSession, seconds: float
) -> SessionStatus:
    """The line goes silent and recovers this long after the client gave it up."""
    await ask(session)
    before = lines(session.state)
    relay.passes.clear()
    await status(session, SessionStatus.RECONNECTING)
    await session.send_text(QUESTION)
    asyncio.get_running_loop().call_later(seconds, relay.passes.set)
    state = await status(session, SessionStatus.OPEN, SessionStatus.FAILED)
    assert select_problems(state)[0].message == (
        "the connection was given up: keepalive ping timeout"
    )
    assert lines(state)[: len(before)] == before
    return state.connection.status


async def test_a_silent_line_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Half-open: fast pings detect it; events sent meanwhile get a reply."""
    monkeypatch.setattr(_websocket, "PING", 0.3)
    async with over_tcp(tmp_path / "log.jsonl", timeout=1.0) as (relay, session):
        assert await half_open(relay, session, 1.0) is SessionStatus.OPEN
        await session.until(
            lambda s: select_is_settled(s) and len(lines(s)) == 4, timeout=PATIENCE
        )
        assert lines(session.state)[2] == ("user", QUESTION)


async def test_a_line_that_stays_silent_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The state counts the events that were never sent."""
    monkeypatch.setattr(_websocket, "PING", 0.3)
    path = tmp_path / "log.jsonl"
    brief = Backoff(patience=2.0)
    async with over_tcp(path, backoff=brief, timeout=1.0) as (relay, session):
        assert await half_open(relay, session, 60.0) is SessionStatus.FAILED
        await session.close()
        last = select_problems(session.state)[-1].message
        assert last == "2 events not sent"


@pytest.mark.deep
async def test_a_long_silence_of_the_line(tmp_path: Path) -> None:
    """F7, 40 s over WebSocket, with the default pings and patience."""
    async with over_tcp(tmp_path / "log.jsonl", timeout=15.0) as (relay, session):
        assert await half_open(relay, session, 20.0) is SessionStatus.OPEN
        assert session.state.connection.epoch == 1
