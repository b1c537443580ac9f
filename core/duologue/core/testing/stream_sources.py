"""Where streams come from: a strategy that draws them, or one that was recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Union

from hypothesis import strategies as st

from duologue.core.log.record import Record

from .stream import Stream, recorded

__all__ = ["Streams", "drawn"]

#: What draws streams, or the records of one.
Streams = Union["st.SearchStrategy[Stream]", Iterable[Record]]


def drawn(streams: Streams) -> st.SearchStrategy[Stream]:
    """A strategy of streams; of a recording, one that gives it each time.

    Raises TypeError for what is neither, a strategy of something else when it is used.

    >>> drawn(3)
    Traceback (most recent call last):
        ...
    TypeError: streams are a strategy, or a sequence of records (see to_records), not 3
    """
    if isinstance(streams, st.SearchStrategy):
        return streams.map(recorded)
    return st.just(recorded(streams))
