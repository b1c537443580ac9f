"""Spoken turns over real WebRTC on loopback with real Opus, ASR and TTS."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from duologue.core import (
    Session,
    SessionConfig,
    Transcript,
    dump,
    fold,
    select_is_settled,
    select_transcripts,
    select_turns,
)
from duologue.local.components import find_synthesiser
from duologue.transports import (
    BufferSink,
    Client,
    LiveSession,
    QueueSource,
    TrimmedSink,
    WavSource,
    read_log_file,
    record,
    webrtc,
)

from .. import closed_set

pytestmark = pytest.mark.realtime

REPLY = "Yes, I can hear you well."
CANDIDATES = (
    REPLY,
    "Hello there. It is good to hear you.",
    "You are welcome.",
    "Goodbye, and thank you for the conversation.",
    "I am a voice that reads from a list.",
    "I did not hear any words. This is a scripted reply.",
    "No, I can not hear you at all.",
    "One, two, three, four, five, six, seven.",
    "Yes, you can see me there.",
    "Please say that again.",
    "The train leaves at seven in the morning.",
    "It will rain in the afternoon.",
)


def is_answered(session: Session) -> bool:
    """Whether the last line is the assistant's and the session is idle."""
    last = [line.role for line in select_transcripts(session)][-1:]
    return last == ["assistant"] and select_is_settled(session)


def plain(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def lines(session: Session) -> list[tuple[str, list[str], bool]]:
    """Role and text of each line; user lines are mapped to the nearest question."""
    return [
        (t.role, plain(meant(t.text) if t.role == "user" else t.text), t.final)
        for t in select_transcripts(session)
    ]


#: The questions of these tests.
QUESTIONS = (
    "can you hear me",
    "tell me the numbers from one to twenty",
    "tell me your name",
    "hello there and good morning",
    "thank you and goodbye",
)
TURN = [("user", plain("Can you hear me"), True), ("assistant", plain(REPLY), True)]


def meant(text: str) -> str:
    """The question nearest to the recognised text.

    The recogniser confuses words now and then ("bumpers" for "numbers"), depending on
    packet boundaries. A text without a near question is returned unchanged.
    """
    near = difflib.get_close_matches(" ".join(plain(text)), QUESTIONS, cutoff=0.75)
    return near[0] if near else text


async def spoken_by_the_voice(text: str) -> bytes:
    """The same sentence directly from the synthesiser, for its duration."""
    return b"".join([pcm async for pcm in find_synthesiser().speak(text)])


def reversed_samples(pcm: bytes) -> bytes:
    return memoryview(pcm).cast("h")[::-1].tobytes()


def faster(pcm: bytes) -> bytes:
    return memoryview(pcm).cast("h")[::2].tobytes()


def swapped(pcm: bytes) -> bytes:
    data = bytearray(pcm)
    data[::2], data[1::2] = pcm[1::2], pcm[::2]
    return bytes(data)


@pytest.mark.usefixtures("flite")
async def test_a_spoken_question_is_answered(
    client: Client, config: SessionConfig, question: Path, tmp_path: Path
) -> None:
    """One turn: the question is recognised, and the audible reply is its text.

    The check of the audio is closed-set, so the test also shows the rejected cases:
    half of it, another sentence, faster, reversed, byte-swapped, silence.
    """
    heard = BufferSink()
    transport = record(
        webrtc(source=WavSource(question), sink=TrimmedSink(heard)),
        tmp_path / "session.jsonl",
    )
    session = await client.start_session(config, transport=transport)
    texts: list[tuple[str, ...]] = []
    session.on(
        "transcript_delta",
        lambda line, delta: texts.append(
            tuple(t.role for t in select_transcripts(session.state) if t.text)
        ),
    )
    before_its_words: list[list[str]] = []
    session.on(
        "transcript",
        lambda line: (
            before_its_words.append([t.role for t in select_transcripts(session.state)])
            if line.role == "user"
            else None
        ),
    )
    state = await session.until(is_answered, timeout=30)
    await asyncio.sleep(0.5)  # The jitter buffer still holds the end of the reply.
    await session.close()

    assert lines(state) == TURN
    # When the user's text became final, the reply had begun and was ordered after it.
    assert before_its_words == [["user", "assistant"]]
    reply = heard.pcm
    expected = await spoken_by_the_voice(REPLY)
    assert closed_set.decode(reply, CANDIDATES) == REPLY
    assert closed_set.lasts(reply, expected)

    half = len(reply) // 4 * 2
    other = await spoken_by_the_voice(CANDIDATES[3])
    assert closed_set.decode(other, CANDIDATES) == CANDIDATES[3]
    for name, spoiled in {
        "half": reply[:half],
        "faster": faster(reply),
        "reversed": reversed_samples(reply),
        "swapped": swapped(reply),
        "silence": bytes(len(reply)),
    }.items():
        passes = closed_set.decode(spoiled, CANDIDATES) == REPLY and closed_set.lasts(
            spoiled, expected
        )
        assert not passes, name

    # The log folds to the same bytes.
    folded = fold(read_log_file(tmp_path / "session.jsonl"))
    assert dump(folded) == dump(client.store.state)
    (turn,) = select_turns(state)
    assert turn.first_audio_ms is not None
    assert 300 < turn.first_audio_ms < 5_000


async def test_two_sessions_at_once_have_their_own_words(
    client: Client, config: SessionConfig, question: Path, count: Path
) -> None:
    """Two conversations in one client do not mix."""
    sessions = await asyncio.gather(
        *(
            client.start_session(config, transport=webrtc(source=WavSource(path)))
            for path in (question, count)
        )
    )
    states = await asyncio.gather(*(s.until(is_answered, timeout=40) for s in sessions))
    numbers = (
        "one two three four five six seven eight nine ten eleven twelve thirteen "
        "fourteen fifteen sixteen seventeen eighteen nineteen twenty"
    )
    assert [lines(state) for state in states] == [
        TURN,
        [
            ("user", plain("tell me the numbers from one to twenty"), True),
            ("assistant", plain(numbers), True),
        ],
    ]


def interrupted(session: LiveSession) -> Transcript | None:
    found = [t for t in select_transcripts(session.state) if t.interrupted is not None]
    return found[0] if found else None


async def test_barge_in_stops_the_reply(
    client: Client,
    config: SessionConfig,
    question: Path,
    count: Path,
    spoken: Callable[[Path], bytes],
) -> None:
    """Speech during the reply stops it, and marks it with the time of the cut."""
    source, heard = QueueSource(), BufferSink()
    session = await client.start_session(
        config, transport=webrtc(source=source, sink=heard)
    )
    source.push(spoken(count))
    await session.until(lambda s: s.activity.playing is not None, timeout=20)
    await asyncio.sleep(1.5)  # A part of the counting is played.
    source.push(spoken(question))
    await session.until(lambda s: s.activity.playing is None, timeout=10)
    cut = interrupted(session)
    state = await session.until(
        lambda s: is_answered(s) and len(select_transcripts(s)) == 4, timeout=20
    )

    assert cut is not None
    assert cut.interrupted is not None
    assert 1_000 < cut.interrupted < 6_000
    assert cut.heard is not None
    assert "One, two" in cut.heard
    assert cut.text.startswith(cut.heard)
    assert "twenty" not in cut.heard
    shown = select_transcripts(state)
    assert [line.role for line in shown] == ["user", "assistant"] * 2
    assert [line.interrupted is None for line in shown] == [True, False, True, True]
    assert plain(shown[3].text) == plain(REPLY)
    first, second = select_turns(state)
    assert first.barge_in_ms is not None
    assert first.barge_in_ms < 1_000
    assert second.first_audio_ms is not None
    assert heard.flushes == 1


@pytest.mark.usefixtures("flite")
async def test_a_typed_turn_is_answered_aloud(
    client: Client, config: SessionConfig
) -> None:
    """Text in, speech out, on one connection."""
    heard = BufferSink()
    session = await client.start_session(
        config, transport=webrtc(sink=TrimmedSink(heard))
    )
    await session.send_text("Can you hear me?")
    state = await session.until(is_answered, timeout=20)
    await asyncio.sleep(0.5)
    assert lines(state) == TURN
    assert closed_set.decode(heard.pcm, CANDIDATES) == REPLY
