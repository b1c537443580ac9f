"""One response: what it says, how far it got, and the events of its single item."""

from __future__ import annotations

import base64
import math
from typing import Any

import attrs

from duologue.core.events import (
    AnyPart,
    AudioPart,
    MessageItem,
    OutputAudioPart,
    OutputTextPart,
    RealtimeResponse,
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    ResponseStatusDetails,
    ResponseUsage,
    TextPart,
)

from .outbox import Outbox
from .ports import VOICE_RATE

__all__ = ["Plan", "Reply"]

_BYTES_PER_MS = VOICE_RATE * 2 // 1000
#: Audio in one delta, in ms.
_DELTA_MS = 200
_DELTA_BYTES = _DELTA_MS * _BYTES_PER_MS
#: Seconds that a character takes to say: when a word counts as made.
_CHARACTER = 0.08


@attrs.frozen
class Plan:
    """How a response is to be made.

    ``conversation_id`` is None out of band; ``pace`` is how many times faster than
    speech the words (and over WebSocket the audio) leave.
    """

    spoken: bool
    voice: str
    instructions: str
    metadata: dict[str, str]
    conversation_id: str | None
    max_output_tokens: int | str
    output_format: dict[str, Any]
    pace: float
    deltas: bool

    @property
    def in_band(self) -> bool:
        """Whether it is part of the conversation."""
        return self.conversation_id is not None


class Reply:
    """A response from ``created`` to ``done``."""

    def __init__(self, outbox: Outbox, plan: Plan) -> None:
        self.id = outbox.new_id("resp")
        self.plan = plan
        self.item_id: str | None = None
        self.waits: set[str] = set()
        self.first_word_at: float | None = None
        self.over = False
        self.all_voiced = not plan.spoken
        self._outbox = outbox
        self._words: list[str] | None = None
        self._said = 0
        self._audio = bytearray()
        self._made = 0
        self._sent = 0

    @property
    def said(self) -> str:
        """The words that were sent so far."""
        return " ".join((self._words or ())[: self._said])

    @property
    def audio_ms(self) -> int:
        """How much audio was made."""
        return self._made // _BYTES_PER_MS

    @property
    def finished(self) -> bool:
        """Whether all of it was made and sent."""
        if self._words is None or not self.all_voiced:
            return False
        return self._said == len(self._words) and not self._audio

    @property
    def thought(self) -> bool:
        """Whether the reply is known."""
        return self._words is not None

    def think(self, text: str) -> str:
        """This is what is said; gives it as it will be said."""
        self._words = text.split()
        return " ".join(self._words)

    def voiced(self, pcm24k: bytes) -> None:
        """More audio was made."""
        self._made += len(pcm24k)
        if self.plan.deltas:
            self._audio += pcm24k

    def open(self) -> MessageItem:
        """The item begins: the caller puts it into the conversation."""
        self.item_id = self._outbox.new_id("item")
        item = self._item("in_progress", ())
        self._outbox.emit(
            ResponseOutputItemAdded, response_id=self.id, output_index=0, item=item
        )
        return item

    def begin(self, at: float) -> None:
        """The item's only part begins."""
        part = AudioPart(transcript="") if self.plan.spoken else TextPart(text="")
        self._say(ResponseContentPartAdded, part=part)
        self.first_word_at = at

    def send(self, at: float) -> None:
        """Send the words and the audio that are due."""
        words = self._words or []
        while self._said < len(words) and self._word_due() <= at:
            kind = (
                ResponseOutputAudioTranscriptDelta
                if self.plan.spoken
                else ResponseOutputTextDelta
            )
            space = " " if self._said else ""
            self._say(kind, delta=space + words[self._said])
            self._said += 1
        while self._audio_ready() and self._audio_due() <= at:
            piece = bytes(self._audio[:_DELTA_BYTES])
            del self._audio[:_DELTA_BYTES]
            self._sent += len(piece)
            delta = base64.b64encode(piece).decode()
            self._say(ResponseOutputAudioDelta, delta=delta)

    @property
    def deadline(self) -> float | None:
        """When `send` has something to do next."""
        if self.first_word_at is None or self._words is None:
            return None
        times = []
        if self._said < len(self._words):
            times.append(self._word_due())
        if self._audio_ready():
            times.append(self._audio_due())
        return min(times, default=None)

    def close(self, status: str) -> MessageItem:
        """The item's part is over; gives the item as it stays."""
        said = self.said
        part: AudioPart | TextPart
        content: OutputAudioPart | OutputTextPart
        if self.plan.spoken:
            self._say(ResponseOutputAudioDone)
            self._say(ResponseOutputAudioTranscriptDone, transcript=said)
            part = AudioPart(transcript=said)
            content = OutputAudioPart(transcript=said)
        else:
            self._say(ResponseOutputTextDone, text=said)
            part, content = TextPart(text=said), OutputTextPart(text=said)
        self._say(ResponseContentPartDone, part=part)
        return self._item(status, (content,))

    def end(self, item: MessageItem) -> None:
        """The item is over."""
        self._outbox.emit(
            ResponseOutputItemDone, response_id=self.id, output_index=0, item=item
        )

    def shown(
        self,
        status: str,
        *,
        output: tuple[MessageItem, ...] = (),
        details: ResponseStatusDetails | None = None,
        usage: ResponseUsage | None = None,
    ) -> RealtimeResponse:
        """The response object of ``response.created`` and ``response.done``."""
        voice = {"format": self.plan.output_format, "voice": self.plan.voice}
        return RealtimeResponse(
            id=self.id,
            object="realtime.response",
            status=status,
            status_details=details,
            output=output,
            conversation_id=self.plan.conversation_id,
            output_modalities=("audio",) if self.plan.spoken else ("text",),
            max_output_tokens=self.plan.max_output_tokens,
            audio={"output": voice},
            usage=usage,
            metadata=self.plan.metadata,
        )

    def _item(self, status: str, content: tuple[AnyPart, ...]) -> MessageItem:
        return MessageItem(
            id=self.item_id, status=status, role="assistant", content=content
        )

    def _say(self, kind: Any, **fields: object) -> None:
        self._outbox.emit(
            kind,
            response_id=self.id,
            item_id=self.item_id,
            output_index=0,
            content_index=0,
            **fields,
        )

    def _word_due(self) -> float:
        before = sum(map(len, (self._words or ())[: self._said])) + self._said
        return self._paced(before * _CHARACTER)

    def _audio_ready(self) -> bool:
        whole = len(self._audio) >= _DELTA_BYTES
        return whole or (bool(self._audio) and (self.all_voiced or not self._sent))

    def _audio_due(self) -> float:
        return self._paced(self._sent / _BYTES_PER_MS / 1000)

    def _paced(self, spoken: float) -> float:
        """When what takes so long to say is due."""
        if self.first_word_at is None:
            return math.inf
        return self.first_word_at + spoken / self.plan.pace
