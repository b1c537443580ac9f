"""The buffer between a transport and a device; the device's requests are the clock."""

from __future__ import annotations

from duologue.adapters.audio.jitter_buffer import JitterBuffer

MS = 48
BLOCK = 240  # samples of 10 ms


def sound(ms: int, value: int = 1) -> bytes:
    """Loud, so that it is never taken for silence."""
    return bytes([value, 0x40]) * (24 * ms)


def buffer(fill_ms: int = 30, high_ms: int = 100, limit_ms: int = 200) -> JitterBuffer:
    return JitterBuffer(fill_ms=fill_ms, high_ms=high_ms, limit_ms=limit_ms)


def pulled(jitter: JitterBuffer, blocks: int) -> list[int]:
    """The ms that each of so many requests for 10 ms got."""
    return [len(jitter.pull(BLOCK)) // MS for _ in range(blocks)]


def test_it_fills_up_before_it_gives() -> None:
    jitter = buffer()
    jitter.push(sound(20))
    first = pulled(jitter, 2)
    jitter.push(sound(20))
    assert (first, pulled(jitter, 4)) == ([0, 0], [10, 10, 10, 10])


def test_what_is_too_short_to_fill_it_is_given_all_the_same() -> None:
    jitter = buffer()
    jitter.push(sound(15))
    assert pulled(jitter, 6) == [0, 0, 0, 10, 5, 0]


def test_nothing_is_lost_or_changed_in_it() -> None:
    jitter = buffer()
    parts = [sound(10, value) for value in range(1, 8)]
    jitter.push(b"".join(parts))
    assert [jitter.pull(BLOCK) for _ in parts] == parts


def test_a_hole_in_what_is_said_is_an_underrun() -> None:
    jitter = buffer()
    jitter.push(sound(30))
    pulled(jitter, 4)
    before = jitter.underruns  # it may have been the end
    jitter.push(sound(30))
    assert (before, jitter.underruns) == (0, 1)
    assert pulled(jitter, 3) == [10, 10, 10]


def test_a_pause_is_none() -> None:
    """More than half a second without sound: the next is another sentence."""
    jitter = buffer()
    jitter.push(sound(30))
    pulled(jitter, 60)
    jitter.push(sound(30))
    assert jitter.underruns == 0


def test_exactly_emptied_is_none() -> None:
    """It runs dry where a request is not met, not where the last one is."""
    jitter = buffer()
    jitter.push(sound(30))
    pulled(jitter, 3)
    jitter.push(sound(10))
    assert (pulled(jitter, 1), jitter.underruns) == ([10], 0)


def test_what_is_cleared_is_gone_and_no_hole() -> None:
    jitter = buffer()
    jitter.push(sound(50))
    pulled(jitter, 1)
    jitter.clear()
    assert (pulled(jitter, 2), jitter.buffered_ms) == ([0, 0], 0)
    jitter.push(sound(30))
    assert (pulled(jitter, 1), jitter.underruns, jitter.dropped_ms) == ([10], 0, 0)


def test_beyond_the_limit_the_oldest_goes() -> None:
    jitter = buffer()
    jitter.push(sound(100, 1))
    jitter.push(sound(150, 2))
    assert (jitter.buffered_ms, jitter.dropped_ms) == (200, 50)
    assert jitter.pull(24 * 60) == sound(50, 1) + sound(10, 2)


def test_silence_is_left_out_where_too_much_waits() -> None:
    """Two clocks drift: what waits is heard late, so pauses get shorter."""
    jitter = buffer()
    jitter.push(bytes(80 * MS) + sound(40))
    assert jitter.pull(BLOCK) == sound(10)
    assert (jitter.buffered_ms, jitter.dropped_ms) == (30, 0)


def test_speech_is_not_left_out() -> None:
    """The control: the same amount, but no silence in front."""
    jitter = buffer()
    jitter.push(sound(120))
    assert (pulled(jitter, 1), jitter.buffered_ms) == ([10], 110)


def test_silence_stays_where_little_waits() -> None:
    """The other control: a pause is heard as it was made."""
    jitter = buffer()
    jitter.push(bytes(60 * MS) + sound(40))
    assert (jitter.pull(BLOCK), jitter.buffered_ms) == (bytes(10 * MS), 90)
