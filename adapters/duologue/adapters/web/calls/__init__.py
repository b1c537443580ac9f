"""Transports for calls of a browser: relayed by the server, or direct."""
