"""A transport that writes a log of its session."""

from __future__ import annotations

import asyncio
import json
import os
import wave
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from duologue.core import SessionConfig, dump, fold
from duologue.local import LocalService, Parts, in_process
from duologue.transports import (
    BufferSink,
    Client,
    Credentials,
    LogError,
    QueueSource,
    Transport,
    read_log_file,
    record,
    replay,
    websocket,
)
from duologue.transports.contract import Tappable
from duologue.transports.testing import default_target

TYPED = SessionConfig(output_modalities=("text",))


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with (
        LocalService(parts=Parts()) as service,
        Client(credentials=Credentials("x"), base_url=service.base_url) as client,
    ):
        yield client


async def test_sound_is_left_out_of_the_log_and_counted(
    client: Client, tmp_path: Path
) -> None:
    """The log has the transport's own events; its fold is the live state."""
    path = tmp_path / "log.jsonl"
    source = QueueSource()
    transport = record(websocket(source=source, sink=BufferSink()), path)
    session = await client.start_session(TYPED, transport=transport)
    source.push(b"\x01\x00" * 4800)
    sent = 0

    def count(before: object, record: object, after: object) -> None:
        nonlocal sent
        sent += getattr(record, "src", None) == "transport"

    client.store.subscribe(count)
    async with asyncio.timeout(20):
        while sent < 10:
            await asyncio.sleep(0.005)
    await session.close()
    lines = [json.loads(each) for each in path.read_bytes().splitlines()]
    own = [each for each in lines if each.get("src") == "transport"]
    assert own[0]["event"]["type"] == "session.update"
    assert {
        (each["event"]["type"], each["event"]["audio"], each["audio_bytes"])
        for each in own[1:]
    } == {("input_audio_buffer.append", "", 960)}
    assert dump(fold(read_log_file(path))) == dump(client.store.state)


async def test_both_sides_in_a_wav_beside_the_log(
    client: Client, tmp_path: Path
) -> None:
    """A valid file with two channels, the user in the left one."""
    source = QueueSource()
    source.push(array("h", [5000] * 4800).tobytes())
    wav = tmp_path / "both.wav"
    wav.write_bytes(b"what was there")
    inside = websocket(source=source, sink=BufferSink())
    transport = record(inside, tmp_path / "log.jsonl", audio=wav)
    session = await client.start_session(TYPED, transport=transport)
    async with asyncio.timeout(20):
        while source.buffered_ms or wav.stat().st_size < 20:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    await session.close()
    with wave.open(str(wav), "rb") as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 24_000)
        samples = array("h", file.readframes(file.getnframes()))
    left, right = samples[0::2], samples[1::2]
    assert left.count(5000) == 4800
    assert set(right) == {0}
    with pytest.raises(ValueError, match="recorded"):
        transport.tap(lambda pcm: None, lambda pcm: None)


def test_a_transport_without_sound_has_no_wav(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no audio"):
        record(in_process(), tmp_path / "log.jsonl", audio=tmp_path / "both.wav")


def test_a_file_that_cannot_be_is_said_at_once(tmp_path: Path) -> None:
    """For the log and for the WAV file."""
    nowhere = tmp_path / "no" / "where"
    with pytest.raises(LogError, match="No such file"):
        record(in_process(), nowhere)
    with pytest.raises(LogError, match="No such file"):
        record(websocket(), tmp_path / "log.jsonl", audio=nowhere)


async def test_what_is_asked_of_it_is_asked_of_the_transport_inside() -> None:
    """Mute, volume, flush and taps; without audio they do nothing."""
    sink = BufferSink()
    inside = websocket(sink=sink)
    outside = record(inside, os.devnull)
    outside.set_muted(True)
    outside.flush_audio()
    with pytest.raises(ValueError, match="volume"):
        outside.set_volume(2)
    assert isinstance(inside, Tappable)
    outside.tap(lambda pcm: None, lambda pcm: None)
    silent = record(in_process(), os.devnull)
    silent.set_muted(True)
    silent.set_volume(2)
    silent.flush_audio()
    silent.report_to(lambda frame, way: None)
    assert (silent.clock, silent.session_id) == (None, None)


async def test_the_replay_of_a_log_can_be_recorded(tmp_path: Path) -> None:
    """With the recorded times and id: the second log equals the first."""
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"

    async def application(transport: Transport) -> None:
        async with Client(credentials=Credentials("x")) as client:
            session = await client.start_session(TYPED, transport=transport)
            await session.send_text("hello")
            await session.until(
                lambda state: (
                    len(state.responses.by_id) > 0 and state.responses.active is None
                ),
                timeout=10,
            )

    await application(record(in_process(), one))
    await application(record(replay(one), two))
    assert two.read_bytes() == one.read_bytes()


async def test_it_is_a_transport(tmp_path: Path) -> None:
    """For the type checker; and it connects the inner transport."""
    transport: Transport = record(in_process(), tmp_path / "log.jsonl")
    await transport.connect(default_target())
    await transport.close()
