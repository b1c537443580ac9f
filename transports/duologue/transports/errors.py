"""The exceptions of transports and clients.

The hierarchy::

    DuologueError
    ├── ConnectError            the session did not open
    │   ├── SignallingError     the HTTP exchange failed (``status`` if there is one)
    │   │   └── AuthenticationError   401 or 403: the key was refused
    │   ├── ServiceUnreachable  no service answers at this address
    │   └── ConnectTimeout      the connection was not usable in time
    ├── NotConnected            a frame was sent before connect or after close
    ├── ConnectionLost          the connection ended without a close
    ├── ReplyError              a reply failed or was interrupted (``reply``)
    │   └── ReplyTimeout        it was not over in time; a TimeoutError, too
    ├── MediaError              a file or device has no usable audio
    ├── LogError                a recorded log cannot be read at some line
    ├── ReplayDrift             a sent event differs from the recorded one
    └── MissingExtra            an optional dependency is not installed

Every message is one line that names the cause and the place; none contains a key.
"""

from __future__ import annotations

from duologue.core.effects.backoff import is_recoverable
from duologue.core.errors import DuologueError, LogError
from duologue.core.selectors.reply import Reply

__all__ = [
    "AuthenticationError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "DuologueError",
    "LogError",
    "MediaError",
    "MissingExtra",
    "NotConnected",
    "ReplayDrift",
    "ReplyError",
    "ReplyTimeout",
    "ServiceUnreachable",
    "SignallingError",
]


class ConnectError(DuologueError):
    """The session did not open."""

    #: Seconds to wait before another attempt (``Retry-After``), if given.
    retry_after: float | None = None


class SignallingError(ConnectError):
    """The HTTP exchange failed.

    ``status`` is the HTTP status, ``None`` if there was none; ``retry_after`` is in
    seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class AuthenticationError(SignallingError):
    """The key was refused (HTTP 401 or 403)."""


class ServiceUnreachable(ConnectError):
    """No service answers at the base URL."""


class ConnectTimeout(ConnectError):
    """The connection was not usable within the timeout."""


class NotConnected(DuologueError):
    """A frame was sent on a transport that is closed or was never connected."""


class ConnectionLost(DuologueError):
    """The connection ended without a close.

    ``code`` is the close code of a WebSocket, ``None`` if there was none.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_recoverable(self) -> bool:
        """Whether a new connection can succeed after this close code."""
        return is_recoverable(self.code)


class ReplyError(DuologueError):
    """The reply to a message failed or was interrupted; ``reply`` is what arrived."""

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message)
        self.reply = reply


class ReplyTimeout(ReplyError, TimeoutError):
    """The reply to a message was not over in time."""


class MediaError(DuologueError):
    """Audio that cannot be read or played."""


class ReplayDrift(DuologueError):
    """A frame sent under replay differs from the recorded one."""


class MissingExtra(DuologueError, ImportError):
    """A feature needs an extra that is not installed. The message names the extra."""
