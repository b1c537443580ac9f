"""Both ends in one process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.transports.contract import Transport
from duologue.transports.drivers import memory
from duologue.transports.errors import ConnectError, ConnectionLost, NotConnected

if TYPE_CHECKING:
    from tests.transports.conftest import Kit

URL = "http://127.0.0.1/v1"


async def test_connect_tells_the_far_side_the_target(kit: type[Kit]) -> None:
    """The far side gets the target of the client."""
    client, end = memory.pair()
    assert end.target is None
    waiting = asyncio.create_task(end.wait_connected())
    target = kit.target(URL)
    await client.connect(target)
    assert await waiting is target
    assert end.target is target


@given(sent=st.lists(st.text(max_size=5), max_size=20))
async def test_frames_keep_their_order_both_ways(
    kit: type[Kit], sent: list[str]
) -> None:
    """Frames arrive unchanged and in order."""
    client, end = memory.pair()
    await client.connect(kit.target(URL))
    for frame in sent:
        await client.send(frame)
        await end.send(frame)
    there, back = end.frames(), client.frames()
    assert [await anext(there) for _ in sent] == sent
    assert [await anext(back) for _ in sent] == sent


async def test_bad_utf_8_comes_as_bytes(kit: type[Kit]) -> None:
    """The far side can send invalid text."""
    client, end = memory.pair()
    await client.connect(kit.target(URL))
    await end.send(b"\xff")
    assert await anext(client.frames()) == b"\xff"


async def test_the_client_closes(kit: type[Kit]) -> None:
    """Both iterators stop, and both sides raise on send."""
    client, end = memory.pair()
    await client.connect(kit.target(URL))
    await client.send("last")
    await client.close()
    await client.close()
    assert [frame async for frame in end.frames()] == ["last"]
    assert [frame async for frame in client.frames()] == []
    with pytest.raises(NotConnected):
        await client.send("more")
    with pytest.raises(NotConnected):
        await end.send("more")


async def test_the_far_side_closes(kit: type[Kit]) -> None:
    """A close without a reason ends the frames."""
    client, end = memory.pair()
    await client.connect(kit.target(URL))
    await end.send("last")
    await end.close()
    assert [frame async for frame in client.frames()] == ["last"]
    with pytest.raises(NotConnected):
        await client.send("more")


async def test_the_far_side_breaks(kit: type[Kit]) -> None:
    """With a reason, the client gets `ConnectionLost` after earlier frames."""
    client, end = memory.pair()
    await client.connect(kit.target(URL))
    await end.send("last")
    await end.close("the cable was cut")
    frames = client.frames()
    assert await anext(frames) == "last"
    with pytest.raises(ConnectionLost, match=r"^the cable was cut$"):
        await anext(frames)


async def test_a_transport_connects_once(kit: type[Kit]) -> None:
    """A second connect, or one after close, is refused."""
    client, _ = memory.pair()
    await client.connect(kit.target(URL))
    with pytest.raises(ConnectError):
        await client.connect(kit.target(URL))
    closed, _ = memory.pair()
    await closed.close()
    with pytest.raises(ConnectError):
        await closed.connect(kit.target(URL))


async def test_nothing_is_sent_before_connect() -> None:
    """`send` raises before `connect`."""
    client, _ = memory.pair()
    with pytest.raises(NotConnected):
        await client.send("early")


async def test_a_full_queue_holds_the_sender_back(kit: type[Kit]) -> None:
    """At the limit, `send` waits until the other side reads."""
    client, end = memory.pair()
    await client.connect(kit.target(URL))
    for number in range(memory.LIMIT):
        await client.send(str(number))
    sending = asyncio.create_task(client.send("one more"))
    await asyncio.sleep(0)
    assert not sending.done()
    frames = end.frames()
    assert await anext(frames) == "0"
    await sending
    assert [await anext(frames) for _ in range(memory.LIMIT)][-1] == "one more"


async def test_a_sender_held_back_learns_of_the_end(kit: type[Kit]) -> None:
    """Closing wakes a waiting sender."""
    client, end = memory.pair()
    await client.connect(kit.target(URL))
    for _ in range(memory.LIMIT):
        await client.send("")
    sending = asyncio.create_task(client.send("one more"))
    await asyncio.sleep(0)
    await end.close()
    with pytest.raises(NotConnected):
        await sending


async def test_it_is_a_transport() -> None:
    """For the type checker."""
    client, _ = memory.pair()
    transport: Transport = client
    await transport.close()
