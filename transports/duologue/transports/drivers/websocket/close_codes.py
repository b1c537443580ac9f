"""The close codes of a WebSocket, and the errors that follow from them.

A service that refuses a session accepts the WebSocket, sends one ``error`` event, and
closes with 3000 (the key) or 4000 (the request). Public captures of the real service
show both.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import AuthenticationError, ConnectionLost, SignallingError
from ...http.credentials import Secret
from ...http.http_client import BODY_LIMIT, Reply
from ...http.redaction import one_line

__all__ = ["broken_off", "is_error", "lost", "refused", "reply_of"]

#: The reason if the close frame has a code only (RFC 6455 section 7.4.1).
_REASONS = {
    1001: "the service went away",
    1005: "the service closed the connection without a reason",
    1008: "the service refused a message",
    1009: "an event was too large",
    1011: "the service failed",
    1012: "the service restarts",
    1013: "the service is overloaded",
    1015: "the connection is not secure",
}

#: The equivalent HTTP status by close code.
_STATUS = {3000: 401, 4000: 400}


class _Error(msgspec.Struct):
    message: str = ""


class _First(msgspec.Struct):
    type: str = ""
    error: _Error | None = None


def lost(code: int, reason: str, key: Secret | None) -> ConnectionLost | None:
    """The error for a close; None for 1000, the end of the session.

    The message does not contain ``key``.
    """
    if code == 1000:
        return None
    default = _REASONS.get(code, "the service closed the connection")
    return ConnectionLost(f"{one_line(reason, key) or default} ({code})", code=code)


def broken_off() -> ConnectionLost:
    """The error for a connection that ended without a close frame."""
    return ConnectionLost("the connection broke off", code=1006)


def is_error(frame: bytes) -> bool:
    """Whether this event is an ``error``, after which a close may follow."""
    return _read(frame).type == "error"


def refused(
    host: str, frame: bytes, code: int | None, reason: str, key: Secret
) -> SignallingError | None:
    """The error for a close that refuses the session; None for any other.

    ``frame`` is the first event, empty if there was none; ``code`` and ``reason`` are
    those of the close. The message does not contain ``key``.
    """
    status = _STATUS.get(code or 0)
    if status is None:
        return None
    error = _read(frame).error
    text = error.message if error is not None and error.message else reason
    details = one_line(text, key) or "it gives no reason"
    message = f"{host} refused the session: {details} ({code})"
    kind = AuthenticationError if status == 401 else SignallingError
    return kind(message, status=status)


def reply_of(answer: Any) -> Reply:
    """Convert the response of ``websockets`` to a refused upgrade."""

    def first(name: str) -> str:
        # `get` raises if a header is repeated.
        return next(iter(answer.headers.get_all(name)), "")

    return Reply(
        answer.status_code,
        bytes(answer.body or b"")[:BODY_LIMIT].decode(errors="replace"),
        content_type=first("content-type") or None,
        retry_after=first("retry-after"),
    )


def _read(frame: bytes) -> _First:
    try:
        return msgspec.json.decode(frame, type=_First)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _First()
