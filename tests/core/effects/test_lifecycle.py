"""The life of a session's connections: all short sequences of facts, and long ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from immutables import Map
from msgspec import structs

from duologue.core import (
    State,
    dump,
    events,
    fold,
    react,
    read_log,
    reduce,
    select_transcripts,
)
from duologue.core.effects.commands import Command, Connect, Disconnect, SwitchTo
from duologue.core.effects.deadlines import tick_at
from duologue.core.effects.handover import hand_over_reason
from duologue.core.effects.lifecycle import (
    first_attempt,
    is_due,
    is_resent,
    latest_time,
    lifecycle,
    lost_events,
    may_send,
    unconfirmed_items,
)
from duologue.core.events.base import Event
from duologue.core.events.types import SessionStatus
from duologue.core.log.record import Record
from duologue.core.state.dedup import EMPTY_DEDUP
from duologue.core.state.model import (
    Activity,
    Connection,
    Conversation,
    Responses,
    Session,
    UnconfirmedItem,
)
from duologue.core.testing.stream import Stream

from ..strategies import hostile, legal
from .carried_out import check_carried_out
from .lifecycle_model import EXPIRES_IN, OVER, POLICY, START, World, begin, created

#: How an attempt fails.
FAILURES: dict[str, dict[str, Any]] = {
    "no answer": {"can_repeat": True},
    "no other transport": {"status": 503},
    "busy": {"status": 503, "can_repeat": True},
    "busy for long": {"status": 429, "can_repeat": True, "retry_after": 7.0},
    "old key": {"status": 401, "renews": True, "can_repeat": True},
    "old key, no transport": {"status": 401, "renews": True},
    "bad key": {"status": 401, "can_repeat": True},
    "no key": {"status": 401, "renews": True, "can_repeat": True, "stage": "key"},
    "refused": {"status": 403, "can_repeat": True},
}
#: How a connection ends.
ENDS: dict[str, dict[str, Any]] = {
    "lost": {"lost": True, "can_repeat": True, "code": 1006},
    "lost for ever": {"lost": True},
    "not lost": {"can_repeat": True, "code": 1008},
    "expected": {"expected": True, "code": 1000},
}


def response(status: str) -> events.RealtimeResponse:
    return events.RealtimeResponse(id="r", conversation_id="c", status=status)


TURN = (
    events.InputAudioBufferSpeechStarted(item_id="i", audio_start_ms=0),
    events.ResponseCreated(response=response("in_progress")),
    events.ResponseDone(response=response("completed")),
)


def following(world: World) -> Iterator[tuple[str, Callable[[], World]]]:
    """All that can happen next, each with its name."""
    for attempt in world.running:
        yield "connected", partial(world.connected, attempt)
        for name, failure in FAILURES.items():
            yield name, partial(world.failed, attempt, chance=0.5, **failure)
    for epoch, _ in world.opened:
        ends = {"closed": {"expected": True}} if epoch in world.ending else ENDS
        for name, end in ends.items():
            yield f"{name} {epoch}", partial(world.ended, epoch, chance=0.5, **end)
    connection = world.session.connection
    if connection.status not in OVER and connection.closing is None:
        yield "closing", partial(world.record, events.Closing())
    if world.alarm is not None:
        yield "tick", world.tick
        if world.alarm > world.now and world.log is None:
            # A tick that no command asked for, so not in a real log.
            early = (world.now + world.alarm) / 2
            yield "early tick", partial(world.tick, early)
    if world.opened or world.running:
        yield "3 s", partial(world.wait, 3.0)
    # Also before it is connected, after its end, and from the same service session.
    for epoch in dict(world.attempts):
        is_open = epoch in dict(world.opened)
        for expires in (None, world.now + EXPIRES_IN) if is_open else (None,):
            event = created(expires, f"sess_{epoch}")
            yield f"{event.type} {epoch} {expires}", partial(world.record, event, epoch)
        if epoch and is_open:
            event = created(None, f"sess_{epoch - 1}")
            yield f"rejoined {epoch}", partial(world.record, event, epoch)
        if epoch > connection.epoch and not is_open:
            yield f"turn {epoch}", partial(world.record, TURN[1], epoch)
    for epoch, _ in world.opened:
        for turn in TURN:
            yield f"{turn.type} {epoch}", partial(world.record, turn, epoch)
    if world.unsent and may_send(world.session):
        yield "send", world.send


def explore(root: World, depth: int) -> None:
    """Try all sequences of up to this length.

    Two sequences that lead to equal worlds go on as one.
    """
    known = {root.key}
    layer: list[tuple[World, tuple[str, ...]]] = [(root, ())]
    for _ in range(depth):
        found: list[tuple[World, tuple[str, ...]]] = []
        for world, path in layer:
            for name, step in following(world):
                try:
                    after = step()
                except AssertionError as error:
                    error.add_note(f"after {path}: {name}")
                    raise
                if after.key not in known:
                    known.add(after.key)
                    found.append((after, (*path, name)))
        layer = found


def opened(world: World | None = None) -> World:
    """A session whose first attempt has succeeded."""
    world = begin() if world is None else world
    return world.connected(world.running[0])


def expiring() -> World:
    """A session that is to be handed over."""
    return opened().record(created(START + EXPIRES_IN, "sess_0"))


def replaced() -> World:
    """A session with a request in flight; its replaced connection has not ended."""
    world = opened(begin(keeps_log=True)).record(created(START + EXPIRES_IN, "sess_0"))
    world = world.wait(EXPIRES_IN - 25.0).record(events.ResponseCreate())
    world = world.tick(START + EXPIRES_IN - 20.0)
    world = world.connected(world.running[0]).record(created(None, "sess_1"), 1).send()
    assert world.session.responses.in_flight is not None
    assert world.ending == {0}
    return world


def lost() -> World:
    """A session that has lost its connection, and reconnects."""
    return opened().wait(3.0).ended(0, **ENDS["lost"])


def again(world: World, later: float = 60.0) -> World:
    """The session of a process that has ended, in another process."""
    return begin(world.state, at=world.now + later, ticked=world.ticked)


ROOTS: dict[str, Callable[[], World]] = {
    "new": begin,
    "without back-off": lambda: begin(policy=structs.replace(POLICY, reconnects=False)),
    "open": opened,
    "expiring": expiring,
    "handing over": lambda: expiring().tick(),
    "handed over": replaced,
    "reconnecting": lost,
    "continued": lambda: again(opened()),
    "continued, of a hand-over": lambda: again(expiring().tick()),
    "continued, clock behind": lambda: again(expiring().tick(), -100.0),
    "continued, of a closed one": lambda: again(
        opened().record(events.Closing()).ended(0, expected=True)
    ),
}


@pytest.mark.parametrize(
    ("root", "depth"),
    [
        ("new", 6),
        ("without back-off", 6),
        ("open", 4),
        ("expiring", 4),
        ("handing over", 3),
        ("handed over", 3),
        ("reconnecting", 4),
        ("continued", 4),
        ("continued, of a hand-over", 3),
        ("continued, of a closed one", 3),
        ("continued, clock behind", 3),
        *(
            pytest.param(root, depth, marks=pytest.mark.deep)
            for root, depth in (
                ("open", 6),
                ("expiring", 6),
                ("handing over", 5),
                ("reconnecting", 6),
                ("continued, of a hand-over", 6),
                ("continued, clock behind", 6),
            )
        ),
    ],
)
def test_all_sequences_of_facts(root: str, depth: int) -> None:
    """After each, the driver can carry out every command, and the session goes on.

    See `World`: one attempt in flight for an epoch, and none after closing began; each
    successor is used or disconnected, and answers nothing before; delays within their
    bounds and within the patience; the session is over, or waits for an attempt, for
    its connection or for a time.
    """
    explore(ROOTS[root](), depth)


@pytest.mark.parametrize("root", ROOTS)
def test_closing_ends_it(root: str) -> None:
    """A session is closed as soon as its connections have ended, at any moment."""
    layer = [ROOTS[root]()]
    for _ in range(2):
        layer = [step() for world in layer for _, step in following(world)]
        for world in layer:
            connection = world.session.connection
            if connection.status in OVER or connection.closing is not None:
                continue
            world = world.record(events.Closing())
            for epoch in world.ending:
                world = world.ended(epoch, lost=True, can_repeat=True)
            assert world.session.connection.status is SessionStatus.CLOSED
            assert not world.opened
            assert world.alarm is None


# Long sequences.


def any_order(choices: Sequence[int], policy: events.ConnectPolicy) -> World:
    """A session in which the environment makes these choices."""
    world = begin(policy=policy, keeps_log=True)
    for number in choices:
        steps = [step for _, step in following(world)]
        if not steps:
            break
        world = steps[number % len(steps)]()
    return world


def closed(world: World) -> World:
    """The session, closed by the application."""
    if world.session.connection.status not in OVER:
        if world.session.connection.closing is None:
            world = world.record(events.Closing())
        for epoch, _ in world.opened:
            world = world.ended(epoch, expected=True)
    return world


POLICIES = st.builds(
    events.ConnectPolicy,
    timeout=st.sampled_from((15.0, 1.0)),
    reconnects=st.sampled_from((True, True, True, False)),
    first=st.sampled_from((0.5, 0.0, 3.0)),
    longest=st.sampled_from((5.0, 1.0)),
    patience=st.sampled_from((12.0, 0.0, 100.0)),
    longest_asked=st.sampled_from((8.0, 0.0)),
    steady=st.sampled_from((2.0, 0.0, 60.0)),
)
_CHOICE = st.integers(0, 255)
CHOICES = st.lists(_CHOICE, max_size=12) | st.lists(_CHOICE, min_size=40, max_size=60)
#: 20,000 examples in `make test-deep`.
enough = settings(
    max_examples=20_000 if settings.get_current_profile_name() == "deep" else 100
)


@enough
@given(CHOICES, POLICIES)
def test_long_sequences_of_facts(
    choices: list[int], policy: events.ConnectPolicy
) -> None:
    """What holds for short ones; and the log shows that all commands were carried out.

    The fold of the log is the state.
    """
    world = closed(any_order(choices, policy))
    assert not world.opened
    assert world.log is not None
    assert dump(fold(world.log)) == dump(world.state)
    check_carried_out(world.log)


# Facts that no driver records in this order.


def facts(session: Session) -> Iterator[tuple[Event, int]]:
    """Facts of any epoch, whether they make sense or not."""
    yield events.Closing(), session.connection.epoch
    yield events.Closed(), session.connection.epoch
    for epoch in range(3):
        for successor in (False, True):
            yield events.Connecting(successor=successor), epoch
            yield events.Connected(successor=successor), epoch
        yield events.Connecting(attempt=2, new_key=True, policy=POLICY), epoch
        for name in ("busy", "old key", "refused"):
            yield events.ConnectFailed(**FAILURES[name]), epoch
        for end in ENDS.values():
            yield events.Disconnected(**end), epoch
        yield events.Switched(), epoch
        yield created(START + EXPIRES_IN, f"sess_{epoch}"), epoch
        yield TURN[0], epoch


@pytest.mark.parametrize(
    ("root", "depth"),
    [
        ("new", 3),
        ("handing over", 2),
        ("reconnecting", 3),
        pytest.param("new", 5, marks=pytest.mark.deep),
        pytest.param("handing over", 4, marks=pytest.mark.deep),
        pytest.param("reconnecting", 4, marks=pytest.mark.deep),
    ],
)
def test_facts_in_any_order(root: str, depth: int) -> None:
    """None raises. No attempt follows closing; the session is never stuck."""
    world = ROOTS[root]()
    known: set[object] = set()
    layer: list[tuple[State, float, tuple[object, ...]]] = [
        (world.state, world.now, ())
    ]
    for _ in range(depth):
        found = []
        for state, now, path in layer:
            session = state.sessions["s"]
            due = tick_at(session)
            ticks = () if due is None else ((events.Tick(), session.connection.epoch),)
            for event, epoch in (*facts(session), *ticks):
                at = now if not isinstance(event, events.Tick) else max(now, due or now)
                is_local = event.type.startswith("duologue.")
                record = Record(
                    len(path), "s", "local" if is_local else "in", event, b"", at, epoch
                )
                after = reduce(state, record)
                try:
                    check_any_order(after.sessions["s"], react(state, record, after))
                except AssertionError as error:
                    error.add_note(f"after {path}: {event} {epoch}")
                    raise
                key = structs.replace(
                    after.sessions["s"], dedup=EMPTY_DEDUP, problems=()
                )
                if (key, at) not in known:
                    known.add((key, at))
                    found.append((after, at, (*path, (event, epoch))))
        layer = found


def check_any_order(session: Session, commands: tuple[Command, ...]) -> None:
    """What holds after any fact."""
    connection = session.connection
    due, ticked = tick_at(session), session.activity.last_tick_at
    assert due is None or ticked is None or due > ticked
    if connection.closing is not None:
        assert not any(isinstance(each, Connect) for each in commands)
    if connection.status in (*OVER, SessionStatus.OPEN):
        return
    nothing = Record(0, "s", "local", events.Cleared(), b"", None)
    is_waiting = connection.dialing is not None and connection.dialing.running
    assert due or is_waiting or any(lifecycle(Session("s"), nothing, session))


@pytest.mark.parametrize(
    "missing", [events.Connecting, events.Switched, events.Disconnected]
)
def test_a_log_without_an_answer(missing: type[Event]) -> None:
    """The check of a log finds a command that was not carried out."""
    world = opened(begin(keeps_log=True))
    world = world.record(created(START + EXPIRES_IN, "sess_0")).tick()
    world = closed(world.connected(world.running[0]))
    assert world.log is not None
    check_carried_out(world.log)
    kept = list(world.log)
    kept.remove([r for r in kept if isinstance(r.event, missing)][-1])
    with pytest.raises((AssertionError, IndexError)):
        check_carried_out(kept)


# Single rules.


def discarded() -> World:
    """A session whose successor is not used, because a turn has begun."""
    world = expiring().tick().record(TURN[0])
    world = world.connected(world.running[0])
    assert [epoch for epoch, _ in world.opened] == [0]
    return world


def ends_turn(world: World) -> World:
    for event in (TURN[1], events.InputAudioBufferCleared(), TURN[2]):
        world = world.record(event)
    return world


def wait_out(world: World, failure: str = "no answer") -> World:
    """The next attempt fails too, after the delay."""
    world = world.tick()
    return world.failed(world.running[0], chance=1.0, **FAILURES[failure])


def test_a_discarded_successor_is_connected_again_with_the_next_number() -> None:
    """When the turn ends; what the discarded one sent late is not kept."""
    world = discarded().record(created(START + 5.0, "sess_late"), 1)
    assert world.session.connection.epoch == 0
    assert world.session.connection.server_id == "sess_0"
    world = ends_turn(world)
    [attempt] = world.running
    assert (attempt.epoch, attempt.attempt, attempt.successor) == (1, 2, True)
    assert attempt.reason == "the connection expires soon"
    connection = world.connected(attempt).session.connection
    assert (connection.epoch, connection.expires_at) == (1, None)
    assert not connection.greeted


def test_late_frames_of_a_discarded_successor_do_not_keep_a_session_open() -> None:
    """The session is closed, although a frame of the other epoch arrived."""
    world = discarded().record(events.Closing())
    world = world.record(created(None, "sess_1"), 1).ended(0, expected=True)
    assert world.session.connection.status is SessionStatus.CLOSED


def test_late_frames_of_a_lost_connection_do_not_open_it() -> None:
    """Only a connection opens a live session, so that the attempts go on."""
    world = opened().wait(3.0).ended(0, **ENDS["lost"])
    world = world.failed(world.running[0], **FAILURES["busy"])
    world = world.record(created(None, "sess_0")).record(created(None, "sess_0"), 0)
    assert world.session.connection.status is SessionStatus.RECONNECTING
    assert len(world.tick().running) == 1


def test_a_first_event_before_the_connection_is_recorded() -> None:
    """It does not open the session before `connected`; its values count."""
    world = begin().record(created(START + 5.0, "sess_0"))
    assert world.session.connection.status is SessionStatus.CONNECTING
    connection = world.connected(world.running[0]).session.connection
    assert connection.status is SessionStatus.OPEN
    assert (connection.server_id, connection.expires_at) == ("sess_0", START + 5.0)


def test_patience_begins_with_the_loss() -> None:
    """Attempts at a hand-over do not count, however long they took."""
    world = expiring().tick()
    world = world.failed(world.running[0], chance=1.0, **FAILURES["no answer"])
    while world.now < START + EXPIRES_IN - 250.0:
        world = wait_out(world)
    world = world.tick()
    world = world.connected(world.running[0])
    assert world.session.connection.epoch == 1
    world = world.wait(1.0).ended(1, **ENDS["lost"])
    assert world.session.connection.status is SessionStatus.RECONNECTING
    lost = world.now
    while world.session.connection.status not in OVER:
        world = wait_out(world)
    assert POLICY.patience - POLICY.longest <= world.now - lost < POLICY.patience


def test_patience_after_a_loss_during_a_hand_over() -> None:
    """It begins with the loss too, if the successor was being connected for longer."""
    world = expiring().tick()
    world = world.failed(world.running[0], chance=1.0, **FAILURES["no answer"])
    while world.now < START + EXPIRES_IN - 250.0:
        world = wait_out(world)
    world = world.tick().ended(0, **ENDS["lost"])
    [attempt] = world.running
    world = world.failed(attempt, chance=1.0, **FAILURES["no answer"])
    assert world.session.connection.status is SessionStatus.RECONNECTING
    assert world.alarm == world.now + POLICY.longest


def test_a_command_that_has_waited() -> None:
    """It is dropped if the state does not call for it any more."""
    assert is_due(Session("s"), first_attempt(None, "s", POLICY))
    closing = reduce(State(), Record(1, "s", "local", events.Closing(), b"", START))
    assert is_due(closing.sessions["s"], Disconnect("s", 0))
    world = expiring()
    hand_over = Connect("s", epoch=1, successor=True)
    assert not is_due(world.session, hand_over)
    tick = Record(9, "s", "local", events.Tick(), b"", world.alarm)
    state = reduce(world.state, tick)
    assert is_due(state.sessions["s"], hand_over)
    turn = Record(10, "s", "in", TURN[0], b"", world.alarm)
    assert not is_due(reduce(state, turn).sessions["s"], hand_over)
    world = world.tick()
    assert not is_due(world.session, hand_over)
    world = world.connected(world.running[0])
    assert is_due(world.session, Disconnect("s", 0))
    assert not is_due(world.session, Disconnect("s", 1))
    assert not is_due(world.session, SwitchTo("s", 1))


def test_a_loss_that_is_reported_twice() -> None:
    """The second report changes nothing, so patience and delays stay."""
    world = lost()
    world = world.failed(world.running[0], **FAILURES["busy"]).wait(0.1)
    again = world.record(events.Disconnected(**ENDS["lost"]), 0)
    assert again.session.connection == world.session.connection


@pytest.mark.parametrize("failure", ["refused", "bad key", "no key", "busy"])
def test_attempts_at_a_hand_over_go_on(failure: str) -> None:
    """Whatever the service answers, as long as the current connection is open.

    After a loss, a refusal is final.
    """
    world = expiring().tick()
    for _ in range(5):
        world = world.failed(world.running[0], chance=1.0, **FAILURES[failure]).tick()
    assert world.session.connection.status is SessionStatus.OPEN
    assert [each.attempt for each in world.running] == [6]
    world = world.ended(0, **ENDS["lost"])
    world = world.failed(world.running[0], **FAILURES[failure])
    is_final = failure != "busy"
    status = SessionStatus.FAILED if is_final else SessionStatus.RECONNECTING
    assert world.session.connection.status is status


@pytest.mark.parametrize(("passed", "left"), [(0.0, 7.0), (3.0, 4.0), (8.0, None)])
def test_retry_after_of_a_hand_over_is_obeyed_after_a_loss(
    passed: float, left: float | None
) -> None:
    """It counts from the refusal; if it is over, the next attempt begins at once."""
    world = expiring().tick()
    world = world.failed(world.running[0], **FAILURES["busy for long"]).wait(passed)
    world = world.ended(0, **ENDS["lost"])
    assert len(world.running) == (left is None)
    if left is not None:
        assert world.alarm == world.now + left
    [attempt] = world.running or world.tick().running
    assert (attempt.attempt, attempt.reason) == (2, None)


def test_a_later_connection_that_ends_soon_is_a_failed_attempt() -> None:
    """A steady one is not, nor the first: the next attempt then begins at once."""
    world = opened().wait(1.0).ended(0, chance=1.0, **ENDS["lost"])
    for epoch, passed, wait in ((1, 1.0, 0.5), (2, 1.0, 1.0), (3, 3.0, None)):
        world = world.connected(world.running[0])
        world = world.wait(passed).ended(epoch, chance=1.0, **ENDS["lost"])
        assert world.alarm == (None if wait is None else world.now + wait)
        world = world if wait is None else world.tick()
        assert len(world.running) == 1


@pytest.mark.parametrize("start", [begin, lost, lambda: expiring().tick()])
def test_an_attempt_has_its_own_event_ids(start: Callable[[], World]) -> None:
    """The first event of a connection counts, whatever an earlier attempt received.

    Services count the ids of their events from 1 on each connection.
    """
    world = start()
    epoch = world.running[0].epoch
    world = world.record(created(None, "sess_x"), epoch)
    world = world.failed(world.running[0], **FAILURES["busy"])
    world = world.record(created(None, "sess_x"), epoch).tick()
    world = world.connected(world.running[0])
    assert may_send(world.session) is (epoch == 0)
    world = world.record(created(START + EXPIRES_IN, "sess_y"), epoch)
    connection = world.session.connection
    assert may_send(world.session)
    assert connection.server_id == "sess_y"
    assert connection.expires_at == START + EXPIRES_IN
    again = world.record(created(None, "sess_z"), epoch)
    assert again.session.connection == connection
    assert again.session.dedup.duplicate == world.session.dedup.duplicate + 1


def test_a_frame_does_not_open_a_live_session_again() -> None:
    """Neither a late one of its successor, nor one of an epoch without an attempt."""
    closed = discarded().record(events.Closing()).ended(0, expected=True)
    for session in (closed, closed.record(events.Closed()), expiring()):
        before = session.session.connection
        for epoch in (1, 2):
            late = session.record(created(None, "sess_1"), epoch)
            assert late.session.connection == before


@pytest.mark.parametrize("start", [begin, lost, lambda: expiring().tick()])
def test_a_key_is_replaced_once(start: Callable[[], World]) -> None:
    """Another refusal is final, until the session was connected."""
    world = start()
    world = world.failed(world.running[0], **FAILURES["old key"])
    [attempt] = world.running
    assert attempt.new_key
    world = world.failed(attempt, **FAILURES["busy"]).tick()
    [attempt] = world.running
    assert not attempt.new_key
    world = world.failed(attempt, **FAILURES["old key"])
    assert not world.running
    is_successor = attempt.successor
    status = SessionStatus.OPEN if is_successor else SessionStatus.FAILED
    assert world.session.connection.status is status


def test_a_successor_of_an_ended_session_is_disconnected() -> None:
    """The service has ended the session, while its successor was being connected."""
    for name, status in (
        ("not lost", SessionStatus.FAILED),
        ("expected", SessionStatus.CLOSED),
    ):
        world = expiring().tick()
        assert len(world.running) == 1
        world = world.ended(0, **ENDS[name])
        assert world.session.connection.status is status
        assert not world.running


def test_a_loss_while_closing() -> None:
    """The session is closed: it has not failed."""
    for name in ENDS:
        world = opened().record(events.Closing()).ended(0, **ENDS[name])
        assert world.session.connection.status is SessionStatus.CLOSED
        assert world.session.problems == ()


def test_results_of_an_earlier_attempt() -> None:
    """They are late: another attempt runs, or none."""
    world = begin()
    failed = events.ConnectFailed(**FAILURES["busy"])
    world = world.failed(world.running[0], **FAILURES["busy"])
    assert world.record(failed).session.connection == world.session.connection
    world = world.tick()
    assert world.record(failed).session.connection == world.session.connection
    world = expiring().tick()
    world = world.failed(world.running[0], **FAILURES["busy"]).tick()
    late = world.record(events.Connected(successor=True), 1)
    assert late.session.connection == world.session.connection


def test_a_service_that_says_nothing_first() -> None:
    """Events wait for two seconds; on the first connection they do not wait."""
    world = opened()
    assert may_send(world.session)
    world = world.wait(3.0).ended(0, **ENDS["lost"])
    world = world.connected(world.running[0])
    assert not may_send(world.session)
    assert world.alarm == world.now + 2.0
    greeted = world.record(created(None, "sess_1"))
    assert may_send(greeted.session)
    assert greeted.alarm is None
    assert may_send(world.tick().session)
    assert not may_send(world.tick(world.now + 1.0).session)


def test_a_process_that_ended_while_it_handed_over() -> None:
    """The next process begins with a first attempt, whatever the last one tried."""
    world = expiring().tick()
    world = world.failed(world.running[0], **FAILURES["busy"])
    connection = again(world).session.connection
    assert connection.dialing is not None
    assert (connection.epoch, connection.dialing.attempt) == (1, 1)
    assert connection.dialing.failures == 0
    assert connection.dialing.since == world.now + 60.0


def test_clocks_that_differ() -> None:
    """No hand-over if the expiry is in the past, and none in the first half."""
    past = opened().record(created(START - 10.0, "sess_0"))
    assert past.alarm is None
    soon = opened().record(created(START + 100.0, "sess_0"))
    assert soon.alarm == START + 50.0


@given(legal(3) | hostile(legal(3)))
def test_every_record_can_begin_a_hand_over(stream: Stream) -> None:
    """The record that ends a turn begins the hand-over that is due, of any type."""
    state = State()
    for record in stream:
        before, state = state, reduce(state, record)
        if not all(record.session in each.sessions for each in (before, state)):
            continue
        found = react(due(before, record), record, due(state, record))
        was, must = (
            hand_over_reason(each.sessions[record.session]) is not None
            for each in (due(before, record), due(state, record))
        )
        reasons = [each.reason for each in found if isinstance(each, Connect)]
        epochs = {
            each.sessions[record.session].connection.epoch for each in (before, state)
        }
        is_due = must and (not was or len(epochs) > 1)
        assert reasons == (["the connection expires soon"] if is_due else [])


def due(state: State, record: Record) -> State:
    """The state with a hand-over that waits only for the end of a turn."""
    session = state.sessions[record.session]
    now = record.at or 0.0
    connection = structs.replace(session.connection, expires_at=now + 100.0)
    activity = structs.replace(session.activity, last_tick_at=now)
    session = structs.replace(session, connection=connection, activity=activity)
    return State(Map({session.id: session}))


def test_items_that_were_not_confirmed() -> None:
    """They are sent again on the next connection, once, and only until confirmed."""
    item = events.MessageItem(id="i", role="user", content=())
    sent = events.ConversationItemCreate(item=item, event_id="e")
    refused = events.ConversationItemCreate(
        item=structs.replace(item, id="j"), event_id="f"
    )
    assert is_resent(sent)
    assert not is_resent(
        events.ConversationItemCreate(item=structs.replace(item, id=None))
    )
    assert is_resent(events.ResponseCreate())
    assert is_resent(events.SessionUpdate(session=events.RealtimeSessionConfig()))
    assert not is_resent(events.ResponseCancel())
    world = opened(begin(keeps_log=True)).record(sent).record(refused)
    error = events.ErrorDetail(event_id="f", message="no")
    world = world.record(events.Error(error=error))
    assert [each.item_id for each in unconfirmed_items(world.session)] == ["i"]
    world = world.wait(3.0).ended(0, **ENDS["lost"])
    world = world.connected(world.running[0])
    assert world.unsent == ()
    world = world.record(created(None, "sess_1"))
    assert sent in [each.event for each in world.unsent]
    assert world.record(created(None, "sess_1")).unsent == world.unsent
    echo = events.ConversationItemAdded(item=item)
    assert unconfirmed_items(world.record(echo).session) == []


def test_a_log_without_local_facts() -> None:
    """Events can be sent if it is open: the policy of a live session is unknown."""
    state = reduce(State(), Record(1, "s", "in", created(None, "x"), b"", START))
    assert may_send(state.sessions["s"])
    assert not may_send(Session("s"))


# Logs of live sessions before the lifecycle was in the log.

OLD_LOGS = Path(__file__).with_name("old_logs")
EXPECTED: dict[str, dict[str, Any]] = json.loads(
    (OLD_LOGS / "expected.json").read_bytes()
)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_log(name: str) -> None:
    """It folds to the state of then, and asks for no connection of its own.

    Such a log has no policy, and says ``retrying`` for a loss that is not the end.
    """
    state = State()
    seen: list[list[Any]] = []
    connects: list[Connect] = []
    for record in read_log((OLD_LOGS / f"{name}.jsonl").read_bytes().splitlines()):
        before, state = state, reduce(state, record)
        found = react(before, record, state)
        connects += [each for each in found if isinstance(each, Connect)]
        connection = state.sessions["old"].connection
        now = [connection.epoch, connection.status, connection.reason]
        if not seen or seen[-1][1:] != now:
            seen.append([record.seq, *now])
        assert connection.dialing is None
    session = state.sessions["old"]
    responses = session.responses.by_id
    assert {
        "connections": seen,
        "transcript": [
            [line.role, line.text, line.final] for line in select_transcripts(session)
        ],
        "problems": [[each.kind, each.message] for each in session.problems],
        "items": {
            each: [session.items[each].status, session.items[each].placement.epoch]
            for each in session.conversation.order
        },
        "responses": {
            each: [responses[each].status, responses[each].epoch]
            for each in session.responses.order
        },
        "expires_at": session.connection.expires_at,
        "server_id": session.connection.server_id,
    } == EXPECTED[name]
    # Hand-over was decided by `react` then too.
    is_handed_over = name in ("handed-over", "discarded-successor")
    assert bool(connects) is is_handed_over


def test_events_that_an_ended_session_did_not_send() -> None:
    """The gap counts them; items without a confirmation count if the session failed."""
    sent, unsent = (UnconfirmedItem(str(n), None, "{}", n > 0) for n in (1, 0))

    def lost_of(status: SessionStatus, *items: UnconfirmedItem, **fields: Any) -> Any:
        session = Session(
            "s",
            connection=Connection(status=status),
            conversation=Conversation(unconfirmed=items),
            responses=Responses(**fields),
        )
        gap = lost_events(session, 1 if fields.get("active") else 0)
        return gap and gap.reason

    closed, failed = SessionStatus.CLOSED, SessionStatus.FAILED
    missing = "1 event sent but not confirmed"
    assert lost_of(failed) is None
    assert lost_of(closed, sent) is None
    assert lost_of(failed, sent) == missing
    assert lost_of(closed, sent, unsent) == f"1 event not sent, {missing}"
    assert lost_of(closed, unsent, queued="{}") == "2 events not sent"
    # One that the state does not keep.
    assert lost_of(closed, active="r") == "1 event not sent"


def test_the_latest_time_of_a_state() -> None:
    """The latest of all its nodes; the expiry of a connection is in the future."""
    session = Session("s")
    assert latest_time(session) == 0.0
    for change, expected in (
        ({"connection": Connection(opened_at=5.0, expires_at=900.0)}, 5.0),
        ({"activity": Activity(last_tick_at=7.0)}, 7.0),
        ({"activity": Activity(last_tick_at=4.0)}, 5.0),
    ):
        session = structs.replace(session, **change)
        assert latest_time(session) == expected
    for event, now in ((TURN[0], 6.0), (TURN[1], 8.0)):
        record = Record(1, "s", "in", event, b"", now)
        session = reduce(State(Map({"s": session})), record).sessions["s"]
        assert latest_time(session) == now
