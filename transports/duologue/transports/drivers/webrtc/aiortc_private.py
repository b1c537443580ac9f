"""The private parts of aiortc 1.16 and aioice 0.13 that `Peer` needs.

Each has a test, which fails if an upgrade changes it. The module imports neither
library; it gets their objects as arguments.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from typing import Any

from .jitter_buffer import JitterBuffer

__all__ = [
    "close_while_connecting",
    "described",
    "gather_loopback",
    "guard_messages",
    "is_reachable",
    "packets_received",
    "replace_jitter_buffer",
]

#: Payload protocol ids of RFC 8831 section 8.
_STRING, _BINARY = 51, 53

#: Retransmissions of a STUN request: 7.5 s in all (RFC 8489, 6.2.1).
_RETRANSMISSIONS = 3

_log = logging.getLogger(__name__)


def described(error: BaseException) -> str:
    """A foreign exception in one line, for a message or a log."""
    text = " ".join(str(error).split())[:120]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def gather_loopback(ice_transport: Any) -> None:
    """Gather 127.0.0.1 instead of the host's addresses.

    aioice has no option for loopback. With both flags set, its own gathering does
    nothing.
    """
    connection = ice_transport._connection
    connection._local_candidates_start = True
    connection._local_candidates += await connection.get_component_candidates(
        component=1, addresses=["127.0.0.1"]
    )
    connection._local_candidates_end = True


def close_while_connecting(peer_connection: Any, dtls_transport: Any) -> None:
    """Keep a connection closed if it is closed during the ICE or DTLS connect.

    If aioice has queued "completed" before "closed", it ignores the close and starts
    consent checks, which never end. If the DTLS handshake succeeds after the close,
    aiortc starts RTP and SCTP, which never end either.
    """
    connection = dtls_transport.transport._connection
    connect, start = connection.connect, dtls_transport.start

    async def connect_unless_closed() -> None:
        await connect()
        if connection._closing:
            await connection.close()
            raise ConnectionError("closed while connecting")

    async def start_unless_closed(parameters: Any) -> None:
        await start(parameters)
        if peer_connection.signalingState == "closed":
            await dtls_transport.stop()
            raise asyncio.CancelledError  # It ends aiortc's connect without a log.

    connection.connect = connect_unless_closed
    dtls_transport.start = start_unless_closed


def guard_messages(sctp_transport: Any) -> None:
    """Keep an invalid data channel message from closing the peer.

    aiortc decodes strings and asserts the order of control messages in its receive
    loop, where an exception ends the connection. Instead, a string that is not UTF-8
    is delivered as binary, and a malformed control message is dropped.
    """
    receive = sctp_transport._data_channel_receive

    async def guarded(stream_id: int, pp_id: int, data: bytes) -> None:
        if pp_id == _STRING:
            try:
                data.decode()
            except UnicodeDecodeError:
                pp_id = _BINARY
        try:
            await receive(stream_id, pp_id, data)
        except (AssertionError, ValueError, struct.error) as error:
            _log.warning("a data channel message was dropped: %s", described(error))

    sctp_transport._data_channel_receive = guarded


def packets_received(dtls_transport: Any) -> int:
    """The number of packets received so far: audio, RTCP and data channel."""
    count: int = dtls_transport._RTCDtlsTransport__rx_packets
    return count


async def is_reachable(ice_transport: Any) -> bool:
    """Send an ICE consent check; return whether the far side answers in time.

    aioice also sends checks, but reports a failure half a minute later.
    """
    connection = ice_transport._connection
    for pair in list(connection._nominated.values()):
        request = connection.build_request(pair, nominate=False)
        key = connection.remote_password.encode()
        try:
            await pair.protocol.request(
                request,
                pair.remote_addr,
                integrity_key=key,
                retransmissions=_RETRANSMISSIONS,
            )
        except Exception as error:
            _log.debug("no answer from the far side: %s", described(error))
            return False
    return True


class _ReceiverBuffer:
    """Replaces the jitter buffer of an aiortc receiver; gives it nothing to decode."""

    def __init__(self, deliver: Callable[[bytes], None]) -> None:
        self._buffer = JitterBuffer(deliver)

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take an RTP packet; return the values for "no frame to decode"."""
        self._buffer.add(packet.sequence_number, packet._data)
        return False, None


def replace_jitter_buffer(receiver: Any, deliver: Callable[[bytes], None]) -> None:
    """Pass the packets of a receiver to ``deliver``, in order and not decoded.

    aiortc's own jitter buffer adds 80 ms, and aiortc then decodes every packet in a
    thread, even if nothing uses the audio.
    """
    buffer = "_RTCRtpReceiver__jitter_buffer"
    if not hasattr(receiver, buffer):
        raise AttributeError(f"this aiortc's receiver has no {buffer}")
    setattr(receiver, buffer, _ReceiverBuffer(deliver))
