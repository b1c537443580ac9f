"""Where a turn begins and ends in a stream of audio.

Speech begins with a chunk over the threshold that follows one not far under it, and
ends with so much silence; while it lasts, a chunk counts as speech from a little
under the threshold on (hysteresis), so that a soft syllable does not cut a turn. A
detector remembers speech for a while: when it says silence at last, what was faint just
before counts as silence too. All times are ms of audio since the session began, however
fast it comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from ..interfaces import EAR_RATE, Detector
from .settings import TurnRule

__all__ = ["Began", "Ended", "More", "TurnFinder"]

_BYTES_PER_MS = EAR_RATE * 2 // 1000
#: Chunks in a row that make a beginning (32 ms each).
_ONSET = 2
#: How far under the threshold a chunk may be that goes with speech.
_SLACK = 0.15
#: Audio before the onset that the ear gets at least, in ms: a word's first sound
#: is softer than what tells it is speech.
_LEAD_MS = 300
#: How much of what was faint before the detector's silence counts, in ms: Silero's
#: memory of speech lasts 32 to 130 ms.
_MEMORY_MS = 128
#: Beside the loudest of the turn, what is so many times softer is faint (-30 dB).
_FAINT = 32


@attrs.frozen
class Began:
    """Speech began; ``lead`` is the audio from shortly before it on, at 16 kHz."""

    start_ms: int
    lead: bytes


@attrs.frozen
class More:
    """Audio of the turn that is going on, at 16 kHz."""

    pcm16k: bytes


@attrs.frozen
class Ended:
    """So much silence followed that the turn is over."""

    end_ms: int


class TurnFinder:
    """Finds turns in audio that comes in pieces of any size."""

    def __init__(self, detector: Detector, to_16k: Callable[[bytes], bytes]) -> None:
        self._detector = detector
        self._to_16k = to_16k
        self._rest = b""
        self._heard = 0
        self._before: deque[bytes] = deque()
        self._run = 0
        self._silence = 0
        self._faint = 0
        self._loudest = 0
        self.speaking = False

    def hear(self, pcm24k: bytes, rule: TurnRule) -> list[Began | More | Ended]:
        """What the audio that follows means, in order."""
        data = self._rest + self._to_16k(pcm24k)
        size = self._detector.chunk_bytes
        whole = len(data) - len(data) % size
        self._rest = data[whole:]
        found: list[Began | More | Ended] = []
        for start in range(0, whole, size):
            chunk = data[start : start + size]
            self._heard += size
            probability = self._detector(chunk)
            if self.speaking:
                found.extend(self._during(chunk, probability, rule))
            elif self._starts(chunk, probability, rule):
                found.append(self._began(rule))
        return found

    @property
    def heard_ms(self) -> int:
        """How much audio has come so far."""
        return self._heard // _BYTES_PER_MS

    def reset(self) -> None:
        """Forget a turn that is going on; the time goes on."""
        self.speaking = False
        self._run = 0
        self._before.clear()
        self._detector.reset()

    def _starts(self, chunk: bytes, probability: float, rule: TurnRule) -> bool:
        close = probability >= rule.threshold - _SLACK
        self._run = self._run + 1 if close else 0
        self._before.append(chunk)
        lead = max(rule.prefix_ms, _LEAD_MS) * _BYTES_PER_MS // len(chunk) + _ONSET
        while len(self._before) > lead:
            self._before.popleft()
        return self._run >= _ONSET and probability >= rule.threshold

    def _began(self, rule: TurnRule) -> Began:
        onset = self._heard - self._run * self._detector.chunk_bytes
        lead = b"".join(self._before)
        self._before.clear()
        self.speaking, self._silence, self._run = True, 0, 0
        self._faint, self._loudest = 0, _peak(lead)
        return Began(max(0, onset // _BYTES_PER_MS - rule.prefix_ms), lead)

    def _during(
        self, chunk: bytes, probability: float, rule: TurnRule
    ) -> list[Began | More | Ended]:
        self._measure(chunk)
        if probability >= rule.threshold - _SLACK:
            self._silence = 0
        else:
            self._silence = max(self._silence + len(chunk), self._faint)
        if self._silence < max(1, rule.silence_ms) * _BYTES_PER_MS:
            return [More(chunk)]
        self.speaking = False
        return [More(chunk), Ended(self._heard // _BYTES_PER_MS)]

    def _measure(self, chunk: bytes) -> None:
        """Count how long it has been faint, as far as that matters."""
        loudness = _peak(chunk)
        self._loudest = max(self._loudest, loudness)
        faint = loudness * _FAINT <= self._loudest
        most = _MEMORY_MS * _BYTES_PER_MS + len(chunk)
        self._faint = min(self._faint + len(chunk), most) if faint else 0


def _peak(pcm16k: bytes) -> int:
    samples = memoryview(pcm16k).cast("h")
    return max(max(samples), -min(samples)) if samples else 0
