"""An immutable sequence of ids: the order of the items, and of the responses.

The ids are in chunks: an append copies one chunk. A search begins at the last chunk,
which nearly always holds the predecessor of a new item.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["NO_IDS", "IdSequence"]

_CHUNK = 64
#: Up to this number, ids are removed one by one.
_FEW = 8


class IdSequence:
    """An immutable sequence of distinct ids."""

    __slots__ = ("_count", "_full", "_tail")

    def __init__(self, ids: Iterable[str] = ()) -> None:
        every = tuple(ids)
        last = max(len(every) - 1, 0) // _CHUNK * _CHUNK
        #: All chunks except the last.
        self._full: tuple[tuple[str, ...], ...] = tuple(
            every[start : start + _CHUNK] for start in range(0, last, _CHUNK)
        )
        #: The last chunk, empty only if the sequence is.
        self._tail = every[last:]
        self._count = len(every)

    @classmethod
    def _of(cls, chunks: tuple[tuple[str, ...], ...], count: int) -> IdSequence:
        order = cls.__new__(cls)
        order._full = chunks[:-1]
        order._tail = chunks[-1] if chunks else ()
        order._count = count
        return order

    @property
    def _chunks(self) -> tuple[tuple[str, ...], ...]:
        return (*self._full, self._tail) if self._tail else ()

    @property
    def last(self) -> str | None:
        """The last id; None if the sequence is empty."""
        return self._tail[-1] if self._tail else None

    def append(self, item_id: str) -> IdSequence:
        """The sequence with ``item_id`` at the end."""
        longer = IdSequence.__new__(IdSequence)
        longer._count = self._count + 1
        tail = self._tail
        if len(tail) < _CHUNK:
            longer._full = self._full
            longer._tail = (*tail, item_id)
        else:
            longer._full = (*self._full, tail)
            longer._tail = (item_id,)
        return longer

    def insert_after(self, previous: str | None, ids: tuple[str, ...]) -> IdSequence:
        """The sequence with ``ids`` after ``previous``, or at the front for None.

        If ``previous`` is unknown, they are inserted at the end.
        """
        if not ids:
            return self
        if not self._tail:
            return IdSequence(ids)
        if previous is None:
            at, place = 0, -1
        else:
            at, place = self._find(previous)
        if at < 0:
            at, place = len(self._full), len(self._tail) - 1
        chunk = self._chunk(at)
        grown = chunk[: place + 1] + ids + chunk[place + 1 :]
        return self._replace(at, _split(grown), len(ids))

    def without(self, ids: tuple[str, ...]) -> IdSequence:
        """The sequence without ``ids``; itself if it has none of them."""
        if len(ids) > _FEW:
            gone = frozenset(ids)
            left = IdSequence(item_id for item_id in self if item_id not in gone)
            return self if left._count == self._count else left
        order = self
        for item_id in ids:
            at, place = order._find(item_id)
            if at >= 0:
                chunk = order._chunk(at)
                rest = chunk[:place] + chunk[place + 1 :]
                order = order._replace(at, (rest,) if rest else (), -1)
        return order

    def follows(self, item_id: str, previous: str | None) -> bool:
        """Whether ``item_id`` is directly after ``previous``."""
        return self.before(item_id) == previous

    def before(self, item_id: str) -> str | None:
        """The id before ``item_id``; None if it is first or unknown."""
        at, place = self._find(item_id)
        if at < 0 or (at == 0 and place == 0):
            return None
        return self._chunk(at)[place - 1] if place else self._chunk(at - 1)[-1]

    def after(self, item_id: str) -> Iterator[str]:
        """The ids after ``item_id``, nearest first."""
        at, place = self._find(item_id)
        if at >= 0:
            yield from self._chunk(at)[place + 1 :]
            for behind in range(at + 1, len(self._full) + 1):
                yield from self._chunk(behind)

    def since(self, earlier: IdSequence) -> list[str] | None:
        """The ids added to ``earlier``; None if the sequence does not continue it."""
        before, after = earlier._chunks, self._chunks
        if not before:
            return list(self)
        last = len(before) - 1
        grown = after[last:]
        # Unchanged chunks are the same objects: only the last one is compared by id.
        if not grown or after[:last] != before[:last]:
            return None
        count = len(before[last])
        if grown[0][:count] != before[last]:
            return None
        return [*grown[0][count:], *(each for chunk in grown[1:] for each in chunk)]

    def _chunk(self, at: int) -> tuple[str, ...]:
        return self._tail if at == len(self._full) else self._full[at]

    def _find(self, item_id: str) -> tuple[int, int]:
        full, tail = self._full, self._tail
        if tail and tail[-1] == item_id:
            return len(full), len(tail) - 1
        # Nearly always the last chunk; the first if a chain arrives in reverse order.
        if item_id in tail:
            return len(full), tail.index(item_id)
        if full and item_id in full[0]:
            return 0, full[0].index(item_id)
        for at in range(len(full) - 1, 0, -1):
            if item_id in full[at]:
                return at, full[at].index(item_id)
        return -1, -1

    def _replace(
        self, at: int, chunks: tuple[tuple[str, ...], ...], more: int
    ) -> IdSequence:
        before = self._chunks
        return self._of(before[:at] + chunks + before[at + 1 :], self._count + more)

    def __iter__(self) -> Iterator[str]:
        for chunk in self._full:
            yield from chunk
        yield from self._tail

    def __reversed__(self) -> Iterator[str]:
        yield from reversed(self._tail)
        for chunk in reversed(self._full):
            yield from reversed(chunk)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, item_id: object) -> bool:
        if item_id in self._tail:
            return True
        return any(item_id in chunk for chunk in reversed(self._full))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdSequence):
            return NotImplemented
        return self._count == other._count and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"IdSequence({list(self)!r})"


def _split(ids: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The ids as one chunk, or as several if there are too many for one."""
    if len(ids) <= 2 * _CHUNK:
        return (ids,)
    half = len(ids) // 2
    return _split(ids[:half]) + _split(ids[half:])


#: The sequence without ids.
NO_IDS = IdSequence()
