"""The WebRTC driver: events on a data channel, sound on a media track."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from ...audio.mixer import Sound
from ...contract import AudioSink, AudioSource, Target
from ...errors import ConnectError, ConnectionLost, ConnectTimeout, NotConnected
from ...http.signalling import create_call, is_loopback
from ...inbox import Inbox
from ...tasks import cancelling
from .ice_server import IceServer
from .peer import Peer
from .statistics import Statistics

__all__ = ["IceServer", "Statistics", "WebRTCTransport", "webrtc"]


def webrtc(
    *,
    source: AudioSource | None = None,
    sink: AudioSink | None = None,
    ice_servers: Sequence[IceServer] = (),
) -> WebRTCTransport:
    """A transport over WebRTC.

    ``source`` is what the service hears (silence without one), ``sink`` is where
    its voice goes (nowhere without one); both stay the caller's to close. Without
    ``ice_servers`` none is asked, which is enough for services with public addresses.
    """
    return WebRTCTransport(source=source, sink=sink, ice_servers=ice_servers)


class WebRTCTransport:
    """A `Transport` over one WebRTC connection. Made by `webrtc`."""

    def __init__(
        self,
        *,
        source: AudioSource | None,
        sink: AudioSink | None,
        ice_servers: Sequence[IceServer],
    ) -> None:
        self._sound = Sound(source, sink)
        self._ice_servers = tuple(ice_servers)
        self._inbox: Inbox[str | bytes] = Inbox()
        self._peer: Peer | None = None
        self._opening: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._step = ""
        self._closed = False
        self._call_id: str | None = None

    @property
    def call_id(self) -> str | None:
        """The service's name for this call (``rtc_…``), for a sideband."""
        return self._call_id

    def again(self) -> WebRTCTransport:
        """A fresh transport with the same sound."""
        fresh = WebRTCTransport(source=None, sink=None, ice_servers=self._ice_servers)
        fresh._sound = self._sound
        return fresh

    async def connect(self, target: Target) -> None:
        """Offer, send the offer, take the answer, wait for the data channel.

        All of it has ``target.timeout`` seconds. Raises a `ConnectError`; then, and
        when it is cancelled, nothing is left behind.
        """
        if self._closed or self._opening is not None:
            raise ConnectError("a transport connects once")
        # In a task of its own, which `close` can end without cancelling the caller.
        self._opening = asyncio.create_task(self._open_in_time(target))
        try:
            await self._opening
        except BaseException:
            closed_meanwhile = self._closed
            await self.close()
            if closed_meanwhile and not cancelling():
                raise ConnectError("closed while connecting") from None
            raise

    async def _open_in_time(self, target: Target) -> None:
        try:
            async with asyncio.timeout(target.timeout):
                await self._open(target)
        except TimeoutError:
            raise ConnectTimeout(
                f"{self._step} within {target.timeout:.3g} s"
            ) from None

    async def _open(self, target: Target) -> None:
        self._peer = peer = self._make_peer(target)
        self._step = "no address was found for the offer"
        offer = await peer.offer()
        self._step = "the service did not answer the offer"
        answer = await create_call(target, offer)
        self._call_id = answer.call_id
        self._step = "the answer could not be applied"
        await peer.accept(answer.sdp)
        self._step = "the data channel did not open"
        await peer.wait_open()

    def _make_peer(self, target: Target) -> Peer:
        sound = self._sound
        return Peer(
            on_message=self._receive,
            on_audio=sound.write if sound.is_heard else None,
            next_audio=self._read if sound.speaks else None,
            on_closed=self._lose,
            loopback=is_loopback(target.base_url),
            ice_servers=self._ice_servers,
        )

    async def send(self, frame: str) -> None:
        """Send one event; waits while more than `SEND_LIMIT` bytes are under way.

        While connecting it is queued until the channel opens.

        Raises `NotConnected` before `connect` and after the end, and a
        `DuologueError` for an event that the data channel cannot carry.
        """
        if self._peer is None or self._closed:
            raise NotConnected("this transport is not connected")
        # One after the other, so that none overtakes one that waits.
        async with self._sending:
            await self._peer.room.wait()
            self._peer.send(frame)

    def frames(self) -> AsyncIterator[str | bytes]:
        """Events as they came; `ConnectionLost` with the reason if it broke."""
        return self._inbox.frames()

    async def statistics(self) -> Statistics:
        """How the connection does. Raises `NotConnected` before `connect`."""
        if self._peer is None:
            raise NotConnected("this transport is not connected")
        return await self._peer.statistics()

    def flush_audio(self) -> None:
        """Drop what was heard and not played: the client saw the service stop."""
        self._sound.flush()

    def set_muted(self, muted: bool) -> None:
        """Send silence in place of the source, or the source again."""
        self._sound.set_muted(muted)

    def set_volume(self, volume: float) -> None:
        """Pass on what is heard at this volume, from 0 to 1. Raises ValueError."""
        self._sound.set_volume(volume)

    def tap(
        self, said: Callable[[bytes], None], heard: Callable[[bytes], None]
    ) -> None:
        """See `seam.Tappable`; at the latest before `connect`."""
        self._sound.tap(said, heard)

    async def close(self) -> None:
        """Close the connection. Idempotent, also while connecting.

        The service sees DTLS end; no request is made.
        """
        self._closed = True
        self._sound.release(self)
        self._inbox.end()
        try:
            if self._opening is not None:
                self._opening.cancel()
                await asyncio.gather(self._opening, return_exceptions=True)
        finally:
            if self._peer is not None:
                await self._peer.close()

    def _read(self) -> bytes:
        # Not while closing: the source is the next connection's by then.
        return b"" if self._closed else self._sound.read(self)

    def _lose(self, reason: str) -> None:
        self._sound.release(self)
        self._inbox.end(ConnectionLost(reason))

    def _receive(self, frame: str | bytes) -> None:
        if not self._inbox.put_nowait(frame):
            # Nobody reads, and waiting is not possible here.
            self._inbox.end(ConnectionLost("too many frames were left unread"))
