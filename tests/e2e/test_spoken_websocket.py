"""A spoken conversation over WebSocket: audio in events, local playback, barge-in."""

from __future__ import annotations

import asyncio
import wave
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from duologue.core import (
    Record,
    Session,
    SessionConfig,
    State,
    dump,
    events,
    fold,
    select_is_settled,
    select_transcripts,
    select_turns,
)
from duologue.transports import (
    BufferSink,
    Client,
    QueueSource,
    read_log_file,
    record,
    websocket,
)

pytestmark = pytest.mark.realtime


def has_lines(session: Session, count: int) -> bool:
    shown = select_transcripts(session)
    return (
        len(shown) == count
        and shown[-1].role == "assistant"
        and select_is_settled(session)
    )


@pytest.mark.usefixtures("flite")
async def test_a_reply_that_is_spoken_over_is_cut_off_where_it_was_heard(
    client: Client,
    config: SessionConfig,
    question: Path,
    count: Path,
    spoken: Callable[[Path], bytes],
    tmp_path: Path,
) -> None:
    """The service gets the played duration, at most the received audio, in time."""
    records: list[Record] = []

    def keep(before: State, record: Record, after: State) -> None:
        records.append(record)

    client.store.subscribe(keep)
    source, sink = QueueSource(), BufferSink()
    log, both = tmp_path / "session.jsonl", tmp_path / "both.wav"
    transport = record(websocket(source=source, sink=sink), log, audio=both)
    session = await client.start_session(config, transport=transport)
    speaking: list[bool] = []
    session.on("speaking_changed", speaking.append)

    source.push(spoken(count))
    await session.until(lambda s: s.activity.playing is not None, timeout=30)
    await asyncio.sleep(1.5)  # A part of the counting is played.
    source.push(spoken(question))
    await session.until(lambda s: s.activity.playing is None, timeout=20)
    heard_by_then = len(sink.pcm) // 48
    await session.until(lambda s: has_lines(s, 4), timeout=30)
    await session.close()

    truncations = [
        each.event
        for each in records
        if isinstance(each.event, events.ConversationItemTruncate)
    ]
    [cut] = truncations
    first, second = select_turns(session.state)
    interrupted = [line.interrupted for line in select_transcripts(session.state)]
    assert interrupted == [None, cut.audio_end_ms, None, None]
    assert 1_000 < cut.audio_end_ms < 6_000
    # The sink got the audio that counts as played, within two frames.
    assert 0 <= heard_by_then - cut.audio_end_ms <= 60
    assert sink.flushes == 1
    assert speaking == [True, False, True, False]
    assert first.barge_in_ms is not None
    assert second.first_audio_ms is not None
    # No error: the time was clamped, the configuration accepted.
    assert [e for e in records if isinstance(e.event, events.Error)] == []

    assert dump(fold(read_log_file(log))) == dump(client.store.state)
    with wave.open(str(both), "rb") as file:
        samples = array("h", file.readframes(file.getnframes()))
    left, right = samples[0::2], samples[1::2]
    assert max(left) > 1000
    assert max(right) > 1000
    # No reply starts before the end of the question.
    first_sound = next(i for i, value in enumerate(right) if abs(value) > 500) / 24_000
    assert first_sound > 2.5
