"""When a lost connection is worth another one, and how long to wait before.

Pure: chance and time come in.
"""

from __future__ import annotations

import attrs

__all__ = ["RECOVERABLE", "Backoff", "is_recoverable", "is_worth_repeating"]

#: Close codes of a WebSocket after which a new connection can help: going away (a
#: session's end by age too), no code, cut off, internal error, restart, try again,
#: TLS (protocol notes, "WebSocket": those that the provider's own package retries).
RECOVERABLE = frozenset((1001, 1005, 1006, 1011, 1012, 1013, 1015))

#: HTTP statuses after which the same request can succeed later.
_LATER = frozenset((408, 425, 429))
_SERVER_ERROR = 500


def is_recoverable(code: int | None) -> bool:
    """Whether a connection that ended with this close code is worth another one.

    None: one without codes (WebRTC), whose peer vanished.
    """
    return code is None or code in RECOVERABLE


def is_worth_repeating(status: int | None) -> bool:
    """Whether a request that got this HTTP status may succeed when it is repeated.

    None: it got no answer.
    """
    return status is None or status in _LATER or status >= _SERVER_ERROR


@attrs.frozen(kw_only=True)
class Backoff:
    """How to try again, in seconds.

    Each wait is twice the one before, from ``first`` to ``longest``, and made shorter
    by chance, to half at most, so that those who lost the same service do not all come
    back at once. Nobody tries for longer than ``patience``. A service that says when
    to come again (``Retry-After``) is believed up to ``longest_asked``. A connection
    that ends before it is ``steady`` was no success: the tries before it still count.
    """

    first: float = 0.2
    longest: float = 5.0
    patience: float = 30.0
    longest_asked: float = 20.0
    steady: float = 2.0

    def delay(self, attempt: int, chance: float, asked: float | None = None) -> float:
        """Seconds before this attempt (from 1); ``chance`` from 0 to 1."""
        # 2 ** 30 times any first wait is beyond any longest one, and no overflow.
        whole = min(self.longest, self.first * (1 << min(attempt - 1, 30)))
        wait = whole * (0.5 + chance / 2)
        return wait if asked is None else max(wait, min(asked, self.longest_asked))
