"""Transports: WebRTC, WebSocket, recording, replay and memory."""
