"""The real parts: voice, ear, speech detector, and the closed-set check."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from array import array
from collections.abc import AsyncGenerator, Callable

import pytest

from duologue.local import components
from duologue.local.engine.settings import TurnRule
from duologue.local.engine.turn_detection import (
    SpeechStarted,
    SpeechStopped,
    TurnDetector,
)
from duologue.local.interfaces import RecogniserError, Synthesiser, SynthesiserError
from duologue.local.speech.asr_sphinx import SphinxRecogniser
from duologue.local.speech.g711 import Writer, reader
from duologue.local.speech.resample import Resampler, resample
from duologue.local.speech.synthesis import clauses
from duologue.local.speech.tts_espeak import EspeakSynthesiser
from duologue.local.speech.tts_flite import FliteSynthesiser
from duologue.local.speech.vad_silero import SileroVAD

from ...closed_set import decode, lasts

RULE = TurnRule(
    threshold=0.5,
    prefix_ms=300,
    silence_ms=500,
    create_response=True,
    interrupt_response=True,
)

SENTENCES = [
    "Can you hear me?",
    "Tell me the numbers from one to twenty.",
    "What is your name?",
    "Tell me what time it is.",
    "The weather is nice in the summer.",
    "Where is the train station?",
    "Good morning.",
    "How does a spoken conversation work?",
    "What can you do?",
]

REPLIES = [
    "Yes, I can hear you well.",
    "Hello there. It is good to hear you.",
    "I am the scripted voice of duologue, not a language model.",
    "I can greet you, tell you that I hear you, and count for you.",
    "You are welcome.",
    "Goodbye, and thank you for the conversation.",
    "One, two, three, four, five.",
    "One, two, three, four, five, six, seven, eight, nine, ten.",
    "I did not hear any words. This is a scripted reply.",
    "I heard three words. This is a scripted reply.",
    "I heard five words. This is a scripted reply.",
    "The weather is nice in the summer.",
]


def flite() -> Synthesiser:
    try:
        return FliteSynthesiser()
    except SynthesiserError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(params=["flite", "espeak"])
def any_voice(request: pytest.FixtureRequest) -> Synthesiser:
    return flite() if request.param == "flite" else EspeakSynthesiser()


async def spoken(
    text: str, voice: Synthesiser | None = None, *, name: str = "ash"
) -> bytes:
    chunks = (voice or flite()).speak(text, voice=name)
    return b"".join([pcm async for pcm in chunks])


@pytest.fixture
async def ear() -> AsyncGenerator[SphinxRecogniser]:
    ear = SphinxRecogniser()
    await ear.start()
    yield ear
    await ear.close()


async def heard(
    ear: SphinxRecogniser, pcm24k: bytes, guesses: list[str] | None = None
) -> str:
    kept: list[str] = [] if guesses is None else guesses
    hearing = ear.listen(kept.append)
    pcm = resample(bytes(14_400) + pcm24k + bytes(14_400), 24_000, 16_000)
    for start in range(0, len(pcm), 1024):
        hearing.feed(pcm[start : start + 1024])
    return await hearing.finish()


# The voice.


async def test_a_voice_speaks_at_once_and_for_long_enough(
    any_voice: Synthesiser,
) -> None:
    """The first chunk comes long before the last word could have been said."""
    began = time.monotonic()
    sizes = []
    first = 0.0
    async for pcm in any_voice.speak("One, two, three, four, five. Six, seven."):
        first = first or time.monotonic() - began
        sizes.append(len(pcm))
        assert len(pcm) % 2 == 0
    assert first < 0.5
    assert 1.5 < sum(sizes) / 48_000 < 8


async def test_a_voice_begins_with_the_word(any_voice: Synthesiser) -> None:
    """The silence that libraries put before it would be heard as slowness."""
    pcm = await spoken("Yes, I can.", any_voice)
    samples = array("h", pcm[: 48 * 100])
    assert max(map(abs, samples)) > 1000


async def test_a_voice_that_nobody_listens_to_stops(any_voice: Synthesiser) -> None:
    """Its thread has ended when the iterator is closed."""
    before = threading.active_count()
    chunks = any_voice.speak("This goes on for a while. " * 50)
    await anext(chunks)
    assert threading.active_count() == before + 1
    await chunks.aclose()
    assert threading.active_count() == before


async def test_two_sessions_speak_at_once(any_voice: Synthesiser) -> None:
    """The library has one state: they take turns by the clause, and do not mix."""
    alone = await spoken("One. Two. Three.", any_voice)
    together = await asyncio.gather(
        *(spoken("One. Two. Three.", any_voice) for _ in range(3))
    )
    for pcm in together:
        assert len(pcm) == pytest.approx(len(alone), rel=0.05)


@pytest.mark.parametrize(
    "text", ["", " ", "...", "🙂", "\0", "€ 5 ", "Grüße, naïve café"]
)
async def test_odd_text_is_spoken_or_is_silence(
    any_voice: Synthesiser, text: str
) -> None:
    assert len(await spoken(text, any_voice)) % 2 == 0


def test_a_long_sentence_is_cut_at_its_commas() -> None:
    text = ", ".join(["number"] * 100) + "."
    pieces = clauses(text)
    assert len(pieces) > 3
    assert " ".join(pieces) == text
    assert max(map(len, pieces)) < 200
    assert clauses("Short. Sharp! Any?\nMore; yes: no.") == [
        *("Short.", "Sharp!", "Any?", "More;", "yes:", "no.")
    ]


def test_without_flite_espeak_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "FliteSynthesiser", _missing)
    assert components.find_synthesiser().name == "espeak-ng"


def test_without_any_voice_the_packages_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(components, "FliteSynthesiser", _missing)
    monkeypatch.setattr(components, "EspeakSynthesiser", _missing)
    with pytest.raises(SynthesiserError, match=r"libflite1.*duologue\[espeak\]"):
        components.find_synthesiser()


def _missing() -> Synthesiser:
    raise SynthesiserError("not here")


# The speech detector.


async def turns_of(pcm24k: bytes) -> list[tuple[str, int]]:
    detector = TurnDetector(SileroVAD(), lambda pcm: resample(pcm, 24_000, 16_000))
    found: list[tuple[str, int]] = []
    for start in range(0, len(pcm24k), 9600):
        for each in detector.process(pcm24k[start : start + 9600], RULE):
            if isinstance(each, SpeechStarted):
                found.append(("began", each.start_ms))
            elif isinstance(each, SpeechStopped):
                found.append(("ended", each.end_ms))
    return found


async def test_a_spoken_turn_is_found() -> None:
    """The offsets hold the padding before and the silence after."""
    speech = await spoken("Can you hear me?")
    quiet = bytes(48_000)
    (began, start), (ended, end) = await turns_of(quiet + speech + quiet)
    assert (began, ended) == ("began", "ended")
    length = len(speech) // 48
    assert start == pytest.approx(1000 - 300, abs=120)
    assert end == pytest.approx(1000 + length + 500, abs=250)


async def test_noise_and_hum_are_no_turn() -> None:
    chance = random.Random(7)
    noise = array("h", (chance.randint(-3000, 3000) for _ in range(48_000)))
    hum = array("h", (6000 if n // 240 % 2 else -6000 for n in range(48_000)))
    assert await turns_of(noise.tobytes() + hum.tobytes()) == []


async def test_speech_in_noise_is_one_turn() -> None:
    chance = random.Random(11)
    clean = (
        bytes(24_000)
        + await spoken("Tell me the numbers from one to twenty.")
        + bytes(48_000)
    )
    loud = array("h", clean)
    noisy = array(
        "h", (max(-32768, min(32767, s + chance.randint(-600, 600))) for s in loud)
    )
    found = await turns_of(noisy.tobytes())
    assert [what for what, _ in found] == ["began", "ended"]


# The ear.


async def test_the_ear_reads_the_voice(ear: SphinxRecogniser) -> None:
    """At most one word in ten is wrong."""
    assert await errors(ear, lambda pcm24k: pcm24k) <= 0.1


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_the_ear_reads_the_voice_through_a_telephone(
    ear: SphinxRecogniser, kind: str
) -> None:
    """Worse, because it knows wideband speech alone; but for the mirror of the band
    three words in four would be wrong."""

    def through(pcm24k: bytes) -> bytes:
        writer = Writer(kind, Resampler)
        return reader(kind, Resampler)(writer.write(pcm24k) + writer.flush())

    assert await errors(ear, through) <= 0.4


async def errors(ear: SphinxRecogniser, through: Callable[[bytes], bytes]) -> float:
    """Wrong words, as a part of all that are said."""
    wrong = total = 0
    for sentence in SENTENCES:
        expected = sentence.lower().strip("?.").split()
        words = (await heard(ear, through(await spoken(sentence)))).split()
        wrong += _distance(expected, words)
        total += len(expected)
    return wrong / total


def _distance(expected: list[str], words: list[str]) -> int:
    """Words to insert, delete or replace."""
    row = list(range(len(words) + 1))
    for index, left in enumerate(expected, 1):
        above, row[0] = row[0], index
        for column, right in enumerate(words, 1):
            above, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, above + (left != right)),
            )
    return row[-1]


async def test_the_words_come_while_the_user_speaks(ear: SphinxRecogniser) -> None:
    """Guesses grow, and the final text is there soon after the end."""
    guesses: list[str] = []
    words = await heard(ear, await spoken("Where is the train station?"), guesses)
    # A recogniser may add a word to the silence at the end.
    assert words.startswith("where is the train station")
    assert len(guesses) > 2
    assert len(guesses[0].split()) < len(words.split())


async def test_utterances_at_the_same_time_do_not_mix(ear: SphinxRecogniser) -> None:
    """More of them than there are decoders: the last one waits for its turn."""
    speech = [await spoken(sentence) for sentence in SENTENCES[:4]]
    alone = [await heard(ear, pcm) for pcm in speech]
    together = await asyncio.gather(*(heard(ear, pcm) for pcm in speech))
    matches = sum(one == other for one, other in zip(alone, together, strict=True))
    assert matches >= 3  # its mean carries over: results vary a little by order


async def test_silence_has_no_words(ear: SphinxRecogniser) -> None:
    assert await heard(ear, bytes(48_000)) == ""


async def test_an_utterance_that_is_dropped_frees_its_decoder(
    ear: SphinxRecogniser,
) -> None:
    for _ in range(5):
        hearing = ear.listen(lambda _: None)
        hearing.feed(bytes(32_000))
        hearing.drop()
        hearing.drop()
    speech = await spoken("Can you hear me?")
    assert "hear me" in await heard(ear, speech)


async def test_a_worker_that_dies_fails_what_it_heard_and_no_more(
    ear: SphinxRecogniser,
) -> None:
    hearing = ear.listen(lambda _: None)
    hearing.feed(bytes(3200))
    os.kill(_process(ear), signal.SIGKILL)
    with pytest.raises(RecogniserError, match="ended"):
        await hearing.finish()
    assert "hear me" in await heard(ear, await spoken("Can you hear me?"))


async def test_the_worker_survives_an_interrupt(ear: SphinxRecogniser) -> None:
    """Ctrl-C is for the program that it belongs to."""
    os.kill(_process(ear), signal.SIGINT)
    assert "hear me" in await heard(ear, await spoken("Can you hear me?"))


async def test_a_closed_ear_leaves_no_process() -> None:
    ear = SphinxRecogniser()
    hearing = ear.listen(lambda _: None)
    await ear.start()
    process = _process(ear)
    await ear.close()
    await ear.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    with pytest.raises(RecogniserError):
        await hearing.finish()
    with pytest.raises(RecogniserError, match="closed"):
        await ear.listen(lambda _: None).finish()


def _process(ear: SphinxRecogniser) -> int:
    starting = ear._starting
    assert starting is not None
    return starting.result()._process.pid


# The closed-set check.


@pytest.mark.parametrize("index", range(len(REPLIES)))
async def test_the_right_reply_is_told_from_the_others(index: int) -> None:
    pcm = await spoken(REPLIES[index], name="alloy")
    assert decode(pcm, REPLIES) == REPLIES[index]


async def test_spoiled_audio_is_not_the_reply() -> None:
    """The negative controls: a check that passes these would show nothing."""
    right = REPLIES[0]
    good = await spoken(right, name="alloy")
    other = await spoken(REPLIES[7], name="alloy")
    chance = random.Random(3)
    samples = array("h", good)
    swapped = array("h", good)
    swapped.byteswap()
    spoiled = {
        "half": good[: len(good) // 4 * 2],
        "wrong": other,
        "faster": resample(good, 24_000, 13_000),
        "slower": resample(good, 24_000, 33_000),
        "reversed": samples[::-1].tobytes(),
        "byte-swapped": swapped.tobytes(),
        "silence": bytes(len(good)),
        "noise": array("h", (chance.randint(-9000, 9000) for _ in samples)).tobytes(),
    }

    def passes(pcm: bytes) -> bool:
        return decode(pcm, REPLIES) == right and lasts(pcm, good)

    assert passes(good)
    assert passes(bytes(9600) + good + bytes(48_000))
    assert [name for name, pcm in spoiled.items() if passes(pcm)] == []


def test_a_small_set_proves_nothing() -> None:
    with pytest.raises(ValueError, match="at least 10"):
        decode(bytes(48_000), REPLIES[:9])
