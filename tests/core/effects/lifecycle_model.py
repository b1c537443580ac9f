"""A model driver: carries out the commands of one session, and checks each of them.

A `World` is a value: the session, the connections that exist, and the clock. Its
methods return the next world, so that a test can go on from one world in many ways.
Nothing here knows a rule of `lifecycle`, except those that it checks.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs
from msgspec import structs

from duologue.core import State, encode, events, react, reduce
from duologue.core.effects.backoff import delay, is_worth_repeating
from duologue.core.effects.commands import (
    Command,
    Connect,
    Disconnect,
    FlushAudio,
    RunTool,
    Send,
    SwitchTo,
    WakeAt,
)
from duologue.core.effects.deadlines import tick_at
from duologue.core.effects.lifecycle import FIRST_ATTEMPTS, first_attempt
from duologue.core.events.base import ClientEvent, Event
from duologue.core.events.types import SessionStatus
from duologue.core.log.record import Direction, Record
from duologue.core.state.dedup import EMPTY_DEDUP
from duologue.core.state.model import Session

__all__ = ["EXPIRES_IN", "OVER", "POLICY", "START", "World", "begin", "created"]

START = 1_000.0
#: The lifetime of a connection that has an expiry.
EXPIRES_IN = 1_000.0
OVER = (SessionStatus.CLOSED, SessionStatus.FAILED)
POLICY = events.ConnectPolicy(
    timeout=15.0,
    reconnects=True,
    first=0.5,
    longest=5.0,
    patience=12.0,
    longest_asked=8.0,
    steady=2.0,
)
#: A float rounds a time of the clock by less than this.
_ROUNDING = 1e-6


def created(expires_at: float | None, server_id: str) -> events.SessionCreated:
    """The first event of the service on a connection.

    Its event id is that of the first event on every connection.
    """
    return events.SessionCreated(
        session=events.RealtimeSessionConfig(
            id=server_id, expires_at=int(expires_at) if expires_at else None
        ),
        event_id="event_1",
    )


@attrs.frozen
class World:
    """A session and its driver.

    ``running`` are the attempts in flight, ``opened`` the connections and the times at
    which they were opened, by epoch; ``current`` is the connection that carries the
    session, ``ending`` are those that the driver closes; ``alarm`` is the time of the
    next tick. ``attempts`` is the number of the last attempt of each epoch,
    ``renewed`` whether a refused key was replaced since the last connection, ``series``
    the time from which the patience counts. ``ticked`` is the time of the last tick:
    the clock may be behind it after a snapshot. The delay of the next attempt follows
    from ``failures``, ``asked`` (the last ``Retry-After``), ``failed_at``,
    ``can_repeat`` and ``status``; ``short`` are the failures if the current connection
    ends soon.
    """

    state: State
    now: float
    began: float
    policy: events.ConnectPolicy
    running: tuple[Connect, ...] = ()
    opened: tuple[tuple[int, float], ...] = ()
    current: int | None = None
    ending: frozenset[int] = frozenset()
    alarm: float | None = None
    attempts: tuple[tuple[int, int], ...] = ()
    #: The epochs whose last attempt has received its first event.
    greeted: frozenset[int] = frozenset()
    refused: bool = False
    renewed: bool = False
    series: float | None = None
    ticked: float | None = None
    failures: int = 0
    short: int = 0
    asked: float | None = None
    failed_at: float | None = None
    can_repeat: bool = False
    status: int | None = None
    log: tuple[Record, ...] | None = None
    #: The events to send, in order. Only sent if there is a `log`.
    unsent: tuple[Send, ...] = ()

    @property
    def session(self) -> Session:
        """The session now."""
        return self.state.sessions.get("s") or Session("s")

    @property
    def time(self) -> float:
        """The time that a wait counts from: not before the last tick."""
        return max(self.now, self.ticked or 0.0)

    @property
    def key(self) -> Any:
        """Equal for two worlds that go on in the same way."""
        session = self.session
        return (
            session.connection,
            session.activity,
            session.responses,
            session.items,
            tuple(map(tuple, session.dedup.seen)),
            attrs.evolve(self, state=State()),
        )

    # What happens.

    def record(self, event: Event, epoch: int | None = None) -> World:
        """Record an event now, and carry out what follows."""
        world, commands = self._feed(event, epoch)
        queue = deque(commands)
        while queue:
            world, more = world._carry_out(queue.popleft())
            queue += more
        world.check()
        return world

    def wait(self, seconds: float) -> World:
        """Time passes, without a record."""
        return attrs.evolve(self, now=self.now + seconds)

    def send(self) -> World:
        """The next event is sent."""
        world = attrs.evolve(self, unsent=self.unsent[1:])
        event = self.unsent[0].event
        assert isinstance(event, ClientEvent)
        return world.record(event)

    def tick(self, at: float | None = None) -> World:
        """The alarm rings, or another tick is recorded."""
        if at is None:
            assert self.alarm is not None
            at, self = self.alarm, attrs.evolve(self, alarm=None)
        now = max(self.now, at)
        ticked = max(now, self.ticked or 0.0)
        return attrs.evolve(self, now=now, ticked=ticked).record(events.Tick())

    def connected(self, attempt: Connect) -> World:
        """An attempt has succeeded."""
        world = attrs.evolve(
            self,
            running=tuple(each for each in self.running if each != attempt),
            opened=(*self.opened, (attempt.epoch, self.time)),
            current=self.current if attempt.successor else attempt.epoch,
            renewed=False,
        )
        if not attempt.successor:
            # The first connection is no failed attempt, however soon it ends.
            world = world._used(is_first=self.series is None)
        fact = events.Connected(attempt=attempt.attempt, successor=attempt.successor)
        return world.record(fact, attempt.epoch)

    def failed(self, attempt: Connect, **failure: Any) -> World:
        """An attempt has failed."""
        is_refused = failure.get("status") == 401 and failure.get("renews", False)
        world = attrs.evolve(
            self,
            running=tuple(each for each in self.running if each != attempt),
            refused=is_refused and failure.get("stage") != "key",
            failures=self.failures + 1,
            asked=failure.get("retry_after"),
            failed_at=self.time,
            can_repeat=failure.get("can_repeat", False),
            status=failure.get("status"),
        )
        fact = events.ConnectFailed(
            attempt=attempt.attempt, successor=attempt.successor, **failure
        )
        return world.record(fact, attempt.epoch)

    def ended(self, epoch: int, **end: Any) -> World:
        """A connection has ended."""
        opened = dict(self.opened)
        at, series = opened.pop(epoch), self.series
        is_steady = self.time - at >= self.policy.steady
        world = self
        if epoch == self.current and (series is None or is_steady):
            series = self.time
        if epoch == self.current:
            is_waiting = self.failed_at is not None and not self.running
            world = attrs.evolve(
                self,
                failures=max(self.failures, 0 if is_steady else self.short),
                failed_at=self.failed_at if is_waiting else self.time,
                can_repeat=end.get("can_repeat", False),
                status=None,
            )
        world = attrs.evolve(
            world,
            opened=tuple(opened.items()),
            current=None if epoch == self.current else self.current,
            ending=self.ending - {epoch},
            series=series,
            renewed=self.renewed and (epoch != self.current or bool(self.running)),
        )
        return world.record(events.Disconnected(**end), epoch)

    def _used(self, *, is_first: bool = False) -> World:
        """The connection that was made is the current one."""
        short = 0 if is_first else self.failures + 1
        return attrs.evolve(self, short=short)._without_failures()

    def _without_failures(self) -> World:
        return attrs.evolve(self, failures=0, asked=None, failed_at=None)

    # What the driver does.

    def _feed(
        self, event: Event, epoch: int | None = None
    ) -> tuple[World, tuple[Command, ...]]:
        session = self.session
        dir: Direction = "local" if event.type.startswith("duologue.") else "in"
        if isinstance(event, ClientEvent):
            dir = "out"
        record = Record(
            session.dedup.events + 1,
            "s",
            dir,
            event,
            b"" if self.log is None else encode(event),
            self.now,
            session.connection.epoch if epoch is None else epoch,
        )
        after = reduce(self.state, record)
        if dir == "in" and record.epoch > session.connection.epoch:
            # It is for the successor, and answers nothing of this connection.
            assert _without_successor(after) == _without_successor(self.state)
        if dir == "in" and record.epoch < session.connection.epoch:
            # It is late, and answers nothing of the present connection.
            assert _requests(after) == _requests(self.state)
            assert after.sessions["s"].connection == session.connection
        if session.connection.status in OVER and not isinstance(
            event, events.Connecting
        ):
            assert after.sessions["s"].connection.status in OVER
        commands = react(self.state, record, after)
        world = attrs.evolve(self, state=after)
        if isinstance(event, events.SessionCreated):
            world = attrs.evolve(world, greeted=self.greeted | {record.epoch})
            if record.epoch == self.current and self.greeted != world.greeted:
                # It is no copy of an event of another connection or attempt.
                connection = after.sessions["s"].connection
                assert connection.greeted
                assert connection.server_id == event.session.id
        if self.log is not None:
            is_new = after.sessions["s"].connection.epoch != session.connection.epoch
            unsent = () if is_new else self.unsent
            world = attrs.evolve(world, log=(*self.log, record), unsent=unsent)
        return world, commands

    def _carry_out(self, command: Command) -> tuple[World, tuple[Command, ...]]:
        match command:
            case Connect():
                return self._connect(command)
            case Disconnect():
                return self._disconnect(command)
            case SwitchTo():
                assert command.epoch in dict(self.opened)
                is_open = self.session.connection.status is SessionStatus.OPEN
                world = attrs.evolve(
                    self,
                    current=command.epoch,
                    series=None if is_open else self.series,
                )._used()
                return world._feed(events.Switched(), command.epoch)
            case WakeAt():
                return attrs.evolve(self, alarm=command.at), ()
            case Send():
                if self.log is None:
                    return self, ()
                return attrs.evolve(self, unsent=(*self.unsent, command)), ()
            case RunTool() | FlushAudio():
                # They do not concern the connections.
                return self, ()

    def _connect(self, command: Connect) -> tuple[World, tuple[Command, ...]]:
        connection, attempts = self.session.connection, dict(self.attempts)
        assert connection.closing is None or command.policy is not None
        assert command.epoch not in [each.epoch for each in self.running]
        assert command.epoch not in dict(self.opened)
        assert command.attempt == attempts.get(command.epoch, 0) + 1
        assert 0 < command.timeout <= self.policy.timeout
        is_first = command.policy is not None or connection.opened_at is None
        if command.new_key:
            assert self.refused
            assert not self.renewed
        if command.policy is None:
            is_open = connection.status is SessionStatus.OPEN
            assert command.successor == is_open
        if command.successor:
            assert self.policy.reconnects
        elif is_first:
            assert command.attempt <= FIRST_ATTEMPTS + (self.renewed or command.new_key)
            late = self.time + command.timeout - self.began - self.policy.timeout
            assert late < _ROUNDING or command.timeout == 0.1
        else:
            assert self.series is not None
            assert self.time < self.series + self.policy.patience
        if self.failed_at is not None and not command.new_key:
            assert self.time >= self.failed_at + self._delay(0.0) - _ROUNDING
        world = attrs.evolve(
            self,
            running=(*self.running, command),
            attempts=tuple({**attempts, command.epoch: command.attempt}.items()),
            greeted=self.greeted - {command.epoch},
            refused=False,
            renewed=self.renewed or command.new_key,
        )
        fact = events.Connecting(
            attempt=command.attempt,
            successor=command.successor,
            new_key=command.new_key,
            reason=command.reason,
            policy=command.policy,
        )
        return world._feed(fact, command.epoch)

    def _disconnect(self, command: Disconnect) -> tuple[World, tuple[Command, ...]]:
        epoch, opened = command.epoch, dict(self.opened)
        carried = self.session.connection.epoch
        if epoch in opened and epoch <= carried:
            assert command.expected
            return attrs.evolve(self, ending=self.ending | {epoch}), ()
        if not command.expected:
            self._check_given_up()
        opened.pop(epoch, None)
        world = attrs.evolve(
            self._without_failures(),
            running=tuple(each for each in self.running if each.epoch != epoch),
            opened=tuple(opened.items()),
        )
        fact = events.Disconnected(reason=command.reason, expected=command.expected)
        return world._feed(fact, epoch)

    # What must hold.

    def check(self) -> None:
        """The invariants of every world between two facts."""
        connection = self.session.connection
        status, dialing = connection.status, connection.dialing
        assert len({each.epoch for each in self.running}) == len(self.running) <= 1
        assert self.alarm == tick_at(self.session)
        ticked = self.session.activity.last_tick_at
        assert self.alarm is None or ticked is None or self.alarm > ticked
        # A connection that does not carry the session is being closed.
        idle = {epoch for epoch, _ in self.opened} - {self.current}
        assert idle <= self.ending
        if status in OVER:
            assert not self.running
            assert dialing is None
            return
        if connection.closing is not None:
            assert self.ending or connection.policy is None
        if status is SessionStatus.OPEN:
            assert self.current == connection.epoch
            assert self.current in dict(self.opened)
            return
        # Otherwise it waits for an attempt, or for a time.
        assert self.current is None
        if self.running:
            return
        assert self.alarm is not None
        assert self.failed_at is not None
        wait = self.alarm - self.failed_at
        assert self._delay(0.0) - _ROUNDING <= wait <= self._delay(1.0) + _ROUNDING
        assert self.alarm < self._ends

    @property
    def _ends(self) -> float:
        """When the patience ends."""
        if self.session.connection.opened_at is None:
            return self.began + self.policy.timeout
        assert self.series is not None
        return self.series + self.policy.patience

    def _delay(self, chance: float) -> float:
        """The delay before the next attempt, by the facts."""
        if not self.failures:
            return 0.0
        return delay(self.policy, self.failures, chance, self.asked)

    def _check_given_up(self) -> None:
        """Another attempt would be too late, or of no use."""
        if not (self.can_repeat and self.policy.reconnects):
            return
        if not is_worth_repeating(self.status):
            return
        connection = self.session.connection
        is_last = dict(self.attempts).get(connection.epoch, 0) >= FIRST_ATTEMPTS
        if connection.opened_at is None and (self.status is None or is_last):
            return
        assert self.failed_at is not None
        assert self.failed_at + self._delay(1.0) >= self._ends - _ROUNDING


def _requests(state: State) -> tuple[Any, ...]:
    responses = state.sessions["s"].responses
    return responses.queued, responses.in_flight, responses.in_flight_items


def _without_successor(state: State) -> Session:
    session = state.sessions["s"]
    connection = structs.replace(session.connection, dialing=None)
    return structs.replace(session, connection=connection, dedup=EMPTY_DEDUP)


def begin(
    state: State | None = None,
    *,
    policy: events.ConnectPolicy = POLICY,
    at: float = START,
    keeps_log: bool = False,
    ticked: float | None = None,
) -> World:
    """A session that makes its first attempt.

    ``ticked`` is the time of its last tick, in an earlier process.
    """
    state = State() if state is None else state
    log = () if keeps_log else None
    began = max(at, ticked or 0.0)
    world = World(state, at, began, policy, ticked=ticked, log=log)
    command = first_attempt(state.sessions.get("s"), "s", policy)
    queue: deque[Command] = deque([command])
    while queue:
        world, more = world._carry_out(queue.popleft())
        queue += more
    world.check()
    return world
