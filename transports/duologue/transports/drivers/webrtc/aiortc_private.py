"""The private parts of aiortc 1.16 and aioice 0.13 that `Peer` cannot do without.

Each is held by a test, so that an upgrade which moves one fails there. The module
imports neither library: what it works on is handed in.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from typing import Any

from .jitter_buffer import PacketOrder

__all__ = [
    "answers",
    "gather_loopback",
    "guard",
    "heed_close",
    "one_line",
    "received",
    "take_packets",
]

#: Payload protocol ids of RFC 8831 section 8.
_STRING, _BINARY = 51, 53

#: How often a question to the far side is repeated: 7.5 s in all (RFC 8489, 6.2.1).
_REPEATED = 3

_log = logging.getLogger(__name__)


def one_line(error: BaseException) -> str:
    """A foreign exception as part of a message of ours."""
    text = " ".join(str(error).split())[:120]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def gather_loopback(ice_transport: Any) -> None:
    """Gather 127.0.0.1 in place of the host's own addresses.

    aioice leaves loopback out and has no option for it; with both marks set its own
    gathering finds nothing left to do.
    """
    connection = ice_transport._connection
    connection._local_candidates_start = True
    connection._local_candidates += await connection.get_component_candidates(
        component=1, addresses=["127.0.0.1"]
    )
    connection._local_candidates_end = True


def heed_close(ice_transport: Any) -> None:
    """Let a close that comes while ICE connects be the last word.

    aioice decides between "completed" and "closed" by what was queued first. Closed
    second, it still starts its consent checks, and then nothing ever ends them.
    """
    connection = ice_transport._connection
    connect = connection.connect

    async def connect_unless_closed() -> None:
        await connect()
        if connection._closing:
            await connection.close()
            raise ConnectionError("closed while connecting")

    connection.connect = connect_unless_closed


def guard(sctp_transport: Any) -> None:
    """Keep one bad message of a data channel from closing the whole peer.

    aiortc decodes strings, and asserts the order of control messages, in the loop
    that receives: what is raised there ends the connection. A string that is not
    UTF-8 is passed on as binary; a malformed control message is dropped.
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
            _log.warning("a data channel message was dropped: %s", one_line(error))

    sctp_transport._data_channel_receive = guarded


def received(dtls_transport: Any) -> int:
    """How many packets came so far, of sound, of its reports and of events."""
    count: int = dtls_transport._RTCDtlsTransport__rx_packets
    return count


async def answers(ice_transport: Any) -> bool:
    """Ask the far side whether it is there, as ICE does; whether it says so in time.

    aioice asks by itself too, but believes in the far side for half a minute more.
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
                retransmissions=_REPEATED,
            )
        except Exception as error:
            _log.debug("no answer from the far side: %s", one_line(error))
            return False
    return True


def take_packets(receiver: Any, deliver: Callable[[bytes], None]) -> None:
    """Give the packets of a receiver to ``deliver``, in order, and decode nothing.

    aiortc decodes in a thread whatever comes out of its jitter buffer, heard or not,
    and the buffer holds 80 ms. The one that stands in gives it nothing.
    """
    buffer = "_RTCRtpReceiver__jitter_buffer"
    if not hasattr(receiver, buffer):
        raise AttributeError(f"this aiortc's receiver has no {buffer}")
    setattr(receiver, buffer, PacketOrder(deliver))
