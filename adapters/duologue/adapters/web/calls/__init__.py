"""Transports for browser calls, relayed by the server or direct."""
