"""The limit of sessions that the service listens to."""

from __future__ import annotations

from duologue.local.server.capacity import Capacity, default_limit


def test_places_are_taken_once_and_given_back() -> None:
    listeners = Capacity(1)
    first, second = listeners.claim(), listeners.claim()
    assert [first.listen(True), first.listen(True)] == [True, True]
    assert not second.listen(True)
    assert listeners.taken == 1
    assert first.listen(False)
    assert second.listen(True)
    assert second.listen(False)
    assert second.listen(False)
    assert listeners.taken == 0


def test_who_is_not_listened_to_takes_no_place() -> None:
    listeners = Capacity(0)
    assert listeners.claim().listen(False)
    assert not listeners.claim().listen(True)


def test_without_a_limit_the_cores_say() -> None:
    assert Capacity().limit == default_limit() > 0
