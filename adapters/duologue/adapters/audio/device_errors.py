"""What can go wrong with a sound device."""

from __future__ import annotations

from duologue.transports.errors import MediaError

__all__ = ["DeviceError"]


class DeviceError(MediaError):
    """There is no such device, it cannot be used, or PortAudio is not installed."""
