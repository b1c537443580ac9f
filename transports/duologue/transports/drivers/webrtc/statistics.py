"""Statistics of a WebRTC connection (W3C "Identifiers for WebRTC's Statistics API")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

__all__ = ["Statistics"]


@attrs.frozen(kw_only=True)
class Statistics:
    """Statistics of the audio of a connection; None for a value not reported yet.

    The far side reports ``round_trip_ms``, ``far_jitter_ms`` and ``far_packets_lost``
    about the audio that it receives (RTCP, about once a second). All others are
    counted locally.
    """

    packets_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    jitter_ms: float | None = None
    round_trip_ms: float | None = None
    far_jitter_ms: float | None = None
    far_packets_lost: int | None = None
    bytes_sent: int = 0
    bytes_received: int = 0

    @classmethod
    def of(cls, report: Iterable[Any], *, rate: int) -> Statistics:
        """Convert the entries of ``getStats``; jitter is in samples at ``rate`` Hz."""
        found: dict[str, Any] = {each.type: each for each in report}
        inbound, outbound = found.get("inbound-rtp"), found.get("outbound-rtp")
        far, transport = found.get("remote-inbound-rtp"), found.get("transport")
        ms = 1000 / rate
        return cls(
            packets_sent=getattr(outbound, "packetsSent", 0),
            packets_received=getattr(inbound, "packetsReceived", 0),
            packets_lost=max(0, getattr(inbound, "packetsLost", 0)),
            jitter_ms=None if inbound is None else inbound.jitter * ms,
            round_trip_ms=_ms(getattr(far, "roundTripTime", None)),
            far_jitter_ms=None if far is None else far.jitter * ms,
            far_packets_lost=getattr(far, "packetsLost", None),
            bytes_sent=getattr(transport, "bytesSent", 0),
            bytes_received=getattr(transport, "bytesReceived", 0),
        )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
