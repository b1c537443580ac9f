"""The protocols of the service's components: speech in, speech out, replies.

Built-in components, components at a URL and test stubs are interchangeable. Audio is
PCM16 mono little-endian; the name of each argument contains its sample rate.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

import attrs

from duologue.transports.contract import SAMPLE_RATE

__all__ = [
    "ASR_RATE",
    "EAR_RATE",
    "SAMPLE_RATE",
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
    "Recogniser",
    "RecogniserError",
    "ReplyModel",
    "ReplyModelError",
    "ReplyPart",
    "Returned",
    "Say",
    "Synthesiser",
    "SynthesiserError",
    "Thought",
    "Tool",
    "Utterance",
    "Voice",
    "VoiceActivityDetector",
    "VoiceError",
    "Wait",
]

#: Hz; speech recognition (ASR) and voice activity detection (VAD) use this rate.
ASR_RATE = 16_000


class RecogniserError(Exception):
    """Speech recognition of an utterance failed."""


class SynthesiserError(Exception):
    """Speech synthesis of a text failed."""


class ReplyModelError(Exception):
    """The reply model failed.

    ``code`` is the error code of the failed response, such as
    ``inference_rate_limit_exceeded``.
    """

    def __init__(self, message: str, *, code: str = "server_error") -> None:
        super().__init__(message)
        self.code = code


class VoiceActivityDetector(Protocol):
    """Detects speech in a stream of audio. It is stateful: use one for each stream."""

    @property
    def chunk_bytes(self) -> int:
        """The length of a chunk, in bytes."""

    def __call__(self, pcm16k: bytes) -> float:
        """The probability, 0 to 1, that the next chunk of the stream is speech."""

    def reset(self) -> None:
        """Start a new stream."""


class Utterance(Protocol):
    """One utterance in speech recognition."""

    def feed(self, pcm16k: bytes) -> None:
        """Add the next audio. Never blocks."""

    async def finish(self) -> str:
        """End the audio and return its transcript. Raises `RecogniserError`."""

    def drop(self) -> None:
        """Cancel the recognition. Idempotent."""


class Recogniser(Protocol):
    """Streaming speech recognition (ASR) of several utterances at a time."""

    async def start(self) -> None:
        """Prepare for the first utterance. Optional and idempotent."""

    def listen(self, on_guess: Callable[[str], None]) -> Utterance:
        """Open an utterance; ``on_guess`` gets each interim transcript."""

    async def close(self) -> None:
        """Free all resources. Open utterances fail."""


class Synthesiser(Protocol):
    """Speech synthesis (TTS)."""

    @property
    def name(self) -> str:
        """The name of the synthesiser, for messages."""

    def speak(self, text: str, *, voice: str | None = None) -> AsyncGenerator[bytes]:
        """Stream the speech as PCM16 at 24 kHz.

        ``voice`` is a voice of the protocol, such as ``alloy``; an unknown one selects
        the default. Closing the iterator stops the synthesis. Raises
        `SynthesiserError`.
        """


@attrs.frozen
class Line:
    """A message; ``role`` is ``user``, ``assistant`` or ``system``."""

    role: str
    text: str


@attrs.frozen
class Called:
    """A function call by the assistant; ``arguments`` is JSON text."""

    call_id: str
    name: str
    arguments: str


@attrs.frozen
class Returned:
    """The output of a `Called` function."""

    call_id: str
    output: str


#: An item of a conversation.
Entry = Line | Called | Returned


@attrs.frozen
class Tool:
    """A function that the assistant may call; ``parameters`` is a JSON schema."""

    name: str
    description: str = ""
    parameters: str = "{}"


@attrs.frozen
class Prompt:
    """The input of a reply model: the current instructions and the conversation.

    ``tool_choice`` is ``auto``, ``none``, ``required`` or the name of a tool (see
    `forced`). ``modalities`` is ``("audio",)`` or ``("text",)``. ``session`` is the
    session's id; ``at`` is the time in seconds since the Unix epoch.
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
        """The last user message; empty if there is none."""
        spoken = (
            line.text
            for line in reversed(self.lines)
            if isinstance(line, Line) and line.role == "user"
        )
        return next(spoken, "")

    @property
    def forced(self) -> Tool | None:
        """The tool that ``tool_choice`` names, if any; the reply must call it."""
        named = (tool for tool in self.tools if tool.name == self.tool_choice)
        return next(named, None)


@attrs.frozen
class Say:
    """Text of the reply: all of it, or the next chunk of a stream.

    Chunks are joined without separators, so include the spaces between words.
    """

    text: str


@attrs.frozen
class Call:
    """A function call; ``arguments`` is JSON text. The client runs the function.

    Without ``call_id`` the engine creates one.
    """

    name: str
    arguments: str = "{}"
    call_id: str | None = None


@attrs.frozen
class Wait:
    """A pause in seconds before the next part."""

    seconds: float


#: A part of a reply, in order.
ReplyPart = Say | Call | Wait


class ReplyModel(Protocol):
    """Determines the text and the function calls of a reply."""

    @property
    def label(self) -> str:
        """A short description, shown with each reply."""

    def reply(self, prompt: Prompt) -> AsyncGenerator[ReplyPart]:
        """Stream the reply. Raises `ReplyModelError`.

        Closing the iterator stops the work.
        """


# The names in version 0.1.
EAR_RATE = ASR_RATE
VOICE_RATE = SAMPLE_RATE
Detector = VoiceActivityDetector
Ear = Recogniser
EarError = RecogniserError
Hearing = Utterance
Mind = ReplyModel
MindError = ReplyModelError
Thought = ReplyPart
Voice = Synthesiser
VoiceError = SynthesiserError
