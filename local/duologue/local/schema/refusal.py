"""The error that a client gets for a request that cannot be carried out."""

from __future__ import annotations

from duologue.core.events import ErrorDetail

__all__ = ["Refusal"]


class Refusal(Exception):
    """A client's request cannot be carried out; becomes an ``error`` event.

    ``code`` and ``param`` have the real service's values (API page "Error events").
    """

    def __init__(
        self, code: str | None, message: str, *, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def detail(
        self, event_id: str | None = None, kind: str = "invalid_request_error"
    ) -> ErrorDetail:
        """The body of the ``error`` event; ``event_id`` is the client's."""
        return ErrorDetail(
            type=kind,
            code=self.code,
            message=self.message,
            param=self.param,
            event_id=event_id,
        )
