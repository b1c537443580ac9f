"""The search for a stream on which a check fails, and for the smallest such stream.

Hypothesis finds one and makes it simpler; then whatever records can go without the
fault going too are left out. Both have a limit: a failing check ends soon.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from .failure_report import Fault
from .fixed_streams import always
from .mutations import hostile, in_order
from .strategies import records
from .stream import Stream
from .stream_sources import Streams, drawn

__all__ = ["search"]

_Check = Callable[[Stream], None]
#: Records that are run through a check to make what it found smaller, in all: for
#: Hypothesis, and for leaving out.
_SIMPLER = 10_000
_FEWER = 10_000


class _EnoughError(BaseException):
    """Hypothesis has tried for long enough to make a stream simpler."""


def search(check: _Check, streams: Streams | None, examples: int) -> None:
    """Run a check over streams, and raise the fault that it finds, made small.

    Raises TypeError for ``streams`` that are none.
    """
    if streams is None:
        legal = records(turns=2, sessions=2)
        # What breaks code that works is in hostile ones: two of three are.
        streams = st.one_of(legal, hostile(legal), hostile(legal))
        found = _first(check)
    else:
        found = None
    found = found or _find(check, streams, examples)
    if found is not None:
        raise _with_fewer(check, found) from found.__cause__


def _first(check: _Check) -> Fault | None:
    """The fault in one of the streams that are always tried."""
    for stream in always():
        if (found := _fault(check, stream)) is not None:
            if _fault(check, stream) is None:
                raise _flaky(found)
            return found
    return None


def _find(check: _Check, streams: Streams, examples: int) -> Fault | None:
    best: Fault | None = None
    left = _SIMPLER

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        # Without the explanation, which runs it all again under a tracer.
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )
    @given(drawn(streams))
    def run(stream: Stream) -> None:
        nonlocal best, left
        if best is not None:
            left -= len(stream)
            if left < 0:
                raise _EnoughError
        try:
            check(stream)
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
        # What Hypothesis adds to it is the stream once more, and longer.
        return best
    return None


def _size(fault: Fault) -> tuple[int, int]:
    return len(fault.stream), sum(len(record.frame) for record in fault.stream)


def _flaky(fault: Fault | None) -> Fault:
    once = "" if fault is None else f"; once: {fault.what}"
    return Fault(f"does not do the same for the same records{once}", [])


def _with_fewer(check: _Check, fault: Fault) -> Fault:
    """The same fault with as few records as can be told quickly."""
    best, left = fault, _FEWER
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
    """What a fault says, without the values: another fault is not a smaller one."""
    cause = fault.__cause__
    return (type(cause), *fault.what.split()[: 3 if cause is None else 2])


def _fault(check: _Check, stream: Stream) -> Fault | None:
    try:
        check(stream)
    except Fault as fault:
        return fault
    return None
