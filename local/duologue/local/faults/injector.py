"""Fault injection between a session and its client.

`Faults` is a plain description, from a file or a test. A `FaultyLine` applies it to one
session: it takes each event with its time and returns the events for the client. It has
no clock and no tasks, and its random numbers depend on the seed only: the same events
at the same times give the same result, independent of other sessions.

The session does not see the faults: it treats a dropped event as sent.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import attrs

from duologue.core.events import (
    ConversationItemInputAudioTranscriptionFailed,
    Error,
    ErrorDetail,
    ServerEvent,
)

from ..engine.effects import CloseConnection
from ..engine.outbox import NewId, frame_of
from ..engine.timeouts import GOING_AWAY, expiry_message

__all__ = [
    "NO_CLOSE_FRAME",
    "NO_FAULTS",
    "TRANSCRIBED",
    "Cut",
    "Deed",
    "Delay",
    "Drop",
    "Duplicate",
    "Errors",
    "Expire",
    "Fail",
    "Fault",
    "Faults",
    "FaultyLine",
    "Late",
    "Mute",
    "Orphan",
    "Outcome",
    "Reorder",
    "TimedDeed",
]

#: The event that `Fail` turns into a failure.
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
#: The close code for an aborted connection; never sent (RFC 6455, section 7.4.1).
NO_CLOSE_FRAME = 1006
#: Maximum seconds that a reordered event waits for later events to overtake it.
_PATIENCE = 1.0
#: The real service's maximum duration of a session, in seconds.
_LIFE = 3600.0
_AUDIO = "response.output_audio.delta"


@attrs.frozen
class Drop:
    """The event is lost."""


@attrs.frozen
class Delay:
    """The event is ``least`` to ``most`` seconds late; later events wait for it."""

    least: float
    most: float


@attrs.frozen
class Late:
    """The event is ``least`` to ``most`` seconds late; later events overtake it."""

    least: float
    most: float


@attrs.frozen
class Duplicate:
    """The event is repeated ``times`` times, with the same id."""

    times: int = 1


@attrs.frozen
class Reorder:
    """The next ``behind`` events overtake the event; it waits up to a second."""

    behind: int = 1


@attrs.frozen
class Fail:
    """A transcription fails instead of completing."""

    message: str
    code: str = "transcription_failed"


@attrs.frozen
class Orphan:
    """A copy of the event with unknown response and item ids follows the event."""


@attrs.frozen
class Errors:
    """``count`` ``error`` events with this code and message follow the event."""

    count: int
    code: str = "server_error"
    message: str = "The server had an error while processing your request."
    type: str = "server_error"


@attrs.frozen
class Expire:
    """The session expires."""


@attrs.frozen
class Mute:
    """No more audio in either direction; other events continue."""


@attrs.frozen
class Cut:
    """The connection closes with this code, or without a close frame (1006)."""

    code: int = NO_CLOSE_FRAME


#: Effects on an event; a `TimedDeed` can happen at a fixed time instead.
Deed = Drop | Delay | Late | Duplicate | Reorder | Fail | Orphan
TimedDeed = Errors | Expire | Mute | Cut
#: Output of a line: an event, the end of the connection, or the end of its audio.
Outcome = str | CloseConnection | Mute


@attrs.frozen(kw_only=True)
class Fault:
    """One fault: its effect ``does``, and the conditions for it.

    The fault applies to events whose type matches a pattern in ``events`` (``*`` is a
    wildcard): to all of them, to those numbered ``nth`` (from 1), or to each with the
    probability ``chance`` (0 to 1). A `TimedDeed` may have ``at`` instead, in seconds
    from the start of the session. ``sessions`` (numbers from 1) and ``model`` (a
    pattern) restrict the fault to some sessions of the service.
    """

    does: Deed | TimedDeed
    events: tuple[str, ...] = ()
    nth: frozenset[int] = frozenset()
    chance: float = 1.0
    at: float | None = None
    sessions: frozenset[int] = frozenset()
    model: str = "*"

    def concerns(self, number: int, model: object) -> bool:
        """Whether the fault applies to this session."""
        counted = not self.sessions or number in self.sessions
        return counted and fnmatchcase(
            model if isinstance(model, str) else "", self.model
        )


@attrs.frozen
class Faults:
    """The faults of a service, and the seed of their random numbers."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def line(self, number: int, model: object, new_id: NewId) -> FaultyLine | None:
        """The `FaultyLine` of session ``number``; None if no fault applies to it.

        Each fault has its own random numbers, from the seed and its position in the
        list.
        """
        dice = (
            _Dice(fault, random.Random(f"{self.seed}:{place}"))
            for place, fault in enumerate(self.faults)
            if fault.concerns(number, model)
        )
        concerned = tuple(dice)
        return FaultyLine(concerned, new_id) if concerned else None


#: No faults.
NO_FAULTS = Faults()


class _Dice:
    """One fault in one session: counts events and draws random numbers."""

    def __init__(self, fault: Fault, random: random.Random) -> None:
        self.fault = fault
        self._random = random
        self._count = 0

    def applies(self, kind: str) -> bool:
        """Whether the fault applies to this event; call it for each event in order."""
        fault = self.fault
        if not any(fnmatchcase(kind, pattern) for pattern in fault.events):
            return False
        self._count += 1
        spared = fault.chance < 1 and self._random.random() >= fault.chance
        return not spared and (not fault.nth or self._count in fault.nth)

    def seconds(self, span: Delay | Late) -> float:
        """A random delay within ``span``, in seconds."""
        return self._random.uniform(span.least, span.most)


@attrs.define
class _Held:
    """A reordered event, until ``behind`` more events have passed it."""

    frame: str
    behind: int
    until: float


class FaultyLine:
    """Applies faults to the events of one session.

    Only the first matching fault applies to an event. Other matching faults count the
    event for their ``nth`` and draw their random numbers.
    """

    def __init__(self, dice: tuple[_Dice, ...], new_id: NewId) -> None:
        self._dice = dice
        self._new_id = new_id
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, Outcome]] = []
        self._held: list[_Held] = []
        self._timed: list[tuple[float, int, TimedDeed]] = []
        self._free_at = 0.0
        self._muted = False
        self._over = False

    def start(self, at: float) -> None:
        """The session starts: ``at`` in a fault is relative to this time."""
        for place, dice in enumerate(self._dice):
            fault = dice.fault
            if fault.at is not None and isinstance(fault.does, TimedDeed):
                heapq.heappush(self._timed, (at + fault.at, place, fault.does))

    def put(self, frame: Outcome, at: float) -> None:
        """Take the next event, as JSON text, or the session's end."""
        self._pass_time(at)
        if not isinstance(frame, str):
            self._pass(frame, at)
            return
        kind = json.loads(frame)["type"]
        if self._muted and kind == _AUDIO:
            return
        matching = [dice for dice in self._dice if dice.applies(kind)]
        if matching:
            self._apply(matching[0], frame, at)
        else:
            self._pass(frame, at)

    def take(self, at: float) -> list[Outcome]:
        """The output that is due; a `CloseConnection` is always the last."""
        self._pass_time(at)
        due: list[Outcome] = []
        while not self._over and self._waiting and self._waiting[0][0] <= at:
            outcome = heapq.heappop(self._waiting)[2]
            due.append(outcome)
            self._over = isinstance(outcome, CloseConnection)
        return due

    @property
    def deadline(self) -> float | None:
        """When the next output is due."""
        if self._over:
            return None
        times = [held.until for held in self._held]
        times += [queue[0][0] for queue in (self._waiting, self._timed) if queue]
        return min(times, default=None)

    def _pass_time(self, at: float) -> None:
        """Apply timed faults and release held events up to ``at``."""
        while self._timed and self._timed[0][0] <= at:
            due, _, deed = heapq.heappop(self._timed)
            # A timed fault does not wait for delayed events.
            self._do(deed, due, self._queue)
        for held in [held for held in self._held if held.until <= at]:
            self._held.remove(held)
            self._queue(held.frame, max(held.until, self._free_at))

    def _apply(self, dice: _Dice, frame: str, at: float) -> None:
        match dice.fault.does:
            case Drop():
                pass
            case Delay() as span:
                self._pass(frame, at + dice.seconds(span))
            case Late() as span:
                self._queue(frame, max(at, self._free_at) + dice.seconds(span))
            case Duplicate(times):
                for _ in range(times + 1):
                    self._pass(frame, at)
            case Reorder(behind):
                self._held.append(_Held(frame, behind, at + _PATIENCE))
            case Fail(message, code):
                self._pass(self._failed(json.loads(frame), message, code), at)
            case Orphan():
                self._pass(frame, at)
                if (orphan := self._orphan(json.loads(frame))) is not None:
                    self._pass(orphan, at)
            case deed:
                self._pass(frame, at)
                self._do(deed, at, self._pass)

    def _do(
        self, deed: TimedDeed, at: float, put: Callable[[Outcome, float], None]
    ) -> None:
        match deed:
            case Errors(count, code, message, kind):
                for _ in range(count):
                    detail = ErrorDetail(type=kind, code=code, message=message)
                    put(self._event(Error, error=detail), at)
            case Mute():
                self._muted = True
                put(deed, at)
            case Expire():
                message = expiry_message(_LIFE)
                code = "session_expired"
                detail = ErrorDetail(
                    type="invalid_request_error", code=code, message=message
                )
                put(self._event(Error, error=detail), at)
                put(CloseConnection(GOING_AWAY, message), at)
            case Cut(code):
                put(CloseConnection(code, "This close was requested by a fault."), at)

    def _pass(self, outcome: Outcome, at: float) -> None:
        """Queue an event, and then the held events that it releases."""
        self._free_at = max(at, self._free_at)
        self._queue(outcome, self._free_at)
        for held in list(self._held):
            held.behind -= 1
            if not held.behind:
                self._held.remove(held)
                self._queue(held.frame, self._free_at)

    def _queue(self, outcome: Outcome, due: float) -> None:
        if not self._over:
            heapq.heappush(self._waiting, (due, next(self._order), outcome))

    def _event(self, kind: Callable[..., ServerEvent], **fields: object) -> str:
        return frame_of(kind(event_id=self._new_id("event"), **fields))

    def _failed(self, done: dict[str, Any], message: str, code: str) -> str:
        detail = ErrorDetail(type="transcription_error", code=code, message=message)
        return self._event(
            ConversationItemInputAudioTranscriptionFailed,
            item_id=done["item_id"],
            content_index=done["content_index"],
            error=detail,
        )

    def _orphan(self, event: dict[str, Any]) -> str | None:
        """A copy with unknown ids; None if the event has no response."""
        if "response_id" not in event:
            return None
        for key, prefix in (
            ("event_id", "event"),
            ("response_id", "resp"),
            ("item_id", "item"),
        ):
            if key in event:
                event[key] = self._new_id(prefix)
        return json.dumps(event)
