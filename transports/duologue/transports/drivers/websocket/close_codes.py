"""What the close of a WebSocket means, and the refusal of a session by one.

A service that refuses a session takes the WebSocket nevertheless, to say so: one
``error`` event and a close with 3000 (the key) or 4000 (the request). Public captures
of the real service show both.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import AuthenticationError, ConnectionLost, SignallingError
from ...http.credentials import Secret
from ...http.redaction import one_line
from ...http.signalling import BODY_LIMIT, Reply

__all__ = ["broken_off", "is_error", "lost", "refused", "reply_of"]

#: What a close code says where the service gives no reason (RFC 6455 section 7.4.1).
_MEANING = {
    1001: "the service went away",
    1005: "the service closed the connection without a reason",
    1008: "the service refused what it was sent",
    1009: "an event was too large",
    1011: "the service failed",
    1012: "the service restarts",
    1013: "the service is overloaded",
    1015: "the connection is not secure",
}

#: The HTTP status that says the same, by the close code.
_STATUS = {3000: 401, 4000: 400}


class _Error(msgspec.Struct):
    message: str = ""


class _First(msgspec.Struct):
    type: str = ""
    error: _Error | None = None


def lost(code: int, reason: str, key: Secret | None) -> ConnectionLost | None:
    """What a close means; None where the service meant to end the session.

    ``key`` is not repeated.
    """
    if code == 1000:
        return None
    said = one_line(reason, key) or _MEANING.get(
        code, "the service closed the connection"
    )
    return ConnectionLost(f"{said} ({code})", code=code)


def broken_off() -> ConnectionLost:
    """What a connection means that ended without a close."""
    return ConnectionLost("the connection broke off", code=1006)


def is_error(frame: bytes) -> bool:
    """Whether the first event is an ``error``: then a close may follow."""
    return _read(frame).type == "error"


def refused(
    host: str, frame: bytes, code: int | None, reason: str, key: Secret
) -> SignallingError | None:
    """Why a service closed behind its first event; None where it did not refuse.

    ``frame`` is that event, empty where there was none; ``code`` and ``reason`` are
    those of the close. ``key`` is not repeated.
    """
    status = _STATUS.get(code or 0)
    if status is None:
        return None
    error = _read(frame).error
    said = error.message if error is not None and error.message else reason
    said = one_line(said, key)
    message = f"{host} refused the session: {said or 'it gives no reason'} ({code})"
    kind = AuthenticationError if status == 401 else SignallingError
    return kind(message, status=status)


def reply_of(answer: Any) -> Reply:
    """What came in place of the upgrade: ``websockets``' response as ours."""

    def first(name: str) -> str:
        # `get` raises where a header stands twice.
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
