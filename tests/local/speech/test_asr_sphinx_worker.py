"""The decoders of the worker: a text depends on its utterance only."""

from __future__ import annotations

import random
import wave
from array import array
from pathlib import Path

from duologue.local.speech.asr_sphinx_worker import DecoderPool
from duologue.local.speech.g711 import decode, encode

from ...closed_set import resample

EXAMPLES = Path(__file__).parents[3] / "examples"


def example(name: str) -> bytes:
    """An example file as PCM16 at 16 kHz."""
    with wave.open(str(EXAMPLES / name)) as file:
        return resample(file.readframes(file.getnframes()), 24_000, 16_000)


def quiet(pcm: bytes) -> bytes:
    return array("h", [sample // 10 for sample in array("h", pcm)]).tobytes()


def by_telephone(pcm: bytes) -> bytes:
    ulaw = encode(resample(pcm, 16_000, 8_000), "audio/pcmu")
    return resample(decode(ulaw, "audio/pcmu"), 8_000, 16_000)


def noise() -> bytes:
    """Three seconds of noise."""
    dice = random.Random(1)
    return array("h", [dice.randrange(-3000, 3000) for _ in range(48_000)]).tobytes()


class Talk:
    """Decodes one utterance after the other."""

    def __init__(self) -> None:
        self._told: list[list[object]] = []
        self._recogniser = DecoderPool(self._told.append)

    def hear(self, pcm: bytes) -> list[list[object]]:
        """The partial texts and the final text."""
        self._told.clear()
        self._recogniser.handle(["open", 1])
        for start in range(0, len(pcm), 3200):
            self._recogniser.handle(["feed", 1, pcm[start : start + 3200]])
        self._recogniser.handle(["finish", 1])
        return list(self._told)

    def begin(self, pcm: bytes) -> None:
        """Open an utterance and drop it."""
        self._recogniser.handle(["open", 1])
        self._recogniser.handle(["feed", 1, pcm])
        self._recogniser.handle(["drop", 1])


def test_a_text_does_not_depend_on_earlier_utterances() -> None:
    """Neither on utterances of other sessions nor on the same utterance."""
    question, count = example("question.wav"), example("count.wav")
    talk = Talk()
    fresh = talk.hear(question)
    assert fresh[-1][0] == "final"
    assert fresh[-1][2]
    for before in (question, quiet(count), by_telephone(count), noise()):
        talk.hear(before)
        talk.hear(before)
        assert talk.hear(question) == fresh
    talk.begin(noise())
    assert talk.hear(question) == fresh
    telephone = by_telephone(question)
    assert talk.hear(telephone) == Talk().hear(telephone)
