"""The WebRTC transport (aiortc)."""
