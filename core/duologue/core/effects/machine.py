"""A live session without I/O: records go in, commands come out.

A driver connects it to a network, for asyncio (`duologue.transports`), trio or anything
else: it carries out the commands, and records what it received, sent and did. The
machine decides everything else. ``examples/trio_driver.py`` is a whole driver.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from ..events import ConversationItemCreate, FunctionCallOutputItem, SessionUpdate
from ..events.base import ClientEvent, LocalEvent, Unknown
from ..events.local import (
    Closing,
    Connected,
    ConnectPolicy,
    Interrupted,
    Requested,
)
from ..log.record import Direction
from ..reducer.identity import to_wire
from ..selectors.calls import select_call
from ..state.model import Session, State
from ..store import Change, Store
from ..wire.codec import encode
from .backoff import Backoff, connect_policy
from .commands import (
    Command,
    Connect,
    FlushAudio,
    RunTool,
    Send,
    WakeAt,
    client_event,
    command_id,
    with_ids,
)
from .lifecycle import first_attempt, is_due, is_resent, latest_time, may_send
from .reactions import react

__all__ = ["Machine"]

_Sent = TypeVar("_Sent", bound=ClientEvent | Unknown)


class Machine:
    """One session of a store, its commands, and the events to send.

    ``at`` is the time of a record in seconds since the Unix epoch; it must not
    decrease. ``epoch`` is the connection that a record belongs to, by default the one
    that carries the session. If the store already has the session, `connect` makes its
    next connection. Then its clock may be behind the one of its last records: the
    difference is added to the times of all records, and taken off those of `WakeAt`.
    """

    def __init__(self, session_id: str, *, store: Store | None = None) -> None:
        self.id = session_id
        self.store = Store() if store is None else store
        self._continued = self.store.session(session_id)
        #: Added to the times of records: None before the first record.
        self._ahead: int | None = None
        self._commands: deque[Command] = deque()
        #: Whether the session is being closed: no attempt begins any more.
        self._is_closing = False
        #: The events to send, by their order: those of the rules, those of the
        #: application, and the `response.create` that answers both.
        self._urgent: deque[Send] = deque()
        self._requested: deque[Send] = deque()
        self._last: deque[Send] = deque()
        #: The first changes of the configuration, until an event can be sent.
        self._updates: list[Requested] = []
        #: Whether the application requested the event that was taken last.
        self._is_requested = False
        #: While `feed` notifies subscribers: the changes that they record; else None.
        self._nested: list[Change] | None = None

    @property
    def session(self) -> Session:
        """The session now."""
        return self.store.session(self.id) or Session(self.id)

    @property
    def is_over(self) -> bool:
        """Whether the session is closed or failed: no command follows any more."""
        return self.session.connection.status.is_over

    def connect(self, policy: ConnectPolicy | None = None) -> None:
        """Begin: the first command is the first attempt to connect.

        The default policy is `Backoff`, with 15 seconds for the first connection. There
        is no attempt if `duologue.closing` was recorded here before.
        """
        if self._is_closing:
            return
        policy = policy or connect_policy(Backoff(), 15.0)
        self._commands.append(first_attempt(self._continued, self.id, policy))

    def request(
        self, event: ClientEvent | Unknown | Mapping[str, Any], at: float
    ) -> None:
        """Send an event of the application as soon as possible, in the order of calls.

        It waits for the next connection if there is none. A ``response.create`` waits
        until a response may begin, and until the other events are sent. Raises
        ValueError for anything but a client event.
        """
        wanted = self.named(client_event(event, self.session.connection.kind))
        if (fact := self.accept(wanted)) is not None:
            self.record(fact, at)

    def named(self, event: _Sent) -> _Sent:
        """An item of the application with an id, and the id of its event.

        They depend on the number of requested items only, so that a replayed
        application sends the same ids. Other events get their id when they are sent.
        An output that names the `RunTool` gets the ``call_id`` of its call.
        """
        if not isinstance(event, ConversationItemCreate):
            return event
        item = event.item
        if isinstance(item, FunctionCallOutputItem) and item.call_id:
            call = select_call(self.session, item.call_id)
            if call is not None and call.call_id:
                item = msgspec.structs.replace(item, call_id=call.call_id)
                event = msgspec.structs.replace(event, item=item)
        number = self.session.conversation.requested + 1
        return with_ids(event, command_id(f"{self.id[:390]}.item", number, 0))

    def accept(
        self, event: ClientEvent | Unknown, item_id: str | None = None
    ) -> Requested | None:
        """Queue an event, or return the fact to record, from which its command follows.

        The state keeps the events that are sent again on a new connection, and a
        snapshot contains them; the others, such as audio, are queued here. ``item_id``
        is the message that a ``response.create`` is to answer.
        """
        if not is_resent(event):
            self._requested.append(Send(self.id, event))
            return None
        fact = Requested(event=msgspec.json.decode(encode(event)), item_id=item_id)
        # A session connects with its requested configuration. If there is none, the
        # first one is sent as an event: it is recorded when it can be sent.
        is_first = isinstance(event, SessionUpdate) and not may_send(self.session)
        if is_first and self.session.connection.requested is None:
            self._updates.append(fact)
            return None
        return fact

    def receive(
        self, frame: bytes | str, at: float, *, epoch: int, src: str | None = None
    ) -> Change:
        """Record a received frame."""
        return self.feed(frame, "in", at, epoch=epoch, src=src)

    def record(
        self, fact: LocalEvent, at: float, *, epoch: int | None = None
    ) -> Change:
        """Record a local fact, such as the result of a command."""
        return self.feed(encode(fact), "local", at, epoch=epoch)

    def send(self, event: ClientEvent | Unknown, at: float) -> str:
        """Record an event as sent, and return its frame.

        The driver then sends the frame on the connection of the session's epoch.
        """
        frame = encode(self.identified(event)).decode()
        self.feed(frame, "out", at)
        return frame

    def identified(self, event: _Sent) -> _Sent:
        """The event to send next: it and a new item get ids if they have none."""
        number = self.session.dedup.events + 1
        event = to_wire(self.session, event)
        return with_ids(event, command_id(self.id, number, 0))

    def feed(
        self,
        frame: bytes | str,
        dir: Direction,
        at: float,
        *,
        epoch: int | None = None,
        src: str | None = None,
    ) -> Change:
        """Record a frame of any direction, as `Store.feed` does.

        A subscriber of the store may call it too. The commands of the subscriber's
        record come after those of the record that it received.
        """
        before = self.store.state
        current = self.session.connection.epoch
        if self._ahead is None:
            latest = 0.0 if self._continued is None else latest_time(self._continued)
            # Whole seconds, so that a time of `WakeAt` is the same again in its record.
            self._ahead = max(0, math.ceil(latest - at))
        outer, self._nested = self._nested, []
        try:
            record = self.store.feed(
                self.id,
                frame,
                at=at + self._ahead,
                dir=dir,
                epoch=current if epoch is None else epoch,
                src=src,
            )
        finally:
            nested, self._nested = self._nested, outer
        after = nested[0].before if nested else self.store.state
        change = Change(before, record, after)
        if outer is None:
            for each in (change, *nested):
                self._follow(each)
            if self._updates and may_send(self.session):
                self._request_updates(at)
        else:
            outer += [change, *nested]
        return change

    def _request_updates(self, at: float) -> None:
        """Record the first changes of the configuration; they are sent first."""
        updates, self._updates = self._updates, []
        others, self._requested = self._requested, deque()
        for each in updates:
            self.record(each, at)
        self._requested += others

    def _follow(self, change: Change) -> None:
        """Queue the commands that follow from a record."""
        event = change.record.event
        if _epoch(change.before, self.id) != _epoch(change.after, self.id):
            # `react` returns these events again for the new connection.
            self._urgent.clear()
            self._last.clear()
            kept = (each for each in self._requested if not is_resent(each.event))
            self._requested = deque(kept)
        if isinstance(event, Closing):
            self._is_closing = True
            # Not even the first attempt begins.
            kept_commands = (c for c in self._commands if not isinstance(c, Connect))
            self._commands = deque(kept_commands)
        if isinstance(event, Interrupted):
            # It withdraws the response that was requested and not sent.
            self._last.clear()
        for command in react(*change):
            if not isinstance(command, Send):
                self._commands.append(command)
            elif command.is_last:
                self._last.append(command)
            elif isinstance(event, Requested | Connected):
                # On the first connection, the configuration is sent first.
                self._requested.append(command)
            else:
                self._urgent.append(command)

    def commands(self, *, sends: bool = True) -> Iterator[Command]:
        """The commands to carry out now, each once.

        Events to send are held back while nothing can be sent. You may record facts
        between two commands: the commands that follow from them come later in the
        iteration, and a command that they make needless is dropped. A driver that
        sends one event at a time, in a task, takes them from `next_send`: without
        ``sends`` this returns the other commands only.
        """
        while True:
            if self._commands:
                command = self._commands.popleft()
                if isinstance(command, WakeAt):
                    yield self._on_clock(command)
                elif isinstance(command, Send | RunTool | FlushAudio) or is_due(
                    self.session, command
                ):
                    yield command
            elif sends and (send := self.next_send()) is not None:
                yield send
            else:
                return

    def _on_clock(self, command: WakeAt) -> WakeAt:
        at = None if command.at is None else command.at - (self._ahead or 0)
        return WakeAt(command.session, at)

    def next_send(self) -> Send | None:
        """The next event to send; None if there is none or nothing can be sent now."""
        queue = self._urgent or self._requested or self._last
        if not queue or not may_send(self.session):
            return None
        command = queue.popleft()
        self._is_requested = queue is self._requested
        return command

    def put_back(self, command: Send) -> None:
        """Keep the last event of `next_send`: its connection ended before it was sent.

        Only if nothing else keeps it: `react` returns its own events, and those that
        are in the state, again for the next connection.
        """
        if self._is_requested and not is_resent(command.event):
            self._requested.appendleft(command)

    @property
    def waiting(self) -> int:
        """The number of events of the application that wait here to be sent."""
        return len(self._updates) + len(self._requested)


def _epoch(state: State, session_id: str) -> int:
    session = state.sessions.get(session_id)
    return 0 if session is None else session.connection.epoch
