"""The WebRTC transport: events on a data channel, audio on a media track."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence

from ...audio.mixer import Mixer
from ...cancellation import is_cancelling
from ...configuration import PATIENCE, configuration_update, is_answer
from ...contract import AudioSink, AudioSource, Report, Target
from ...errors import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    DuologueError,
    NotConnected,
)
from ...http.http_client import is_loopback
from ...http.signalling import create_call
from ...inbox import Inbox
from .ice_server import IceServer
from .peer import CHANNEL, Peer
from .statistics import Statistics

__all__ = ["IceServer", "Statistics", "WebRTCTransport", "webrtc"]


def webrtc(
    *,
    source: AudioSource | None = None,
    sink: AudioSink | None = None,
    ice_servers: Sequence[IceServer] = (),
    channel: str = CHANNEL,
) -> WebRTCTransport:
    """A transport over WebRTC.

    ``source`` supplies the user's audio (default: silence), ``sink`` gets the reply;
    the caller closes both. Without ``ice_servers`` no STUN or TURN server is used,
    which is enough for services with public addresses. ``channel`` is the label of the
    data channel.
    """
    return WebRTCTransport(Mixer(source, sink), ice_servers, channel)


class WebRTCTransport:
    """A `Transport` over one WebRTC connection. Made by `webrtc`."""

    def __init__(
        self, mixer: Mixer, ice_servers: Sequence[IceServer], channel: str
    ) -> None:
        self._mixer = mixer
        self._ice_servers = tuple(ice_servers)
        self._channel = channel
        self._report: Report = lambda frame, way: None
        #: The time until which no audio is sent, because the service may not have
        #: confirmed the configuration yet.
        self._muted_until = 0.0
        self._inbox: Inbox[str | bytes] = Inbox()
        self._peer: Peer | None = None
        self._opening: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._step = ""
        self._closed = False
        self._call_id: str | None = None

    @property
    def call_id(self) -> str | None:
        """The service's id of this call (``rtc_…``), for a sideband."""
        return self._call_id

    def again(self) -> WebRTCTransport:
        """A new transport with the same source and sink."""
        return WebRTCTransport(self._mixer, self._ice_servers, self._channel)

    def report_to(self, report: Report) -> None:
        """See `contract.Reporting`: the configuration, if it is sent as an event."""
        self._report = report

    async def connect(self, target: Target) -> None:
        """Send an offer, apply the answer, wait for the data channel.

        If the request could not carry the configuration, it is sent as an event. Then
        the source's audio is sent after the service has answered this event, or 5 s
        later.
        ``target.timeout`` (seconds) limits the whole connect. Raises a `ConnectError`.
        After an error or a cancellation, all resources are freed.
        """
        if self._closed or self._opening is not None:
            raise ConnectError("a transport connects once")
        # In a separate task, so that `close` can cancel it without the caller's task.
        self._opening = asyncio.create_task(self._open_in_time(target))
        try:
            await self._opening
        except BaseException:
            closed_meanwhile = self._closed
            await self.close()
            if closed_meanwhile and not is_cancelling():
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
        update = None if answer.configured else configuration_update(target.session)
        self._muted_until = 0.0 if update is None else math.inf
        self._step = "the answer could not be applied"
        await peer.accept(answer.sdp)
        self._step = "the data channel did not open"
        await peer.wait_open()
        if update is not None:
            self._muted_until = asyncio.get_running_loop().time() + PATIENCE
            self._report(update, "out")
            try:
                peer.send(update)
            except DuologueError as error:
                raise ConnectError(str(error)) from None

    def _make_peer(self, target: Target) -> Peer:
        mixer = self._mixer
        return Peer(
            on_message=self._receive,
            on_audio=mixer.write if mixer.has_output else None,
            next_audio=self._read if mixer.has_source else None,
            on_closed=self._lose,
            channel=self._channel,
            loopback=is_loopback(target.base_url),
            ice_servers=self._ice_servers,
        )

    async def send(self, frame: str) -> None:
        """Send one event; wait while more than `SEND_LIMIT` bytes are buffered.

        While connecting, the event is queued until the channel opens.

        Raises `NotConnected` before `connect` and after the connection has ended, and
        a `DuologueError` for an event that the data channel cannot carry.
        """
        if self._peer is None or self._closed:
            raise NotConnected("this transport is not connected")
        # One at a time, so that no event overtakes a waiting one.
        async with self._sending:
            await self._peer.back_pressure.wait()
            self._peer.send(frame)

    def frames(self) -> AsyncIterator[str | bytes]:
        """Received events; raises `ConnectionLost` with the reason."""
        return self._inbox.frames()

    async def statistics(self) -> Statistics:
        """Statistics of the connection. Raises `NotConnected` before `connect`."""
        if self._peer is None:
            raise NotConnected("this transport is not connected")
        return await self._peer.statistics()

    def flush_audio(self) -> None:
        """Drop received audio that was not played yet."""
        self._mixer.flush()

    def set_muted(self, muted: bool) -> None:
        """If ``muted``, send silence in place of the source's audio."""
        self._mixer.set_muted(muted)

    def set_volume(self, volume: float) -> None:
        """Scale received audio by this volume, from 0 to 1. Raises ValueError."""
        self._mixer.set_volume(volume)

    def tap(
        self, said: Callable[[bytes], None], heard: Callable[[bytes], None]
    ) -> None:
        """See `contract.Tappable`. Call it before `connect`."""
        self._mixer.tap(said, heard)

    async def close(self) -> None:
        """Close the connection. Idempotent, also while connecting.

        Ends DTLS; sends no HTTP request.
        """
        self._closed = True
        self._mixer.release(self)
        self._inbox.end()
        try:
            if self._opening is not None:
                self._opening.cancel()
                await asyncio.gather(self._opening, return_exceptions=True)
        finally:
            if self._peer is not None:
                await self._peer.close()

    def _read(self) -> bytes:
        # Do not read while closing: the next connection may use the source already.
        if self._closed or self._muted_until > asyncio.get_running_loop().time():
            return b""
        return self._mixer.read(self)

    def _lose(self, reason: str) -> None:
        self._mixer.release(self)
        self._inbox.end(ConnectionLost(reason))

    def _receive(self, frame: str | bytes) -> None:
        if self._muted_until and is_answer(frame):
            self._muted_until = 0.0
        if not self._inbox.put_nowait(frame):
            # This callback is synchronous: it cannot wait until the queue has room.
            self._inbox.end(ConnectionLost("too many unread frames"))
