"""Reconnecting: which failures can be retried, and the delay before each attempt.

Pure: the caller passes the time and the random number.
"""

from __future__ import annotations

import attrs

from ..events.local import ConnectPolicy

__all__ = [
    "RECOVERABLE",
    "Backoff",
    "connect_policy",
    "delay",
    "is_recoverable",
    "is_worth_repeating",
]

#: WebSocket close codes after which a new connection can succeed: 1001 going away (also
#: at the maximum age of a session), 1005 no status code, 1006 abnormal closure, 1011
#: internal error, 1012 restart, 1013 try again later, 1015 TLS failure. The provider's
#: own package retries the same codes (protocol notes, "WebSocket").
RECOVERABLE = frozenset((1001, 1005, 1006, 1011, 1012, 1013, 1015))

#: HTTP statuses after which the same request can succeed later.
_LATER = frozenset((408, 425, 429))
_SERVER_ERROR = 500


def is_recoverable(code: int | None) -> bool:
    """Whether to reconnect after this close code.

    None means a lost connection without a close code (WebRTC).
    """
    return code is None or code in RECOVERABLE


def is_worth_repeating(status: int | None) -> bool:
    """Whether a request with this HTTP status may succeed if it is repeated.

    None means that there was no response.
    """
    return status is None or status in _LATER or status >= _SERVER_ERROR


@attrs.frozen(kw_only=True)
class Backoff:
    """Exponential back-off; all values in seconds.

    The delay doubles with each attempt, from ``first`` to ``longest``, and is reduced
    by a random fraction, at most half, so that many clients do not reconnect at the
    same time. Attempts end after ``patience`` in total. A ``Retry-After`` of the
    service is obeyed up to ``longest_asked``. A later connection that ends within
    ``steady`` counts as a failed attempt; after the first one, the next attempt begins
    at once.
    """

    first: float = 0.2
    longest: float = 5.0
    patience: float = 30.0
    longest_asked: float = 20.0
    steady: float = 2.0

    def delay(self, attempt: int, chance: float, asked: float | None = None) -> float:
        """Seconds to wait before attempt 1, 2, …; ``chance`` is random, 0 to 1."""
        return delay(self, attempt, chance, asked)


def connect_policy(backoff: Backoff | None, timeout: float) -> ConnectPolicy:
    """The policy of a session; without a back-off it does not reconnect.

    ``timeout`` is in seconds.
    """
    values = attrs.asdict(backoff or Backoff())
    return ConnectPolicy(timeout=timeout, reconnects=backoff is not None, **values)


def delay(
    values: Backoff | ConnectPolicy,
    attempt: int,
    chance: float,
    asked: float | None = None,
) -> float:
    """Seconds to wait, by these values: see `Backoff.delay`."""
    # The limit of 2 ** 30 avoids an overflow; `longest` is less in any case.
    whole = min(values.longest, values.first * (1 << min(attempt - 1, 30)))
    wait = whole * (0.5 + chance / 2)
    return wait if asked is None else max(wait, min(asked, values.longest_asked))
