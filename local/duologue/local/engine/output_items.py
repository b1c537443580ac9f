"""The output items of a response: messages and function calls.

An output item tracks how much of it is sent and emits the events of its content.
`Responses` emits the events of the item itself.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from typing import Any, Protocol

import attrs

from duologue.core.events import (
    AnyPart,
    AudioPart,
    FunctionCallItem,
    MessageItem,
    OutputAudioPart,
    OutputTextPart,
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    TextPart,
)

from ..interfaces import SAMPLE_RATE, Call
from .outbox import Outbox

__all__ = ["AudioWriter", "Delivery", "FunctionCall", "Message", "PcmWriter"]

_BYTES_PER_MS = SAMPLE_RATE * 2 // 1000
#: Audio in one delta, in ms.
_DELTA_MS = 200
#: Seconds of speech for each character; determines when words are sent.
_CHARACTER = 0.08
#: Seconds for each character of a call's arguments.
_ARGUMENT = 0.02
_WORD = re.compile(r"\s*\S+")
_PIECE = re.compile(r".{1,8}", re.DOTALL)
#: Where an incomplete text may be split for the synthesiser: after a sentence. A full
#: stop inside a number or an abbreviation is not followed by a space.
_SENTENCE_ENDS = re.compile(r"[.!?:;]+[\"')\]]*(?=\s)|(?<=[^\W\d])[.!?]+$")


class AudioWriter(Protocol):
    """Encodes a stream of synthesised audio for ``response.output_audio.delta``."""

    @property
    def bytes_per_ms(self) -> int:
        """Bytes of output for one ms of audio."""

    def write(self, pcm24k: bytes) -> bytes:
        """Encode the next audio; return the output that is ready."""

    def flush(self) -> bytes:
        """The rest of the output, at the end of the stream."""


class PcmWriter:
    """Passes ``audio/pcm`` through unchanged."""

    bytes_per_ms = _BYTES_PER_MS

    def write(self, pcm24k: bytes) -> bytes:
        """Return the input unchanged."""
        return pcm24k

    def flush(self) -> bytes:
        """Return no bytes, because `write` buffers nothing."""
        return b""


@attrs.frozen
class Delivery:
    """How output items are sent.

    ``pace`` is the speed at which words and audio deltas are sent, relative to speech.
    ``writer`` creates the encoder of audio deltas; None if audio uses the media track.
    """

    spoken: bool
    pace: float
    writer: Callable[[], AudioWriter] | None


class _Output:
    """The base of all output items: the index in the response, and the opening time."""

    def __init__(
        self, outbox: Outbox, response: str, index: int, delivery: Delivery
    ) -> None:
        self.id = outbox.new_id("item")
        self.index = index
        self.opened_at: float | None = None
        self._outbox = outbox
        self._response = response
        self._delivery = delivery

    def _due(self, seconds: float) -> float:
        """When the output after ``seconds`` of speech is due."""
        if self.opened_at is None:
            return math.inf
        return self.opened_at + seconds / self._delivery.pace

    def _emit(self, kind: Any, **fields: object) -> None:
        self._outbox.emit(
            kind,
            response_id=self._response,
            item_id=self.id,
            output_index=self.index,
            **fields,
        )


class Message(_Output):
    """A text, and in a spoken response its audio.

    ``sealed``: the text is complete. The synthesiser gets one piece of text at a time:
    from `take_text` until `voiced_all`.
    """

    def __init__(
        self, outbox: Outbox, response: str, index: int, delivery: Delivery
    ) -> None:
        super().__init__(outbox, response, index, delivery)
        self.sealed = False
        self._text = ""
        self._said = 0
        self._asked = 0
        self._speaking = False
        self._writer = delivery.writer() if delivery.writer else None
        self._audio = bytearray()
        self._made = 0
        self._sent = 0

    @property
    def spoken(self) -> bool:
        """Whether the message has audio."""
        return self._delivery.spoken

    @property
    def said(self) -> str:
        """The text sent so far."""
        return self._text[: self._said]

    @property
    def audio_ms(self) -> int:
        """The synthesised audio, in ms."""
        return self._made // _BYTES_PER_MS

    @property
    def ready(self) -> bool:
        """Whether the first output is available."""
        if self.spoken:
            return self._made > 0 or (self.sealed and self._all_voiced)
        return bool(self._text)

    @property
    def finished(self) -> bool:
        """Whether the message is complete and sent."""
        said = self.sealed and self._said == len(self._text)
        return said and self._all_voiced and not self._audio

    def add(self, text: str) -> None:
        """Append text."""
        self._text = self._text + text if self._text else text.lstrip()

    def seal(self) -> None:
        """Mark the text as complete."""
        self.sealed = True
        self._text = self._text.rstrip()

    def take_text(self) -> str | None:
        """The next text for the synthesiser; None if there is none yet."""
        if not self.spoken or self._speaking:
            return None
        end = len(self._text)
        if not self.sealed:
            ends = list(_SENTENCE_ENDS.finditer(self._text, self._asked))
            end = ends[-1].end() if ends else self._asked
        text = " ".join(self._text[self._asked : end].split())
        self._asked = end
        self._speaking = bool(text)
        return text or None

    def voiced(self, pcm24k: bytes) -> bool:
        """Add synthesised audio; return False if no synthesis is running."""
        if self._speaking:
            self._made += len(pcm24k)
            if self._writer is not None:
                self._audio += self._writer.write(pcm24k)
        return self._speaking

    def voiced_all(self) -> None:
        """The synthesiser has finished the last text."""
        self._speaking = False
        if self._writer is not None and self._all_voiced:
            self._audio += self._writer.flush()

    def item(self, status: str) -> MessageItem:
        """The item in its current state."""
        content: tuple[AnyPart, ...] = ()
        if status != "in_progress":
            content = (
                OutputAudioPart(transcript=self.said)
                if self.spoken
                else OutputTextPart(text=self.said),
            )
        return MessageItem(id=self.id, status=status, role="assistant", content=content)

    def begin(self, at: float) -> None:
        """Begin the message's one content part."""
        part = AudioPart(transcript="") if self.spoken else TextPart(text="")
        self._say(ResponseContentPartAdded, part=part)
        self.opened_at = at

    def send(self, at: float) -> None:
        """Send the words and the audio deltas that are due."""
        kind = (
            ResponseOutputAudioTranscriptDelta
            if self.spoken
            else ResponseOutputTextDelta
        )
        while (word := self._next_word()) and self._word_due() <= at:
            self._say(kind, delta=word)
            self._said += len(word)
        while (piece := self._next_piece()) and self._audio_due() <= at:
            del self._audio[: len(piece)]
            self._sent += len(piece)
            delta = base64.b64encode(piece).decode()
            self._say(ResponseOutputAudioDelta, delta=delta)

    @property
    def deadline(self) -> float | None:
        """When `send` is due next."""
        times = []
        if self._next_word():
            times.append(self._word_due())
        if self._next_piece():
            times.append(self._audio_due())
        return min(times, default=None)

    def close(self) -> None:
        """End the content part."""
        said = self.said
        part: AudioPart | TextPart
        if self.spoken:
            self._say(ResponseOutputAudioDone)
            self._say(ResponseOutputAudioTranscriptDone, transcript=said)
            part = AudioPart(transcript=said)
        else:
            self._say(ResponseOutputTextDone, text=said)
            part = TextPart(text=said)
        self._say(ResponseContentPartDone, part=part)

    @property
    def _all_voiced(self) -> bool:
        return not self.spoken or (
            not self._speaking and self._asked == len(self._text)
        )

    def _next_word(self) -> str:
        found = _WORD.match(self._text, self._said)
        return found[0] if found else ""

    def _next_piece(self) -> bytes:
        """The audio of the next delta; only the first and last may be shorter."""
        if self._writer is None:
            return b""
        size = _DELTA_MS * self._writer.bytes_per_ms
        last = self.sealed and self._all_voiced
        if len(self._audio) >= size or last or not self._sent:
            return bytes(self._audio[:size])
        return b""

    def _word_due(self) -> float:
        word = self._next_word()
        before = self._said + len(word) - len(word.lstrip())
        return self._due(before * _CHARACTER)

    def _audio_due(self) -> float:
        assert self._writer is not None
        return self._due(self._sent / self._writer.bytes_per_ms / 1000)

    def _say(self, kind: Any, **fields: object) -> None:
        self._emit(kind, content_index=0, **fields)


class FunctionCall(_Output):
    """A call of a client's function; its arguments are sent in pieces."""

    sealed = ready = True
    spoken = False
    audio_ms = 0

    def __init__(
        self, outbox: Outbox, response: str, index: int, delivery: Delivery, call: Call
    ) -> None:
        super().__init__(outbox, response, index, delivery)
        self._call = call
        self._call_id = call.call_id or outbox.new_id("call")
        self._sent = 0

    @property
    def said(self) -> str:
        """The arguments sent so far."""
        return self._call.arguments[: self._sent]

    @property
    def finished(self) -> bool:
        """Whether all arguments are sent."""
        return self._sent == len(self._call.arguments)

    def item(self, status: str) -> FunctionCallItem:
        """The item in its current state; its arguments may be incomplete."""
        return FunctionCallItem(
            id=self.id,
            status=status,
            name=self._call.name,
            call_id=self._call_id,
            arguments="" if status == "in_progress" else self.said,
        )

    def begin(self, at: float) -> None:
        """Begin the arguments."""
        self.opened_at = at

    def send(self, at: float) -> None:
        """Send the pieces of the arguments that are due."""
        while (piece := self._next_piece()) and self._piece_due() <= at:
            self._emit(
                ResponseFunctionCallArgumentsDelta, call_id=self._call_id, delta=piece
            )
            self._sent += len(piece)

    @property
    def deadline(self) -> float | None:
        """When `send` is due next."""
        return None if self.finished else self._piece_due()

    def close(self) -> None:
        """End the arguments."""
        self._emit(
            ResponseFunctionCallArgumentsDone,
            call_id=self._call_id,
            name=self._call.name,
            arguments=self.said,
        )

    def _next_piece(self) -> str:
        found = _PIECE.match(self._call.arguments, self._sent)
        return found[0] if found else ""

    def _piece_due(self) -> float:
        return self._due(self._sent * _ARGUMENT)
