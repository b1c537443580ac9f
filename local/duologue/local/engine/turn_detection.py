"""Turn detection: where speech starts and stops in a stream of audio.

A chunk is speech if its probability is above the threshold or at most `_SLACK` below
it. A turn starts when a chunk reaches the threshold and the chunk before it is speech.
It stops after ``silence_ms`` without speech. `_SLACK` (hysteresis) prevents a soft
syllable from ending a turn. A detector reports speech for a short time after the
speech has ended, so faint audio just before a detected silence counts as silence too.
Times are ms of audio since the session began, whatever the speed at which it arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ..interfaces import ASR_RATE, VoiceActivityDetector

__all__ = [
    "SpeechContinued",
    "SpeechStarted",
    "SpeechStopped",
    "TurnDetector",
    "TurnEvent",
    "TurnRule",
    "turn_rule",
]

#: The service has no semantic VAD. Instead, each eagerness is a silence in ms that ends
#: a turn.
_EAGERNESS_MS = {"low": 1000, "medium": 500, "auto": 500, "high": 300}
_BYTES_PER_MS = ASR_RATE * 2 // 1000
#: The number of consecutive speech chunks (32 ms each) that start speech.
_ONSET = 2
#: A chunk with a probability this far below the threshold is still speech.
_SLACK = 0.15
#: The recogniser also gets about this much audio, in ms, from before these chunks,
#: because the first sound of a word is too soft to be detected.
_LEAD_MS = 300
#: The maximum faint audio, in ms, that counts as part of the silence after it. Silero
#: reports speech for 32 to 130 ms after the speech has ended.
_MAX_FAINT_MS = 128
#: A chunk is faint if its peak is at most 1/32 (-30 dB) of the turn's peak.
_FAINT = 32


@attrs.frozen
class TurnRule:
    """Turn detection settings: ``threshold`` 0 to 1, times in ms of audio.

    After ``idle_ms`` of silence since a response, the service commits an empty turn and
    replies. None means never.
    """

    threshold: float
    prefix_ms: int
    silence_ms: int
    create_response: bool
    interrupt_response: bool
    idle_ms: int | None = None


def turn_rule(found: Mapping[str, Any] | None) -> TurnRule | None:
    """The rule of a ``turn_detection`` object with its defaults; None if it is null."""
    if found is None:
        return None

    def given(key: str, default: Any) -> Any:
        return default if found.get(key) is None else found[key]

    return TurnRule(
        threshold=given("threshold", 0.5),
        prefix_ms=given("prefix_padding_ms", 300),
        silence_ms=given(
            "silence_duration_ms", _EAGERNESS_MS[given("eagerness", "auto")]
        ),
        create_response=found.get("create_response") is not False,
        interrupt_response=found.get("interrupt_response") is not False,
        idle_ms=found.get("idle_timeout_ms"),
    )


@attrs.frozen
class SpeechStarted:
    """Speech started.

    ``start_ms`` is the onset minus ``prefix_ms``. ``lead`` is audio at 16 kHz: the
    chunks that start speech, and ``prefix_ms`` (at least about 300) before them.
    """

    start_ms: int
    lead: bytes


@attrs.frozen
class SpeechContinued:
    """More audio of the turn, at 16 kHz."""

    pcm16k: bytes


@attrs.frozen
class SpeechStopped:
    """The turn has ended; ``end_ms`` is the end of the silence after the speech."""

    end_ms: int


TurnEvent = SpeechStarted | SpeechContinued | SpeechStopped


class TurnDetector:
    """Finds turns in audio, which may arrive in pieces of any size."""

    def __init__(
        self, detector: VoiceActivityDetector, to_16k: Callable[[bytes], bytes]
    ) -> None:
        self._detector = detector
        self._to_16k = to_16k
        self._partial_chunk = b""
        self._heard = 0
        self._recent: deque[bytes] = deque()
        self._speech_chunks = 0
        self._silence = 0
        self._faint = 0
        self._loudest = 0
        self.speaking = False

    def process(self, pcm24k: bytes, rule: TurnRule) -> list[TurnEvent]:
        """Take the next audio; return its turn events in order."""
        data = self._partial_chunk + self._to_16k(pcm24k)
        size = self._detector.chunk_bytes
        whole = len(data) - len(data) % size
        self._partial_chunk = data[whole:]
        events: list[TurnEvent] = []
        for start in range(0, whole, size):
            chunk = data[start : start + size]
            self._heard += size
            probability = self._detector(chunk)
            if self.speaking:
                events.extend(self._during(chunk, probability, rule))
            elif self._starts(chunk, probability, rule):
                events.append(self._started(rule))
        return events

    @property
    def heard_ms(self) -> int:
        """The audio processed so far, in ms."""
        return self._heard // _BYTES_PER_MS

    def reset(self) -> None:
        """Discard a turn in progress. `heard_ms` does not change."""
        self.speaking = False
        self._speech_chunks = 0
        self._recent.clear()
        self._detector.reset()

    def _starts(self, chunk: bytes, probability: float, rule: TurnRule) -> bool:
        close = probability >= rule.threshold - _SLACK
        self._speech_chunks = self._speech_chunks + 1 if close else 0
        self._recent.append(chunk)
        lead = max(rule.prefix_ms, _LEAD_MS) * _BYTES_PER_MS // len(chunk) + _ONSET
        while len(self._recent) > lead:
            self._recent.popleft()
        return self._speech_chunks >= _ONSET and probability >= rule.threshold

    def _started(self, rule: TurnRule) -> SpeechStarted:
        onset = self._heard - self._speech_chunks * self._detector.chunk_bytes
        lead = b"".join(self._recent)
        self._recent.clear()
        self.speaking, self._silence, self._speech_chunks = True, 0, 0
        self._faint, self._loudest = 0, _peak(lead)
        return SpeechStarted(max(0, onset // _BYTES_PER_MS - rule.prefix_ms), lead)

    def _during(
        self, chunk: bytes, probability: float, rule: TurnRule
    ) -> list[TurnEvent]:
        self._measure(chunk)
        if probability >= rule.threshold - _SLACK:
            self._silence = 0
        else:
            self._silence = max(self._silence + len(chunk), self._faint)
        if self._silence < max(1, rule.silence_ms) * _BYTES_PER_MS:
            return [SpeechContinued(chunk)]
        self.speaking = False
        return [
            SpeechContinued(chunk),
            SpeechStopped(self._heard // _BYTES_PER_MS),
        ]

    def _measure(self, chunk: bytes) -> None:
        """Add a faint chunk to the faint audio; any other chunk resets it to 0."""
        loudness = _peak(chunk)
        self._loudest = max(self._loudest, loudness)
        faint = loudness * _FAINT <= self._loudest
        most = _MAX_FAINT_MS * _BYTES_PER_MS + len(chunk)
        self._faint = min(self._faint + len(chunk), most) if faint else 0


def _peak(pcm16k: bytes) -> int:
    samples = memoryview(pcm16k).cast("h")
    return max(max(samples), -min(samples)) if samples else 0
