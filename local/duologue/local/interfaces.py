"""What the engine needs from outside: an ear, a voice, a mind, a speech detector.

Each is a small protocol, so that any of them can be exchanged: the built-in parts,
a service by URL, or a script in a test. Audio is PCM16 mono little-endian; the rate
stands in the name of each argument.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

import attrs

__all__ = [
    "EAR_RATE",
    "VOICE_RATE",
    "Call",
    "Called",
    "Detector",
    "Ear",
    "EarError",
    "Entry",
    "Hearing",
    "Line",
    "Mind",
    "MindError",
    "Prompt",
    "Returned",
    "Say",
    "Thought",
    "Tool",
    "Voice",
    "VoiceError",
    "Wait",
]

#: Hz; what detectors and recognisers are trained on.
EAR_RATE = 16_000
#: Hz; the rate of ``audio/pcm`` in the protocol.
VOICE_RATE = 24_000


class EarError(Exception):
    """An utterance could not be recognised."""


class VoiceError(Exception):
    """A text could not be spoken."""


class MindError(Exception):
    """No reply could be found.

    ``code`` is what the failed response shows, such as
    ``inference_rate_limit_exceeded``.
    """

    def __init__(self, message: str, *, code: str = "server_error") -> None:
        super().__init__(message)
        self.code = code


class Detector(Protocol):
    """Tells speech from other sound. Has a memory: one for each stream."""

    @property
    def chunk_bytes(self) -> int:
        """The length of the chunks it takes."""

    def __call__(self, pcm16k: bytes) -> float:
        """The probability, 0 to 1, that this chunk of the stream is speech."""

    def reset(self) -> None:
        """Forget the stream so far."""


class Hearing(Protocol):
    """One utterance on its way through an `Ear`."""

    def feed(self, pcm16k: bytes) -> None:
        """Take the audio that follows. Never blocks."""

    async def finish(self) -> str:
        """The words, once the audio is complete. Raises `EarError`."""

    def drop(self) -> None:
        """Stop; nobody wants the words. Idempotent."""


class Ear(Protocol):
    """Recognises speech, as it comes, several utterances at once."""

    async def start(self) -> None:
        """Get ready ahead of the first utterance. Not required, and idempotent."""

    def listen(self, on_guess: Callable[[str], None]) -> Hearing:
        """Open an utterance; ``on_guess`` gets the words so far, as they change."""

    async def close(self) -> None:
        """Free everything. Utterances that are open fail."""


class Voice(Protocol):
    """Speaks."""

    @property
    def name(self) -> str:
        """Which voice this is, for messages to people."""

    def speak(self, text: str, *, voice: str | None = None) -> AsyncGenerator[bytes]:
        """The text as PCM16 at 24 kHz, the first chunk early.

        ``voice`` is a name of the protocol (``alloy``, …); one that is not known
        stands for the default. Closing the iterator stops the work. Raises
        `VoiceError`.
        """


@attrs.frozen
class Line:
    """One thing that was said: ``role`` is ``user``, ``assistant`` or ``system``."""

    role: str
    text: str


@attrs.frozen
class Called:
    """A function that the assistant called; ``arguments`` is JSON text."""

    call_id: str
    name: str
    arguments: str


@attrs.frozen
class Returned:
    """What the client's function gave for a `Called`."""

    call_id: str
    output: str


#: One step of a conversation, in its order.
Entry = Line | Called | Returned


@attrs.frozen
class Tool:
    """A function that may be called; ``parameters`` is its JSON schema, as text."""

    name: str
    description: str = ""
    parameters: str = "{}"


@attrs.frozen
class Prompt:
    """What a mind answers: the instructions in force and the conversation so far.

    ``tool_choice`` is ``auto``, ``none``, ``required``, or the name of the one tool
    that must be called (see `forced`). ``modalities`` is ``("audio",)`` or
    ``("text",)``. ``session`` is the session's id and ``at`` the time, in seconds
    since the Unix epoch; a mind that remembers or tells the time goes by them.
    """

    instructions: str
    lines: tuple[Entry, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    modalities: tuple[str, ...] = ("audio",)
    max_output_tokens: int | None = None
    session: str = ""
    at: float = 0.0

    @property
    def heard(self) -> str:
        """What the user said last; empty where nobody has said anything."""
        spoken = (
            line.text
            for line in reversed(self.lines)
            if isinstance(line, Line) and line.role == "user"
        )
        return next(spoken, "")

    @property
    def forced(self) -> Tool | None:
        """The one tool that must be called, if a tool is named."""
        named = (tool for tool in self.tools if tool.name == self.tool_choice)
        return next(named, None)


@attrs.frozen
class Say:
    """Some text of the reply, in order: all of it, or a chunk of a stream.

    Chunks are joined as they are: spaces between words belong to the text.
    """

    text: str


@attrs.frozen
class Call:
    """A function to call; ``arguments`` is JSON text. The client runs it.

    ``call_id`` is what a far service named it; without one the engine does.
    """

    name: str
    arguments: str = "{}"
    call_id: str | None = None


@attrs.frozen
class Wait:
    """Nothing for so many seconds; what follows comes later."""

    seconds: float


#: What a mind gives, one after the other. A failure is a `MindError`.
Thought = Say | Call | Wait


class Mind(Protocol):
    """Decides what is said and which functions are called."""

    @property
    def label(self) -> str:
        """What it is, in a few words, for every face that shows a reply."""

    def reply(self, prompt: Prompt) -> AsyncGenerator[Thought]:
        """The reply to what was said, as it comes. Raises `MindError`.

        Closing the iterator stops the work.
        """
