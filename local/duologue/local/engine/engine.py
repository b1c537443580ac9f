"""The service's half of one session, without I/O.

Each input is a method call with the time ``at`` (seconds since the Unix epoch, never
decreasing): frames from the client, audio, results of effects, and `Engine.tick` at
`Engine.deadline`. After each call the driver takes the output: frames for the client
(`Engine.take_frames`), effects to carry out (`Engine.take_effects`) and, on a media
connection, 20 ms of audio at a time (`Engine.next_audio`). The engine has no clock, no
randomness and no tasks. Invalid input does not raise.
"""

from __future__ import annotations

from collections.abc import Iterator

from duologue.core.events import SessionCreated

from ..interfaces import Call, Say
from .client_requests import handle
from .effects import Effect
from .settings import EngineOptions as Options
from .turn_taking import TurnTaking

__all__ = ["Engine", "Options"]


class Engine(TurnTaking):
    """One session of the service.

    ``detector`` creates the speech detector when the first audio arrives. Without it or
    without ``to_16k`` (a stream of PCM16 from 24 kHz to 16 kHz) the engine ignores
    audio. ``listen(True)`` reserves capacity to listen to this session and returns
    False if there is none; ``listen(False)`` releases it. ``resampling`` creates
    resamplers for G.711.
    """

    def take_frames(self) -> list[str]:
        """The events for the client since the last call, as JSON text."""
        return self.outbox.take_frames()

    def take_effects(self) -> list[Effect]:
        """The effects for the driver since the last call."""
        return self.outbox.take_effects()

    #: The name before version 0.2.
    take_jobs = take_effects

    @property
    def deadline(self) -> float | None:
        """When to call `tick` if there is no earlier input; None: never."""
        if self._expiry.over:
            return None
        times = (
            self.responses.deadline,
            self.transcripts.deadline,
            self._idle.due(self.settings.turn_rule),
            self._expiry.at,
        )
        return min((at for at in times if at is not None), default=None)

    def start(self, at: float) -> None:
        """The connection is open: emit ``session.created``."""
        self.settings.expire_at(self._expiry.start(at))
        self.outbox.emit(SessionCreated, session=self.settings.shown())
        self.tick(at)

    def receive(self, frame: str | bytes, at: float) -> None:
        """Handle a client event, as JSON text; an invalid one is answered."""
        for _ in self.receive_in_steps(frame, at):
            pass

    def receive_in_steps(self, frame: str | bytes, at: float) -> Iterator[None]:
        """`receive` in steps of a few ms each, for events with much audio."""
        if not self._expiry.over:
            yield from handle(self, frame, at)

    def hear(self, pcm24k: bytes, at: float) -> None:
        """Take the user's audio, PCM16 mono at 24 kHz, in pieces of any size."""
        if not self._expiry.over:
            self._process(self._input.samples(pcm24k))
            self.tick(at)

    def next_audio(self, at: float) -> bytes:
        """The next 20 ms of PCM16 at 24 kHz to play, or less (media connections)."""
        audio = b"" if self.output is None else self.output.next_audio()
        self.tick(at)
        return audio

    # Results of effects.

    def guessed(self, utterance: str, text: str, at: float) -> None:
        """The recogniser has an interim transcript. It is not sent to the client."""
        self.tick(at)

    def transcribed(self, utterance: str, text: str, at: float) -> None:
        """The recogniser has the final transcript."""
        if (words := self.transcripts.known(utterance, text, at)) is not None:
            self.conversation.write_down(utterance, words)
            self.responses.heard(utterance, at)
        self.tick(at)

    def transcription_failed(self, utterance: str, why: str, at: float) -> None:
        """The recogniser failed."""
        self.transcripts.failed(utterance, why, at)
        self.responses.heard(utterance, at)
        self.tick(at)

    def thought(self, response: str, thought: Say | Call, at: float) -> None:
        """The reply model produced more text or a function call."""
        self.responses.thought(response, thought)
        self.tick(at)

    def thought_all(self, response: str, at: float) -> None:
        """The reply model has finished."""
        self.responses.thought_all(response)
        self.tick(at)

    def mind_failed(
        self, response: str, why: str, at: float, *, code: str = "server_error"
    ) -> None:
        """The reply model failed."""
        self.responses.mind_failed(response, why, code)
        self.tick(at)

    def voiced(self, response: str, pcm24k: bytes, at: float) -> None:
        """The synthesiser produced more audio, PCM16 mono at 24 kHz."""
        if self.responses.voiced(response, pcm24k):
            self.settings.voice_used = True
        self.tick(at)

    def voiced_all(self, response: str, at: float) -> None:
        """The synthesiser has finished its text."""
        self.responses.voiced_all(response)
        self.tick(at)

    def voice_failed(self, response: str, why: str, at: float) -> None:
        """The synthesiser failed."""
        self.responses.failed(response, why)
        self.tick(at)
