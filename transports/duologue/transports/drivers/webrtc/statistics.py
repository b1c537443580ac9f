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
    about the audio that it receives (RTCP, about once a second). The other values
    are measured locally.
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
        found: dict[str, Any] = {entry.type: vars(entry) for entry in report}
        inbound, outbound = found.get("inbound-rtp", {}), found.get("outbound-rtp", {})
        far, transport = found.get("remote-inbound-rtp", {}), found.get("transport", {})
        return cls(
            packets_sent=outbound.get("packetsSent", 0),
            packets_received=inbound.get("packetsReceived", 0),
            packets_lost=max(0, inbound.get("packetsLost", 0)),
            jitter_ms=_ms(inbound.get("jitter"), rate),
            round_trip_ms=_ms(far.get("roundTripTime")),
            far_jitter_ms=_ms(far.get("jitter"), rate),
            far_packets_lost=far.get("packetsLost"),
            bytes_sent=transport.get("bytesSent", 0),
            bytes_received=transport.get("bytesReceived", 0),
        )


def _ms(count: float | None, rate: float = 1) -> float | None:
    return None if count is None else count * 1000 / rate
