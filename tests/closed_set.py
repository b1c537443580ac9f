"""Closed-set speech recognition: which of a few sentences does the audio contain?

A correct result shows that the audio is closer to that sentence than to the other
candidates. It does not detect audio that is a third slower: compare the duration too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pocketsphinx import Decoder

from duologue.local.interfaces import ASR_RATE, SAMPLE_RATE
from duologue.transports.audio.resample import Resampler

__all__ = ["FEWEST", "decode", "lasts", "resample", "trimmed"]

#: The minimum number of candidates.
FEWEST = 10
#: Words of the scripted replies that are missing from the recogniser's dictionary.
_MORE_WORDS = {"duologue": "D UW AH L AO G"}
#: The accepted relative difference between two durations.
_TOLERANCE = 0.15
#: The PCM16 value below which audio is silence (-40 dB).
_SILENT = 327
_STEP = 10 * SAMPLE_RATE * 2 // 1000


def decode(pcm24k: bytes, candidates: Sequence[str]) -> str | None:
    """The candidate that PCM16 at 24 kHz contains, or None. Blocks.

    Raises ValueError for fewer than `FEWEST` candidates and for words that are not in
    the recogniser's dictionary.
    """
    plain = {_plain(candidate): candidate for candidate in candidates}
    if len(plain) < FEWEST:
        raise ValueError(f"a closed set needs at least {FEWEST} different candidates")
    choices = " | ".join(plain)
    grammar = f"#JSGF V1.0; grammar choice; public <said> = {choices};"
    audio = resample(pcm24k[: len(pcm24k) // 2 * 2], SAMPLE_RATE, ASR_RATE)
    decoder = Decoder(loglevel="FATAL", lm=None)
    for word, sounds in _MORE_WORDS.items():
        decoder.add_word(word, sounds)
    words = {word for candidate in plain for word in candidate.split()}
    if unknown := sorted(word for word in words if not decoder.lookup_word(word)):
        raise ValueError(f"not in the dictionary: {', '.join(unknown)}")
    decoder.add_jsgf_string("choice", grammar)
    decoder.activate_search("choice")
    decoder.start_utt()
    decoder.process_raw(audio, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return None if hypothesis is None else plain.get(hypothesis.hypstr)


def resample(pcm: bytes, from_rate: int, to_rate: int) -> bytes:
    """PCM16 mono at another sample rate, in Hz."""
    resampler = Resampler(from_rate, to_rate)
    return resampler(pcm) + resampler.flush()


def lasts(pcm24k: bytes, expected24k: bytes) -> bool:
    """Whether two recordings have the same duration within 15 %, without silence."""
    length, expected = len(trimmed(pcm24k)), len(trimmed(expected24k))
    return abs(length - expected) <= _TOLERANCE * expected


def trimmed(pcm24k: bytes) -> bytes:
    """The audio without leading and trailing silence."""
    steps = range(0, len(pcm24k) // 2 * 2, _STEP)
    loud = [step for step in steps if _peak(pcm24k[step : step + _STEP]) > _SILENT]
    return pcm24k[loud[0] : loud[-1] + _STEP] if loud else b""


def _peak(pcm: bytes) -> int:
    return max(map(abs, memoryview(pcm[: len(pcm) // 2 * 2]).cast("h")), default=0)


def _plain(text: str) -> str:
    """The words in the spelling of the recogniser's dictionary."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))
