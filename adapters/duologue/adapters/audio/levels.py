"""Audio levels in dB relative to full scale (dBFS).

The reference is the largest sample (32768): a sine at full scale has a peak of 0 dBFS
and an RMS of -3 dBFS. Measuring 10 ms of audio takes about 15 µs.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from operator import mul

import attrs

from duologue.transports.contract import SAMPLE_RATE

__all__ = ["FLOOR_DBFS", "Level", "Meter", "measure"]

#: The level of silence. The smallest 16-bit sample other than 0 is at -90.3 dBFS.
FLOOR_DBFS = -96.0
_FULL = 32768.0


@attrs.frozen
class Level:
    """Peak and RMS in dBFS, from `FLOOR_DBFS` to 0."""

    peak_dbfs: float = FLOOR_DBFS
    rms_dbfs: float = FLOOR_DBFS


@attrs.frozen
class _Block:
    """Sample count, largest absolute sample and sum of squares of a piece of audio."""

    samples: int
    peak: int
    energy: int


def measure(pcm: bytes) -> Level:
    """Return the level of PCM16; an odd byte at the end is ignored."""
    return _level([_block(pcm)])


def _block(pcm: bytes) -> _Block:
    samples = array("h", pcm[: len(pcm) & ~1])
    if not samples:
        return _Block(0, 0, 0)
    peak = max(max(samples), -min(samples))
    return _Block(len(samples), peak, sum(map(mul, samples, samples)))


def _level(blocks: list[_Block]) -> Level:
    samples = sum(block.samples for block in blocks)
    if not samples:
        return Level()
    energy = sum(block.energy for block in blocks)
    return Level(
        _dbfs(max(block.peak for block in blocks)), _dbfs(math.sqrt(energy / samples))
    )


def _dbfs(amplitude: float) -> float:
    if amplitude <= 0:
        return FLOOR_DBFS
    return round(max(FLOOR_DBFS, 20 * math.log10(amplitude / _FULL)), 1)


class Meter:
    """A level meter: the level of the last ``window_ms`` and the highest peak so far.

    One thread may add, any thread may read.
    """

    def __init__(self, window_ms: int = 100) -> None:
        self._window = window_ms * SAMPLE_RATE // 1000
        self._blocks: deque[_Block] = deque()
        self._samples = 0
        self._loudest = 0

    @property
    def level(self) -> Level:
        """The level of the window; `FLOOR_DBFS` before any audio."""
        return _level(list(self._blocks))

    @property
    def loudest_dbfs(self) -> float:
        """The highest peak since the start."""
        return _dbfs(self._loudest)

    def add(self, pcm: bytes) -> None:
        """Measure the next piece of PCM16."""
        block = _block(pcm)
        self._blocks.append(block)
        self._samples += block.samples
        self._loudest = max(self._loudest, block.peak)
        while self._samples - self._blocks[0].samples >= self._window:
            self._samples -= self._blocks.popleft().samples
