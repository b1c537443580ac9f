"""What can go wrong on the way to the service, grouped by what a caller asks.

The tree::

    DuologueError
    ├── ConnectError            the session never opened
    │   ├── SignallingError     the HTTP exchange failed (``status`` if one came)
    │   │   └── AuthenticationError   401 or 403: the key was refused
    │   ├── ServiceUnreachable  nothing answers at that address
    │   └── ConnectTimeout      an answer came, the channel never opened
    ├── NotConnected            a frame was sent after close
    ├── ConnectionLost          the far end went away
    ├── MediaError              a file or device is not audio that we can use
    ├── LogError                a recorded log cannot be read at some line
    ├── ReplayDrift             what is sent differs from what was recorded
    └── MissingExtra            an optional dependency is not installed

Every message is one line that names what failed and where; none holds a key.
"""

from __future__ import annotations

from duologue.core.errors import DuologueError, LogError

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
    "ServiceUnreachable",
    "SignallingError",
]


class ConnectError(DuologueError):
    """The session could not be opened."""


class SignallingError(ConnectError):
    """The service answered the offer with something that is not an answer.

    ``status`` is the HTTP status, ``None`` where the exchange broke before one;
    ``retry_after`` the seconds that the service asks to wait, if it does.
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
    """Nothing answers at the base URL."""


class ConnectTimeout(ConnectError):
    """The connection did not become usable in the time allowed."""


class NotConnected(DuologueError):
    """A frame was sent on a transport that is closed or was never connected."""


class ConnectionLost(DuologueError):
    """The far end went away without closing.

    ``code`` is the close code of a WebSocket, ``None`` where there was none.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class MediaError(DuologueError):
    """Audio that cannot be read or played."""


class ReplayDrift(DuologueError):
    """A frame sent under replay differs from the recorded one."""


class MissingExtra(DuologueError, ImportError):
    """A feature needs an extra that is not installed; the message names it."""
