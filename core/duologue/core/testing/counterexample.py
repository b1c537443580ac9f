"""The search for the smallest stream on which a check fails.

Hypothesis finds one and shrinks it; then records are removed as long as the same fault
remains. Both steps have a limit, so a failing check ends soon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from .failure_report import Fault
from .fixed_streams import always
from .mutations import hostile, in_order
from .strategies import records
from .stream import Stream, Streams, drawn

__all__ = ["search", "smallest_fault"]

_T = TypeVar("_T")
_Check = Callable[[Stream], None]
#: The total number of records that a check may process: while Hypothesis shrinks a
#: stream, and while records are removed.
_SHRINKING = 10_000
_REMOVING = 10_000


class _EnoughError(BaseException):
    """The limit for shrinking is reached."""


def search(check: _Check, streams: Streams | None, examples: int) -> None:
    """Run a check over streams; raises a `Fault` with the smallest stream found.

    Raises TypeError if ``streams`` is neither a strategy nor a sequence of records.
    """
    if streams is None:
        legal = records(turns=2, sessions=2)
        # Two of three streams are hostile, because these reveal more faults.
        streams = st.one_of(legal, hostile(legal), hostile(legal))
        found = _first(check)
    else:
        found = None
    found = found or smallest_fault(check, drawn(streams), examples)
    if found is not None:
        raise _with_fewer(check, found) from found.__cause__


def _first(check: _Check) -> Fault | None:
    """The first fault in the fixed streams."""
    for stream in always():
        if (found := _fault(check, stream)) is not None:
            if _fault(check, stream) is None:
                raise _flaky(found)
            return found
    return None


def smallest_fault(
    check: Callable[[_T], None],
    examples: st.SearchStrategy[_T],
    count: int,
    size: Callable[[_T], int] = len,  # type: ignore[assignment]
) -> Fault | None:
    """The fault in the smallest of ``count`` drawn examples that have one.

    ``size`` is the number of records of an example.
    """
    best: Fault | None = None
    left = _SHRINKING

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        # The explain phase is slow: it runs everything again under a tracer.
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )
    @given(examples)
    def run(example: _T) -> None:
        nonlocal best, left
        if best is not None:
            left -= size(example)
            if left < 0:
                raise _EnoughError
        try:
            check(example)
        except Fault as fault:
            if best is None or _size(fault) < _size(best):
                best = fault
            raise

    try:
        run()
    except _EnoughError:
        return best
    except Flaky as error:
        raise _flaky(best) from error
    except Fault:
        # Hypothesis adds a longer copy of the stream to this exception.
        return best
    return None


def _size(fault: Fault) -> tuple[int, int]:
    return len(fault.stream), sum(len(record.frame) for record in fault.stream)


def _flaky(fault: Fault | None) -> Fault:
    once = "" if fault is None else f"; one run: {fault.what}"
    return Fault(f"is not deterministic: the same records differ{once}", [])


def _with_fewer(check: _Check, fault: Fault) -> Fault:
    """The same fault with fewer records, within the limit."""
    best, left = fault, _REMOVING
    width = max(1, len(fault.stream) // 2)
    while True:
        at = 0
        while at < len(best.stream):
            fewer = in_order(Stream(best.stream[:at] + best.stream[at + width :]))
            left -= len(fewer) + 1
            if left < 0:
                return best
            found = _fault(check, fewer)
            if found is not None and _kind(found) == _kind(fault):
                best = found
            else:
                at += width
        if width == 1:
            return best
        width //= 2


def _kind(fault: Fault) -> tuple[object, ...]:
    """The kind of a fault, without its values; a smaller stream must have the same."""
    cause = fault.__cause__
    return (type(cause), *fault.what.split()[: 3 if cause is None else 2])


def _fault(check: _Check, stream: Stream) -> Fault | None:
    try:
        check(stream)
    except Fault as fault:
        return fault
    return None
