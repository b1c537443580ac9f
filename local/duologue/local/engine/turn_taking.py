"""Turn-taking in one session: audio becomes items, and items are answered.

`TurnTaking` holds the state of a session and the operations that audio, client events
and timeouts trigger. `Engine` adds the interface for the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from duologue.core.events import (
    AnyItem,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioPart,
    MessageItem,
)

from ..interfaces import VoiceActivityDetector
from ..schema.refusal import Refusal
from ..speech.g711 import Resampling
from .audio_buffers import InputBuffer, OutputBuffer
from .conversation import Conversation
from .outbox import NewId, Outbox
from .responses import ResponseInProgress, Responses, plan_response
from .settings import EngineOptions, Settings
from .timeouts import Expiry, IdleTimeout
from .transcription import Transcripts
from .turn_detection import (
    SpeechContinued,
    SpeechStarted,
    SpeechStopped,
    TurnDetector,
    TurnEvent,
    TurnRule,
)
from .usage import TokenCounter

__all__ = ["TurnTaking"]


class TurnTaking:
    """The state of a session; see `Engine` for the arguments."""

    def __init__(
        self,
        *,
        new_id: NewId,
        session: Mapping[str, Any] | None = None,
        options: EngineOptions | None = None,
        detector: Callable[[], VoiceActivityDetector] | None = None,
        to_16k: Callable[[bytes], bytes] | None = None,
        listen: Callable[[bool], bool] = lambda _: True,
        resampling: Resampling | None = None,
    ) -> None:
        self.options = EngineOptions() if options is None else options
        self.outbox = Outbox(new_id)
        self.settings = Settings(new_id("sess"), session or {})
        self.conversation = Conversation(self.outbox)
        self.tokens = TokenCounter()
        self.output = OutputBuffer(self.outbox) if self.options.media else None
        self.responses = Responses(
            self.outbox, self.conversation, self.tokens, self.output, self.settings.id
        )
        self.transcripts = Transcripts(self.outbox, self.options.transcript_lag)
        self._listen = listen
        self.reserve(self.settings)
        self._new_detector = detector
        self._to_16k = to_16k
        self._resampling = resampling
        self._turns: TurnDetector | None = None
        #: The id of the item of the speech in progress, which is not committed yet.
        self._open_item: str | None = None
        #: The id of the committed item whose response has not begun.
        self._unanswered: str | None = None
        self._input = InputBuffer(resampling)
        self._idle = IdleTimeout(self.outbox, self.responses, self.output)
        self._expiry = Expiry(self.outbox, self.options.life)
        self._now = 0.0

    def append(self, data: bytes, at: float) -> None:
        """Process the user's audio, in the session's input format."""
        self._process(self._input.samples(data, self.settings.input_format))
        self.tick(at)

    def tick(self, at: float) -> None:
        """Do everything that is due at this time; also called after every input."""
        self._now = max(self._now, at)
        if self._expiry.check(self._now):
            return
        self.responses.advance(self._now)
        self._answer()
        self.transcripts.send(self._now)
        silence = self._idle.advance(
            self._now,
            self.settings.turn_rule,
            0 if self._turns is None else self._turns.heard_ms,
            speaking=self._open_item is not None,
        )
        if silence is not None:
            self._add_utterance(silence, "")
            self.respond({})

    def reserve(self, settings: Settings) -> None:
        """Reserve or release capacity to listen. Raises `Refusal` if there is none."""
        if not self._listen(settings.listens):
            raise Refusal(
                "rate_limit_exceeded",
                "This service has no capacity to listen to another session; close one, "
                "or turn off turn detection and transcription in this one.",
            )

    def commit(self) -> Iterator[None]:
        """Commit the input audio buffer as an item, in steps.

        Raises `Refusal` if the buffer is too short.
        """
        if self._open_item is not None:
            speaking = self._turns is not None and self._turns.speaking
            committed, self._open_item = self._open_item, None
            self._commit(committed)
            if speaking:
                # The user is still speaking: the audio from here on is a new item.
                self._open_item = self.outbox.new_id("item")
                self.transcripts.open(self._open_item)
            return
        pieces = self._input.take()
        item_id = self.outbox.new_id("item")
        self.transcripts.open(item_id)
        for piece in pieces:
            if self._to_16k is not None:
                self.transcripts.feed(item_id, self._to_16k(piece))
            yield
        self._commit(item_id)

    def hear_item(self, item_id: str, audio: Iterable[bytes]) -> Iterator[None]:
        """Transcribe an item's audio, in steps; responses wait for the transcript."""
        if self._to_16k is not None:
            buffer, kind = InputBuffer(self._resampling), self.settings.input_format
            self.transcripts.open(item_id)
            for data in audio:
                pcm24k = buffer.samples(data, kind)
                self.transcripts.feed(item_id, self._to_16k(pcm24k))
                yield
            self._finish(item_id)

    def clear_input(self) -> None:
        """Clear the input audio buffer."""
        self._input.clear()
        if self._turns is not None:
            self._turns.reset()
        if self._open_item is not None:
            self.transcripts.drop(self._open_item)
            self._open_item = None

    def respond(
        self,
        changes: Mapping[str, Any],
        source: tuple[AnyItem, ...] | None = None,
    ) -> ResponseInProgress:
        """Begin a response with the session's settings and these changes.

        Its input is the items of ``source``, by default those of the conversation.
        Raises `Refusal`.
        """
        if self.settings.transcription_only:
            raise Refusal(
                "invalid_event",
                "A transcription session has no responses.",
                param="type",
            )
        in_band = changes.get("conversation", "auto") != "none"
        active = self.responses.active
        if in_band and active is not None:
            raise Refusal(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{active.id}. Wait until the response is finished before creating "
                "a new one.",
            )
        items = self.conversation
        self._idle.stop()
        return self.responses.create(
            plan_response(
                self.settings.for_response(changes),
                self.options,
                self._resampling,
                metadata=changes.get("metadata") or {},
                conversation_id=self.conversation.id if in_band else None,
            ),
            (lambda: items.items) if source is None else (lambda: source),
            self.transcripts.pending if source is None else set(),
            self._now,
        )

    def clear_output(self) -> None:
        """Clear the output audio buffer; playback stops at once."""
        if self.output is not None:
            for item_id, ms in self.output.clear():
                self.responses.truncate(item_id, ms)

    def _process(self, pcm24k: bytes) -> None:
        """Detect turns in the user's audio, or buffer it for a manual commit."""
        rule = self.settings.turn_rule
        if rule is None:
            self._input.keep(pcm24k)
            return
        if self._turns is None and self._new_detector and self._to_16k:
            self._turns = TurnDetector(self._new_detector(), self._to_16k)
        if self._turns is not None:
            for event in self._turns.process(pcm24k, rule):
                self._on_turn_event(event, rule)

    def _on_turn_event(self, event: TurnEvent, rule: TurnRule) -> None:
        match event:
            case SpeechStarted(start_ms, lead):
                self._open_item = item_id = self.outbox.new_id("item")
                self._idle.stop()
                self.outbox.emit(
                    InputAudioBufferSpeechStarted,
                    audio_start_ms=start_ms,
                    item_id=item_id,
                )
                self.transcripts.open(item_id)
                self.transcripts.feed(item_id, lead)
                if rule.interrupt_response:
                    self._interrupt()
            case SpeechContinued(pcm16k) if self._open_item is not None:
                self.transcripts.feed(self._open_item, pcm16k)
            case SpeechStopped(end_ms) if self._open_item is not None:
                item_id, self._open_item = self._open_item, None
                self.outbox.emit(
                    InputAudioBufferSpeechStopped, audio_end_ms=end_ms, item_id=item_id
                )
                self._commit(item_id)
                if rule.create_response and not self.settings.transcription_only:
                    self._unanswered = item_id
                    self._answer()

    def _interrupt(self) -> None:
        """Barge-in: cancel the response and stop its playback."""
        self._unanswered = None
        if (response := self.responses.active) is not None:
            self.responses.cancel(response, "turn_detected")
        self.clear_output()

    def _commit(self, item_id: str) -> None:
        """Add an utterance to the conversation and finish its audio."""
        self._add_utterance(item_id, None)
        self._finish(item_id)

    def _finish(self, item_id: str) -> None:
        """Finish an item's audio: request its final transcript, count its tokens."""
        ms = self.transcripts.commit(item_id, self.settings.transcriber)
        self.tokens.add_audio(ms)

    def _add_utterance(self, item_id: str, transcript: str | None) -> None:
        self.outbox.emit(
            InputAudioBufferCommitted,
            previous_item_id=self.conversation.last_id,
            item_id=item_id,
        )
        content = (InputAudioPart(transcript=transcript),)
        item = MessageItem(id=item_id, status="completed", role="user", content=content)
        self.conversation.put(item)
        self.conversation.done(item)

    def _answer(self) -> None:
        """Begin the response to the last turn, unless a response is active."""
        if self._unanswered is not None and self.responses.active is None:
            item_id, self._unanswered = self._unanswered, None
            self.transcripts.answer(item_id, self.respond({}))
