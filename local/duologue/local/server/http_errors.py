"""HTTP error responses in the shape of the real service."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from ..schema.refusal import Refusal

__all__ = ["BUSY", "HttpError", "ScriptedFailures", "refusal_error"]

#: The error code of a refusal after which a later attempt may succeed.
BUSY = "rate_limit_exceeded"


class HttpError(Exception):
    """A request fails with ``status`` and an error object.

    The body is ``{"error": {"message", "type", "param", "code"}}``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        error = {"message": message, "type": kind, "param": param, "code": code}
        self.body = msgspec.json.encode({"error": error})


def refusal_error(refusal: Refusal) -> HttpError:
    """The HTTP error for a session that is refused before it starts."""
    busy = refusal.code == BUSY
    return HttpError(
        429 if busy else 400,
        refusal.message,
        code=refusal.code,
        param=refusal.param,
        kind="requests" if busy else "invalid_request_error",
    )


class ScriptedFailures:
    """Makes the next requests fail on purpose.

    Each request and each upgrade takes one status. It succeeds if the status is 200 or
    if no status is left.
    """

    def __init__(self, statuses: Iterable[int] = ()) -> None:
        self._statuses = deque(statuses)

    def check(self) -> None:
        """Take the next status. Raises `HttpError` unless it is 200."""
        status = self._statuses.popleft() if self._statuses else 200
        if status == 200:
            return
        message = f"This failure was requested: {status}."
        if status == 429:
            raise HttpError(status, message, code=BUSY, kind="requests")
        kind = "server_error" if status >= 500 else "invalid_request_error"
        raise HttpError(status, message, kind=kind)
