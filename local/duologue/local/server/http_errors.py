"""An answer that is an error, in the service's shape."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from ..schema.refusal import Refusal

__all__ = ["BUSY", "Failures", "HttpError", "refused"]

#: The code of a refusal that means: later, perhaps.
BUSY = "rate_limit_exceeded"


class HttpError(Exception):
    """A request that is answered with ``status`` and an error object.

    The shape is ``{"error": {"message", "type", "param", "code"}}``.
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
        error = {"message": message, "type": kind, "param": param, "code": code}
        self.body = msgspec.json.encode({"error": error})


def refused(refusal: Refusal) -> HttpError:
    """The refusal of a session before it begins."""
    busy = refusal.code == BUSY
    return HttpError(
        429 if busy else 400,
        refusal.message,
        code=refusal.code,
        param=refusal.param,
        kind="requests" if busy else "invalid_request_error",
    )


class Failures:
    """What the next requests are answered with, by script.

    Each request and each upgrade takes one status; 200 lets it through, and so does
    the end of the script.
    """

    def __init__(self, statuses: Iterable[int] = ()) -> None:
        self._statuses = deque(statuses)

    def check(self) -> None:
        """Raise `HttpError` where this request is to fail."""
        status = self._statuses.popleft() if self._statuses else 200
        if status == 200:
            return
        message = f"This answer was asked for: {status}."
        if status == 429:
            raise HttpError(status, message, code=BUSY, kind="requests")
        kind = "server_error" if status >= 500 else "invalid_request_error"
        raise HttpError(status, message, kind=kind)
