"""The WebSocket transport and sidebands."""
