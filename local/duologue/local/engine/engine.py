"""The turn-taking machine: the service's half of a session, without input or output.

Everything comes in by a method with the time ``at`` (seconds since the Unix epoch,
never decreasing): frames of the client, audio, answers to jobs, and `Engine.tick`
when `Engine.deadline` has come. What it wants to happen is taken from it: frames for
the client (`take_frames`), jobs for the driver (`take_jobs`) and, on a media
connection, 20 ms of audio at a time (`next_audio`). It has no clock, no randomness
and no task, and no input makes it raise.

The parts: `turns` finds where the user speaks, `transcripts` keeps the user's words,
`conversation` the items, `responses` the replies that are being made, `playout` what
the user is hearing, `requests` what a client may ask for.
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
    SessionCreated,
)

from ..interfaces import Call, Detector, Say
from ..speech.g711 import Resampling
from .audio_buffers import Intake
from .client_requests import handle
from .conversation import Conversation
from .effects import Job
from .expiry import Expiry
from .options import Options
from .outbox import NewId, Outbox, Refusal
from .output_buffer import Playout
from .reply import Reply
from .response_plan import Planner
from .responses import Responses
from .settings import Settings, TurnRule
from .timeouts import Idle
from .transcription import Transcripts
from .turn_detection import Began, Ended, More, TurnFinder
from .usage import Meter

__all__ = ["Engine", "Options"]


class Engine:
    """One session.

    ``detector`` makes the speech detector when the first audio comes; it and
    ``to_16k`` (PCM16 at 24 kHz to 16 kHz, as a stream) may be left out where nobody
    speaks: audio is then ignored. ``listen`` is told whether this session's audio is
    listened to, and says whether there is room for that.
    """

    def __init__(
        self,
        *,
        new_id: NewId,
        session: Mapping[str, Any] | None = None,
        options: Options | None = None,
        detector: Callable[[], Detector] | None = None,
        to_16k: Callable[[bytes], bytes] | None = None,
        listen: Callable[[bool], bool] = lambda _: True,
        resampling: Resampling | None = None,
    ) -> None:
        self.options = Options() if options is None else options
        self.outbox = Outbox(new_id)
        self.settings = Settings(new_id("sess"), session or {})
        self.conversation = Conversation(self.outbox)
        self.meter = Meter()
        self.playout = Playout(self.outbox) if self.options.media else None
        self.responses = Responses(
            self.outbox, self.conversation, self.meter, self.playout, self.settings.id
        )
        self.transcripts = Transcripts(self.outbox, self.options.transcript_lag)
        self._listen = listen
        self.reserve(self.settings)
        self._detector = detector
        self._to_16k = to_16k
        self._planner = Planner(self.options, resampling)
        self._turns: TurnFinder | None = None
        self._speech: str | None = None
        self._owed: str | None = None
        self._resampling = resampling
        self._intake = Intake(resampling)
        self._idle = Idle(self.outbox, self.responses, self.playout)
        self._expiry = Expiry(self.outbox, self.options.life)
        self._now = 0.0

    # What the driver takes.

    def take_frames(self) -> list[str]:
        """The events for the client since the last call, as JSON text."""
        return self.outbox.take_frames()

    def take_jobs(self) -> list[Job]:
        """The jobs for the driver since the last call."""
        return self.outbox.take_jobs()

    @property
    def deadline(self) -> float | None:
        """When `tick` is needed next, if nothing else happens."""
        if self._expiry.over:
            return None
        times = (
            self.responses.deadline,
            self.transcripts.deadline,
            self._idle.due(self.settings.turn_rule),
            self._expiry.at,
        )
        return min((at for at in times if at is not None), default=None)

    # What comes from the client.

    def start(self, at: float) -> None:
        """The connection is open."""
        self.settings.expire_at(self._expiry.start(at))
        self.outbox.emit(SessionCreated, session=self.settings.shown())
        self._settle(at)

    def receive(self, frame: str | bytes, at: float) -> None:
        """A client's event, as JSON text; what is wrong with it is answered."""
        for _ in self.receive_in_steps(frame, at):
            pass

    def receive_in_steps(self, frame: str | bytes, at: float) -> Iterator[None]:
        """The same, pausing where much audio has come: a step takes a few ms."""
        if not self._expiry.over:
            yield from handle(self, frame, at)

    def hear(self, pcm24k: bytes, at: float) -> None:
        """The user's audio, PCM16 mono at 24 kHz, in pieces of any size."""
        if not self._expiry.over:
            self._listen_to(self._intake.samples(pcm24k))
            self._settle(at)

    def append(self, data: bytes, at: float) -> None:
        """The user's audio in the format that the session has for it."""
        self._listen_to(self._intake.samples(data, self.settings.input_format))
        self._settle(at)

    def next_audio(self, at: float) -> bytes:
        """Up to 20 ms of what the user is to hear now (media connections)."""
        audio = b"" if self.playout is None else self.playout.next_audio()
        self._settle(at)
        return audio

    def tick(self, at: float) -> None:
        """Time has passed."""
        self._settle(at)

    # What comes back from jobs.

    def guessed(self, utterance: str, text: str, at: float) -> None:
        """The ear has understood this much."""
        self.transcripts.guessed(utterance, text)
        self._settle(at)

    def transcribed(self, utterance: str, text: str, at: float) -> None:
        """The ear has understood all of it."""
        if self.transcripts.known(utterance, text, at):
            self.conversation.write_down(utterance, " ".join(text.split()))
            self.responses.heard(utterance, at)
        self._settle(at)

    def transcription_failed(self, utterance: str, why: str, at: float) -> None:
        """The ear gave up."""
        self.transcripts.failed(utterance, why, at)
        self.responses.heard(utterance, at)
        self._settle(at)

    def thought(self, response: str, thought: Say | Call, at: float) -> None:
        """The mind has decided more of what a response says or calls."""
        self.responses.thought(response, thought)
        self._settle(at)

    def thought_all(self, response: str, at: float) -> None:
        """The mind has nothing to add to a response."""
        self.responses.thought_all(response)
        self._settle(at)

    def mind_failed(
        self, response: str, why: str, at: float, *, code: str = "server_error"
    ) -> None:
        """The mind gave up."""
        self.responses.mind_failed(response, why, code)
        self._settle(at)

    def voiced(self, response: str, pcm24k: bytes, at: float) -> None:
        """More audio of a response, PCM16 mono at 24 kHz."""
        if self.responses.voiced(response, pcm24k):
            self.settings.voice_used = True
        self._settle(at)

    def voiced_all(self, response: str, at: float) -> None:
        """The voice has said what it was asked to say of a response."""
        self.responses.voiced_all(response)
        self._settle(at)

    def voice_failed(self, response: str, why: str, at: float) -> None:
        """The voice gave up."""
        self.responses.failed(response, why)
        self._settle(at)

    # What requests ask of the whole engine.

    def reserve(self, settings: Settings) -> None:
        """Claim the place that listening takes. Raises `Refusal` if all are taken."""
        if not self._listen(settings.listens):
            raise Refusal(
                "rate_limit_exceeded",
                "This service listens to as many sessions as it can; close one, or "
                "turn off turn detection and transcription in this one.",
            )

    def commit(self) -> Iterator[None]:
        """Make the audio so far an item, in steps. Raises `Refusal` if it is short."""
        if self._speech is not None:
            speaking = self._turns is not None and self._turns.speaking
            committed, self._speech = self._speech, None
            self._commit(committed)
            if speaking:
                # The turn goes on: what follows belongs to another item.
                self._speech = self.outbox.new_id("item")
                self.transcripts.open(self._speech)
            return
        pieces = self._intake.take()
        item_id = self.outbox.new_id("item")
        self.transcripts.open(item_id)
        for piece in pieces:
            if self._to_16k is not None:
                self.transcripts.feed(item_id, self._to_16k(piece))
            yield
        self._commit(item_id)

    def hear_item(self, item_id: str, audio: Iterable[bytes]) -> Iterator[None]:
        """Find the words of an item's audio, piece by piece; a response waits."""
        if self._to_16k is not None:
            intake, kind = Intake(self._resampling), self.settings.input_format
            self.transcripts.open(item_id)
            for data in audio:
                pcm24k = intake.samples(data, kind)
                self.transcripts.feed(item_id, self._to_16k(pcm24k))
                yield
            self._finish(item_id)

    def clear_input(self) -> None:
        """Forget the audio that is not committed."""
        self._intake.clear()
        if self._turns is not None:
            self._turns.reset()
        if self._speech is not None:
            self.transcripts.drop(self._speech)
            self._speech = None

    def respond(
        self,
        changes: Mapping[str, Any],
        source: tuple[AnyItem, ...] | None = None,
    ) -> Reply:
        """Begin a response, made as the session says but for these changes.

        It answers ``source``, or else the conversation. Raises `Refusal`.
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
            self._planner.plan(
                self.settings, changes, self.conversation.id if in_band else None
            ),
            (lambda: items.items) if source is None else (lambda: source),
            self.transcripts.pending if source is None else set(),
            self._now,
        )

    def clear_output(self) -> None:
        """Stop what is being played, at once."""
        if self.playout is not None:
            for item_id, ms in self.playout.clear():
                self.responses.truncate(item_id, ms)

    # How a turn goes.

    def _turn_finder(self) -> TurnFinder | None:
        if self._turns is None and self._detector and self._to_16k:
            self._turns = TurnFinder(self._detector(), self._to_16k)
        return self._turns

    def _listen_to(self, pcm24k: bytes) -> None:
        rule = self.settings.turn_rule
        if rule is None:
            self._intake.keep(pcm24k)
        elif (turns := self._turn_finder()) is not None:
            for found in turns.hear(pcm24k, rule):
                self._follow(found, rule)

    def _follow(self, found: Began | More | Ended, rule: TurnRule) -> None:
        match found:
            case Began(start_ms, lead):
                self._speech = item_id = self.outbox.new_id("item")
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
            case More(pcm16k) if self._speech is not None:
                self.transcripts.feed(self._speech, pcm16k)
            case Ended(end_ms) if self._speech is not None:
                item_id, self._speech = self._speech, None
                self.outbox.emit(
                    InputAudioBufferSpeechStopped, audio_end_ms=end_ms, item_id=item_id
                )
                self._commit(item_id)
                if rule.create_response and not self.settings.transcription_only:
                    self._owed = item_id
                    self._pay()

    def _interrupt(self) -> None:
        """The user speaks: the reply stops, made or not."""
        self._owed = None
        if (reply := self.responses.active) is not None:
            self.responses.cancel(reply, "turn_detected")
        self.clear_output()

    def _commit(self, item_id: str) -> None:
        """An utterance becomes an item of the conversation."""
        self._add_utterance(item_id, None)
        self._finish(item_id)

    def _finish(self, item_id: str) -> None:
        """The audio of an item is complete."""
        settings = self.settings
        ms = self.transcripts.commit(
            item_id, wanted=settings.transcribes, segments=settings.diarizes
        )
        self.meter.heard(ms)

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

    def _pay(self) -> None:
        """Begin the response that a turn is owed, once nothing stands before it."""
        if self._owed is not None and self.responses.active is None:
            owed, self._owed = self._owed, None
            self.transcripts.answer(owed, self.respond({}))

    def _settle(self, at: float) -> None:
        """Send what is due now, after every input."""
        self._now = max(self._now, at)
        if self._expiry.check(self._now):
            return
        self.responses.advance(self._now)
        self._pay()
        self.transcripts.send(self._now)
        silence = self._idle.watch(
            self._now,
            self.settings.turn_rule,
            0 if self._turns is None else self._turns.heard_ms,
            speaking=self._speech is not None,
        )
        if silence is not None:
            self._add_utterance(silence, "")
            self.respond({})
