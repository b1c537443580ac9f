"""Calls of a browser: the SDP relay, and calls that the page makes itself."""
