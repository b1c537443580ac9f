"""Faults by script: what goes wrong between a session and its client.

`Faults` describe it, plain values that a file or a test makes. `FaultyLine` does it for
one session: events go in with the time, and what the client gets comes out. It has no
clock and no task, and its dice are those of the seed: the same events at the same times
come out as the same stream, whatever other sessions do.

The session itself does not notice. What is dropped was sent, as far as it knows.
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

#: The event that `Fail` makes a failure of.
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
#: The close code that is never sent: the connection is cut (RFC 6455, section 7.4.1).
NO_CLOSE_FRAME = 1006
#: Seconds that a reordered event waits for those that are to overtake it.
_PATIENCE = 1.0
#: Seconds that a session lasts with the real service.
_LIFE = 3600.0
_AUDIO = "response.output_audio.delta"


@attrs.frozen
class Drop:
    """The event does not come."""


@attrs.frozen
class Delay:
    """The event comes later by ``least`` to ``most`` seconds; what follows waits."""

    least: float
    most: float


@attrs.frozen
class Late:
    """The event comes later by ``least`` to ``most`` seconds; what follows does not."""

    least: float
    most: float


@attrs.frozen
class Duplicate:
    """The event comes so many times more, with the same id."""

    times: int = 1


@attrs.frozen
class Reorder:
    """The event comes behind so many that follow it; after a second at the latest."""

    behind: int = 1


@attrs.frozen
class Fail:
    """A transcription fails instead of being completed."""

    message: str
    code: str = "transcription_failed"


@attrs.frozen
class Orphan:
    """Behind the event comes another of a response and an item that nobody knows."""


@attrs.frozen
class Errors:
    """So many ``error`` events, with this code and message."""

    count: int
    code: str = "server_error"
    message: str = "The server had an error while processing your request."
    type: str = "server_error"


@attrs.frozen
class Expire:
    """The session ends as if its time were over."""


@attrs.frozen
class Mute:
    """No audio any more, neither heard nor sent; events go on."""


@attrs.frozen
class Cut:
    """The connection ends: with this close code, or (1006) without a close frame."""

    code: int = NO_CLOSE_FRAME


#: What happens to an event, and what may happen at a time too.
Deed = Drop | Delay | Late | Duplicate | Reorder | Fail | Orphan
TimedDeed = Errors | Expire | Mute | Cut
#: What comes out of a line: events, the end of the connection, or of its audio.
Outcome = str | CloseConnection | Mute


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that goes wrong, and when.

    It strikes the events whose type fits one of ``events`` (``*`` stands for anything):
    all of them, the n-th ones (``nth``, from 1), or with a ``chance`` from 0 to 1 each.
    A `TimedDeed` may have ``at`` instead, seconds from the session's start. It concerns
    all sessions, the n-th ones of the service (``sessions``, from 1), or those whose
    model's name fits ``model``.
    """

    does: Deed | TimedDeed
    events: tuple[str, ...] = ()
    nth: frozenset[int] = frozenset()
    chance: float = 1.0
    at: float | None = None
    sessions: frozenset[int] = frozenset()
    model: str = "*"

    def concerns(self, number: int, model: object) -> bool:
        """Whether it may strike in this session."""
        counted = not self.sessions or number in self.sessions
        return counted and fnmatchcase(
            model if isinstance(model, str) else "", self.model
        )


@attrs.frozen
class Faults:
    """All that goes wrong in a service, and the seed of its dice."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def line(self, number: int, model: object, new_id: NewId) -> FaultyLine | None:
        """The line of a service's n-th session; None where nothing goes wrong.

        Each fault has dice of its own, which know the seed and nothing of the session.
        """
        dice = (
            _Dice(fault, random.Random(f"{self.seed}:{place}"))
            for place, fault in enumerate(self.faults)
            if fault.concerns(number, model)
        )
        concerned = tuple(dice)
        return FaultyLine(concerned, new_id) if concerned else None


#: Nothing goes wrong.
NO_FAULTS = Faults()


class _Dice:
    """One fault in one session: counts, and throws."""

    def __init__(self, fault: Fault, random: random.Random) -> None:
        self.fault = fault
        self._random = random
        self._count = 0

    def strikes(self, kind: str) -> bool:
        """Whether it strikes this event; to be asked about each one, in order."""
        fault = self.fault
        if not any(fnmatchcase(kind, pattern) for pattern in fault.events):
            return False
        self._count += 1
        lucky = fault.chance < 1 and self._random.random() >= fault.chance
        return not lucky and (not fault.nth or self._count in fault.nth)

    def seconds(self, span: Delay | Late) -> float:
        """So much later."""
        return self._random.uniform(span.least, span.most)


@attrs.define
class _Held:
    """An event that waits for others to overtake it."""

    frame: str
    behind: int
    until: float


class FaultyLine:
    """The way of a session's events to its client.

    The first fault that strikes an event has it; the others only count it.
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
        """The session begins: times count from here."""
        for place, dice in enumerate(self._dice):
            fault = dice.fault
            if fault.at is not None and isinstance(fault.does, TimedDeed):
                heapq.heappush(self._timed, (at + fault.at, place, fault.does))

    def put(self, frame: Outcome, at: float) -> None:
        """The event that follows, as JSON text, or the session's end."""
        self._pass_time(at)
        if not isinstance(frame, str):
            self._pass(frame, at)
            return
        kind = json.loads(frame)["type"]
        if self._muted and kind == _AUDIO:
            return
        struck = [dice for dice in self._dice if dice.strikes(kind)]
        if struck:
            self._strike(struck[0], frame, at)
        else:
            self._pass(frame, at)

    def take(self, at: float) -> list[Outcome]:
        """What the client gets now. Nothing comes after a `CloseConnection`."""
        self._pass_time(at)
        due: list[Outcome] = []
        while not self._over and self._waiting and self._waiting[0][0] <= at:
            outcome = heapq.heappop(self._waiting)[2]
            due.append(outcome)
            self._over = isinstance(outcome, CloseConnection)
        return due

    @property
    def deadline(self) -> float | None:
        """When `take` has something to give next."""
        if self._over:
            return None
        times = [held.until for held in self._held]
        times += [queue[0][0] for queue in (self._waiting, self._timed) if queue]
        return min(times, default=None)

    def _pass_time(self, at: float) -> None:
        """What happens by itself until then."""
        while self._timed and self._timed[0][0] <= at:
            due, _, deed = heapq.heappop(self._timed)
            # Not behind what is delayed: its time has come.
            self._do(deed, due, self._queue)
        for held in [held for held in self._held if held.until <= at]:
            self._held.remove(held)
            self._queue(held.frame, max(held.until, self._free_at))

    def _strike(self, dice: _Dice, frame: str, at: float) -> None:
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
                put(CloseConnection(code, "This cut was asked for."), at)

    def _pass(self, outcome: Outcome, at: float) -> None:
        """Let it go in its order, and behind it what was held for it."""
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
        """The event as one of a response that nobody knows; None where it has none."""
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
