"""Transports for calls of a browser: relayed, or placed by the page itself."""
