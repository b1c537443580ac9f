"""A live session without I/O: records go in, commands come out.

A driver connects it to a network, for asyncio (`duologue.transports`), trio or anything
else: it carries out the commands, and records what it received, sent and did. The
machine decides everything else. ``examples/trio_driver.py`` is a whole driver.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from ..events.base import ClientEvent, LocalEvent, Unknown
from ..events.local import ConnectPolicy, Requested
from ..log.record import Direction
from ..state.model import Session
from ..store import Change, Store
from ..wire.codec import encode
from .commands import Command, Send, command_id, with_ids
from .lifecycle import first_attempt, may_send
from .reactions import react

__all__ = ["Machine"]

_Sent = TypeVar("_Sent", bound=ClientEvent | Unknown)


class Machine:
    """One session of a store, its commands, and the events to send.

    ``at`` is the time of a record in seconds since the Unix epoch; it must not
    decrease. ``epoch`` is the connection that a record belongs to, by default the one
    that carries the session. If the session is in the store, it goes on with its next
    connection.
    """

    def __init__(self, session_id: str, *, store: Store | None = None) -> None:
        self.id = session_id
        self.store = Store() if store is None else store
        self._commands: deque[Command] = deque()

    @property
    def session(self) -> Session:
        """The session now."""
        return self.store.session(self.id) or Session(self.id)

    def connect(self, policy: ConnectPolicy) -> None:
        """Begin: the first command is the first attempt to connect."""
        known = self.store.session(self.id)
        self._commands.append(first_attempt(known, self.id, policy))

    def request(self, event: Mapping[str, Any], at: float) -> Change:
        """Record a client event of the application; it is sent when it is due."""
        return self.record(Requested(event=dict(event)), at)

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
        """Record an event as sent, and return its frame; send it on the connection."""
        frame = encode(self.identified(event)).decode()
        self.feed(frame, "out", at)
        return frame

    def identified(self, event: _Sent) -> _Sent:
        """The event to send next: it and a new item get ids if they have none."""
        number = self.session.dedup.events + 1
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
        """Record a frame of any direction, as `Store.feed` does."""
        before = self.store.state
        current = self.session.connection.epoch
        record = self.store.feed(
            self.id,
            frame,
            at=at,
            dir=dir,
            epoch=current if epoch is None else epoch,
            src=src,
        )
        after = self.store.state
        if self.session.connection.epoch != current:
            # The new connection gets its own.
            self._commands = deque(
                command for command in self._commands if not isinstance(command, Send)
            )
        self._commands += react(before, record, after)
        return Change(before, record, after)

    def commands(self) -> Iterator[Command]:
        """The commands to carry out now, each once, in order.

        An event to send is held back while nothing can be sent. You may record facts
        between two commands: what follows from them comes later in the iteration.
        """
        held: deque[Command] = deque()
        while self._commands:
            command = self._commands.popleft()
            if isinstance(command, Send) and not may_send(self.session):
                held.append(command)
            else:
                yield command
        self._commands += held
