"""Two peers in one process, over real WebRTC on loopback."""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aioice.ice
import aioice.stun
import aiortc
import pytest
from aiortc.rtcsctptransport import RTCSctpTransport
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.transports.drivers.webrtc import peer as _aiortc
from duologue.transports.drivers.webrtc.aiortc_private import (
    gather_loopback,
    guard_messages,
    packets_received,
)
from duologue.transports.drivers.webrtc.ice_server import IceServer
from duologue.transports.drivers.webrtc.peer import (
    MESSAGE_LIMIT,
    PENDING_LIMIT,
    SDP_LIMIT,
    Peer,
)
from duologue.transports.errors import (
    ConnectError,
    DuologueError,
    NotConnected,
    SignallingError,
)
from duologue.transports.http.credentials import Secret

if TYPE_CHECKING:
    from tests.transports.conftest import End, Kit

    MakeEnd = Callable[..., End]

#: RFC 8831 section 8: control, string, binary.
CONTROL, STRING = 50, 51


# Messages.


@pytest.mark.realtime
async def test_messages_pass_both_ways_before_and_after_open(
    make_end: MakeEnd, kit: type[Kit]
) -> None:
    """Messages sent while connecting arrive first, in order."""
    client, server = make_end(), make_end()
    for number in range(3):
        client.peer.send(f"early {number}")
        server.peer.send(f"early {number}")
    assert client.peer.buffered == 3 * len("early 0")
    await kit.join(client, server)
    client.peer.send("late ü")
    server.peer.send("late ü")
    expected = ["early 0", "early 1", "early 2", "late ü"]
    assert [await server.said() for _ in expected] == expected
    assert [await client.said() for _ in expected] == expected
    assert client.peer.buffered == 0


@pytest.mark.realtime
async def test_the_largest_message_arrives(make_end: MakeEnd, kit: type[Kit]) -> None:
    """One more byte is refused with a one-line message."""
    client, server = make_end(), make_end()
    await kit.join(client, server)
    client.peer.send("x" * MESSAGE_LIMIT)
    assert await server.said() == "x" * MESSAGE_LIMIT
    with pytest.raises(DuologueError) as caught:
        client.peer.send("x" * (MESSAGE_LIMIT - 1) + "ü")
    assert str(caught.value) == (
        f"a message of {MESSAGE_LIMIT + 1} bytes is above the limit of {MESSAGE_LIMIT}"
    )


@pytest.mark.realtime
async def test_the_far_sides_limit_counts(
    make_end: MakeEnd, kit: type[Kit], caplog: pytest.LogCaptureFixture
) -> None:
    """A message above it is refused, or dropped from the queue."""
    client, server = make_end(), make_end()
    client.peer.send("x" * 2000)
    client.peer.send("short")
    answer = await server.peer.answer(await client.peer.offer())
    await client.peer.accept(answer.replace("size:262144", "size:1000"))
    await client.peer.wait_open()
    with pytest.raises(DuologueError, match="only supports messages up to 1000"):
        client.peer.send("x" * 2000)
    assert await server.said() == "short"
    assert "queued before open was dropped" in caplog.text


async def test_the_queue_before_open_is_bounded(make_end: MakeEnd) -> None:
    """A connection that never opens cannot exhaust memory."""
    end = make_end()
    for _ in range(PENDING_LIMIT // MESSAGE_LIMIT):
        end.peer.send("x" * MESSAGE_LIMIT)
    with pytest.raises(DuologueError, match="wait for the data channel to open"):
        end.peer.send("x")
    assert end.peer.buffered == PENDING_LIMIT


@pytest.mark.realtime
async def test_bad_utf_8_is_survived(make_end: MakeEnd, kit: type[Kit]) -> None:
    """It arrives as bytes, and the connection stays open."""
    client, server = make_end(), make_end()
    await kit.join(client, server)
    await client.send_raw(STRING, b'{"a":"\xff\xfe"}')
    client.peer.send("good")
    assert [await server.said(), await server.said()] == [b'{"a":"\xff\xfe"}', "good"]


@pytest.mark.realtime
@pytest.mark.parametrize(
    "control",
    [
        pytest.param(b"\x03" + bytes(11), id="open again"),
        pytest.param(
            b"\x03\0\0\0\0\0\0\0\0\x05\0\0\xff\xff\xff\xff\xff", id="bad label"
        ),
    ],
)
async def test_bad_control_is_survived(
    make_end: MakeEnd,
    kit: type[Kit],
    caplog: pytest.LogCaptureFixture,
    control: bytes,
) -> None:
    """A malformed message of the channel protocol (RFC 8832) is dropped."""
    client, server = make_end(), make_end()
    await kit.join(client, server)
    await client.send_raw(CONTROL, control)
    client.peer.send("good")
    assert await server.said() == "good"
    assert "a data channel message was dropped" in caplog.text


@pytest.mark.realtime
async def test_a_receiver_that_raises_is_survived(
    make_end: MakeEnd, kit: type[Kit], caplog: pytest.LogCaptureFixture
) -> None:
    """An error in the message callback does not end the call."""
    seen: asyncio.Queue[str | bytes] = asyncio.Queue()

    def receive(message: str | bytes) -> None:
        seen.put_nowait(message)
        if message == "bad":
            raise RuntimeError("a fault")

    client, server = make_end(), make_end(on_message=receive)
    await kit.join(client, server)
    client.peer.send("bad")
    client.peer.send("good")
    assert [await seen.get(), await seen.get()] == ["bad", "good"]
    assert "the message callback failed" in caplog.text


@pytest.mark.realtime
@pytest.mark.parametrize("label", ["oai-events", "realtime-channel", ""])
async def test_the_first_channel_carries_the_events(
    make_end: MakeEnd, kit: type[Kit], label: str
) -> None:
    """Whatever its label: Microsoft's guide calls it ``realtime-channel``."""
    client, server = make_end(channel=label), make_end()
    await kit.join(client, server)
    channels = (client.peer._channel, server.peer._channel)
    assert [channel and channel.label for channel in channels] == [label, label]
    other = client.peer._pc.createDataChannel("other")
    while other.readyState != "open":
        await asyncio.sleep(0.001)
    other.send("not an event")
    client.peer.send("an event")
    assert await server.said() == "an event"
    assert server.messages.empty()


# Audio.


@pytest.mark.realtime
async def test_a_tone_is_heard_at_the_other_side(
    make_end: MakeEnd, kit: type[Kit]
) -> None:
    """Each end receives the other's pitch."""
    low, high = kit.ToneSource(440), kit.ToneSource(880)
    client = make_end(next_audio=lambda: low.read(480))
    server = make_end(next_audio=lambda: high.read(480))
    await kit.join(client, server)
    there = kit.frequency(await server.heard.enough(400))
    back = kit.frequency(await client.heard.enough(400))
    assert [there, back] == pytest.approx([440, 880], abs=5)


@pytest.mark.realtime
async def test_a_track_that_nobody_hears_is_drained(
    make_end: MakeEnd, kit: type[Kit]
) -> None:
    """Decoded frames do not accumulate."""
    client, server = make_end(), make_end(on_audio=None)
    await kit.join(client, server)
    await client.heard.enough(200)
    [receiver] = server.peer._pc.getReceivers()
    assert receiver.track._queue.qsize() <= 1  # type: ignore[attr-defined]


# Addresses.


async def test_loopback_offers_nothing_but_loopback(make_end: MakeEnd) -> None:
    """Offer and answer have only 127.0.0.1, in every section."""
    client, server = make_end(), make_end()
    offer = await client.peer.offer()
    answer = await server.peer.answer(offer)
    for sdp in (offer, answer):
        lines = re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+) \d+ typ (\S+)", sdp)
        assert set(lines) == {("127.0.0.1", "host")}
        assert len(lines) == sdp.count("m=")


async def test_other_hosts_are_offered_real_addresses(make_end: MakeEnd) -> None:
    """Without ``loopback``, aioice gathers as usual, without a server."""
    client = make_end(loopback=False)
    offer = await client.peer.offer()
    assert "typ srflx" not in offer
    assert " 127.0.0.1 " not in offer


async def test_the_offer_is_what_services_expect(make_end: MakeEnd) -> None:
    """One Opus section, one data channel, in a bundle (API page "WebRTC")."""
    offer = await make_end().peer.offer()
    assert re.findall(r"a=rtpmap:\d+ (\S+)", offer) == ["opus/48000/2"]
    assert re.findall(r"m=(\S+) ", offer) == ["audio", "application"]
    assert "a=group:BUNDLE 0 1\r\n" in offer
    assert offer.count("a=sendrecv\r\n") == 1


async def test_ice_servers_are_the_callers(make_end: MakeEnd) -> None:
    """None by default; passwords are secret, invalid ones refused."""
    server = IceServer("turn:127.0.0.1:3478", "user", "password")
    assert server.urls == ("turn:127.0.0.1:3478",)
    assert server.credential == Secret("password")
    assert "password" not in repr(server)
    make_end(loopback=False, ice_servers=[server])
    with pytest.raises(ConnectError, match=r"^invalid ICE server: \['http://x'\]"):
        make_end(loopback=False, ice_servers=[IceServer(["http://x"])])


# Unusable SDP.


@pytest.mark.parametrize(
    ("garbage", "message"),
    [
        ("", "no audio section"),
        ("hello", "no audio section"),
        ("{}", "no audio section"),
        ("v=0\r\nm=audio\r\n", "cannot be parsed: AssertionError"),
        ("v=zero\r\n", "cannot be parsed: ValueError"),
        ("v=0\r\n" + "x" * SDP_LIMIT, f"has {SDP_LIMIT + 5} bytes, more than"),
    ],
)
async def test_garbage_is_a_signalling_error(
    make_end: MakeEnd, garbage: str, message: str
) -> None:
    """As an offer and as an answer."""
    client, server = make_end(), make_end()
    await client.peer.offer()
    with pytest.raises(SignallingError, match=message):
        await client.peer.accept(garbage)
    with pytest.raises(SignallingError, match=message):
        await server.peer.answer(garbage)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sdp: sdp[: sdp.index("m=application")], "no application section"),
        (lambda sdp: re.sub("a=fingerprint.*\r\n", "", sdp), "no DTLS fingerprint"),
        (lambda sdp: re.sub("a=setup.*\r\n", "", sdp), "no DTLS fingerprint"),
        (lambda sdp: re.sub("a=ice-pwd.*\r\n", "", sdp), "ICE username fragment"),
        (lambda sdp: sdp.replace("BUNDLE 0 1", "BUNDLE 7 1"), "that it does not have"),
        (lambda sdp: re.sub("opus/48000/2", "PCMU/8000", sdp), "OperationError"),
    ],
    ids=["no channel", "no fingerprint", "no role", "no password", "bundle", "no Opus"],
)
async def test_an_sdp_without_usable_media_is_refused(
    make_end: MakeEnd, change: Callable[[str], str], message: str
) -> None:
    """It fails at once; aiortc would wait forever or fail later."""
    offer = await make_end().peer.offer()
    with pytest.raises(SignallingError, match=message) as caught:
        await make_end().peer.answer(change(offer))
    assert "\n" not in str(caught.value)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """An offer with lines removed, repeated or moved, and characters changed."""
    lines = OFFER.splitlines(keepends=True)
    for _ in range(draw(st.integers(0, 3))):
        line = lines[draw(st.integers(0, len(lines) - 1))]
        if draw(st.booleans()):
            lines.remove(line)
        if draw(st.booleans()):
            lines.insert(draw(st.integers(0, len(lines))), line)
    text = "".join(lines)
    start = draw(st.integers(0, len(text)))
    cut, put = draw(st.integers(0, 20)), draw(st.text(max_size=5) | st.just("1"))
    return text[:start] + put + text[start + cut :]


@settings(max_examples=60)
@given(offer=mutations())
async def test_any_change_of_an_offer_is_answered_or_refused(
    kit: type[Kit], offer: str
) -> None:
    """No mutation raises a foreign error or prevents the close."""
    end = kit.End()
    try:
        said = await end.peer.answer(offer)
    except SignallingError as error:
        said = str(error)
    finally:
        await end.peer.close()
    assert said.startswith("v=0") or "\n" not in said


# The end.


@pytest.mark.realtime
async def test_the_far_side_closing_is_told(make_end: MakeEnd, kit: type[Kit]) -> None:
    """Once, with a reason, to the side that did not close."""
    client, server = make_end(), make_end()
    await kit.join(client, server)
    await server.peer.close()
    assert await client.reason() == "the far side closed the connection"
    await client.peer.close()
    assert (client.reasons.empty(), server.reasons.empty()) == (True, True)
    with pytest.raises(NotConnected, match="the far side closed the connection"):
        client.peer.send("late")
    with pytest.raises(NotConnected, match="the connection was closed"):
        server.peer.send("late")


@pytest.mark.realtime
async def test_a_peer_that_vanishes_is_noticed(
    make_end: MakeEnd, kit: type[Kit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By consent checks (RFC 7675), here faster than 30 s."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    client, server = make_end(), make_end()
    await kit.join(client, server)
    _unplug(server)
    assert await client.reason() == (
        "the connection failed: the far side cannot be reached"
    )
    await client.peer.close()


@pytest.mark.realtime
async def test_a_peer_that_vanishes_is_asked_for(
    make_end: MakeEnd, kit: type[Kit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before consent expires: after 13 s of silence, here faster."""
    monkeypatch.setattr(_aiortc, "SILENCE", 0.1)
    monkeypatch.setattr(_aiortc, "LOOK", 0.05)
    monkeypatch.setattr(aioice.stun, "RETRY_RTO", 0.02)
    client, server = make_end(), make_end()
    await kit.join(client, server)
    _unplug(server)
    assert await asyncio.wait_for(client.reason(), 4) == (
        "the connection failed: the far side cannot be reached"
    )


@pytest.mark.realtime
async def test_a_peer_that_is_silent_and_answers_is_there(
    make_end: MakeEnd, kit: type[Kit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence alone does not end the connection."""
    monkeypatch.setattr(_aiortc, "SILENCE", 0.0)
    monkeypatch.setattr(_aiortc, "LOOK", 0.02)
    monkeypatch.setattr(_aiortc, "packets_received", lambda dtls: 0)
    client, server = make_end(), make_end()
    await kit.join(client, server)
    await asyncio.sleep(0.5)
    client.peer.send("still there?")
    assert await server.said() == "still there?"
    assert client.reasons.empty()


@pytest.mark.realtime
async def test_a_connection_that_fails_ends_the_wait(
    make_end: MakeEnd, kit: type[Kit]
) -> None:
    """With a wrong certificate, `wait_open` raises."""
    client, server = make_end(), make_end()
    other = await make_end().peer.offer()
    answer = await server.peer.answer(await client.peer.offer())
    for line in re.findall(r"a=fingerprint:.*\r\n", other):
        kind = line.split()[0]
        answer = re.sub(re.escape(kind) + r" .*\r\n", line, answer)
    await client.peer.accept(answer)
    with pytest.raises(ConnectError, match="the DTLS handshake"):
        await asyncio.wait_for(client.peer.wait_open(), 20)


async def _nothing(client: End, server: End) -> None:
    pass


async def _offered(client: End, server: End) -> None:
    await client.peer.offer()


async def _answered(client: End, server: End) -> None:
    await server.peer.answer(await client.peer.offer())


async def _accepted(client: End, server: End) -> None:
    await client.peer.accept(await server.peer.answer(await client.peer.offer()))


async def _checking(client: End, server: End) -> None:
    await _accepted(client, server)
    await asyncio.sleep(0.01)


async def _half_offered(client: End, server: End) -> None:
    """Cancelled while it gathers."""
    task = asyncio.create_task(client.peer.offer())
    await asyncio.sleep(0)
    task.cancel()


async def _half_accepted(client: End, server: End) -> None:
    answer = await server.peer.answer(await client.peer.offer())
    task = asyncio.create_task(client.peer.accept(answer))
    await asyncio.sleep(0)
    task.cancel()


async def _refused(client: End, server: End) -> None:
    await client.peer.offer()
    with pytest.raises(SignallingError):
        await client.peer.accept("v=0")


async def _open(client: End, server: End) -> None:
    await _accepted(client, server)
    await client.peer.wait_open()


@pytest.mark.realtime
@pytest.mark.parametrize(
    "reach",
    [
        *(_nothing, _offered, _answered, _accepted, _checking),
        *(_half_offered, _half_accepted, _refused, _open),
    ],
    ids=lambda reach: reach.__name__.strip("_"),
)
async def test_closing_from_any_state_leaves_nothing(
    kit: type[Kit], reach: Any
) -> None:
    """No descriptor, thread or task; twice; a wait for open ends."""
    await _reach_and_close(kit, reach)  # The first round warms up.
    before = await kit.settled()
    await _reach_and_close(kit, reach)
    assert await kit.settled() == before


async def _reach_and_close(kit: type[Kit], reach: Any) -> None:
    client, server = kit.End(), kit.End()
    await reach(client, server)
    waiting = asyncio.create_task(client.peer.wait_open())
    await asyncio.sleep(0)
    await asyncio.gather(client.peer.close(), client.peer.close())
    await server.peer.close()
    await client.peer.close()
    if reach is _open:
        await waiting
    else:
        with pytest.raises(ConnectError, match="the connection was closed"):
            await waiting
    with pytest.raises(NotConnected):
        await client.peer.offer()


@pytest.mark.realtime
async def test_a_close_that_is_cancelled_still_closes(kit: type[Kit]) -> None:
    """A cancelled caller does not stop the close."""
    before = await kit.settled()
    client, server = kit.End(), kit.End()
    await kit.join(client, server)
    closing = asyncio.create_task(client.peer.close())
    await asyncio.sleep(0)
    closing.cancel()
    await server.peer.close()
    assert await kit.settled() == before


@pytest.mark.realtime
@pytest.mark.parametrize("is_client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("until", ["begun", "done"])
async def test_a_close_in_the_dtls_handshake_leaves_nothing(
    kit: type[Kit], caplog: pytest.LogCaptureFixture, is_client: bool, until: str
) -> None:
    """The connect, which aiortc does not stop, starts neither RTP nor SCTP.

    The handshake succeeds after `Peer.close` has begun, or even after its end.
    """
    client, server = kit.End(), kit.End()
    await _open(client, server)  # The first connection warms up.
    await asyncio.gather(client.peer.close(), server.peer.close())
    before = await kit.settled()
    client, server = kit.End(), kit.End()
    closing, other = (client, server) if is_client else (server, client)
    offer = await client.peer.offer()
    answer = await server.peer.answer(offer)
    [transceiver] = closing.peer._pc.getTransceivers()
    dtls = transceiver.receiver.transport
    handshake, resumed = dtls._do_handshake, asyncio.Event()

    async def close_after_handshake() -> None:
        await handshake()
        assert dtls.encrypted
        close = asyncio.create_task(closing.peer.close())
        while closing.peer._pc.signalingState != "closed":
            await asyncio.sleep(0)
        if until == "done":
            await close
        resumed.set()

    dtls._do_handshake = close_after_handshake  # type: ignore[method-assign]
    await client.peer.accept(answer)
    await asyncio.wait_for(resumed.wait(), 5)
    await closing.peer.close()
    if until == "begun":
        assert await asyncio.wait_for(other.reason(), 2)
    await other.peer.close()
    assert await kit.settled() == before
    gc.collect()
    assert "never retrieved" not in caplog.text


# Private parts of aiortc and aioice.


async def test_the_private_parts_are_where_we_look(make_end: MakeEnd) -> None:
    """An upgrade of aiortc or aioice that moves one of them fails here."""
    end = make_end()
    end.peer._pc.createDataChannel("x")
    sctp = end.peer._pc.sctp
    assert sctp is not None
    parameters = inspect.signature(RTCSctpTransport._data_channel_receive).parameters
    assert list(parameters) == ["self", "stream_id", "pp_id", "data"]
    connection = sctp.transport.transport._connection
    assert connection._local_candidates == []
    assert connection._local_candidates_start is False
    assert connection._local_candidates_end is False
    assert connection._closing is False
    gather = inspect.signature(aioice.ice.Connection.get_component_candidates)
    assert list(gather.parameters)[:3] == ["self", "component", "addresses"]
    assert aioice.ice.CONSENT_FAILURES * aioice.ice.CONSENT_INTERVAL == 30
    assert packets_received(sctp.transport) == 0
    assert connection._nominated == {}
    request = inspect.signature(aioice.ice.StunProtocol.request).parameters
    assert {"integrity_key", "retransmissions"} <= request.keys()
    start = inspect.signature(aiortc.RTCDtlsTransport.start).parameters
    assert list(start) == ["self", "remoteParameters"]


async def test_the_guard_turns_bad_strings_into_binary() -> None:
    """For one transport: the class is not changed."""
    seen: list[tuple[int, int, bytes]] = []

    class Sctp:
        async def _data_channel_receive(self, *message: Any) -> None:
            seen.append(message)

    sctp = Sctp()
    guard_messages(sctp)
    await sctp._data_channel_receive(1, 51, b"\xff")
    await sctp._data_channel_receive(1, 51, b"good")
    await sctp._data_channel_receive(1, 50, b"\xff")
    assert seen == [(1, 53, b"\xff"), (1, 51, b"good"), (1, 50, b"\xff")]


async def test_loopback_is_gathered_once(make_end: MakeEnd) -> None:
    """aioice's own gathering then adds no candidate."""
    pc = make_end().peer._pc
    [transceiver] = pc.getTransceivers()
    transport = transceiver.receiver.transport.transport
    await gather_loopback(transport)
    await transport.iceGatherer.gather()
    addresses = [each.ip for each in transport.iceGatherer.getLocalCandidates()]
    assert addresses == ["127.0.0.1"]


def _unplug(end: End) -> None:
    """Close the sockets of an end without notice."""
    for transport in _ice(end.peer):
        for protocol in transport._connection._protocols:
            protocol.transport.abort()


def _ice(peer: Peer) -> list[aiortc.RTCIceTransport]:
    return [each.receiver.transport.transport for each in peer._pc.getTransceivers()]


#: An offer without candidates, so that no mutated address is contacted.
OFFER = """\
v=0
o=- 4004199173 4004199173 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic:WMS *
m=audio 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 127.0.0.1
a=sendrecv
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=mid:0
a=msid:27443002 3f521e7e
a=rtcp:9 IN IP4 0.0.0.0
a=rtcp-mux
a=ssrc:3907264745 cname:c01be46f
a=rtpmap:96 opus/48000/2
a=fmtp:96 minptime=10;useinbandfec=1
a=ice-ufrag:YfTa
a=ice-pwd:ah5kOTMgaeWyKq5fccqusQ
a=fingerprint:sha-256 C6:E0:C3:D6:C2:8C:07:56
a=setup:actpass
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 127.0.0.1
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
a=ice-ufrag:YfTa
a=ice-pwd:ah5kOTMgaeWyKq5fccqusQ
a=fingerprint:sha-256 C6:E0:C3:D6:C2:8C:07:56
a=setup:actpass
""".replace("\n", "\r\n")
