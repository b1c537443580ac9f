"""Equal audio is encoded once."""

from __future__ import annotations

from collections.abc import Callable

from duologue.transports.drivers.webrtc.packet_cache import (
    FRAME_BYTES,
    CachedEncoder,
    PacketCache,
)

SILENCE = bytes(FRAME_BYTES)


def frame(number: int) -> bytes:
    return bytes([number]) * FRAME_BYTES


class Encoders:
    """Counts the work; a packet has the number of frames of its encoder."""

    def __init__(self) -> None:
        self.made = 0
        self.encoded = 0

    def __call__(self) -> Callable[[bytes], bytes]:
        self.made += 1
        seen = bytearray()

        def encode(pcm: bytes) -> bytes:
            self.encoded += 1
            seen.append(pcm[0])
            return bytes(seen)

        return encode


def test_a_stream_is_encoded_by_one_encoder_in_order() -> None:
    encoders = Encoders()
    packets = CachedEncoder(encoders, PacketCache())
    assert [packets.encode(frame(n)) for n in (1, 2, 3)] == [
        b"\x01",
        b"\x01\x02",
        b"\x01\x02\x03",
    ]
    assert (encoders.made, encoders.encoded) == (1, 3)


def test_the_same_utterance_costs_once() -> None:
    """In another stream, and in the same stream after silence."""
    encoders, cache = Encoders(), PacketCache()
    utterance = [frame(n) for n in (1, 2, 3)] + [SILENCE] * 10
    one, two = CachedEncoder(encoders, cache), CachedEncoder(encoders, cache)
    first = [one.encode(pcm) for pcm in utterance]
    work = encoders.encoded
    assert [two.encode(pcm) for pcm in utterance] == first
    assert [one.encode(pcm) for pcm in utterance] == first
    assert encoders.encoded == work


def test_lasting_silence_is_one_packet() -> None:
    """After any audio; the first silent frames belong to that audio."""
    encoders = Encoders()
    packets = CachedEncoder(encoders, PacketCache())
    quiet = packets.encode(SILENCE)
    packets.encode(frame(1))
    tail = [packets.encode(SILENCE) for _ in range(3)]
    assert quiet not in tail
    work = encoders.encoded
    assert {packets.encode(SILENCE) for _ in range(1000)} == {quiet}
    assert encoders.encoded == work


def test_a_new_ending_is_encoded_in_its_context() -> None:
    """A new encoder gets the last frames first."""
    encoders, cache = Encoders(), PacketCache()
    for ending in (9, 8):
        packets = CachedEncoder(encoders, cache)
        for n in (1, 2, 3, 4, 5):
            packets.encode(frame(n))
        last = packets.encode(frame(ending))
    assert last == b"\x03\x04\x05\x08"
    assert encoders.made == 2


def test_the_cache_is_bounded() -> None:
    """The least recently used packet is dropped."""
    cache = PacketCache(limit=2)
    cache.put(b"a", b"1")
    cache.put(b"b", b"2")
    assert cache.get(b"a") == b"1"
    cache.put(b"c", b"3")
    assert (cache.get(b"a"), cache.get(b"b"), cache.get(b"c")) == (b"1", None, b"3")
    assert len(cache) == 2
