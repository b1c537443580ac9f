"""One session at work: an engine, its jobs, and the time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from ..components import Parts
from ..engine import effects as jobs
from ..engine.engine import Engine, Options
from ..engine.outbox import NewId
from ..faults.injector import FaultyLine, Mute, Outcome
from ..interfaces import (
    EAR_RATE,
    VOICE_RATE,
    Ear,
    EarError,
    Hearing,
    MindError,
    VoiceError,
    Wait,
)
from ..speech.resample import Resampler
from .capacity import Listeners, Seat

__all__ = ["SessionRunner", "new_id", "wall_clock"]

#: Frames of 20 ms that are sent as silence behind the last sound: a second, in which
#: the next reply mostly comes, and a receiver learns that it is silent.
_SILENT_FRAMES = 50
_FRAME_SECONDS = 0.02
#: Seconds for the last words of an utterance, then it has failed.
_EAR_PATIENCE = 15.0

_log = logging.getLogger(__name__)


def new_id(prefix: str) -> str:
    """An id that nobody has used."""
    return f"{prefix}_{secrets.token_hex(11)}"


def wall_clock() -> Callable[[], float]:
    """Seconds since the Unix epoch that never go back."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class SessionRunner:
    """Drives an `Engine` inside a running event loop.

    ``send`` gets each event for the client; it must not block and may raise when
    the client is gone. Nothing that fails here raises: it becomes an event. The
    parts are shared with other sessions and stay open when this one is closed.
    ``on_over`` gets a WebSocket's close code and a reason, after the last event, when
    the session ends by itself: whoever has the connection ends it. Events leave by
    ``line`` where there is one.
    """

    def __init__(
        self,
        send: Callable[[str], None],
        parts: Parts,
        *,
        session: Mapping[str, Any] | None = None,
        options: Options | None = None,
        clock: Callable[[], float] | None = None,
        ids: NewId = new_id,
        seat: Seat | None = None,
        on_over: Callable[[int, str], None] = lambda code, reason: None,
        line: FaultyLine | None = None,
    ) -> None:
        self._on_over = on_over
        self._over: jobs.Close | None = None
        self._line = line
        self._muted = False
        self._silent = 0
        self._asleep = False
        #: Called where `next_audio` gave None and there is something to say again.
        self.on_sound: Callable[[], None] = lambda: None
        self._seat = Listeners().seat() if seat is None else seat
        self._send = send
        self._parts = parts
        self._clock = wall_clock() if clock is None else clock
        self._engine = Engine(
            new_id=ids,
            session=session,
            options=options or Options(label=parts.mind.label),
            detector=parts.detector,
            to_16k=Resampler(VOICE_RATE, EAR_RATE, prompt=True),
            listen=self._seat.listen,
            resampling=Resampler,
        )
        self._hearings: dict[str, Hearing] = {}
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at: float | None = None
        self._closed = False

    def warm(self) -> None:
        """Let the ear get ready ahead of the first utterance."""
        if self._parts.ear is not None:
            self._spawn("ear", _started(self._parts.ear))

    def start(self) -> None:
        """The connection is open: greet the client."""
        if self._line is not None:
            self._line.start(self._clock())
        self._engine.start(self._clock())
        if self._engine.settings.listens:
            self.warm()
        self._follow_up()

    def receive(self, frame: str | bytes) -> None:
        """An event of the client, as JSON text."""
        if not self._closed:
            self._engine.receive(frame, self._clock())
            self._follow_up()

    async def accept(self, frame: str | bytes) -> None:
        """The same, letting others run while there is much to do."""
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
        """Whether the user's audio has a meaning as it comes, not by a commit alone."""
        return self._engine.settings.turn_rule is not None

    def hear(self, pcm24k: bytes) -> None:
        """The user's audio, PCM16 mono at 24 kHz."""
        if not self._closed and not self._muted:
            self._engine.hear(pcm24k, self._clock())
            self._follow_up()

    def next_audio(self) -> bytes | None:
        """Up to 20 ms of audio for the user's ear; call it every 20 ms.

        None where nothing is to be sent, not even silence: a packet that nobody needs
        costs as much as one with words. Then `on_sound` tells when to go on.
        """
        if self._closed:
            return b""
        audio, playout = b"", self._engine.playout
        if playout is not None and not playout.empty:
            audio = self._engine.next_audio(self._clock())
            self._follow_up()
        self._silent = 0 if audio else self._silent + 1
        self._asleep = self._muted or self._silent > _SILENT_FRAMES
        if self._muted and playout is not None and not playout.empty:
            # Nobody hears it, and it is played all the same.
            loop = asyncio.get_running_loop()
            loop.call_later(_FRAME_SECONDS, lambda: self.on_sound())
        return None if self._asleep else audio

    async def close(self) -> None:
        """Stop all that is under way. Idempotent."""
        self._closed = True
        self._seat.listen(False)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = [task for group in self._tasks.values() for task in group]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for hearing in self._hearings.values():
            hearing.drop()
        self._hearings.clear()

    def _follow_up(self) -> None:
        """Do what the engine wants now, and wake it when it wants to be woken."""
        while todo := self._engine.take_jobs():
            for job in todo:
                self._do(job)
        for outcome in self._outcomes():
            match outcome:
                case str(frame):
                    try:
                        self._send(frame)
                    except Exception as error:
                        _log.debug("an event was not sent: %s", error)
                case jobs.Close(code, reason):
                    self._on_over(code, reason)
                case Mute():
                    self._muted = True
        self._set_timer()
        playout = self._engine.playout
        silent = playout is None or playout.empty
        if self._asleep and not self._muted and not silent:
            self._asleep = False
            self.on_sound()

    def _outcomes(self) -> list[Outcome]:
        """What leaves now: the engine's events, or what its line makes of them."""
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
        """When there is something to do next."""
        if self._closed:
            return None
        times = [self._engine.deadline]
        if self._line is not None:
            times.append(self._line.deadline)
        return min((at for at in times if at is not None), default=None)

    def _set_timer(self) -> None:
        deadline = self._deadline()
        if deadline == self._wakes_at:
            return  # as with most of what comes 50 times a second
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

    def _do(self, job: jobs.Job) -> None:
        match job:
            case jobs.OpenUtterance(utterance):
                if self._parts.ear is not None:
                    on_guess = partial(self._guessed, utterance)
                    self._hearings[utterance] = self._parts.ear.listen(on_guess)
            case jobs.FeedUtterance(utterance, pcm16k):
                if (hearing := self._hearings.get(utterance)) is not None:
                    hearing.feed(pcm16k)
            case jobs.FinishUtterance(utterance):
                self._spawn(utterance, self._finish(utterance))
            case jobs.DropUtterance(utterance):
                if (hearing := self._hearings.pop(utterance, None)) is not None:
                    hearing.drop()
            case jobs.Think(response):
                self._spawn(response, self._think(job))
            case jobs.Speak(response):
                self._spawn(response, self._speak(job))
            case jobs.Close():
                self._over = job
            case jobs.Stop(response):
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

    def _guessed(self, utterance: str, text: str) -> None:
        if not self._closed:
            self._engine.guessed(utterance, text, self._clock())
            self._follow_up()

    async def _finish(self, utterance: str) -> None:
        """Wait for the words of an utterance."""
        hearing = self._hearings.get(utterance)
        try:
            if hearing is None:
                raise EarError("this service has no ear")
            async with asyncio.timeout(_EAR_PATIENCE):
                words = await hearing.finish()
        except Exception as error:
            why = _reason(error, (EarError,), "the recogniser did not answer")
            self._engine.transcription_failed(utterance, why, self._clock())
        else:
            self._engine.transcribed(utterance, words, self._clock())
        if (hearing := self._hearings.pop(utterance, None)) is not None:
            hearing.drop()
        self._follow_up()

    async def _think(self, job: jobs.Think) -> None:
        """Pass on what the mind gives, as it comes."""
        try:
            thoughts = self._parts.mind.reply(job.prompt)
            async with contextlib.aclosing(thoughts):
                async for thought in thoughts:
                    if isinstance(thought, Wait):
                        await asyncio.sleep(thought.seconds)
                    else:
                        self._engine.thought(job.response, thought, self._clock())
                        self._follow_up()
        except Exception as error:
            why = _reason(error, (MindError,), "no reply was found")
            code = error.code if isinstance(error, MindError) else "server_error"
            self._engine.mind_failed(job.response, why, self._clock(), code=code)
        else:
            self._engine.thought_all(job.response, self._clock())
        self._follow_up()

    async def _speak(self, job: jobs.Speak) -> None:
        try:
            if self._parts.voice is None:
                raise VoiceError("this service has no voice")
            audio = self._parts.voice.speak(job.text, voice=job.voice)
            async with contextlib.aclosing(audio):
                async for pcm in audio:
                    self._engine.voiced(job.response, pcm, self._clock())
                    self._follow_up()
        except Exception as error:
            why = _reason(error, (VoiceError,), "the reply could not be spoken")
            self._engine.voice_failed(job.response, why, self._clock())
        else:
            self._engine.voiced_all(job.response, self._clock())
        self._follow_up()


async def _started(ear: Ear) -> None:
    try:
        await ear.start()
    except Exception as error:
        # The utterance that needs the ear will fail with the same words.
        _log.warning("the ear does not start: %s", error)


def _reason(
    error: Exception, expected: tuple[type[Exception], ...], otherwise: str
) -> str:
    """What the client is told; what nobody expected goes to the log as well."""
    if isinstance(error, expected):
        return str(error)
    _log.exception("a job failed")
    return otherwise
