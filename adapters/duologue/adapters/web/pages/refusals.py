"""Errors that the server returns to a page."""

from __future__ import annotations

from typing import Any

from duologue.transports.errors import (
    ConnectError,
    ConnectTimeout,
    DuologueError,
    ServiceUnreachable,
    SignallingError,
)

__all__ = ["Refused", "from_connect_error"]

#: HTTP statuses of the service that are passed on to the page.
_PASSED_ON = (400, 409, 413, 415, 422, 429)


class Refused(DuologueError):
    """A refused request: an HTTP ``status``, a ``code`` and a message."""

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


def from_connect_error(error: ConnectError) -> Refused:
    """The response to a page whose call failed at the service.

    The service's 401 and 403 become 502: they concern the server's key, not the page.
    """
    if isinstance(error, ConnectTimeout):
        return Refused(504, "service_timeout", str(error))
    if isinstance(error, ServiceUnreachable):
        return Refused(502, "service_unreachable", str(error))
    status = error.status if isinstance(error, SignallingError) else None
    passed = status if status in _PASSED_ON else None
    return Refused(passed or 502, "service_refused", str(error))
