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

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import msgspec

from duologue.core.events import (
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioPart,
    MessageItem,
    SessionCreated,
)

from .conversation import Conversation
from .jobs import Job
from .outbox import NewId, Outbox, Refusal
from .playout import Playout
from .ports import VOICE_RATE, Detector
from .reply import Plan, Reply
from .requests import handle
from .responses import Responses
from .settings import Settings, TurnRule
from .transcripts import Transcripts
from .turns import Began, Ended, More, TurnFinder
from .usage import Meter

__all__ = ["Engine", "Options"]

_BYTES_PER_MS = VOICE_RATE * 2 // 1000
#: Audio kept where the client commits by hand: five minutes, then the oldest goes.
_BUFFER_BYTES = 300_000 * _BYTES_PER_MS
#: A commit needs this much (the service's own limit).
_LEAST_MS = 100


@attrs.frozen(kw_only=True)
class Options:
    """What kind of service this is.

    ``media``: the user's audio and ours go by a track, not in events. ``label`` says
    in each response's metadata what answers. ``pace``: how many times faster than
    speech the reply's words leave. ``transcript_lag``: seconds from the first word
    of the answer to the end of the user's transcription; None: do not wait.
    """

    media: bool = False
    label: str = "scripted, not a language model"
    pace: float = 4.0
    transcript_lag: float | None = 0.1


class Engine:
    """One session.

    ``detector`` makes the speech detector when the first audio comes; it and
    ``to_16k`` (PCM16 at 24 kHz to 16 kHz, as a stream) may be left out where nobody
    speaks: audio is then ignored.
    """

    def __init__(
        self,
        *,
        new_id: NewId,
        session: Mapping[str, Any] | None = None,
        options: Options | None = None,
        detector: Callable[[], Detector] | None = None,
        to_16k: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.options = Options() if options is None else options
        self.outbox = Outbox(new_id)
        self.conversation = Conversation(self.outbox)
        self.meter = Meter()
        self.playout = Playout(self.outbox) if self.options.media else None
        self.responses = Responses(
            self.outbox, self.conversation, self.meter, self.playout
        )
        self.transcripts = Transcripts(self.outbox, self.options.transcript_lag)
        self.settings = Settings(new_id("sess"), session or {})
        self._detector = detector
        self._to_16k = to_16k
        self._turns: TurnFinder | None = None
        self._speech: str | None = None
        self._owed: str | None = None
        self._buffer = bytearray()
        self._odd = b""
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
        times = (self.responses.deadline, self.transcripts.deadline)
        return min((at for at in times if at is not None), default=None)

    # What comes from the client.

    def start(self, at: float) -> None:
        """The connection is open."""
        self.settings.expire_from(at)
        self.outbox.emit(SessionCreated, session=self.settings.shown())
        self._settle(at)

    def receive(self, frame: str | bytes, at: float) -> None:
        """A client's event, as JSON text; what is wrong with it is answered."""
        handle(self, frame, at)
        self._settle(at)

    def hear(self, pcm24k: bytes, at: float) -> None:
        """The user's audio, PCM16 mono at 24 kHz, in pieces of any size."""
        data = self._odd + pcm24k
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        rule = self.settings.turn_rule
        if rule is None:
            self._buffer += data[:whole]
            del self._buffer[:-_BUFFER_BYTES]
        elif (turns := self._turn_finder()) is not None:
            for found in turns.hear(data[:whole], rule):
                self._follow(found, rule)
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
            self._write_down(utterance, " ".join(text.split()))
            self.responses.heard(utterance)
        self._settle(at)

    def transcription_failed(self, utterance: str, why: str, at: float) -> None:
        """The ear gave up."""
        self.transcripts.failed(utterance, why, at)
        self.responses.heard(utterance)
        self._settle(at)

    def thought(self, response: str, text: str, at: float) -> None:
        """The mind has decided what a response says."""
        self.responses.thought(response, text, at)
        self._settle(at)

    def mind_failed(self, response: str, why: str, at: float) -> None:
        """The mind gave up."""
        self.responses.failed(response, why)
        self._settle(at)

    def voiced(self, response: str, pcm24k: bytes, at: float) -> None:
        """More audio of a response, PCM16 mono at 24 kHz."""
        self.responses.voiced(response, pcm24k, at)
        self._settle(at)

    def voiced_all(self, response: str, at: float) -> None:
        """The voice has said all of a response."""
        self.responses.voiced_all(response, at)
        self._settle(at)

    def voice_failed(self, response: str, why: str, at: float) -> None:
        """The voice gave up."""
        self.responses.failed(response, why)
        self._settle(at)

    # What requests ask of the whole engine.

    def commit(self) -> None:
        """Make the audio so far a user item. Raises `Refusal` where there is none."""
        if self._speech is not None:
            speaking = self._turns is not None and self._turns.speaking
            committed, self._speech = self._speech, None
            self._commit(committed)
            if speaking:
                # The turn goes on: what follows belongs to another item.
                self._speech = self.outbox.new_id("item")
                self.transcripts.open(self._speech)
            return
        ms = len(self._buffer) / _BYTES_PER_MS
        if ms < _LEAST_MS or self._to_16k is None:
            raise Refusal(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at "
                f"least {_LEAST_MS}ms of audio, but buffer only has {ms:.2f}ms.",
            )
        item_id = self.outbox.new_id("item")
        self.transcripts.open(item_id)
        self.transcripts.feed(item_id, self._to_16k(bytes(self._buffer)))
        self._buffer.clear()
        self._commit(item_id)

    def clear_input(self) -> None:
        """Forget the audio that is not committed."""
        self._buffer.clear()
        self._odd = b""
        if self._turns is not None:
            self._turns.reset()
        if self._speech is not None:
            self.transcripts.drop(self._speech)
            self._speech = None

    def respond(self, changes: Mapping[str, Any]) -> Reply:
        """Begin a response, made as the session says but for these changes."""
        in_band = changes.get("conversation", "auto") != "none"
        active = self.responses.active
        if in_band and active is not None:
            raise Refusal(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{active.id}. Wait until the response is finished before creating "
                "a new one.",
            )
        source = changes.get("input")
        items = self.conversation
        return self.responses.create(
            self._plan(changes, in_band=in_band),
            (lambda: items.items) if source is None else (lambda: source),
            self.transcripts.pending if source is None else set(),
        )

    def clear_output(self) -> None:
        """Stop what is being played, at once."""
        if self.playout is not None:
            for item_id in self.playout.clear():
                self.conversation.silence(item_id)

    # How a turn goes.

    def _turn_finder(self) -> TurnFinder | None:
        if self._turns is None and self._detector and self._to_16k:
            self._turns = TurnFinder(self._detector(), self._to_16k)
        return self._turns

    def _follow(self, found: Began | More | Ended, rule: TurnRule) -> None:
        match found:
            case Began(start_ms, lead):
                self._speech = item_id = self.outbox.new_id("item")
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
                if rule.create_response:
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
        self.outbox.emit(
            InputAudioBufferCommitted,
            previous_item_id=self.conversation.last_id,
            item_id=item_id,
        )
        item = MessageItem(
            id=item_id,
            status="completed",
            role="user",
            content=(InputAudioPart(transcript=None),),
        )
        self.conversation.add(item)
        self.conversation.done(item)
        wanted = self.settings.transcribes
        self.meter.heard(self.transcripts.commit(item_id, wanted=wanted))

    def _pay(self) -> None:
        """Begin the response that a turn is owed, once nothing stands before it."""
        if self._owed is not None and self.responses.active is None:
            owed, self._owed = self._owed, None
            self.transcripts.answer(owed, self.respond({}))

    def _write_down(self, item_id: str, words: str) -> None:
        """The mind reads the words in the item."""
        if item_id in self.conversation:
            item = self.conversation.get(item_id)
            part = InputAudioPart(transcript=words)
            self.conversation.keep(msgspec.structs.replace(item, content=(part,)))

    def _plan(self, changes: Mapping[str, Any], *, in_band: bool) -> Plan:
        settings = self.settings.changed(changes)
        mark = {"duologue": self.options.label}
        return Plan(
            spoken=settings.modalities == ("audio",),
            voice=settings.voice,
            instructions=settings.instructions,
            metadata=mark | (changes.get("metadata") or {}),
            conversation_id=self.conversation.id if in_band else None,
            max_output_tokens=settings.max_output_tokens,
            output_format=settings.output_format,
            pace=self.options.pace,
            deltas=not self.options.media,
        )

    def _settle(self, at: float) -> None:
        """Send what is due now, after every input."""
        self._now = max(self._now, at)
        self.responses.advance(self._now)
        self._pay()
        self.transcripts.send(self._now)
