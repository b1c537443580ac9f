"""What a request or a message of the feed is refused with."""

from __future__ import annotations

from typing import Any

from duologue.transports.errors import (
    ConnectError,
    ConnectTimeout,
    DuologueError,
    ServiceUnreachable,
    SignallingError,
)

__all__ = ["Refused", "of_service"]

#: HTTP statuses of the service that are the page's affair as well.
_PASSED_ON = (400, 409, 413, 415, 422, 429)


class Refused(DuologueError):
    """A wish that is not granted: an HTTP ``status``, a code and a sentence."""

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param

    @property
    def body(self) -> dict[str, Any]:
        """``{"error": {"code", "message", "param"?}}``."""
        error = {"code": self.code, "message": str(self)}
        if self.param is not None:
            error["param"] = self.param
        return {"error": error}


def of_service(error: ConnectError) -> Refused:
    """What a page is told where the service did not take a call.

    A refusal of our key is ours to mend, so it is no 401 for the page.
    """
    if isinstance(error, ConnectTimeout):
        return Refused(504, "service_timeout", str(error))
    if isinstance(error, ServiceUnreachable):
        return Refused(502, "service_unreachable", str(error))
    status = error.status if isinstance(error, SignallingError) else None
    passed = status if status in _PASSED_ON else None
    return Refused(passed or 502, "service_refused", str(error))
