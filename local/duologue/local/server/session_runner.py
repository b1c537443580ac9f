"""Runs one session: carries out the effects of its engine and sets its timer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from duologue.transports.audio.resample import Resampler

from ..components import Parts
from ..engine import effects
from ..engine.engine import Engine
from ..engine.outbox import NewId
from ..engine.settings import EngineOptions
from ..faults.injector import FaultyLine, Mute, Outcome
from ..interfaces import (
    ASR_RATE,
    SAMPLE_RATE,
    Recogniser,
    RecogniserError,
    ReplyModelError,
    SynthesiserError,
    Utterance,
    Wait,
)
from .capacity import Capacity, CapacityClaim

__all__ = ["SessionRunner", "new_id", "wall_clock"]

#: Number of silent frames (20 ms each) that are sent after the last sound. The next
#: reply often begins within this second, and the receiver plays silence meanwhile.
_SILENT_FRAMES = 50
_FRAME_SECONDS = 0.02
#: Seconds to wait for the final transcript of the recogniser.
_ASR_TIMEOUT = 15.0

_log = logging.getLogger(__name__)


def new_id(prefix: str) -> str:
    """A new unique id, such as ``item_…`` for the prefix ``item``."""
    return f"{prefix}_{secrets.token_hex(11)}"


def wall_clock() -> Callable[[], float]:
    """A monotonic clock in seconds since the Unix epoch."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class SessionRunner:
    """Drives an `Engine` in a running event loop.

    ``send`` is called with each event for the client; it must not block, and may raise
    when the connection is gone. A failure in the session becomes an event, never an
    exception. Sessions share ``parts``; closing a session leaves them open.
    ``on_over`` is called with a WebSocket close code and a reason, after the last
    event, when the service ends the session; it must end the connection. ``line``
    injects faults into the events.
    """

    def __init__(
        self,
        send: Callable[[str], None],
        parts: Parts,
        *,
        session: Mapping[str, Any] | None = None,
        options: EngineOptions | None = None,
        clock: Callable[[], float] | None = None,
        ids: NewId = new_id,
        seat: CapacityClaim | None = None,
        on_over: Callable[[int, str], None] = lambda code, reason: None,
        line: FaultyLine | None = None,
    ) -> None:
        self._on_over = on_over
        self._over: effects.CloseConnection | None = None
        self._line = line
        self._muted = False
        self._silent = 0
        self._asleep = False
        #: Called when there is audio again after `next_audio` returned None.
        self.on_sound: Callable[[], None] = lambda: None
        self._seat = Capacity().claim() if seat is None else seat
        self._send = send
        self._parts = parts
        self._clock = wall_clock() if clock is None else clock
        self._engine = Engine(
            new_id=ids,
            session=session,
            options=options or EngineOptions(label=parts.mind.label),
            detector=parts.detector,
            to_16k=Resampler(SAMPLE_RATE, ASR_RATE, prompt=True),
            listen=self._seat.listen,
            resampling=Resampler,
        )
        self._utterances: dict[str, Utterance] = {}
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at: float | None = None
        self._closed = False

    def warm(self) -> None:
        """Start the recogniser before the first utterance."""
        if self._parts.ear is not None:
            self._spawn("ear", _started(self._parts.ear))

    def start(self) -> None:
        """The connection is open: send ``session.created``."""
        if self._line is not None:
            self._line.start(self._clock())
        self._engine.start(self._clock())
        if self._engine.settings.listens:
            self.warm()
        self._follow_up()

    def receive(self, frame: str | bytes) -> None:
        """Handle a client event, as JSON text."""
        if not self._closed:
            self._engine.receive(frame, self._clock())
            self._follow_up()

    async def accept(self, frame: str | bytes) -> None:
        """`receive` in steps, so that other tasks run during long work."""
        if self._closed:
            return
        for _ in self._engine.receive_in_steps(frame, self._clock()):
            self._follow_up()
            await asyncio.sleep(0)
            if self._closed:
                return
        self._follow_up()

    @property
    def listens(self) -> bool:
        """Whether audio is processed as it arrives, not only on a commit."""
        return self._engine.settings.turn_rule is not None

    def hear(self, pcm24k: bytes) -> None:
        """Take the user's audio, PCM16 mono at 24 kHz."""
        if not self._closed and not self._muted:
            self._engine.hear(pcm24k, self._clock())
            self._follow_up()

    def next_audio(self) -> bytes | None:
        """The next 20 ms to play, PCM16 at 24 kHz, or less; call it every 20 ms.

        Empty means silence. None means that no packet is needed, not even silence,
        because a silent packet costs as much as any other; call again after `on_sound`.
        """
        if self._closed:
            return b""
        audio, output = b"", self._engine.output
        if output is not None and not output.empty:
            audio = self._engine.next_audio(self._clock())
            self._follow_up()
        self._silent = 0 if audio else self._silent + 1
        self._asleep = self._muted or self._silent > _SILENT_FRAMES
        if self._muted and output is not None and not output.empty:
            # A muted reply is played without sound: keep taking its audio.
            loop = asyncio.get_running_loop()
            loop.call_later(_FRAME_SECONDS, lambda: self.on_sound())
        return None if self._asleep else audio

    async def close(self) -> None:
        """Cancel all work of the session. Idempotent."""
        self._closed = True
        self._seat.listen(False)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = [task for group in self._tasks.values() for task in group]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for hearing in self._utterances.values():
            hearing.drop()
        self._utterances.clear()

    def _follow_up(self) -> None:
        """Carry out the engine's effects, send its events, and set its timer."""
        while todo := self._engine.take_effects():
            for effect in todo:
                self._carry_out(effect)
        for outcome in self._outcomes():
            match outcome:
                case str(frame):
                    try:
                        self._send(frame)
                    except Exception as error:
                        _log.debug("an event was not sent: %s", error)
                case effects.CloseConnection(code, reason):
                    self._on_over(code, reason)
                case Mute():
                    self._muted = True
        self._set_timer()
        output = self._engine.output
        silent = output is None or output.empty
        if self._asleep and not self._muted and not silent:
            self._asleep = False
            self.on_sound()

    def _outcomes(self) -> list[Outcome]:
        """The events to send now, after fault injection."""
        leaving: list[Outcome] = [*self._engine.take_frames()]
        if self._over is not None:
            leaving.append(self._over)
            self._over = None
        if self._line is None:
            return leaving
        at = self._clock()
        for outcome in leaving:
            self._line.put(outcome, at)
        return self._line.take(at)

    def _deadline(self) -> float | None:
        """The next deadline of the engine or the fault injection."""
        if self._closed:
            return None
        times = [self._engine.deadline]
        if self._line is not None:
            times.append(self._line.deadline)
        return min((at for at in times if at is not None), default=None)

    def _set_timer(self) -> None:
        deadline = self._deadline()
        if deadline == self._wakes_at:
            return  # the usual case: after an audio frame, 50 times a second
        self._wakes_at = deadline
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            delay = max(0.0, deadline - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = self._wakes_at = None
        self._engine.tick(self._clock())
        self._follow_up()

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.OpenUtterance(utterance):
                if self._parts.ear is not None:
                    # Clients get no interim results: deltas cannot correct a word.
                    listened = self._parts.ear.listen(lambda _: None)
                    self._utterances[utterance] = listened
            case effects.FeedUtterance(utterance, pcm16k):
                if (hearing := self._utterances.get(utterance)) is not None:
                    hearing.feed(pcm16k)
            case effects.FinishUtterance(utterance):
                self._spawn(utterance, self._finish(utterance))
            case effects.DropUtterance(utterance):
                if (hearing := self._utterances.pop(utterance, None)) is not None:
                    hearing.drop()
            case effects.GenerateReply(response):
                self._spawn(response, self._generate(effect))
            case effects.Synthesise(response):
                self._spawn(response, self._synthesise(effect))
            case effects.CloseConnection():
                self._over = effect
            case effects.StopResponse(response):
                for task in self._tasks.get(response, ()):
                    task.cancel()

    def _spawn(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        group = self._tasks.setdefault(key, set())
        group.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            group.discard(task)
            if not group:
                self._tasks.pop(key, None)

        task.add_done_callback(ended)

    async def _finish(self, utterance: str) -> None:
        """Wait for the final transcript of an utterance."""
        hearing = self._utterances.get(utterance)
        try:
            if hearing is None:
                raise RecogniserError("this service has no speech recogniser")
            async with asyncio.timeout(_ASR_TIMEOUT):
                words = await hearing.finish()
        except Exception as error:
            why = _reason(error, (RecogniserError,), "the recogniser did not answer")
            self._engine.transcription_failed(utterance, why, self._clock())
        else:
            self._engine.transcribed(utterance, words, self._clock())
        if (hearing := self._utterances.pop(utterance, None)) is not None:
            hearing.drop()
        self._follow_up()

    async def _generate(self, effect: effects.GenerateReply) -> None:
        """Pass the reply model's output to the engine as it arrives."""
        try:
            thoughts = self._parts.mind.reply(effect.prompt)
            async with contextlib.aclosing(thoughts):
                async for thought in thoughts:
                    if isinstance(thought, Wait):
                        await asyncio.sleep(thought.seconds)
                    else:
                        self._engine.thought(effect.response, thought, self._clock())
                        self._follow_up()
        except Exception as error:
            why = _reason(error, (ReplyModelError,), "no reply was found")
            code = error.code if isinstance(error, ReplyModelError) else "server_error"
            self._engine.mind_failed(effect.response, why, self._clock(), code=code)
        else:
            self._engine.thought_all(effect.response, self._clock())
        self._follow_up()

    async def _synthesise(self, effect: effects.Synthesise) -> None:
        try:
            if self._parts.voice is None:
                raise SynthesiserError("this service has no voice")
            audio = self._parts.voice.speak(effect.text, voice=effect.voice)
            async with contextlib.aclosing(audio):
                async for pcm in audio:
                    self._engine.voiced(effect.response, pcm, self._clock())
                    self._follow_up()
        except Exception as error:
            why = _reason(error, (SynthesiserError,), "the reply could not be spoken")
            self._engine.voice_failed(effect.response, why, self._clock())
        else:
            self._engine.voiced_all(effect.response, self._clock())
        self._follow_up()


async def _started(ear: Recogniser) -> None:
    try:
        await ear.start()
    except Exception as error:
        # The first utterance will fail with the same message.
        _log.warning("the recogniser did not start: %s", error)


def _reason(
    error: Exception, expected: tuple[type[Exception], ...], otherwise: str
) -> str:
    """The message for the client; an unexpected error is logged too."""
    if isinstance(error, expected):
        return str(error)
    _log.exception("an effect failed")
    return otherwise
