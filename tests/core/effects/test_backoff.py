"""Which failures can be retried, and the delay before each attempt."""

from __future__ import annotations

import pytest

from duologue.core.effects.backoff import (
    Backoff,
    connect_policy,
    is_recoverable,
    is_worth_repeating,
)
from duologue.core.events import ConnectPolicy


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *((code, True) for code in (None, 1001, 1005, 1006, 1011, 1012, 1013, 1015)),
        *((code, False) for code in (1000, 1002, 1003, 1007, 1008, 1009, 3000, 4000)),
    ],
)
def test_recoverable_codes(code: int | None, expected: bool) -> None:
    """Codes that the provider's package retries are recoverable, and so is None."""
    assert is_recoverable(code) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, True) for status in (None, 408, 425, 429, 500, 502, 503, 504)),
        *((status, False) for status in (301, 400, 401, 403, 404, 409)),
    ],
)
def test_requests_worth_repeating(status: int | None, expected: bool) -> None:
    """A request that the service refused is not repeated."""
    assert is_worth_repeating(status) is expected


def test_delays_grow_up_to_a_limit() -> None:
    """Each delay is twice the previous one, and at most halved at random."""
    backoff = Backoff(first=1.0, longest=5.0)

    assert [backoff.delay(n, 1.0) for n in (1, 2, 3, 4, 10_000)] == [1, 2, 4, 5, 5]
    assert [backoff.delay(n, 0.0) for n in (1, 2, 3, 4)] == [0.5, 1, 2, 2.5]


def test_retry_after_is_obeyed() -> None:
    """``Retry-After`` can lengthen a delay, up to a limit, but not shorten it."""
    backoff = Backoff(first=1.0, longest_asked=20.0)

    assert [backoff.delay(1, 1.0, asked) for asked in (7.0, 1e9, -5.0, 0.1)] == [
        7.0,
        20.0,
        1.0,
        1.0,
    ]


def test_the_policy_of_a_session() -> None:
    """It has the values of the back-off; without one, it does not reconnect."""
    backoff = Backoff(first=1.0, longest=2.0, patience=3.0, longest_asked=4.0, steady=5)
    found = connect_policy(backoff, 15.0)

    assert found == ConnectPolicy(15.0, True, 1.0, 2.0, 3.0, 4.0, 5)
    assert connect_policy(None, 15.0).reconnects is False
