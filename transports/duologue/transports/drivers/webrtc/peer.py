"""One WebRTC connection over aiortc. The only module that imports aiortc.

Both ends use `Peer`: the client's transport makes the offer, the local service answers
it. The connection has one Opus track in each direction and one data channel, usually
``oai-events`` (API page "Realtime API with WebRTC").
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from ...errors import (
    ConnectError,
    DuologueError,
    MissingExtra,
    NotConnected,
    SignallingError,
)
from .aiortc_private import (
    close_while_connecting,
    described,
    gather_loopback,
    guard_messages,
    is_reachable,
    packets_received,
    replace_jitter_buffer,
)
from .data_channel import BackPressure, send_text
from .ice_server import IceServer
from .opus import OpusReceiver, OpusSender, Packet
from .packet_cache import PacketCache
from .statistics import Statistics

try:
    import aiortc
    from aiortc import exceptions, sdp
    from aiortc.mediastreams import MediaStreamError
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra(
        "WebRTC needs aiortc: pip install 'duologue[webrtc]'"
    ) from missing

__all__ = ["CHANNEL", "MESSAGE_LIMIT", "PENDING_LIMIT", "SDP_LIMIT", "Peer"]

#: The usual label of the data channel that carries the events.
CHANNEL = "oai-events"
#: Bytes; the ``a=max-message-size`` of aiortc and browsers.
MESSAGE_LIMIT = 262_144
#: Hz; the clock rate of Opus time stamps for any content (RFC 7587).
OPUS_CLOCK = 48_000
#: Maximum bytes of an SDP.
SDP_LIMIT = 65_536
#: Maximum bytes queued until the data channel opens.
PENDING_LIMIT = 1024 * 1024

#: Seconds without a packet before a consent check, and between two reads of the packet
#: count. A reachable far side sends RTCP about once a second.
SILENCE, LOOK = 5.0, 1.0
_UNREACHABLE = "the connection failed: the far side cannot be reached"

#: Exceptions of aiortc for an unusable SDP. (A StopIteration in a coroutine becomes a
#: RuntimeError.)
_SDP_FAULTS = (
    *(AssertionError, AttributeError, LookupError, OSError, RuntimeError),
    *(StopIteration, TypeError, ValueError),
    *(exceptions.InternalError, exceptions.InvalidAccessError),
    *(exceptions.InvalidStateError, exceptions.OperationError),
)

_log = logging.getLogger(__name__)


class Peer:
    """One WebRTC connection, made and used in a running event loop.

    ``on_message`` gets each event: text, or ``bytes`` if it was not valid UTF-8.
    ``on_audio`` gets received audio as PCM16 at `SAMPLE_RATE`, or ``on_packet`` gets
    Opus packets; without either, nothing is decoded. ``next_audio`` is called in real
    time and returns 20 ms of PCM16; less is padded with silence. After it returns None,
    it is not called and nothing is sent until `wake`. Peers that send the same audio
    share ``cache``. `offer` opens a data channel with the label ``channel``; `answer`
    uses the far side's first one, whatever its label. ``on_closed`` gets the reason,
    once, if the connection ends and `close` was not called. ``loopback`` offers
    127.0.0.1 only. An exception of a callback is logged; an audio callback is then not
    called again.
    """

    def __init__(
        self,
        *,
        on_message: Callable[[str | bytes], None],
        on_audio: Callable[[bytes], None] | None = None,
        on_packet: Callable[[bytes], None] | None = None,
        next_audio: Callable[[], bytes | None] | None,
        on_closed: Callable[[str], None],
        cache: PacketCache | None = None,
        channel: str = CHANNEL,
        loopback: bool = False,
        ice_servers: Sequence[IceServer] = (),
    ) -> None:
        self._on_message = on_message
        self._on_packet = on_packet or OpusReceiver(on_audio).receive
        self._on_closed = on_closed
        self._loopback = loopback
        self._label = channel
        self._channel: aiortc.RTCDataChannel | None = None
        self._pending: list[str] = []
        self._pending_bytes = 0
        #: The back-pressure of the data channel; wait for it before `send`.
        self.back_pressure = BackPressure()
        self._opened = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._ice_failed = False
        self._negotiation: asyncio.Task[str] | None = None
        self._has_audio = False
        self._watching: asyncio.Task[None] | None = None
        self._pc = _connection(() if loopback else ice_servers)
        self._pc.on("connectionstatechange", self._on_state)
        self._pc.on("datachannel", self._adopt)
        self._pc.on("track", self._on_track)
        sender = OpusSender(next_audio, cache)
        #: Call ``next_audio`` again after it returned None.
        self.wake = sender.wake
        self._pc.addTrack(_OpusTrack(sender))
        # Opus only: the track sends Opus packets, so no other codec may be negotiated.
        codecs = aiortc.RTCRtpSender.getCapabilities("audio").codecs
        self._pc.getTransceivers()[0].setCodecPreferences(
            [codec for codec in codecs if codec.mimeType == "audio/opus"]
        )

    # Negotiation.

    async def offer(self) -> str:
        """Make the offer with all candidates (one exchange, no trickle)."""
        return await self._negotiate(self._make_offer)

    async def accept(self, answer: str) -> None:
        """Apply the answer to `offer`. Raises `SignallingError` if it is unusable."""
        await self._negotiate(self._take_answer, answer)

    async def answer(self, offer: str) -> str:
        """Answer an offer. Raises `SignallingError` if it is unusable."""
        return await self._negotiate(self._make_answer, offer)

    async def _negotiate(
        self, step: Callable[..., Coroutine[Any, Any, str]], *args: str
    ) -> str:
        if self._ending is not None:
            raise NotConnected("this peer is closed")
        self._negotiation = asyncio.create_task(_translated(step(*args)))
        return await asyncio.shield(self._negotiation)

    async def _make_offer(self) -> str:
        self._adopt(self._pc.createDataChannel(self._label))
        return await self._describe_locally()

    async def _take_answer(self, answer: str) -> str:
        _check(answer)
        await self._pc.setRemoteDescription(
            aiortc.RTCSessionDescription(sdp=answer, type="answer")
        )
        return answer

    async def _make_answer(self, offer: str) -> str:
        _check(offer)
        await self._pc.setRemoteDescription(
            aiortc.RTCSessionDescription(sdp=offer, type="offer")
        )
        return await self._describe_locally()

    async def _describe_locally(self) -> str:
        sctp = self._pc.sctp
        assert sctp is not None
        guard_messages(sctp)
        users = [each.receiver.transport for each in self._pc.getTransceivers()]
        for dtls in {*users, sctp.transport}:
            ice = dtls.transport
            ice.on("statechange", partial(self._on_ice_state, ice))
            close_while_connecting(self._pc, dtls)
            if self._loopback:
                await gather_loopback(ice)
        await self._pc.setLocalDescription()
        return str(self._pc.localDescription.sdp)

    # The data channel.

    async def wait_open(self) -> None:
        """Wait until the data channel is open.

        Raises `ConnectError` if the connection has ended.
        """
        await self._opened.wait()
        if self._ending is not None:
            raise ConnectError(self._reason or "the connection was closed")

    def send(self, text: str) -> None:
        """Send one message, or queue it until the channel is open.

        Raises `NotConnected` after the connection has ended, and `DuologueError` if the
        message exceeds `MESSAGE_LIMIT` (or the far side's limit) or the queue is full.
        """
        if self._ending is not None:
            raise NotConnected(self._reason or "the connection was closed")
        size = len(text.encode(errors="replace"))
        if size > MESSAGE_LIMIT:
            raise DuologueError(
                f"a message of {size} bytes is above the limit of {MESSAGE_LIMIT}"
            )
        if self._channel is not None and self._channel.readyState == "open":
            send_text(self._channel, text)
        elif self._pending_bytes + size > PENDING_LIMIT:
            raise DuologueError(
                f"more than {PENDING_LIMIT} bytes wait for the data channel to open"
            )
        else:
            self._pending.append(text)
            self._pending_bytes += size

    async def statistics(self) -> Statistics:
        """Statistics of the connection; incomplete after it has ended."""
        report = await self._pc.getStats()
        return Statistics.of(report.values(), rate=OPUS_CLOCK)

    @property
    def buffered(self) -> int:
        """Bytes that are queued or buffered for sending."""
        channel = self._channel
        return self._pending_bytes + (channel.bufferedAmount if channel else 0)

    def _adopt(self, channel: aiortc.RTCDataChannel) -> None:
        """Use our own channel, or the far side's first, which is usually open."""
        if self._channel is not None:
            return
        self._channel = channel
        self.back_pressure.watch(channel)
        channel.on("message", self._deliver)
        channel.on("close", self._on_far_end)
        if channel.readyState == "open":
            self._on_open()
        else:
            channel.on("open", self._on_open)

    def _on_open(self) -> None:
        assert self._channel is not None
        if self._ending is not None:
            # The channel opens while `close` waits for the negotiation.
            return
        waiting, self._pending, self._pending_bytes = self._pending, [], 0
        for text in waiting:
            try:
                send_text(self._channel, text)
            except DuologueError as error:
                _log.warning("a message queued before open was dropped: %s", error)
        self._watching = asyncio.create_task(self._watch())
        self._opened.set()

    def _deliver(self, message: str | bytes) -> None:
        try:
            self._on_message(message)
        except Exception:  # it would close the connection
            _log.exception("the message callback failed")

    # Audio.

    def _on_track(self, track: aiortc.MediaStreamTrack) -> None:
        """Receive the first audio track; drop the packets of all others.

        aiortc would decode them and fill a queue that has no reader.
        """
        is_used = track.kind == "audio" and not self._has_audio
        self._has_audio |= is_used
        [receiver] = (r for r in self._pc.getReceivers() if r.track is track)
        replace_jitter_buffer(
            receiver, self._receive if is_used else lambda packet: None
        )

    def _receive(self, packet: bytes) -> None:
        try:
            self._on_packet(packet)
        except Exception:  # it would close the connection
            _log.exception("the packet callback failed and is not called again")
            self._on_packet = lambda packet: None

    # The end.

    async def close(self) -> None:
        """Close from any state and free everything. Idempotent.

        It waits for a running negotiation: milliseconds, or up to 5 s while aioice
        waits for an ICE server.
        """
        if self._ending is None:
            self._end(None)
        assert self._ending is not None
        # Shielded: a cancelled close leaves aiortc in an unusable state.
        await asyncio.shield(self._ending)

    def _on_state(self) -> None:
        if self._pc.connectionState == "failed":
            self._end("the connection failed in the DTLS handshake")
        elif self._pc.connectionState == "closed":
            self._on_far_end()

    def _on_far_end(self) -> None:
        self._end("the far side closed the connection")

    def _on_ice_state(self, transport: aiortc.RTCIceTransport) -> None:
        self._ice_failed |= transport.state == "failed"

    async def _watch(self) -> None:
        """Detect an unreachable far side: no packets, no answer to a consent check."""
        assert self._pc.sctp is not None
        dtls = self._pc.sctp.transport
        count, silent = -1, 0.0
        while True:
            await asyncio.sleep(LOOK)
            before, count = count, packets_received(dtls)
            silent = silent + LOOK if count == before else 0.0
            is_gone = silent >= SILENCE and not await is_reachable(dtls.transport)
            if is_gone and packets_received(dtls) == count:
                self._end(_UNREACHABLE)
                return

    def _end(self, reason: str | None) -> None:
        if self._ending is None:
            self._reason = reason
            self.back_pressure.end()
            self._ending = asyncio.create_task(self._shut_down())

    async def _shut_down(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._negotiation is not None:
            await asyncio.gather(self._negotiation, return_exceptions=True)
        await self._pc.close()
        # An unreachable peer ends DTLS and ICE in one iteration of the event loop, in
        # either order, so the cause is known only now.
        if self._reason is not None and self._ice_failed:
            self._reason = _UNREACHABLE
        self._opened.set()
        if self._reason is not None:
            self._on_closed(self._reason)


class _OpusTrack(aiortc.MediaStreamTrack):
    """A track of encoded packets: aiortc skips its executor, resampler and encoder."""

    kind = "audio"

    def __init__(self, sender: OpusSender) -> None:
        super().__init__()
        self._sender = sender

    async def recv(self) -> Packet:
        if self.readyState != "live":
            raise MediaStreamError
        return await self._sender.next()


def _connection(ice_servers: Sequence[IceServer]) -> aiortc.RTCPeerConnection:
    servers = [
        aiortc.RTCIceServer(
            urls=list(server.urls),
            username=server.username,
            credential=server.credential.reveal() if server.credential else None,
        )
        for server in ice_servers
    ]
    try:
        for server in servers:
            aiortc.RTCIceGatherer(iceServers=[server])
    except ValueError as error:
        raise ConnectError(f"invalid ICE server: {server.urls} ({error})") from None
    # Pass an empty list too: None means Google's STUN server. Keep the default bundle
    # policy: with max-bundle, aiortc 1.16 takes the candidates of the last section, and
    # other stacks put theirs into the first.
    return aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=servers))


async def _translated(step: Coroutine[Any, Any, str]) -> str:
    try:
        return await step
    except _SDP_FAULTS as error:
        raise SignallingError(f"the SDP cannot be used: {described(error)}") from error


def _check(text: str) -> None:
    """Refuse an SDP without usable media, or one that makes aiortc wait forever."""
    size = len(text.encode(errors="replace"))
    if size > SDP_LIMIT:
        raise SignallingError(f"the SDP has {size} bytes, more than {SDP_LIMIT}")
    try:
        parsed = sdp.SessionDescription.parse(text)
    except _SDP_FAULTS as error:
        raise SignallingError(
            f"the SDP cannot be parsed: {described(error)}"
        ) from error
    for kind in ("audio", "application"):
        if kind not in {section.kind for section in parsed.media}:
            raise SignallingError(f"the SDP has no usable media: no {kind} section")
    if not all(each.dtls and each.dtls.fingerprints for each in parsed.media):
        raise SignallingError("the SDP has no usable media: no DTLS fingerprint")
    bundled = {name for group in parsed.group for name in group.items}
    if not bundled <= {section.rtp.muxId for section in parsed.media}:
        raise SignallingError("the SDP bundles a section that it does not have")
