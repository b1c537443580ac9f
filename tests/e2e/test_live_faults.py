"""Live sessions with malformed frames, bad subscribers, or a wrong clock."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from duologue.core import (
    Record,
    Resync,
    Session,
    SessionConfig,
    SessionStatus,
    State,
    dump,
    fold,
    select_is_settled,
    select_problems,
    select_transcripts,
    select_turns,
)
from duologue.local import LocalService, Options, Parts
from duologue.local.faults.injector import (
    NO_FAULTS,
    Duplicate,
    Fault,
    Faults,
    Late,
    Orphan,
    Reorder,
)
from duologue.transports import (
    Client,
    Credentials,
    LiveSession,
    LogError,
    Transport,
    read_log_file,
    record,
    replay,
    webrtc,
    websocket,
)
from duologue.transports.clock import SystemClock

pytestmark = pytest.mark.realtime

TYPED = SessionConfig(output_modalities=("text",))
KEY = Credentials("made-up")
TURN = [("user", "count to three"), ("assistant", "One, two, three.")]
QUICK = Options(pace=20.0)

#: Malformed frames.
MALFORMED = [
    b'{"type":"response.output_text.delta","delta":"\xff"}',
    b'{"type":"rate_limits.updated","rate_limits":[{"remaining":NaN}]}',
    b'{"type":"response.output_text.delta","item_id":7,"delta":"no"}',
    b'{"type":"response.output_text.delta","item_id":null,"delta":"no"}',
    b'{"type":"response.output_text.done","item_id":{},"text":["no"]}',
    b'{"event_id":"x"}',
    b'{"type":7}',
    b"[]",
    b'"response.done"',
    b"null",
    b"",
    b"[" * 100_000,
    b'{"type":"conversation.item.added","item":' + b'{"a":' * 5_000,
    b'{"type":"response.output_text.delta","delta":"' + b"x" * (15 << 20) + b'"}',
]
#: Frames of unknown types, or with unknown parts.
UNKNOWN = [
    b'{"type":"response.dreamt","of":{"sheep":[1,2,3]}}',
    b'{"type":"duologue.closed"}',
    b'{"type":"duologue.disconnected","reason":"not really"}',
    b'{"type":"session.update","session":{"type":"realtime"}}',
]


def words(session: Session) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in select_transcripts(session)]


def final(session: Session) -> list[tuple[str, str]]:
    return [(e.role, e.text) for e in select_transcripts(session) if e.final]


def is_told(lines: list[tuple[str, str]], session: Session) -> bool:
    return session.responses.active is None and final(session) == lines


async def ask(session: LiveSession) -> None:
    before = words(session.state)
    await session.send_text(TURN[0][1])
    await session.until(
        lambda s: select_is_settled(s) and len(words(s)) == len(before) + 2, timeout=30
    )
    assert words(session.state) == before + TURN


@asynccontextmanager
async def live(
    transport: Transport, *, faults: Faults = NO_FAULTS, **options: object
) -> AsyncIterator[tuple[Client, LiveSession]]:
    async with (
        LocalService(parts=Parts(), options=QUICK, faults=faults) as service,
        Client(credentials=KEY, base_url=service.base_url, **options) as client,  # type: ignore[arg-type]
    ):
        yield client, await client.start_session(TYPED, transport=transport)


# -- frames


@asynccontextmanager
async def adding(service: LocalService, frames: list[bytes]) -> AsyncIterator[str]:
    """A service that sends one of these after each event; its base URL."""
    said = itertools.cycle(frames)

    async def join(near: ServerConnection) -> None:
        assert near.request is not None
        key = {"Authorization": near.request.headers["Authorization"]}
        url = service.base_url.replace("http", "ws", 1).removesuffix("/v1")
        async with connect(url + near.request.path, additional_headers=key) as far:

            async def to_service() -> None:
                async for frame in near:
                    await far.send(frame)
                await far.close()

            sending = asyncio.create_task(to_service())
            with contextlib.suppress(Exception):
                async for frame in far:
                    await near.send(frame)
                    await near.send(next(said), text=True)
            await sending

    async with serve(join, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"


@pytest.mark.parametrize("frames", [MALFORMED, UNKNOWN], ids=["malformed", "unknown"])
async def test_frames_that_are_none_do_no_harm(
    tmp_path: Path, frames: list[bytes]
) -> None:
    """F10, F11: they are counted and logged, without other effects."""
    path = tmp_path / "log.jsonl"
    async with (
        LocalService(parts=Parts(), options=QUICK) as service,
        adding(service, frames) as url,
        Client(credentials=KEY, base_url=url) as client,
    ):
        session = await client.start_session(TYPED, transport=record(websocket(), path))
        for _ in range(3):
            await ask(session)
        dedup = session.state.dedup
        counted = (dedup.malformed, dedup.unknown)
        assert session.state.connection.status is SessionStatus.OPEN
        assert select_problems(session.state) == ()
    read = list(read_log_file(path))
    came = [each for each in read if each.dir == "in"]
    assert len(came) > 2 * len(frames)
    if frames is MALFORMED:
        assert counted == (len(came) // 2, 0)
    else:
        dreamt = sum(UNKNOWN[0] == each.frame for each in read)
        assert counted == (0, dreamt)
    assert dump(fold(read)) == dump(client.store.state)


TEXT = ("response.output_text.*", "response.content_part.*", "conversation.item.*")


@pytest.mark.parametrize("make", [websocket, webrtc])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(does=Duplicate(2), events=("*",)),
        Fault(does=Reorder(3), events=TEXT, chance=0.5),
        Fault(does=Late(0.0, 0.2), events=TEXT, chance=0.5),
        Fault(does=Orphan(), events=("response.output_text.delta",), chance=0.5),
    ],
    ids=["twice", "order", "late", "strangers"],
)
async def test_words_survive_what_comes_doubled_late_or_astray(
    tmp_path: Path, make: Callable[[], Transport], fault: Fault
) -> None:
    """F12: lines and order are those of an undisturbed conversation.

    Text of an unknown response is a line that never becomes final.
    """
    path = tmp_path / "log.jsonl"
    faults = Faults((fault,), seed=7)
    async with live(record(make(), path), faults=faults) as (client, session):
        for turn in range(1, 4):
            await session.send_text(TURN[0][1])
            await session.until(partial(is_told, TURN * turn), timeout=30)
        assert select_problems(session.state) == ()
    assert dump(fold(read_log_file(path))) == dump(client.store.state)


# -- subscribers


async def test_who_does_not_keep_up_holds_nobody_up() -> None:
    """F13: an unread cursor stays small, and reports the number of missed changes."""
    async with live(websocket()) as (client, session):
        slow = client.store.cursor(limit=10)
        seen: list[int] = []
        client.store.subscribe(lambda b, r, a: seen.append(r.seq), session=session.id)
        for _ in range(3):
            await ask(session)
            assert len(slow) <= 10
        assert seen == list(range(seen[0], session.state.dedup.events + 1))
        resync = slow.pull()
        assert isinstance(resync, Resync)
        assert resync.state is client.store.state
        assert resync.missed == len(seen)
        await ask(session)
        assert slow.pull() is not None


async def test_whoever_blocks_the_loop_loses_nothing(tmp_path: Path) -> None:
    """F14: a subscriber that blocks only delays the others."""
    path = tmp_path / "log.jsonl"

    def hang(before: State, record: Record, after: State) -> None:
        time.sleep(0.05)

    async with live(record(websocket(), path)) as (client, session):
        stop = client.store.subscribe(hang)
        await ask(session)
        stop()
        session.on("transcript", lambda line: time.sleep(1.5))
        await ask(session)
        assert select_problems(session.state) == ()
        assert session.state.connection.epoch == 0
    assert dump(fold(read_log_file(path))) == dump(client.store.state)


async def test_whoever_raises_is_alone_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F14: the other subscribers are called, and each error is stored."""
    async with live(websocket()) as (client, session):
        served: list[int] = []

        def fails(*_: object) -> None:
            raise ZeroDivisionError

        client.store.subscribe(fails)
        client.store.subscribe(lambda b, r, a: served.append(r.seq))
        session.on("transcript", fails)
        lines: list[str] = []
        session.on("transcript", lambda line: lines.append(line.text))
        await ask(session)
        assert served == list(range(served[0], session.state.dedup.events + 1))
        assert lines == [text for _, text in TURN]
        kinds = {type(error) for error in client.store.failures}
        assert kinds == {ZeroDivisionError}
        assert [type(e) for e in session.callback_failures] == [ZeroDivisionError] * 2


# -- the clock


class Jumping:
    """A clock that is set an hour forward and back."""

    def __init__(self) -> None:
        self.inside = SystemClock()
        self.skew = 0.0

    def now(self) -> float:
        return self.inside.now() + self.skew


@pytest.mark.parametrize("skews", [(3600.0, 0.0), (-3600.0, 0.0), (0.0, -7200.0)])
async def test_a_clock_that_is_set_changes_no_order(
    tmp_path: Path, skews: tuple[float, float]
) -> None:
    """F15: times never go back, no duration is negative, no session reconnects."""
    path = tmp_path / "log.jsonl"
    clock = Jumping()
    async with live(record(websocket(), path), clock=clock) as (client, session):
        for skew in (0.0, *skews):
            clock.skew = skew
            await ask(session)
        assert session.state.connection.epoch == 0
        assert select_problems(session.state) == ()
        for line in select_transcripts(session.state):
            assert (line.started_at or 0.0) <= (line.finished_at or 0.0)
        turns = select_turns(session.state)
        spans = [turn.first_text_ms for turn in turns]
        assert len(spans) == 3
        assert all(span is not None and span >= 0 for span in spans)
    read = list(read_log_file(path))
    times = [each.at for each in read if each.at is not None]
    assert times == sorted(times)
    assert dump(fold(read)) == dump(client.store.state)


# -- recordings


@pytest.fixture
async def recorded(tmp_path: Path) -> Path:
    """A recording of two typed turns."""
    path = tmp_path / "recorded.jsonl"
    async with live(record(websocket(), path)) as (_, session):
        await ask(session)
        await ask(session)
    return path


def readable(path: Path) -> tuple[list[Record], int | None]:
    """The readable records, and the number of the first unreadable line."""
    found: list[Record] = []
    try:
        found.extend(read_log_file(path))
    except LogError as error:
        return found, error.line
    return found, None


@pytest.mark.deep
async def test_a_recording_cut_off_anywhere_is_read_to_there(recorded: Path) -> None:
    """F17: the complete lines are read, and the error names the torn line."""
    data = recorded.read_bytes()
    whole = list(read_log_file(recorded))
    for size in range(len(data)):
        recorded.write_bytes(data[:size])
        found, line = readable(recorded)
        lines = data[:size].count(b"\n")
        is_whole = data[size : size + 1] == b"\n" or data[:size].endswith(b"\n")
        complete = lines + (is_whole and not data[:size].endswith(b"\n"))
        assert found == whole[:complete]
        assert line == (None if is_whole or not size else lines + 1)


@pytest.mark.deep
async def test_a_flipped_byte_changes_no_word(recorded: Path) -> None:
    """F17: only the lines before the changed one are read."""
    data = recorded.read_bytes()
    whole = list(read_log_file(recorded))
    for at in range(len(data)):
        recorded.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        found, line = readable(recorded)
        number = data[:at].count(b"\n") + 1
        assert line == number
        assert found == whole[: number - 1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda line: line[:-30] + b"\n", "cut off"),
        (lambda line: line.replace(b'"seq"', b'"sEq"'), "changed since"),
        (lambda line: b'{"v":99,"seq":1}\n', "version 99"),
        (lambda line: bytes(80) + b"\n", "NUL bytes"),
    ],
    ids=["torn", "flipped", "future", "zeros"],
)
async def test_what_can_be_read_is_replayed(
    recorded: Path, spoil: Callable[[bytes], bytes], message: str
) -> None:
    """F17: the first turn replays; then the session fails and names the line."""
    lines = recorded.read_bytes().splitlines(keepends=True)
    done = [n for n, line in enumerate(lines) if b'"response.done"' in line]
    spoilt = done[1]
    recorded.write_bytes(
        b"".join([*lines[:spoilt], spoil(lines[spoilt]), *lines[spoilt + 1 :]])
    )
    async with Client(credentials=KEY) as client:
        session = await client.start_session(TYPED, transport=replay(recorded))
        await ask(session)
        await session.send_text(TURN[0][1])
        state = await session.until(
            lambda s: s.connection.status is SessionStatus.FAILED, timeout=10
        )
        assert words(state)[:2] == TURN
        [problem] = select_problems(state)
        assert f"line {spoilt + 1}: " in problem.message
        assert message in problem.message
        assert isinstance(session.failure, LogError)


async def test_nothing_to_replay_is_said_at_once(tmp_path: Path) -> None:
    """F17: an empty file, and a file with a bad first line."""
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"")
    with pytest.raises(LogError, match="no records"):
        replay(path)
    path.write_text(json.dumps({"v": 2}) + "\n")
    with pytest.raises(LogError, match="line 1: "):
        replay(path)
