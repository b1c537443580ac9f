"""The WebRTC transport against a small service on loopback."""

from __future__ import annotations

import array
import asyncio
import json
import re
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import aiortc
import attrs
import pytest

from duologue.transports.audio.sinks import BufferSink
from duologue.transports.audio.sources import CallbackSource
from duologue.transports.contract import Transport
from duologue.transports.drivers.webrtc import webrtc_transport as _webrtc
from duologue.transports.drivers.webrtc.data_channel import SEND_LIMIT
from duologue.transports.drivers.webrtc.webrtc_transport import (
    IceServer,
    WebRTCTransport,
    webrtc,
)
from duologue.transports.errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    DuologueError,
    NotConnected,
    ServiceUnreachable,
    SignallingError,
)

if TYPE_CHECKING:
    from tests.transports.conftest import End, Kit, RawServer, Service

pytestmark = pytest.mark.realtime


@pytest.mark.parametrize("key", ["sk-test", "ek_test"])
async def test_a_call_from_connect_to_close(
    kit: type[Kit], service: Service, key: str
) -> None:
    """Connect, exchange frames in order, close; the service sees the end."""
    transport = webrtc()
    await transport.connect(kit.target(service.url, key=key))
    assert transport.call_id == "rtc_1"
    for frame in ("one", "two"):
        await transport.send(frame)
        service.end.peer.send(frame)
    frames = transport.frames()
    assert [await anext(frames), await anext(frames)] == ["one", "two"]
    assert [await service.end.said(), await service.end.said()] == ["one", "two"]
    await transport.close()
    await transport.close()
    assert [frame async for frame in frames] == []
    assert await service.end.reason() == "the far side closed the connection"
    with pytest.raises(NotConnected):
        await transport.send("late")


async def test_the_service_gets_offer_and_session(
    kit: type[Kit], service: Service
) -> None:
    """An API key also sends the session; the offer has loopback only."""
    transport = webrtc(ice_servers=[IceServer("stun:192.0.2.9")])
    await transport.connect(kit.target(service.url))
    await transport.close()
    [form] = service.forms
    offer = form.pop("sdp")
    assert form == {
        "content-type": "multipart/form-data",
        "session": '{"type": "realtime", "model": "a-model"}',
    }
    assert set(re.findall(r"a=candidate:.*? udp \d+ (\S+) ", offer)) == {"127.0.0.1"}


def _count(read: list[int], samples: int) -> bytes:
    read.append(samples)
    return b""


@pytest.mark.parametrize("answer", ["session.updated", "error"])
async def test_no_sound_before_the_configuration(
    kit: type[Kit], service: Service, answer: str
) -> None:
    """An ephemeral key: the update is the first event, and the source waits for it."""
    read: list[int] = []
    transport = webrtc(source=CallbackSource(partial(_count, read)))
    reports: list[Any] = []
    transport.report_to(lambda frame, way: reports.append((json.loads(frame), way)))
    target = kit.target(service.url, key="ek_test")
    target = attrs.evolve(target, session={**target.session, "instructions": "Fly."})
    await transport.connect(target)
    update = {
        "type": "session.update",
        "event_id": "configuration",
        "session": {"type": "realtime", "instructions": "Fly."},
    }
    assert json.loads(await service.end.said()) == update
    assert reports == [(update, "out")]
    service.end.peer.send('{"type": "session.created"}')
    await service.end.heard.enough(100)
    assert not read
    service.end.peer.send(f'{{"type": "{answer}"}}')
    await _until(lambda: bool(read))
    await transport.close()


async def test_the_source_does_not_wait_for_ever(
    kit: type[Kit], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that does not answer the update gets the audio later."""
    monkeypatch.setattr(_webrtc, "PATIENCE", 0.05)
    read: list[int] = []
    transport = webrtc(source=CallbackSource(partial(_count, read)))
    target = kit.target(service.url, key="ek_test")
    await transport.connect(attrs.evolve(target, session={"instructions": "Fly."}))
    await _until(lambda: bool(read))
    await transport.close()


async def test_a_configuration_that_is_too_large(
    kit: type[Kit], service: Service
) -> None:
    """It does not fit into one message of the data channel."""
    transport = webrtc()
    target = kit.target(service.url, key="ek_test")
    with pytest.raises(ConnectError, match="is above the limit"):
        await transport.connect(
            attrs.evolve(target, session={"instructions": "x" * 300_000})
        )


async def test_the_label_of_the_channel(kit: type[Kit], service: Service) -> None:
    """It is an option, also of the next connection."""
    transport = webrtc(channel="realtime-channel").again()
    await transport.connect(kit.target(service.url))
    channel = service.end.peer._channel
    assert channel is not None
    assert channel.label == "realtime-channel"
    await transport.close()


async def test_sound_passes_both_ways(kit: type[Kit], service: Service) -> None:
    """The service gets the source's audio, the sink gets the service's."""
    voice = kit.ToneSource(880)
    service.options["next_audio"] = lambda: voice.read(480)
    heard = kit.Heard()
    transport = webrtc(source=kit.ToneSource(440), sink=heard)
    await transport.connect(kit.target(service.url))
    there = kit.frequency(await service.end.heard.enough(400))
    back = kit.frequency(await heard.enough(400))
    await transport.close()
    assert [there, back] == pytest.approx([440, 880], abs=5)


async def test_the_source_is_asked_in_frames(kit: type[Kit], service: Service) -> None:
    """480 samples at a time; an ended source gives silence."""
    asked: list[int] = []

    def read(samples: int) -> bytes:
        asked.append(samples)
        return b""

    transport = webrtc(source=CallbackSource(read))
    await transport.connect(kit.target(service.url))
    await service.end.heard.enough(100)
    await transport.close()
    assert set(asked) == {480}
    assert max(map(abs, array.array("h", service.end.heard.pcm))) < 10


async def test_flushing_reaches_the_sink() -> None:
    """Without a sink, a flush does nothing."""
    sink = BufferSink()
    webrtc(sink=sink).flush_audio()
    webrtc().flush_audio()
    assert sink.flushes == 1


async def test_frames_sent_while_connecting_arrive(
    kit: type[Kit], service: Service
) -> None:
    """They are queued for the channel; before `connect`, `send` raises."""
    transport = webrtc()
    with pytest.raises(NotConnected):
        await transport.send("too early")
    connecting = asyncio.create_task(transport.connect(kit.target(service.url)))
    await _until(lambda: transport._peer is not None)
    await transport.send("early")
    await connecting
    assert await service.end.said() == "early"
    await transport.close()


async def test_bad_utf_8_comes_as_bytes(kit: type[Kit], service: Service) -> None:
    """An invalid frame is delivered."""
    transport = webrtc()
    await transport.connect(kit.target(service.url))
    await service.end.send_raw(51, b"\xff")
    assert await anext(transport.frames()) == b"\xff"
    await transport.close()


async def test_sending_waits_for_a_service_that_does_not_read(
    kit: type[Kit], service: Service
) -> None:
    """The buffer is bounded; closing wakes the senders."""
    transport = webrtc()
    await transport.connect(kit.target(service.url))
    peer = transport._peer
    assert peer is not None
    unplug(service.end)
    frame = "x" * 100_000
    sending = [asyncio.create_task(transport.send(frame)) for _ in range(20)]
    done, waiting = await asyncio.wait(sending, timeout=0.3)
    assert len(done) < 6
    assert peer.buffered <= SEND_LIMIT + len(frame)
    await transport.close()
    for task in waiting:
        with pytest.raises(NotConnected):
            await asyncio.wait_for(task, 2)


async def test_what_waited_arrives_in_order(kit: type[Kit], service: Service) -> None:
    """Concurrent senders do not overtake each other."""
    transport = webrtc()
    await transport.connect(kit.target(service.url))
    frames = [f"{n}".ljust(100_000) for n in range(12)]
    await asyncio.gather(*(transport.send(frame) for frame in frames))
    assert [await service.end.said() for _ in frames] == frames
    await transport.close()


async def test_one_source_goes_over_to_the_next_connection(
    kit: type[Kit], service: Service
) -> None:
    """The first connection has it, then the second, without a gap."""
    transport = webrtc(source=kit.ToneSource(440))
    await transport.connect(kit.target(service.url))
    successor = transport.again()
    await successor.connect(kit.target(service.url))
    first, second = service.ends
    await second.heard.enough(100)
    first.heard.pcm.clear()
    before = kit.frequency(await first.heard.enough(300))
    silence = max(map(abs, array.array("h", second.heard.pcm)))
    await transport.close()
    second.heard.pcm.clear()
    after = kit.frequency(await second.heard.enough(300))
    await successor.close()
    assert silence < 10
    assert [before, after] == pytest.approx([440, 440], abs=5)


async def test_losing_the_service_is_told(kit: type[Kit], service: Service) -> None:
    """Earlier frames, then `ConnectionLost` with the reason."""
    transport = webrtc()
    await transport.connect(kit.target(service.url))
    service.end.peer.send("last")
    frames = transport.frames()
    assert await anext(frames) == "last"
    await service.end.peer.close()
    with pytest.raises(ConnectionLost) as caught:
        await anext(frames)
    assert str(caught.value) == "the far side closed the connection"
    with pytest.raises(NotConnected, match="the far side closed the connection"):
        await transport.send("late")
    await transport.close()
    with pytest.raises(ConnectionLost):
        await anext(transport.frames())


async def test_frames_that_nobody_reads_are_bounded(
    kit: type[Kit], service: Service
) -> None:
    """Without a reader, the connection ends and memory stays bounded."""
    transport = webrtc()
    transport._inbox._limit = 2
    await transport.connect(kit.target(service.url))
    for frame in ("one", "two", "three"):
        service.end.peer.send(frame)
    frames = transport.frames()
    await _until(lambda: transport._inbox._ended)
    assert [await anext(frames), await anext(frames)] == ["one", "two"]
    with pytest.raises(ConnectionLost, match="too many unread frames"):
        await anext(frames)
    await transport.close()


def unplug(end: End) -> None:
    """Close the sockets of an end without notice."""
    for each in end.peer._pc.getTransceivers():
        for protocol in each.receiver.transport.transport._connection._protocols:
            protocol.transport.abort()


# Failures of connect.


async def _refused(kit: type[Kit], raw: RawServer, service: Service) -> str:
    raw.reply = b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n"
    return raw.url


async def _not_an_answer(kit: type[Kit], raw: RawServer, service: Service) -> str:
    raw.reply = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nv=0\r\n"
    return raw.url


async def _nobody(kit: type[Kit], raw: RawServer, service: Service) -> str:
    return "http://127.0.0.1:9/v1"


async def _no_url(kit: type[Kit], raw: RawServer, service: Service) -> str:
    return "nonsense"


async def _hanging(kit: type[Kit], raw: RawServer, service: Service) -> str:
    async def hang(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    raw.reply = hang
    return raw.url


async def _silent(kit: type[Kit], raw: RawServer, service: Service) -> str:
    """The service answers and its port is then dead."""

    async def altered(end: End, answer: str) -> str:
        await end.peer.close()
        return answer

    service.altered = altered
    return service.url


async def _wrong_certificate(kit: type[Kit], raw: RawServer, service: Service) -> str:
    async def altered(end: End, answer: str) -> str:
        return re.sub(r"(a=fingerprint:\S+) \S\S", r"\1 00", answer)

    service.altered = altered
    return service.url


FAILURES = [
    pytest.param(
        _refused,
        AuthenticationError,
        r"the service refused the key \(401\): an empty body",
        id="401",
    ),
    pytest.param(
        _not_an_answer,
        SignallingError,
        "the SDP has no usable media: no audio section",
        id="not an answer",
    ),
    pytest.param(
        _nobody,
        ServiceUnreachable,
        r"nothing answers at 127.0.0.1:9 \(.*\)",
        id="nobody",
    ),
    pytest.param(
        _no_url,
        SignallingError,
        "the base URL must begin with http:// or https://",
        id="no URL",
    ),
    pytest.param(
        _hanging,
        ConnectTimeout,
        r"the service (at \S+ )?did not answer( the offer)? within 0.5 s",
        id="hanging",
    ),
    pytest.param(
        _silent,
        ConnectTimeout,
        "the data channel did not open within 0.5 s",
        id="silent",
    ),
    pytest.param(
        _wrong_certificate,
        ConnectError,
        "the (connection failed in the DTLS handshake|far side closed the connection)",
        id="wrong certificate",
    ),
]


@pytest.mark.parametrize(("arrange", "kind", "message"), FAILURES)
async def test_a_failed_connect_says_why_and_leaves_nothing(
    kit: type[Kit],
    raw_server: RawServer,
    service: Service,
    arrange: Callable[..., Any],
    kind: type[DuologueError],
    message: str,
) -> None:
    """A one-line message names the step; everything is freed."""
    url = await arrange(kit, raw_server, service)
    transport = webrtc(source=kit.ToneSource(440), sink=BufferSink())
    with pytest.raises(kind) as caught:
        await transport.connect(kit.target(url, timeout=0.5))
    assert type(caught.value) is kind
    assert re.fullmatch(message, str(caught.value)), str(caught.value)
    assert transport._peer is None or transport._peer._pc.connectionState == "closed"
    for end in service.ends:
        await end.peer.close()
    await _until(lambda: not _ours())
    with pytest.raises(ConnectError):
        await transport.connect(kit.target(url))


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233])
@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_a_connect_may_end_at_any_await(
    kit: type[Kit], service: Service, how: str, turns: int
) -> None:
    """Cancelled, or closed by another task, after some turns of the loop."""
    transport = webrtc()
    connecting = asyncio.create_task(transport.connect(kit.target(service.url)))
    for _ in range(turns):
        await asyncio.sleep(0)
    if how == "cancel":
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
    else:
        await transport.close()
        with pytest.raises(ConnectError, match=r"closed while connecting|once"):
            await connecting
    assert transport._peer is None or transport._peer._pc.connectionState == "closed"
    for end in service.ends:
        await end.peer.close()
    await _until(lambda: not _ours())


async def test_ten_calls_leave_nothing(kit: type[Kit], service: Service) -> None:
    """Descriptors, threads and tasks are as after the first call."""
    async with asyncio.timeout(60):
        await _call(kit, service)
        await _until(lambda: not _ours())
        tasks = len(asyncio.all_tasks())
        before = await kit.settled(tasks)
        for _ in range(10):
            await _call(kit, service)
        assert await kit.settled(tasks) == before


async def test_connecting_is_quick(kit: type[Kit], service: Service) -> None:
    """Below a second on loopback (0.04 to 0.06 s measured on two cores)."""
    transport = webrtc()
    started = time.perf_counter()
    await transport.connect(kit.target(service.url))
    taken = time.perf_counter() - started
    await transport.close()
    assert taken < 1


async def test_it_is_a_transport() -> None:
    """For the type checker."""
    transport: Transport = webrtc()
    assert isinstance(transport, WebRTCTransport)
    await transport.close()


async def _call(kit: type[Kit], service: Service) -> None:
    transport = webrtc(source=kit.ToneSource(440), sink=BufferSink())
    await transport.connect(kit.target(service.url))
    await transport.close()
    await service.end.reason()


def _ours() -> list[str]:
    """Tasks that run code of the transports, of aiortc or of aioice."""
    names = (str(task.get_coro()) for task in asyncio.all_tasks())
    return [
        name for name in names if re.search("Peer|RTC|WebRTC|Connection|_open", name)
    ]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


# Optional protocols.


async def test_statistics_count_what_passes(kit: type[Kit], service: Service) -> None:
    """Packets both ways, and the far side's reports."""
    voice = kit.ToneSource(880)
    service.options["next_audio"] = lambda: voice.read(480)
    transport = webrtc(source=kit.ToneSource(440), sink=BufferSink())
    with pytest.raises(NotConnected):
        await transport.statistics()
    await transport.connect(kit.target(service.url))
    async with asyncio.timeout(20):
        while True:
            found = await transport.statistics()
            if found.round_trip_ms is not None and found.packets_received > 10:
                break
            await asyncio.sleep(0.05)
    await transport.close()
    assert found.packets_sent > 10
    assert found.packets_lost == found.far_packets_lost == 0
    assert 0 <= found.round_trip_ms < 1000
    assert found.bytes_sent > 1000
    assert found.bytes_received > 1000
    assert found.jitter_ms is not None
    assert 0 <= found.jitter_ms < 500


async def test_muted_is_silence(kit: type[Kit], service: Service) -> None:
    """Packets continue; they contain silence."""
    transport = webrtc(source=kit.ToneSource(440))
    transport.set_muted(True)
    await transport.connect(kit.target(service.url))
    await service.end.heard.enough(100)
    assert max(map(abs, array.array("h", service.end.heard.pcm))) < 10
    transport.set_muted(False)
    service.end.heard.pcm.clear()
    heard = kit.frequency(await service.end.heard.enough(300))
    await transport.close()
    assert heard == pytest.approx(440, abs=5)


async def test_both_sides_can_be_listened_to(kit: type[Kit], service: Service) -> None:
    """Sent and received audio, also without a sink."""
    voice = kit.ToneSource(880)
    service.options["next_audio"] = lambda: voice.read(480)
    said, heard = kit.Heard(), kit.Heard()
    transport = webrtc(source=kit.ToneSource(440))
    transport.tap(said.write, heard.write)
    await transport.connect(kit.target(service.url))
    there = kit.frequency(await said.enough(200))
    back = kit.frequency(await heard.enough(300))
    await transport.close()
    assert [there, back] == pytest.approx([440, 880], abs=5)


async def test_ice_servers_are_asked_by_configuration(
    kit: type[Kit], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STUN and TURN with their secrets; an invalid one is named."""
    servers: list[aiortc.RTCIceServer] = []
    gatherer = aiortc.RTCIceGatherer

    def gather(iceServers: list[aiortc.RTCIceServer]) -> object:
        servers.extend(iceServers)
        return gatherer(iceServers=[])

    monkeypatch.setattr(aiortc, "RTCIceGatherer", gather)
    monkeypatch.setattr(_webrtc, "is_loopback", lambda url: False)
    turn = IceServer(["turn:192.0.2.9:3478?transport=tcp"], "me", "secret")
    assert "secret" not in repr(turn)
    asked = webrtc(ice_servers=[IceServer("stun:192.0.2.9"), turn])
    asked._make_peer(kit.target(service.url))
    assert [(s.urls, s.username, s.credential) for s in servers] == [
        (["stun:192.0.2.9"], None, None),
        (["turn:192.0.2.9:3478?transport=tcp"], "me", "secret"),
    ]
    monkeypatch.undo()
    monkeypatch.setattr(_webrtc, "is_loopback", lambda url: False)
    with pytest.raises(ConnectError, match="invalid ICE server"):
        await webrtc(ice_servers=[IceServer("nonsense")]).connect(
            kit.target(service.url)
        )
