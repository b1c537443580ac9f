"""Does audio say one of a few known sentences? A check for tests, not a recogniser.

It is a closed set: the recogniser may only choose among the candidates, so a right
answer shows that the audio is nearer to that sentence than to the others. It does not
notice audio that is a third slower, so the duration is compared too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..interfaces import EAR_RATE, VOICE_RATE
from .asr_sphinx_worker import best_of
from .resample import resample

__all__ = ["FEWEST", "decode", "lasts", "trimmed"]

#: Candidates that make the choice worth something.
FEWEST = 10
#: How far a duration may be off.
_TOLERANCE = 0.15
#: Below this PCM16 value it is silence (-40 dB).
_SILENT = 327
_STEP = 10 * VOICE_RATE * 2 // 1000


def decode(pcm24k: bytes, candidates: Sequence[str]) -> str | None:
    """The candidate that PCM16 at 24 kHz says, or None. Blocks for a while.

    Raises ValueError for fewer than `FEWEST` candidates, and for words that are not
    in the recogniser's dictionary.
    """
    plain = {_plain(candidate): candidate for candidate in candidates}
    if len(plain) < FEWEST:
        raise ValueError(f"a closed set needs at least {FEWEST} different candidates")
    choices = " | ".join(plain)
    grammar = f"#JSGF V1.0; grammar choice; public <said> = {choices};"
    audio = resample(pcm24k[: len(pcm24k) // 2 * 2], VOICE_RATE, EAR_RATE)
    words = {word for candidate in plain for word in candidate.split()}
    return plain.get(best_of(audio, grammar, words))


def lasts(pcm24k: bytes, expected24k: bytes) -> bool:
    """Whether two pieces of audio take the same time within 15 %, silence aside."""
    length, expected = len(trimmed(pcm24k)), len(trimmed(expected24k))
    return abs(length - expected) <= _TOLERANCE * expected


def trimmed(pcm24k: bytes) -> bytes:
    """The audio without the silence before and after it."""
    steps = range(0, len(pcm24k) // 2 * 2, _STEP)
    loud = [step for step in steps if _peak(pcm24k[step : step + _STEP]) > _SILENT]
    return pcm24k[loud[0] : loud[-1] + _STEP] if loud else b""


def _peak(pcm: bytes) -> int:
    return max(map(abs, memoryview(pcm[: len(pcm) // 2 * 2]).cast("h")), default=0)


def _plain(text: str) -> str:
    """The words as the recogniser's dictionary has them."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))
