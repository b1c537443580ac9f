"""The service on a port: HTTP, WebSocket and WebRTC calls."""
