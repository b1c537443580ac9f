"""A transport that replays a recorded log."""
