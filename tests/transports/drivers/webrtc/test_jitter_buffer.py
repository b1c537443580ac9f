"""The order of packets, by RTP's 16 bit numbers (RFC 3550 section 5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from aiortc.rtcrtpreceiver import RTCRtpReceiver
from hypothesis import given
from hypothesis import strategies as st

from duologue.transports.drivers.webrtc.aiortc_private import (
    replace_jitter_buffer,
)
from duologue.transports.drivers.webrtc.jitter_buffer import DEPTH, JitterBuffer


def delivered(numbers: Iterable[int]) -> list[int]:
    """The delivered packets; each has its number as data."""
    out: list[int] = []
    buffer = JitterBuffer(lambda data: out.append(int(data)))
    for number in numbers:
        number %= 1 << 16
        buffer.add(number, str(number).encode())
    return out


@pytest.mark.parametrize(
    ("came", "out"),
    [
        pytest.param([7, 8, 9], [7, 8, 9], id="in order: each at once"),
        pytest.param([65534, 65535, 0, 1], [65534, 65535, 0, 1], id="around the end"),
        pytest.param([1, 3, 2, 4], [1, 2, 3, 4], id="two swapped"),
        pytest.param([1, 1, 2, 2], [1, 2], id="double"),
        pytest.param([1, 3, 4], [1], id="a gap waits"),
        pytest.param([1, 3, 4, 5, 6], [1, 3, 4, 5, 6], id="but not for long"),
        pytest.param([1, 3, 4, 5, 6, 2, 7], [1, 3, 4, 5, 6, 7], id="late is dropped"),
        pytest.param([65534, 0, 1, 2, 3], [65534, 0, 1, 2, 3], id="a gap at the end"),
        pytest.param([5000, 1, 2], [5000, 1, 2], id="a new beginning"),
        pytest.param([1, 5000, 5001], [1, 5000, 5001], id="a leap"),
    ],
)
def test_packets_come_out_in_their_order(came: list[int], out: list[int]) -> None:
    assert delivered(came) == out


@given(st.integers(0, 65535), st.lists(st.integers(0, 30), max_size=60))
def test_whatever_comes_goes_out_rising_and_once(start: int, came: list[int]) -> None:
    """Each packet once, in rising order, from any first number."""
    out = [
        (number - start) % (1 << 16) for number in delivered(start + n for n in came)
    ]
    shifted = [n if n < 1 << 15 else n - (1 << 16) for n in out]
    assert shifted == sorted(set(shifted))
    assert set(shifted) <= set(came)


def test_what_is_empty_is_no_packet() -> None:
    """A packet with padding only is skipped."""
    out: list[bytes] = []
    buffer = JitterBuffer(out.append)
    for number, data in ((1, b"a"), (2, b""), (3, b"c")):
        buffer.add(number, data)
    assert out == [b"a", b"c"]


def test_no_more_than_a_few_wait() -> None:
    buffer = JitterBuffer(lambda _: None)
    for number in (1, *range(3, 3 + DEPTH)):
        buffer.add(number, b"x")
    assert len(buffer._held) == DEPTH


def test_aiortcs_receiver_has_the_buffer_that_is_replaced() -> None:
    """`replace_jitter_buffer` finds the private attribute of aiortc."""
    transport = SimpleNamespace(state="new")
    receiver = RTCRtpReceiver("audio", transport)  # type: ignore[arg-type]
    out: list[bytes] = []
    replace_jitter_buffer(receiver, out.append)
    buffer = receiver._RTCRtpReceiver__jitter_buffer  # type: ignore[attr-defined]
    packet = SimpleNamespace(sequence_number=1, _data=b"a")
    assert buffer.add(packet) == (False, None)
    assert out == [b"a"]
    with pytest.raises(AttributeError, match="jitter_buffer"):
        replace_jitter_buffer(SimpleNamespace(), lambda _: None)
