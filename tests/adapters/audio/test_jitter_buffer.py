"""The jitter buffer; the requests of the consumer are its clock."""

from __future__ import annotations

from duologue.adapters.audio.jitter_buffer import JitterBuffer

MS = 48
BLOCK = 240  # samples in 10 ms


def sound(ms: int, value: int = 1) -> bytes:
    """Loud audio, which is never dropped as silence."""
    return bytes([value, 0x40]) * (24 * ms)


def buffer(fill_ms: int = 30, high_ms: int = 100, limit_ms: int = 200) -> JitterBuffer:
    return JitterBuffer(fill_ms=fill_ms, high_ms=high_ms, limit_ms=limit_ms)


def pulled(jitter: JitterBuffer, blocks: int) -> list[int]:
    """Request 10 ms this many times; return the ms that each request got."""
    return [len(jitter.pull(BLOCK)) // MS for _ in range(blocks)]


def test_it_fills_up_before_it_returns_audio() -> None:
    jitter = buffer()
    jitter.push(sound(20))
    first = pulled(jitter, 2)
    jitter.push(sound(20))
    assert (first, pulled(jitter, 4)) == ([0, 0], [10, 10, 10, 10])


def test_a_short_utterance_is_returned_although_the_buffer_is_not_full() -> None:
    jitter = buffer()
    jitter.push(sound(15))
    assert pulled(jitter, 6) == [0, 0, 0, 10, 5, 0]


def test_audio_is_neither_lost_nor_changed() -> None:
    jitter = buffer()
    parts = [sound(10, value) for value in range(1, 8)]
    jitter.push(b"".join(parts))
    assert [jitter.pull(BLOCK) for _ in parts] == parts


def test_a_gap_in_an_utterance_is_an_underrun() -> None:
    jitter = buffer()
    jitter.push(sound(30))
    pulled(jitter, 4)
    before = jitter.underruns  # it may have been the end of the utterance
    jitter.push(sound(30))
    assert (before, jitter.underruns) == (0, 1)
    assert pulled(jitter, 3) == [10, 10, 10]


def test_a_pause_is_no_underrun() -> None:
    """After more than half a second without audio another utterance begins."""
    jitter = buffer()
    jitter.push(sound(30))
    pulled(jitter, 60)
    jitter.push(sound(30))
    assert jitter.underruns == 0


def test_an_exactly_emptied_buffer_is_no_underrun() -> None:
    """An underrun needs a request that is not met in full."""
    jitter = buffer()
    jitter.push(sound(30))
    pulled(jitter, 3)
    jitter.push(sound(10))
    assert (pulled(jitter, 1), jitter.underruns) == ([10], 0)


def test_clearing_drops_all_audio_and_is_no_underrun() -> None:
    jitter = buffer()
    jitter.push(sound(50))
    pulled(jitter, 1)
    jitter.clear()
    assert (pulled(jitter, 2), jitter.buffered_ms) == ([0, 0], 0)
    jitter.push(sound(30))
    assert (pulled(jitter, 1), jitter.underruns, jitter.dropped_ms) == ([10], 0, 0)


def test_above_the_limit_the_oldest_audio_is_dropped() -> None:
    jitter = buffer()
    jitter.push(sound(100, 1))
    jitter.push(sound(150, 2))
    assert (jitter.buffered_ms, jitter.dropped_ms) == (200, 50)
    assert jitter.pull(24 * 60) == sound(50, 1) + sound(10, 2)


def test_silence_is_dropped_if_too_much_is_buffered() -> None:
    """Two clocks drift apart; shorter pauses reduce the delay again."""
    jitter = buffer()
    jitter.push(bytes(80 * MS) + sound(40))
    assert jitter.pull(BLOCK) == sound(10)
    assert (jitter.buffered_ms, jitter.dropped_ms) == (30, 0)


def test_speech_is_not_dropped() -> None:
    """Control: the same amount of audio, without silence at the front."""
    jitter = buffer()
    jitter.push(sound(120))
    assert (pulled(jitter, 1), jitter.buffered_ms) == ([10], 110)


def test_silence_is_kept_if_little_is_buffered() -> None:
    """Control: a pause keeps its length."""
    jitter = buffer()
    jitter.push(bytes(60 * MS) + sound(40))
    assert (jitter.pull(BLOCK), jitter.buffered_ms) == (bytes(10 * MS), 90)
