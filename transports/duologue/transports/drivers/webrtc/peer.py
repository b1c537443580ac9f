"""One WebRTC connection over aiortc: the only module here that imports it.

`Peer` is either end: the client's transport makes the offer, the local service
answers it. It carries one Opus track each way and the data channel ``oai-events``
(API page "Realtime API with WebRTC").
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
    answers,
    gather_loopback,
    guard,
    heed_close,
    one_line,
    received,
    take_packets,
)
from .data_channel import Room, send_text
from .ice_server import IceServer
from .opus import Listener, Packet, Speaker
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

#: The label of the data channel that carries the events.
CHANNEL = "oai-events"
#: Bytes; what aiortc and browsers announce as ``a=max-message-size``.
MESSAGE_LIMIT = 262_144
#: Hz; what the time stamps of Opus count in, whatever is inside (RFC 7587).
OPUS_CLOCK = 48_000
#: Bytes of an SDP that is looked at.
SDP_LIMIT = 65_536
#: Bytes that wait for the data channel to open.
PENDING_LIMIT = 1024 * 1024

#: Seconds of silence after which the far side is asked whether it is there, and
#: between two looks. Those that are there report on the sound about once a second.
SILENCE, LOOK = 5.0, 1.0
_UNREACHABLE = "the connection failed: the far side cannot be reached"

#: What aiortc raises on an SDP that it cannot use; RuntimeError is what becomes of
#: StopIteration inside a coroutine.
_SDP_FAULTS = (
    *(AssertionError, AttributeError, LookupError, OSError, RuntimeError),
    *(StopIteration, TypeError, ValueError),
    *(exceptions.InternalError, exceptions.InvalidAccessError),
    *(exceptions.InvalidStateError, exceptions.OperationError),
)

_log = logging.getLogger(__name__)


class Peer:
    """One WebRTC connection, made and used inside a running event loop.

    ``on_message`` gets each event: text, or ``bytes`` where it was not UTF-8 text.
    ``on_audio`` gets what is heard as PCM16 at `SAMPLE_RATE`, or ``on_packet`` as
    Opus packets; without them nothing is decoded. ``next_audio`` is asked for 20 ms of
    PCM16 in real time; what it leaves out is silence. After None nothing is sent, nor
    is it asked, until `wake`.
    Peers that may say the same share ``cache``. ``on_closed`` is told the reason, once,
    when the connection ended and `close` was not called. ``loopback`` offers 127.0.0.1
    and nothing else. A callback that raises is logged and, if it is audio's, dropped.
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
        loopback: bool = False,
        ice_servers: Sequence[IceServer] = (),
    ) -> None:
        self._on_message = on_message
        self._hear = Listener(on_audio).hear if on_packet is None else on_packet
        self._on_closed = on_closed
        self._loopback = loopback
        self._channel: aiortc.RTCDataChannel | None = None
        self._pending: list[str] = []
        self._pending_bytes = 0
        #: For those who can wait before they `send`.
        self.room = Room()
        self._opened = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._ice_failed = False
        self._negotiation: asyncio.Task[str] | None = None
        self._hears = False
        self._watching: asyncio.Task[None] | None = None
        self._pc = _connection(() if loopback else ice_servers)
        self._pc.on("connectionstatechange", self._on_state)
        self._pc.on("datachannel", self._adopt)
        self._pc.on("track", self._on_track)
        speaker = Speaker(next_audio, cache)
        #: There is something to say again: see ``next_audio``.
        self.wake = speaker.wake
        self._pc.addTrack(_OpusTrack(speaker))
        # Opus alone: the track sends finished Opus packets, so no other codec of
        # the far side's may win.
        codecs = aiortc.RTCRtpSender.getCapabilities("audio").codecs
        self._pc.getTransceivers()[0].setCodecPreferences(
            [codec for codec in codecs if codec.mimeType == "audio/opus"]
        )

    # -- negotiating

    async def offer(self) -> str:
        """Make the offer, with its candidates in it (one exchange, no trickle)."""
        return await self._negotiate(self._make_offer)

    async def accept(self, answer: str) -> None:
        """Take the answer to `offer`. Raises `SignallingError` if it is none."""
        await self._negotiate(self._take_answer, answer)

    async def answer(self, offer: str) -> str:
        """Answer an offer. Raises `SignallingError` if it is none."""
        return await self._negotiate(self._make_answer, offer)

    async def _negotiate(
        self, step: Callable[..., Coroutine[Any, Any, str]], *args: str
    ) -> str:
        if self._ending is not None:
            raise NotConnected("this peer is closed")
        self._negotiation = asyncio.create_task(_translated(step(*args)))
        return await asyncio.shield(self._negotiation)

    async def _make_offer(self) -> str:
        self._adopt(self._pc.createDataChannel(CHANNEL))
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
        guard(sctp)
        users = [each.receiver.transport for each in self._pc.getTransceivers()]
        for transport in {user.transport for user in [*users, sctp.transport]}:
            transport.on("statechange", partial(self._on_ice_state, transport))
            heed_close(transport)
            if self._loopback:
                await gather_loopback(transport)
        await self._pc.setLocalDescription()
        return str(self._pc.localDescription.sdp)

    # -- the data channel

    async def wait_open(self) -> None:
        """Return when messages flow. Raises `ConnectError` if they never will."""
        await self._opened.wait()
        if self._ending is not None:
            raise ConnectError(self._reason or "the connection was closed")

    def send(self, text: str) -> None:
        """Send one message, or queue it until the channel is open.

        Raises `NotConnected` after the end, and `DuologueError` where the message
        is above `MESSAGE_LIMIT` (or the far side's own) or the queue is full.
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
        """How the connection does; after the end what is left of it."""
        report = await self._pc.getStats()
        return Statistics.of(report.values(), rate=OPUS_CLOCK)

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        channel = self._channel
        return self._pending_bytes + (channel.bufferedAmount if channel else 0)

    def _adopt(self, channel: aiortc.RTCDataChannel) -> None:
        """Use the channel: ours, or one that arrives (open already, as a rule)."""
        if channel.label != CHANNEL or self._channel is not None:
            return
        self._channel = channel
        self.room.watch(channel)
        channel.on("message", self._deliver)
        channel.on("close", self._on_far_end)
        if channel.readyState == "open":
            self._on_open()
        else:
            channel.on("open", self._on_open)

    def _on_open(self) -> None:
        assert self._channel is not None
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
        except Exception:  # anything that got out here would close the connection
            _log.exception("the receiver of a message failed")

    # -- sound

    def _on_track(self, track: aiortc.MediaStreamTrack) -> None:
        """Hear the first track of sound; the packets of others are dropped.

        None is left to aiortc: it queues for ever what it decodes and nobody reads.
        """
        heard = track.kind == "audio" and not self._hears
        self._hears |= heard
        [receiver] = (r for r in self._pc.getReceivers() if r.track is track)
        take_packets(receiver, self._take if heard else lambda packet: None)

    def _take(self, packet: bytes) -> None:
        try:
            self._hear(packet)
        except Exception:  # anything that got out here would close the connection
            _log.exception("the receiver of packets failed and gets no more")
            self._hear = lambda packet: None

    # -- the end

    async def close(self) -> None:
        """Close from any state and free everything. Idempotent.

        It waits for a negotiation under way: milliseconds, or up to the 5 s that
        aioice gives an ICE server that does not answer.
        """
        if self._ending is None:
            self._end(None)
        assert self._ending is not None
        # Shielded: aiortc never recovers from a close that was cancelled.
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
        """Notice a far side that vanished: nothing comes, and it gives no answer."""
        assert self._pc.sctp is not None
        dtls = self._pc.sctp.transport
        heard, silent = -1, 0.0
        while True:
            await asyncio.sleep(LOOK)
            before, heard = heard, received(dtls)
            silent = silent + LOOK if heard == before else 0.0
            gone = silent >= SILENCE and not await answers(dtls.transport)
            if gone and received(dtls) == heard:
                self._end(_UNREACHABLE)
                return

    def _end(self, reason: str | None) -> None:
        if self._ending is None:
            self._reason = reason
            self.room.end()
            self._ending = asyncio.create_task(self._shut_down())

    async def _shut_down(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._negotiation is not None:
            await asyncio.gather(self._negotiation, return_exceptions=True)
        await self._pc.close()
        # A peer that vanished ends DTLS and ICE in one turn of the loop, in either
        # order: which of them ended it is only known now.
        if self._reason is not None and self._ice_failed:
            self._reason = _UNREACHABLE
        self._opened.set()
        if self._reason is not None:
            self._on_closed(self._reason)


class _OpusTrack(aiortc.MediaStreamTrack):
    """Sound as finished packets: aiortc skips its executor, resampler and encoder."""

    kind = "audio"

    def __init__(self, speaker: Speaker) -> None:
        super().__init__()
        self._speaker = speaker

    async def recv(self) -> Packet:
        if self.readyState != "live":
            raise MediaStreamError
        return await self._speaker.next()


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
        raise ConnectError(f"not an ICE server: {server.urls} ({error})") from None
    # The list is given even if it is empty: None means Google's STUN server. The
    # bundle policy stays the default: with max-bundle aiortc 1.16 takes the
    # candidates of the last section, and other stacks put theirs in the first.
    return aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=servers))


async def _translated(step: Coroutine[Any, Any, str]) -> str:
    try:
        return await step
    except _SDP_FAULTS as error:
        raise SignallingError(f"the SDP cannot be used: {one_line(error)}") from error


def _check(text: str) -> None:
    """Refuse what aiortc would wait on for ever, or what is not for us."""
    size = len(text.encode(errors="replace"))
    if size > SDP_LIMIT:
        raise SignallingError(f"the SDP has {size} bytes, more than {SDP_LIMIT}")
    try:
        parsed = sdp.SessionDescription.parse(text)
    except _SDP_FAULTS as error:
        raise SignallingError(f"the SDP cannot be parsed: {one_line(error)}") from error
    for kind in ("audio", "application"):
        if kind not in {section.kind for section in parsed.media}:
            raise SignallingError(f"the SDP has no usable media: no {kind} section")
    if not all(each.dtls and each.dtls.fingerprints for each in parsed.media):
        raise SignallingError("the SDP has no usable media: no DTLS fingerprint")
    bundled = {name for group in parsed.group for name in group.items}
    if not bundled <= {section.rtp.muxId for section in parsed.media}:
        raise SignallingError("the SDP bundles a section that it does not have")
