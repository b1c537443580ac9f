"""Nodes of the state: usage, rate limits, problems."""

from __future__ import annotations

from immutables import Map
from msgspec import Struct

__all__ = [
    "NO_USAGE",
    "KnownUsage",
    "Problem",
    "RateLimit",
    "SessionUsage",
    "TranscriptionUsage",
    "Usage",
]


class Usage(Struct, frozen=True, gc=False):
    """Tokens of all responses, by modality; cached tokens are part of the input."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    output_text: int = 0
    output_audio: int = 0
    total: int = 0

    @property
    def is_consistent(self) -> bool:
        """Whether the parts add up to the total and contain the cached tokens."""
        given = self.input_text + self.input_audio + self.input_image
        return (
            self.cached_text <= self.input_text
            and self.cached_audio <= self.input_audio
            and self.cached_image <= self.input_image
            and given + self.output_text + self.output_audio == self.total
        )


class KnownUsage(Struct, frozen=True, gc=False):
    """The tokens of one response whose modality is certain.

    ``complete``: they are all of its tokens.
    """

    tokens: Usage = Usage()
    complete: bool = False


class TranscriptionUsage(Struct, frozen=True, gc=False):
    """Usage of transcription, billed separately: by seconds, or by tokens."""

    seconds: float = 0.0
    input_text: int = 0
    input_audio: int = 0
    output_text: int = 0
    total: int = 0


class RateLimit(Struct, frozen=True, gc=False):
    """The remaining ``requests`` or ``tokens`` at a time.

    ``at`` is in seconds since the Unix epoch; the limit resets ``reset_seconds`` later.
    """

    name: str
    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None
    at: float | None = None


class Problem(Struct, frozen=True, gc=False):
    """Something that went wrong, for a person to read.

    ``at`` is in seconds since the Unix epoch. ``event_id`` is the client event that
    caused the problem and ``origin`` its type, if they are known.
    """

    kind: str
    message: str
    code: str | None = None
    item_id: str | None = None
    at: float | None = None
    response_id: str | None = None
    event_id: str | None = None
    origin: str | None = None


class SessionUsage(Struct, frozen=True, gc=False):
    """Tokens of responses, usage of transcription, and the latest rate limits.

    ``tokens`` are as the service reported them. ``known`` are those whose modality is
    certain, by model (empty if the model is unknown); ``incomplete`` is the number of
    ended responses that have other tokens or no usage. ``transcribed`` are the content
    indexes, by item, whose transcription is counted.
    """

    tokens: Usage = Usage()
    transcription: TranscriptionUsage = TranscriptionUsage()
    rate_limits: tuple[RateLimit, ...] = ()
    known: Map[str, Usage] = Map()
    incomplete: int = 0
    transcribed: Map[str, tuple[int, ...]] = Map()


#: The usage of a session without responses.
NO_USAGE = SessionUsage()
