"""Lost connections and hand-over: every event is sent, and none twice."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from duologue.core import (
    Record,
    Session,
    SessionConfig,
    SessionStatus,
    State,
    Store,
    dump,
    fold,
    select_is_settled,
    select_problems,
    select_transcripts,
)
from duologue.core.effects.backoff import Backoff
from duologue.core.effects.commands import WakeAt
from duologue.core.store import Dispatch
from duologue.local import Options, in_process
from duologue.local.faults.injector import Cut, Fault, Faults
from duologue.transports import (
    AuthenticationError,
    Client,
    ConnectError,
    ConnectTimeout,
    Credentials,
    LiveSession,
    NotConnected,
    ServiceUnreachable,
    SignallingError,
    Target,
    Transport,
)
from duologue.transports.drivers.memory import MemoryEnd, pair

from ...core.effects.carried_out import check_carried_out
from ..virtual import VirtualClock, ids, virtually

TYPED = SessionConfig(output_modalities=("text",))
URL = "http://127.0.0.1/v1"


def client(**options: Any) -> Client:
    fixed: dict[str, Any] = {"base_url": URL, "clock": VirtualClock()}
    return Client(**{**fixed, "chance": lambda: 1.0, **options})


def service(**options: Any) -> Callable[[], Transport]:
    """A function that connects to the local service in virtual time."""
    made = ids()
    kind = Options(pace=float("inf"), **options)
    return lambda: in_process(clock=VirtualClock(), options=kind, ids=made)


def words(session: Session) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in select_transcripts(session)]


def is_answered(session: Session) -> bool:
    last = [line.role for line in select_transcripts(session)][-1:]
    return last == ["assistant"] and select_is_settled(session)


async def ask(session: LiveSession, text: str) -> None:
    count = len(select_transcripts(session.state))
    await session.send_text(text)
    await session.until(
        lambda s: is_answered(s) and len(select_transcripts(s)) > count + 1, timeout=60
    )


def statuses(session: LiveSession) -> list[str]:
    seen: list[str] = []
    session.on("status", seen.append)
    return seen


async def status(session: LiveSession, wanted: SessionStatus) -> Session:
    return await session.until(lambda s: s.connection.status is wanted, timeout=600)


class Line:
    """Makes transports to a far side that the test controls."""

    def __init__(self, name: str = "sess") -> None:
        self.name = name
        self.ends: list[MemoryEnd] = []
        self.refusals: list[Exception] = []
        self.targets: list[Target] = []
        #: Connecting waits until it is set.
        self.gate = asyncio.Event()
        self.gate.set()

    def __call__(self) -> Transport:
        ours, theirs = pair()
        self.ends.append(theirs)
        connect = ours.connect

        async def connected(target: Target) -> None:
            self.targets.append(target)
            await self.gate.wait()
            if self.refusals:
                raise self.refusals.pop(0)
            await connect(target)
            created = {"type": "session.created", "event_id": f"e{len(self.ends)}"}
            session = {"type": "realtime", "id": f"{self.name}_{len(self.ends)}"}
            await theirs.send(json.dumps({**created, "session": session}))

        ours.connect = connected  # type: ignore[method-assign]
        return ours

    async def sent(self, count: int, number: int = -1) -> list[dict[str, Any]]:
        """The next events sent on one of the connections."""
        frames = self.ends[number].frames()
        return [json.loads(await anext(frames)) for _ in range(count)]

    async def say(self, *events: dict[str, Any], number: int = 0) -> None:
        """Send this from the far side of one of the connections."""
        for event in events:
            await self.ends[number].send(json.dumps(event))

    async def expire_in(self, seconds: float) -> None:
        """Let the first connection expire after this time."""
        expires = VirtualClock().now() + seconds
        session = {"type": "realtime", "id": "sess_1", "expires_at": expires}
        await self.say({"type": "session.updated", "session": session})


SPEECH: dict[str, Any] = {"item_id": "said", "audio_start_ms": 0}
BEGINS = {**SPEECH, "type": "input_audio_buffer.speech_started"}
ENDS = {**SPEECH, "type": "input_audio_buffer.speech_stopped", "audio_end_ms": 9}
ANSWER = {"id": "resp_1", "conversation_id": "conv_1"}


# A connection that is lost.


@virtually
async def test_a_lost_connection_is_followed_by_another() -> None:
    """The session continues, with a problem that has the reason."""
    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        seen = statuses(session)
        told: list[str | None] = []
        session.on("disconnected", told.append)
        await line.ends[0].close("the cable was cut", code=1006)
        await status(session, SessionStatus.RECONNECTING)
        state = await status(session, SessionStatus.OPEN)
        assert seen == ["reconnecting", "open"]
        assert told == ["the cable was cut"]
        assert state.connection.epoch == 1
        assert [p.message for p in select_problems(state)] == ["the cable was cut"]


@virtually
async def test_the_conversation_is_told_to_the_next_connection() -> None:
    """It is sent first, so the model answers the next question."""
    make = service(life=60.0)
    transports: list[Any] = []

    def making() -> Transport:
        transport = make()
        transports.append(transport)
        return transport

    async with client() as live:
        session = await live.start_session(TYPED, transport=making)
        await ask(session, "hello")
        before = words(session.state)
        await transports[0]._end.close("the cable was cut", code=1006)
        await status(session, SessionStatus.RECONNECTING)
        await ask(session, "count to three")
        assert words(session.state) == [
            *before,
            ("user", "count to three"),
            ("assistant", "One, two, three."),
        ]
        assert session.state.connection.epoch == 1


@pytest.mark.parametrize(
    ("code", "recovers"),
    [
        (None, True),
        (1001, True),
        (1006, True),
        (1012, True),
        (1008, False),
        (4000, False),
    ],
)
def test_codes_that_are_worth_it(code: int | None, recovers: bool) -> None:
    """All other codes end the session with their reason."""

    @virtually
    async def run() -> None:
        line = Line()
        async with client() as live:
            session = await live.start_session(TYPED, transport=line)
            await line.ends[0].close("gone", code=code)
            wanted = SessionStatus.OPEN if recovers else SessionStatus.FAILED
            state = await session.until(
                lambda s: (
                    s.connection.status is wanted
                    and s.connection.epoch == int(recovers)
                ),
                timeout=60,
            )
            assert [p.message for p in select_problems(state)] == ["gone"]

    run()


@virtually
async def test_without_a_way_to_make_another_one() -> None:
    """A transport that cannot be made again, and a client without back-off."""
    ours, theirs = pair()
    async with client() as live:
        session = await live.start_session(TYPED, transport=ours)
        await theirs.close("gone")
        await status(session, SessionStatus.FAILED)
    line = Line()
    async with client(backoff=None) as live:
        session = await live.start_session(TYPED, transport=line)
        await line.ends[0].close("gone")
        await status(session, SessionStatus.FAILED)


@pytest.mark.parametrize(("cut", "end"), [(3.0, "open"), (40.0, "failed")])
def test_a_cut_of_the_network(cut: float, end: str) -> None:
    """F7: a short one is survived, a long one fails; delays grow."""

    @virtually
    async def run() -> None:
        line = Line()
        loop = asyncio.get_running_loop()
        back = loop.time() + cut
        times: list[float] = []
        make = line.__call__

        def making() -> Transport:
            transport = make()
            connect = transport.connect

            async def connected(target: Target) -> None:
                times.append(loop.time())
                if len(line.ends) > 1 and loop.time() < back:
                    raise ServiceUnreachable("nothing answers")
                await connect(target)

            transport.connect = connected  # type: ignore[method-assign]
            return transport

        async with client() as live:
            session = await live.start_session(TYPED, transport=making)
            await line.ends[0].close("no answer to a ping", code=1006)
            state = await session.until(
                lambda s: (
                    s.connection.epoch == 1
                    and s.connection.status.value in ("open", "failed")
                ),
                timeout=60,
            )
            assert state.connection.status == end
            waits = [b - a for a, b in pairwise(times[1:])]
            assert waits[:5] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2][: len(waits)])
            problems = [p.message for p in select_problems(state)]
            assert (
                problems
                == ["no answer to a ping", "nothing answers"][: 1 + (end == "failed")]
            )
            if end == "failed":
                with pytest.raises(NotConnected):
                    await session.send_text("hello")

    run()


@virtually
async def test_connections_that_are_lost_at_once_are_not_made_without_end() -> None:
    """A connection that ends too soon counts as an attempt."""
    made: list[float] = []

    def flaky() -> Transport:
        made.append(asyncio.get_running_loop().time())
        ours, theirs = pair()
        connect = ours.connect

        async def connected(target: Target) -> None:
            await connect(target)
            await theirs.close("busy", code=1013)

        ours.connect = connected  # type: ignore[method-assign]
        return ours

    async with client() as app:
        session = await app.start_session(TYPED, transport=flaky)
        await status(session, SessionStatus.FAILED)

    pauses = [round(late - early, 6) for early, late in pairwise(made)]
    assert pauses == [0.0, 0.2, 0.4, 0.8, 1.6, 3.2, *[5.0] * (len(pauses) - 6)]
    assert 25 < made[-1] <= 30


@virtually
async def test_a_refusal_ends_the_trying() -> None:
    """No attempt follows a refused key or a 404."""
    for refusal in (
        AuthenticationError("no", status=401),
        SignallingError("no", status=404),
    ):
        line = Line()
        async with client() as live:
            session = await live.start_session(TYPED, transport=line)
            line.refusals = [refusal]
            await line.ends[0].close("gone")
            state = await status(session, SessionStatus.FAILED)
            assert len(line.targets) == 2
            assert [p.message for p in select_problems(state)] == ["gone", "no"]


# Events sent while disconnected.


@virtually
async def test_what_is_said_while_it_is_away_is_said_later() -> None:
    """In order, after the restored conversation, with one response."""
    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        line.refusals = [ServiceUnreachable("nothing answers")] * 3
        await line.ends[0].close("gone")
        await status(session, SessionStatus.RECONNECTING)
        await session.send_text("one")
        await session.send_text("two")
        await status(session, SessionStatus.OPEN)
        sent = await line.sent(4)
        assert [event["type"] for event in sent] == [
            "session.update",
            "conversation.item.create",
            "conversation.item.create",
            "response.create",
        ]
        said = [event["item"]["content"][0]["text"] for event in sent[1:3]]
        assert said == ["one", "two"]


@virtually
async def test_what_was_sent_and_not_confirmed_is_sent_again() -> None:
    """With the same id, so an item that did arrive is not doubled."""
    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        await session.send_text("did it arrive?")
        first = await line.sent(2, 0)
        await line.ends[0].close("gone")
        await status(session, SessionStatus.RECONNECTING)
        await status(session, SessionStatus.OPEN)
        again = await line.sent(3)
        assert again[1] == first[0]
        assert [event["type"] for event in again] == [
            "session.update",
            "conversation.item.create",
            "response.create",
        ]


@virtually
async def test_what_could_never_be_sent_is_a_problem() -> None:
    """The state has the number of unsent events."""
    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        line.refusals = [
            ServiceUnreachable("nothing answers"),
            SignallingError("no", status=404),
        ]
        await line.ends[0].close("gone")
        await status(session, SessionStatus.RECONNECTING)
        await session.send_text("hello")
        await status(session, SessionStatus.FAILED)
        await session.close()
        assert [p.message for p in select_problems(session.state)] == [
            "gone",
            "no",
            "2 events not sent",
        ]


@virtually
async def test_too_much_is_held_back() -> None:
    """F13 for sending: memory stays bounded, further senders wait."""
    from duologue.transports.client.outbox import LIMIT

    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        line.refusals = [ServiceUnreachable("nothing answers")] * 4
        await line.ends[0].close("gone")
        await status(session, SessionStatus.RECONNECTING)
        for _ in range(LIMIT):
            await session.send_event({"type": "response.cancel"})
        more = asyncio.create_task(session.send_event({"type": "response.cancel"}))
        await asyncio.sleep(0)
        assert not more.done()
        await status(session, SessionStatus.OPEN)
        await more
        assert len(await line.sent(LIMIT + 2)) == LIMIT + 2


# Expiry of a connection.


@virtually
async def test_a_talk_of_two_hours_is_one_transcript() -> None:
    """A connection lasts an hour at most; the hand-over has no effect."""
    records: list[Record] = []
    async with client() as live:
        live.store.subscribe(lambda before, record, after: records.append(record))
        session = await live.start_session(TYPED, transport=service(life=3600.0))
        seen = statuses(session)
        expected: list[tuple[str, str]] = []
        for number in range(120):
            await ask(session, f"count to {2 + number % 3}")
            count = ["One, two.", "One, two, three.", "One, two, three, four."]
            expected.append(("user", f"count to {2 + number % 3}"))
            expected.append(("assistant", count[number % 3]))
            await asyncio.sleep(60)
        assert words(session.state) == expected
        assert session.state.connection.epoch == 2
        assert select_problems(session.state) == ()
        assert seen == []
    assert dump(fold(records)) == dump(live.store.state)


@pytest.mark.parametrize("minutes", [12, pytest.param(120, marks=pytest.mark.deep)])
def test_a_fault_each_minute(minutes: int) -> None:
    """Every connection is cut after a minute, every third attempt is refused, and some
    hang: one transcript, and no text is lost or doubled.
    """
    virtually(talk_with_faults)(minutes)


async def talk_with_faults(minutes: int) -> None:
    cut = Faults((Fault(does=Cut(), at=60.0),))
    made, attempts = ids(), itertools.count()

    def faulty() -> Transport:
        transport = in_process(
            clock=VirtualClock(), options=Options(pace=1.0), ids=made, faults=cut
        )
        number = next(attempts)
        connect = transport.connect

        async def connected(target: Target) -> None:
            if number % 3 == 1:
                raise SignallingError("busy", status=503, retry_after=number % 4)
            if number % 7 == 3:
                await asyncio.sleep(target.timeout + 5)
            await connect(target)

        transport.connect = connected  # type: ignore[method-assign]
        return transport

    texts = [f"count to {number}" for number in range(minutes * 3)]
    async with client() as live:
        session = await live.start_session(TYPED, transport=faulty)
        for text in texts:
            await session.send_text(text)
            await asyncio.sleep(20)
        state = await session.until(select_is_settled, timeout=600)
    assert [text for role, text in words(state) if role == "user"] == texts
    assert words(state)[-1][0] == "assistant"
    assert state.connection.epoch > minutes * 0.8
    assert {p.kind for p in select_problems(state)} == {"disconnected"}
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtually
async def test_a_turn_is_not_cut_by_a_hand_over() -> None:
    """The hand-over waits for the end of the turn only."""
    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        now = VirtualClock().now()
        config = {"type": "realtime", "id": "sess_1", "expires_at": now + 1000}
        far = line.ends[0]
        await far.send(json.dumps({"type": "session.updated", "session": config}))
        response = {"id": "resp_1", "conversation_id": "conv_1"}
        await asyncio.sleep(690)
        await far.send(json.dumps({"type": "response.created", "response": response}))
        await asyncio.sleep(20)
        assert len(line.ends) == 1
        done = {**response, "status": "completed", "output": []}
        await far.send(json.dumps({"type": "response.done", "response": done}))
        state = await session.until(lambda s: s.connection.epoch == 1, timeout=5)
        assert select_problems(state) == ()


@virtually
async def test_a_turn_that_begins_while_the_next_one_connects() -> None:
    """The turn continues; the new connection is closed and made again."""
    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        await line.expire_in(1000)
        line.gate.clear()
        await asyncio.sleep(702)
        assert len(line.targets) == 2
        await line.say(BEGINS)
        await asyncio.sleep(5)
        line.gate.set()
        await asyncio.sleep(100)
        assert (session.state.connection.epoch, len(line.targets)) == (0, 2)
        created = {"type": "response.created", "response": ANSWER}
        await line.say(ENDS, created)
        await asyncio.sleep(20)
        assert (session.state.connection.epoch, len(line.targets)) == (0, 2)
        done = {**ANSWER, "status": "completed", "output": []}
        await line.say({"type": "response.done", "response": done})
        state = await session.until(lambda s: s.connection.epoch == 1, timeout=5)
        assert len(line.targets) == 3
        assert state.responses.by_id["resp_1"].status == "completed"
        assert select_problems(state) == ()


@virtually
async def test_a_turn_without_end_is_cut_at_the_last_moment() -> None:
    """Half a minute before expiry the hand-over does not wait."""
    line = Line()
    loop = asyncio.get_running_loop()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        await line.expire_in(1000)
        line.gate.clear()
        await asyncio.sleep(702)
        await line.say(BEGINS)
        await asyncio.sleep(5)
        line.gate.set()
        await session.until(lambda s: s.connection.epoch == 1, timeout=500)
        assert loop.time() == pytest.approx(970, abs=1)


@virtually
async def test_a_service_that_is_down_at_the_hand_over() -> None:
    """The old connection is kept, and its end causes a reconnect."""
    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        now = VirtualClock().now()
        config = {"type": "realtime", "id": "sess_1", "expires_at": now + 1000}
        updated = {"type": "session.updated", "session": config}
        await line.ends[0].send(json.dumps(updated))
        line.refusals = [ServiceUnreachable("nothing answers")] * 60
        await asyncio.sleep(900)
        assert session.state.connection.status is SessionStatus.OPEN
        await session.send_event({"type": "response.cancel"})
        assert len(line.targets) > 10
        line.refusals = []
        state = await session.until(lambda s: s.connection.epoch == 1, timeout=10)
        assert state.connection.status is not SessionStatus.FAILED


@pytest.mark.parametrize("skew", [3600.0, -3600.0, 3500.0])
def test_clocks_that_differ(skew: float) -> None:
    """F15: an hour of difference causes no repeated hand-over; a connection
    that seems to have 100 s left has half of them.
    """

    @virtually
    async def run() -> None:
        made = ids()
        count = 0

        def making() -> Transport:
            nonlocal count
            count += 1
            return in_process(
                clock=VirtualClock(), options=Options(pace=float("inf")), ids=made
            )

        async with client(clock=VirtualClock(skew)) as live:
            session = await live.start_session(TYPED, transport=making)
            for _ in range(100):
                await ask(session, "hello")
                await asyncio.sleep(60)
            assert len(words(session.state)) == 200
        # A hand-over each 50 s; one in six begins with a turn and is made again.
        assert count <= 3 or (skew == 3500.0 and count <= 121 + 20)

    run()


# The end of a session.


@virtually
async def test_closing_while_it_reconnects() -> None:
    """The attempts end; the session is closed, not failed."""
    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        line.refusals = [ServiceUnreachable("nothing answers")] * 60
        await line.ends[0].close("gone")
        await status(session, SessionStatus.RECONNECTING)
        await session.send_text("hello")
        await asyncio.sleep(1)
        await session.close()
        assert session.state.connection.status is SessionStatus.CLOSED
        assert [p.kind for p in select_problems(session.state)] == [
            "disconnected",
            "gap",
        ]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("way", ["client", "session", "forget"])
def test_closing_while_it_connects(way: str) -> None:
    """`start_session` raises with the reason; nothing has failed."""

    @virtually
    async def run() -> None:
        line, live = Line(), client()
        line.gate.clear()
        start = asyncio.create_task(live.start_session(TYPED, id="s", transport=line))
        await asyncio.sleep(1)
        session = live.get_session("s")
        if way == "client":
            await live.close()
        elif way == "session":
            await session.close()
        else:
            await live.close_session("s")
        assert session.state.connection.status is SessionStatus.CLOSED
        assert select_problems(session.state) == ()
        with pytest.raises(NotConnected, match="closed while it connected"):
            await start
        with pytest.raises(NotConnected):
            await line.ends[0].send("{}")
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert (live.store.session("s") is None) is (way == "forget")

    run()


@virtually
async def test_closing_while_the_next_attempt_is_due() -> None:
    """The application closed the session: the earlier refusal is not its reason."""
    line, live = Line(), client()
    line.refusals = [SignallingError("busy", status=503, retry_after=5.0)]
    start = asyncio.create_task(live.start_session(TYPED, id="s", transport=line))
    await asyncio.sleep(1)
    await live.get_session("s").close()
    with pytest.raises(NotConnected, match="closed while it connected"):
        await start


@pytest.mark.parametrize("steps", range(6))
def test_closing_at_the_moment_at_which_it_stands(steps: int) -> None:
    """The session ends as closed in either order, without a deadlock."""

    @virtually
    async def run() -> None:
        line, live = Line(), client()
        line.gate.clear()
        start = asyncio.create_task(live.start_session(TYPED, id="s", transport=line))
        await asyncio.sleep(1)
        closing = asyncio.create_task(live.get_session("s").close())
        for _ in range(steps):
            await asyncio.sleep(0)
        line.gate.set()
        await closing
        await asyncio.gather(start, return_exceptions=True)
        session = live.get_session("s")
        assert session.state.connection.status is SessionStatus.CLOSED
        assert select_problems(session.state) == ()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run()


@virtually
async def test_a_cancelled_application_leaves_nothing() -> None:
    """After Ctrl-C every session is closed, in any state."""
    line, other = Line(), Line()
    live = client()

    async def talk() -> None:
        async with live:
            await live.start_session(TYPED, id="one", transport=line)
            two = await live.start_session(TYPED, id="two", transport=other)
            other.refusals = [ServiceUnreachable("nothing answers")] * 60
            await other.ends[0].close("gone")
            await status(two, SessionStatus.RECONNECTING)
            await asyncio.Event().wait()

    task = asyncio.create_task(talk())
    await asyncio.sleep(3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    found = [live.get_session(name).state.connection.status for name in ("one", "two")]
    assert found == [SessionStatus.CLOSED, SessionStatus.CLOSED]


@virtually
async def test_a_middleware_that_raises_ends_its_session_and_says_so() -> None:
    """The state and `failure` name the original error."""

    def strict(store: Store, dispatch: Dispatch) -> Dispatch:
        def checked(record: Record) -> State:
            if record.event.type == "response.done":
                raise ArithmeticError("never this")
            return dispatch(record)

        return checked

    async with client(store=Store(middleware=(strict,))) as live:
        session = await live.start_session(TYPED, transport=service())
        await session.send_text("Hello.")
        state = await status(session, SessionStatus.FAILED)

    assert state.connection.reason == "unexpected: ArithmeticError"
    assert str(session.failure) == "unexpected: ArithmeticError"


@virtually
async def test_sessions_that_fail_take_nobody_with_them() -> None:
    """Fifty sessions, one failing every second: the others continue."""
    async with client(backoff=None) as live:
        good = [await live.start_session(TYPED, transport=service()) for _ in range(25)]
        lines = [Line() for _ in range(25)]
        bad = [await live.start_session(TYPED, transport=line) for line in lines]

        async def fail() -> None:
            for line in lines:
                await asyncio.sleep(1)
                await line.ends[0].close("gone")

        async def talk(session: LiveSession) -> None:
            for _ in range(10):
                await ask(session, "count to three")
                await asyncio.sleep(3)

        await asyncio.gather(fail(), *map(talk, good))
        one = [("user", "count to three"), ("assistant", "One, two, three.")]
        assert [words(session.state) for session in good] == [one * 10] * 25
        assert {session.state.connection.status for session in bad} == {
            SessionStatus.FAILED
        }


# The first connection.


@pytest.mark.parametrize(
    ("refusals", "attempts"),
    [
        ([429, 429], 3),
        ([503], 2),
        ([429, 429, 429], 3),
        ([401], 1),
        ([403], 1),
        ([404], 1),
        ([409], 1),
    ],
)
def test_a_busy_service_is_asked_again(refusals: list[int], attempts: int) -> None:
    """F9: 429 and 5xx up to three times, a refusal once."""

    @virtually
    async def run() -> None:
        line = Line()
        line.refusals = [SignallingError("no", status=status) for status in refusals]
        async with client() as live:
            try:
                session = await live.start_session(TYPED, id="s", transport=line)
            except ConnectError:
                session = live.get_session("s")
                assert len(refusals) == attempts
                assert session.state.connection.status is SessionStatus.FAILED
            else:
                assert session.state.connection.status is SessionStatus.OPEN
            assert len(line.targets) == attempts

    run()


@pytest.mark.parametrize("hangs", ["connect", "key", "both"])
def test_what_hangs_is_given_up(hangs: str) -> None:
    """The timeout holds for every transport."""

    class Slow:
        renews = True

        async def fetch(self, *_: object) -> Credentials:
            await asyncio.sleep({"connect": 0, "key": 1e6, "both": 4}[hangs])
            return Credentials("ek_x")

    @virtually
    async def run() -> None:
        line = Line()
        if hangs != "key":
            line.gate.clear()
        async with client(credentials=Slow()) as live:
            with pytest.raises(ConnectTimeout, match="within 5 s"):
                await live.start_session(TYPED, id="s", transport=line, timeout=5)
            assert asyncio.get_running_loop().time() == pytest.approx(6)
            status = live.get_session("s").state.connection.status
            assert status is SessionStatus.FAILED
            assert [t.timeout for t in line.targets] == {
                "connect": [5],
                "both": [1],
            }.get(hangs, [])
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run()


@virtually
async def test_a_service_says_when_to_come_again() -> None:
    """F9: ``Retry-After`` is obeyed up to a limit and the timeout."""
    line = Line()
    line.refusals = [SignallingError("busy", status=429, retry_after=7.0)]
    loop = asyncio.get_running_loop()
    async with client() as live:
        await live.start_session(TYPED, transport=line)
        assert loop.time() == pytest.approx(7.0)
        line.refusals = [SignallingError("busy", status=429, retry_after=1e6)]
        with pytest.raises(SignallingError, match="busy"):
            await live.start_session(TYPED, transport=line, timeout=5.0)
        assert loop.time() == pytest.approx(7.0)


@virtually
async def test_how_to_try_is_the_applications_to_say() -> None:
    """The delays are those of `Backoff`."""
    line = Line()
    loop = asyncio.get_running_loop()
    patient = Backoff(first=1.0, longest=1.0, patience=100.0)
    async with client(backoff=patient) as live:
        session = await live.start_session(TYPED, transport=line)
        line.refusals = [ServiceUnreachable("nothing answers")] * 50
        await line.ends[0].close("gone")
        await status(session, SessionStatus.RECONNECTING)
        await status(session, SessionStatus.OPEN)
        assert loop.time() == pytest.approx(50.0)


# Commands and the facts that answer them.


def recorded(live: Client) -> list[Record]:
    records: list[Record] = []
    live.store.subscribe(lambda before, record, after: records.append(record))
    return records


def carried_out(records: list[Record]) -> list[str]:
    """The commands of a log, by name, after a check that each was carried out."""
    found = check_carried_out(records)
    return [type(each).__name__ for each in found if not isinstance(each, WakeAt)]


@virtually
async def test_a_log_shows_all_commands_of_a_talk() -> None:
    """`react` over the log gives what was done: after losses and a hand-over."""
    make = service(life=400.0)
    transports: list[Any] = []

    def making() -> Transport:
        transports.append(transport := make())
        return transport

    async with client() as live:
        records = recorded(live)
        session = await live.start_session(TYPED, transport=making)
        for number in range(12):
            await ask(session, "count to three")
            if number in (3, 4, 9):
                await transports[-1]._end.close("cut", code=1006)
                await status(session, SessionStatus.RECONNECTING)
            await asyncio.sleep(55)
        assert len(words(session.state)) == 24
    found = carried_out(records)
    assert found.count("SwitchTo") >= 1
    assert found.count("Connect") == session.state.connection.epoch
    assert found.count("Send") > 30
    assert session.state.connection.epoch >= 4


@virtually
async def test_a_log_shows_all_commands_of_a_bad_day() -> None:
    """With refusals, a discarded successor, losses while connecting, and closing."""
    line = Line()
    line.refusals = [SignallingError("busy", status=503)]
    async with client() as live:
        records = recorded(live)
        session = await live.start_session(TYPED, transport=line)
        # The first attempt used the first end.
        far = line.ends[1]
        expires = VirtualClock().now() + 1000
        config = {"type": "realtime", "id": "sess_2", "expires_at": expires}
        await far.send(json.dumps({"type": "session.updated", "session": config}))
        line.gate.clear()
        await asyncio.sleep(702)
        assert len(line.targets) == 3
        await line.say(BEGINS, number=1)
        await asyncio.sleep(1)
        line.gate.set()
        await asyncio.sleep(1)
        assert session.state.connection.epoch == 0
        line.gate.clear()
        created = {"type": "response.created", "response": ANSWER}
        done = {**ANSWER, "status": "completed", "output": []}
        await line.say(
            ENDS, created, {"type": "response.done", "response": done}, number=1
        )
        await asyncio.sleep(30)
        assert len(line.targets) == 4
        # Lost while the successor connects, which then fails.
        line.refusals = [ServiceUnreachable("nothing answers")] * 2
        await far.close("cut", code=1006)
        await status(session, SessionStatus.RECONNECTING)
        await session.send_text("hello")
        line.gate.set()
        await status(session, SessionStatus.OPEN)
        await asyncio.sleep(5)
        line.refusals = [ServiceUnreachable("nothing answers")] * 60
        await line.ends[-1].close("cut", code=1006)
        await asyncio.sleep(10)
        await session.close()
        assert session.state.connection.status is SessionStatus.CLOSED
    assert carried_out(records).count("Connect") == len(line.targets) - 1
    last = [type(each).__name__ for each in check_carried_out(records)]
    assert "Disconnect" in last


@pytest.mark.parametrize("moment", range(12))
def test_a_log_shows_all_commands_of_an_interrupted_one(moment: int) -> None:
    """Closing at any time, while it connects, reconnects or is open."""

    @virtually
    async def run() -> None:
        line = Line()
        connect_in = [1.0, 0.0, 2.0]
        live = client()
        records = recorded(live)

        def making() -> Transport:
            transport = line()
            connect = transport.connect

            async def connected(target: Target) -> None:
                await asyncio.sleep(connect_in[len(line.ends) % 3])
                await connect(target)

            transport.connect = connected  # type: ignore[method-assign]
            return transport

        line.refusals = [SignallingError("busy", status=503)]
        start = asyncio.create_task(live.start_session(TYPED, id="s", transport=making))
        await asyncio.sleep(moment / 2)
        session = live.get_session("s")
        if session.state.connection.status is SessionStatus.OPEN:
            await line.ends[-1].close("cut", code=1006)
            await asyncio.sleep(moment % 3)
        await live.close()
        await asyncio.gather(start, return_exceptions=True)
        assert session.state.connection.status is SessionStatus.CLOSED
        carried_out(records)

    run()


@virtually
async def test_a_clock_behind_the_snapshot() -> None:
    """The attempts of a session that goes on have their delays all the same."""
    ahead, line = Line(), Line()
    store = Store()
    async with client(store=store, clock=VirtualClock(3600.0)) as live:
        session = await live.start_session(TYPED, id="s", transport=ahead)
        await ahead.say({"type": "response.created", "response": ANSWER})
        await asyncio.sleep(500)
        assert session.state.activity.last_tick_at is not None
    async with client(store=store) as live:
        session = await live.start_session(TYPED, id="s", transport=line)
        line.refusals = [ServiceUnreachable("nothing answers")] * 60
        await line.ends[0].close("gone")
        await asyncio.sleep(3)
        assert len(line.targets) < 10


@pytest.mark.parametrize("rejoins", [False, True])
def test_a_service_without_a_greeting_is_restored(rejoins: bool) -> None:
    """After two seconds, unless the transport has joined the same session again."""

    @virtually
    async def run() -> None:
        ends: list[MemoryEnd] = []

        def make() -> Transport:
            ours, theirs = pair()
            ends.append(theirs)
            ours.rejoins = rejoins  # type: ignore[attr-defined]
            return ours

        async with client() as live:
            records = recorded(live)
            session = await live.start_session(TYPED, transport=make)
            item = {"id": "i", "type": "message", "role": "user", "content": [TEXT]}
            added = {"type": "conversation.item.added", "item": item}
            await ends[0].send(json.dumps(added))
            await asyncio.sleep(3.0)
            await ends[0].close("gone", code=1006)
            await session.until(lambda s: s.connection.epoch == 1)
            await status(session, SessionStatus.OPEN)
            await asyncio.sleep(3.0)
            sent = [r.event.type for r in records if (r.dir, r.epoch) == ("out", 1)]
            assert ("conversation.item.create" in sent) is not rejoins

    run()


TEXT = {"type": "input_text", "text": "remember 42"}
