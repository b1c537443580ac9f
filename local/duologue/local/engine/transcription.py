"""The user's words: from the ear's guesses to the transcription events.

A transcript is provisional while its deltas come: they are sent from the commit on,
as far as the guesses have settled, and the rest when the ear is done. ``completed``
comes late on purpose: the real service sends it after the first words of the answer
in six of seven recorded turns, and a client must live with that.
"""

from __future__ import annotations

import attrs

from duologue.core.events import (
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationItemInputAudioTranscriptionSegment,
    DurationUsage,
    ErrorDetail,
)

from ..interfaces import EAR_RATE
from .effects import DropUtterance, FeedUtterance, FinishUtterance, OpenUtterance
from .outbox import Outbox
from .reply import Reply

__all__ = ["Transcripts"]

_BYTES_PER_MS = EAR_RATE * 2 // 1000
#: Words at the end of a guess that may still change.
_UNSETTLED = 2
#: Seconds after which ``completed`` no longer waits for an answer to begin.
_PATIENCE = 1.0


@attrs.define(eq=False)
class _Transcript:
    """One utterance; ``words`` or ``failure`` once the ear is done with it."""

    item_id: str
    ms: int = 0
    wanted: bool = False
    segments: bool = False
    committed: bool = False
    guess: list[str] = attrs.Factory(list)
    settled: list[str] = attrs.Factory(list)
    sent: int = 0
    words: str | None = None
    failure: str | None = None
    known_at: float | None = None
    reply: Reply | None = None

    def take_guess(self, text: str) -> None:
        """Words settle that two guesses in a row agree on, but for the last ones."""
        words = text.split()
        prefix = words[: max(0, len(words) - _UNSETTLED)]
        kept = len(self.settled)
        if self.guess[: len(prefix)] == prefix and prefix[:kept] == self.settled:
            self.settled = prefix
        self.guess = words

    def take_words(self, text: str, at: float) -> None:
        """The final words; where they differ from what was sent, no delta follows."""
        self.words, self.known_at = text, at
        words = text.split()
        if words[: self.sent] == self.settled[: self.sent]:
            self.settled = words
        else:
            self.settled = self.settled[: self.sent]

    def due(self, lag: float | None) -> float | None:
        """When ``completed`` is to be sent; None where that is not known yet."""
        known = self.known_at
        if known is None or lag is None or self.reply is None or self.reply.over:
            return known
        if self.reply.first_word_at is not None:
            return max(known, self.reply.first_word_at + lag)
        return known + max(_PATIENCE, lag)


class Transcripts:
    """The utterances that are being listened to or written down."""

    def __init__(self, outbox: Outbox, lag: float | None) -> None:
        self._outbox = outbox
        self._lag = lag
        self._open: dict[str, _Transcript] = {}

    @property
    def pending(self) -> set[str]:
        """The committed utterances whose words are not known yet."""
        return {
            item_id
            for item_id, transcript in self._open.items()
            if transcript.committed and transcript.known_at is None
        }

    @property
    def deadline(self) -> float | None:
        """When `send` has something to do next."""
        ready = (
            transcript.due(self._lag)
            for transcript in self._open.values()
            if transcript.committed
        )
        return min((at for at in ready if at is not None), default=None)

    def open(self, item_id: str) -> None:
        """An utterance begins."""
        self._open[item_id] = _Transcript(item_id)
        self._outbox.ask(OpenUtterance(item_id))

    def feed(self, item_id: str, pcm16k: bytes) -> None:
        """More audio of an utterance."""
        self._open[item_id].ms += len(pcm16k) // _BYTES_PER_MS
        self._outbox.ask(FeedUtterance(item_id, pcm16k))

    def drop(self, item_id: str) -> None:
        """An utterance counts for nothing."""
        if self._open.pop(item_id, None) is not None:
            self._outbox.ask(DropUtterance(item_id))

    def commit(self, item_id: str, *, wanted: bool, segments: bool = False) -> int:
        """An utterance is complete; gives its ms.

        ``wanted``: as events too; ``segments``: with who spoke when.
        """
        transcript = self._open[item_id]
        transcript.committed, transcript.wanted = True, wanted
        transcript.segments = segments
        self._outbox.ask(FinishUtterance(item_id))
        return transcript.ms

    def answer(self, item_id: str, reply: Reply) -> None:
        """This reply answers that utterance."""
        if (transcript := self._open.get(item_id)) is not None:
            transcript.reply = reply

    def guessed(self, item_id: str, text: str) -> None:
        """What the ear has understood so far."""
        transcript = self._open.get(item_id)
        if transcript is not None and transcript.known_at is None:
            transcript.take_guess(text)

    def known(self, item_id: str, text: str, at: float) -> bool:
        """The ear's last word. False where nobody waits for it."""
        transcript = self._open.get(item_id)
        if transcript is None or not transcript.committed:
            return False
        if transcript.known_at is not None:
            return False
        transcript.take_words(" ".join(text.split()), at)
        return True

    def failed(self, item_id: str, why: str, at: float) -> None:
        """The ear gave up, maybe while the utterance is still going on."""
        transcript = self._open.get(item_id)
        if transcript is not None and transcript.known_at is None:
            transcript.failure, transcript.known_at = why, at

    def send(self, at: float) -> None:
        """Send what is due."""
        for transcript in list(self._open.values()):
            if not transcript.committed:
                continue
            if transcript.wanted:
                self._send_deltas(transcript)
            due = transcript.due(self._lag)
            if due is not None and due <= at:
                del self._open[transcript.item_id]
                if transcript.wanted:
                    self._send_end(transcript)

    def _send_deltas(self, transcript: _Transcript) -> None:
        for word in transcript.settled[transcript.sent :]:
            self._outbox.emit(
                ConversationItemInputAudioTranscriptionDelta,
                item_id=transcript.item_id,
                content_index=0,
                delta=f" {word}",
            )
        transcript.sent = len(transcript.settled)

    def _send_end(self, transcript: _Transcript) -> None:
        if transcript.failure is None:
            if transcript.segments and transcript.words:
                self._send_segment(transcript)
            self._outbox.emit(
                ConversationItemInputAudioTranscriptionCompleted,
                item_id=transcript.item_id,
                content_index=0,
                transcript=transcript.words,
                usage=DurationUsage(seconds=-(-transcript.ms // 1000)),
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
        """All of it by one speaker: there is nobody here who tells voices apart."""
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
