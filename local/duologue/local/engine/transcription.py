"""The user's transcripts: from the recogniser's result to events.

Deltas contain the words of the final result, one each, so they add up to it. Interim
results are not sent, because the final one often corrects them. ``completed`` is
delayed deliberately, because the real service sends it after the first words of the
response in six of seven recorded turns.
"""

from __future__ import annotations

import attrs

from duologue.core.events import (
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationItemInputAudioTranscriptionSegment,
    ErrorDetail,
)

from ..interfaces import ASR_RATE
from .effects import DropUtterance, FeedUtterance, FinishUtterance, OpenUtterance
from .outbox import Outbox
from .responses import ResponseInProgress
from .usage import transcription_usage

__all__ = ["Transcripts"]

_BYTES_PER_MS = ASR_RATE * 2 // 1000
#: Seconds that ``completed`` waits for the response to begin.
_PATIENCE = 1.0


@attrs.define(eq=False)
class _Transcript:
    """One utterance; ``words`` or ``failure`` is set when recognition ends."""

    item_id: str
    ms: int = 0
    model: str | None = None
    committed: bool = False
    words: str | None = None
    unsent: list[str] = attrs.Factory(list)
    failure: str | None = None
    known_at: float | None = None
    response: ResponseInProgress | None = None

    def due(self, lag: float | None) -> float | None:
        """When to send ``completed``; None if the transcript is not known yet."""
        known, response = self.known_at, self.response
        if known is None or lag is None or response is None or response.over:
            return known
        if response.first_word_at is not None:
            return max(known, response.first_word_at + lag)
        return known + max(_PATIENCE, lag)


class Transcripts:
    """The utterances whose transcripts are not sent yet."""

    def __init__(self, outbox: Outbox, lag: float | None) -> None:
        self._outbox = outbox
        self._lag = lag
        self._open: dict[str, _Transcript] = {}

    @property
    def pending(self) -> set[str]:
        """The committed utterances without a final transcript."""
        return {
            item_id
            for item_id, transcript in self._open.items()
            if transcript.committed and transcript.known_at is None
        }

    @property
    def deadline(self) -> float | None:
        """When `send` is due next."""
        ready = (
            transcript.due(self._lag)
            for transcript in self._open.values()
            if transcript.committed
        )
        return min((at for at in ready if at is not None), default=None)

    def open(self, item_id: str) -> None:
        """Begin an utterance."""
        self._open[item_id] = _Transcript(item_id)
        self._outbox.request(OpenUtterance(item_id))

    def feed(self, item_id: str, pcm16k: bytes) -> None:
        """Pass audio of an utterance to the recogniser."""
        self._open[item_id].ms += len(pcm16k) // _BYTES_PER_MS
        self._outbox.request(FeedUtterance(item_id, pcm16k))

    def drop(self, item_id: str) -> None:
        """Discard an utterance."""
        if self._open.pop(item_id, None) is not None:
            self._outbox.request(DropUtterance(item_id))

    def commit(self, item_id: str, model: str | None) -> int:
        """End an utterance; return its length in ms.

        ``model`` is the transcription model that the client asked for; None: emit no
        transcription events.
        """
        transcript = self._open[item_id]
        transcript.committed, transcript.model = True, model
        self._outbox.request(FinishUtterance(item_id))
        return transcript.ms

    def answer(self, item_id: str, response: ResponseInProgress) -> None:
        """Record that ``response`` answers the utterance."""
        if (transcript := self._open.get(item_id)) is not None:
            transcript.response = response

    def known(self, item_id: str, text: str, at: float) -> str | None:
        """Process and return the final transcript; None if it is not expected."""
        transcript = self._open.get(item_id)
        if transcript is None or not transcript.committed:
            return None
        if transcript.known_at is not None:
            return None
        transcript.unsent = text.split()
        transcript.words, transcript.known_at = " ".join(transcript.unsent), at
        return transcript.words

    def failed(self, item_id: str, why: str, at: float) -> None:
        """Recognition failed, possibly before the utterance is complete."""
        transcript = self._open.get(item_id)
        if transcript is not None and transcript.known_at is None:
            transcript.failure, transcript.known_at = why, at

    def send(self, at: float) -> None:
        """Send the deltas and final events that are due."""
        for transcript in list(self._open.values()):
            if not transcript.committed:
                continue
            if transcript.model is not None:
                self._send_deltas(transcript)
            due = transcript.due(self._lag)
            if due is not None and due <= at:
                del self._open[transcript.item_id]
                if transcript.model is not None:
                    self._send_end(transcript, transcript.model)

    def _send_deltas(self, transcript: _Transcript) -> None:
        for number, word in enumerate(transcript.unsent):
            self._outbox.emit(
                ConversationItemInputAudioTranscriptionDelta,
                item_id=transcript.item_id,
                content_index=0,
                delta=f" {word}" if number else word,
            )
        transcript.unsent = []

    def _send_end(self, transcript: _Transcript, model: str) -> None:
        if transcript.failure is None:
            if "diarize" in model and transcript.words:
                self._send_segment(transcript)
            self._outbox.emit(
                ConversationItemInputAudioTranscriptionCompleted,
                item_id=transcript.item_id,
                content_index=0,
                transcript=transcript.words,
                usage=transcription_usage(model, transcript.ms, transcript.words or ""),
            )
            return
        self._outbox.emit(
            ConversationItemInputAudioTranscriptionFailed,
            item_id=transcript.item_id,
            content_index=0,
            error=ErrorDetail(
                type="transcription_error",
                code="transcription_failed",
                message=transcript.failure,
            ),
        )

    def _send_segment(self, transcript: _Transcript) -> None:
        """Send one segment by one speaker: speakers are not distinguished here."""
        self._outbox.emit(
            ConversationItemInputAudioTranscriptionSegment,
            item_id=transcript.item_id,
            content_index=0,
            id=self._outbox.new_id("seg"),
            speaker="A",
            start=0.0,
            end=transcript.ms / 1000,
            text=transcript.words,
        )
