"""What adds up over a session: usage, problems, limits; and the bookkeeping.

A part of the state, in a module of its own: see `state`.
"""

from __future__ import annotations

from msgspec import Struct

from .seen import NOTHING_SEEN, Seen

__all__ = [
    "NO_LEDGER",
    "NO_TALLY",
    "Ignored",
    "Ledger",
    "Problem",
    "RateLimit",
    "Sent",
    "Tally",
    "TranscriptionUsage",
    "Usage",
]


class Usage(Struct, frozen=True, gc=False):
    """Tokens so far, by modality; the cached ones are part of the input."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    output_text: int = 0
    output_audio: int = 0
    total: int = 0


class TranscriptionUsage(Struct, frozen=True, gc=False):
    """What writing down the user's words took; billed apart, by seconds or tokens."""

    seconds: float = 0.0
    input_text: int = 0
    input_audio: int = 0
    output_text: int = 0
    total: int = 0


class RateLimit(Struct, frozen=True, gc=False):
    """What was left of ``requests`` or ``tokens`` at a time, until when."""

    name: str
    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None
    at: float | None = None


class Problem(Struct, frozen=True, gc=False):
    """Something that went wrong, for a person to read.

    ``event_id`` is the client event that caused it and ``origin`` that event's type,
    where the service and our memory know them.
    """

    kind: str
    message: str
    code: str | None = None
    item_id: str | None = None
    at: float | None = None
    response_id: str | None = None
    event_id: str | None = None
    origin: str | None = None


class Ledger(Struct, frozen=True, gc=False):
    """What adds up: usage, problems (the last hundred) and what the limits leave."""

    usage: Usage = Usage()
    problems: tuple[Problem, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()
    transcription: TranscriptionUsage = TranscriptionUsage()


class Sent(Struct, frozen=True, gc=False):
    """A client event that went out, so that an error can be traced to it."""

    id: str
    type: str
    out_of_band: bool = False


class Ignored(Struct, frozen=True, gc=False):
    """How many events changed nothing, by the reason.

    Their type is ``unknown``; they were ``malformed``; a ``duplicate`` came before;
    a ``late`` one comes after the end of what it belongs to.
    """

    unknown: int = 0
    malformed: int = 0
    duplicate: int = 0
    late: int = 0


class Tally(Struct, frozen=True, gc=False):
    """Bookkeeping: counters, and the window of event ids seen.

    Ids of later connections than the first stand there as ``epoch:event_id``, because
    they are unique within a connection only. One counts as seen for at least the next
    512. ``sent`` are the last 64 events that went out with an id.
    """

    events: int = 0
    seen: Seen = NOTHING_SEEN
    sent: tuple[Sent, ...] = ()
    ignored: Ignored = Ignored()

    @property
    def unknown(self) -> int:
        """Events of a type that is not in the catalogue."""
        return self.ignored.unknown

    @property
    def malformed(self) -> int:
        """Frames that could not be believed."""
        return self.ignored.malformed

    @property
    def duplicate(self) -> int:
        """Events that were seen before."""
        return self.ignored.duplicate

    @property
    def late(self) -> int:
        """Events that came after the end of what they belong to."""
        return self.ignored.late


#: Nothing so far.
NO_LEDGER = Ledger()
#: Nothing so far.
NO_TALLY = Tally()
