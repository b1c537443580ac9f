"""The WebSocket transport: events and audio on one connection.

The only module of this root that imports websockets. URLs and keys follow the API page
"Realtime API with WebSocket"; ``call_id`` joins a call as a sideband (API page
"Webhooks and server-side controls").
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from ...audio.mixer import Mixer
from ...cancellation import is_cancelling
from ...configuration import configuration_update
from ...contract import AudioSink, AudioSource, Report, Target
from ...errors import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    MissingExtra,
    NotConnected,
    ServiceUnreachable,
    SignallingError,
)
from ...http.credentials import Secret
from ...http.http_client import (
    address,
    base_url,
    identification,
    is_call_id,
    is_loopback,
    refusal,
)
from ...http.redaction import one_line
from .audio_events import AudioEvents
from .close_codes import broken_off, is_error, lost, refused, reply_of

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import (
        ConnectionClosed,
        InvalidHandshake,
        InvalidStatus,
        WebSocketException,
    )
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra(
        "WebSocket needs websockets: pip install 'duologue[websocket]'"
    ) from missing

__all__ = ["FRAME_LIMIT", "WebSocketTransport", "websocket"]

#: Maximum bytes of a received event; audio deltas are the longest.
FRAME_LIMIT = 16 * 1024 * 1024
#: Bytes buffered for sending; above this, `send` waits.
SEND_LIMIT = 256 * 1024
#: Seconds between pings, and to wait for each pong.
PING = 10.0
#: Seconds to wait for the peer's close frame.
CLOSE_PATIENCE = 1.0
#: Seconds to wait for the first event, which OpenAI's service sends at once.
FIRST_PATIENCE = 2.0
#: Seconds during which a sideband retries if the call is not known yet.
CALL_PATIENCE = 5.0

# The library logs headers, including the key, at debug level.
_log = logging.getLogger("duologue.websocket")
_log.setLevel(logging.INFO)


def websocket(
    *,
    call_id: str | None = None,
    source: AudioSource | None = None,
    sink: AudioSink | None = None,
) -> WebSocketTransport:
    """A transport over WebSocket.

    ``source`` supplies the user's audio, ``sink`` gets the reply in real time; the
    caller closes both. With ``call_id`` (``rtc_…``) the transport joins that call as a
    sideband, which carries no audio. Raises ValueError for an invalid call id, and for
    a sideband with a source or sink.
    """
    if call_id is not None:
        if not is_call_id(call_id):
            raise ValueError("invalid call id: it must look like rtc_…")
        if source is not None or sink is not None:
            raise ValueError("a sideband carries no audio: give no source and no sink")
    return WebSocketTransport(call_id, Mixer(source, sink))


class WebSocketTransport:
    """A `Transport` over one WebSocket. Made by `websocket`."""

    def __init__(self, call_id: str | None, mixer: Mixer) -> None:
        self._call_id = call_id
        self._mixer = mixer
        self._socket: ClientConnection | None = None
        self._opening: asyncio.Task[ClientConnection] | None = None
        self._report: Report = lambda frame, way: None
        self._audio: AudioEvents | None = None
        self._closed = False
        self._key: Secret | None = None
        #: The event received while connecting.
        self._first = b""

    @property
    def call_id(self) -> str | None:
        """The call of this sideband; None if it is not one."""
        return self._call_id

    @property
    def rejoins(self) -> bool:
        """See `contract.Rejoining`."""
        return self._call_id is not None

    @property
    def round_trip_ms(self) -> float | None:
        """The round trip time of the last ping in ms; None before the first."""
        latency = self._socket.latency if self._socket is not None else 0.0
        return latency * 1000 or None

    def report_to(self, report: Report) -> None:
        """See `contract.Reporting`: configuration, sent audio, played durations."""
        self._report = report

    def tap(
        self, said: Callable[[bytes], None], heard: Callable[[bytes], None]
    ) -> None:
        """See `contract.Tappable`. Call it before `connect`."""
        self._mixer.tap(said, heard)

    def set_muted(self, muted: bool) -> None:
        """If ``muted``, send silence in place of the source's audio."""
        self._mixer.set_muted(muted)

    def set_volume(self, volume: float) -> None:
        """Scale received audio by this volume, from 0 to 1. Raises ValueError."""
        self._mixer.set_volume(volume)

    def flush_audio(self) -> None:
        """Drop received audio that was not played yet."""
        if self._audio is not None:
            self._audio.stop()

    # -- opening

    async def connect(self, target: Target) -> None:
        """Open the connection and send the configuration of ``target.session``.

        The URL names the model. A sideband sends no configuration, because the call has
        one; it retries while the service does not know the call yet. ``target.timeout``
        (seconds) is the limit for the opening, and then for the configuration. Raises a
        `ConnectError`.
        """
        if self._closed or self._opening is not None:
            raise ConnectError("a transport connects once")
        self._key = target.credentials.key
        # In a separate task, so that `close` can cancel it without the caller's task.
        self._opening = asyncio.create_task(self._open(target))
        try:
            self._socket = await self._opening
            async with asyncio.timeout(target.timeout):
                await self._greet(self._socket, target)
        except BaseException as error:
            closed_meanwhile = self._closed
            await self.close()
            if closed_meanwhile and not is_cancelling():
                raise ConnectError("closed while connecting") from None
            if isinstance(error, NotConnected):
                raise ConnectError(str(error)) from None
            if isinstance(error, TimeoutError):
                raise ConnectTimeout(
                    "the service did not take the configuration"
                ) from None
            raise

    def again(self) -> WebSocketTransport:
        """A new transport with the same source and sink."""
        return WebSocketTransport(self._call_id, self._mixer)

    async def _open(self, target: Target) -> ClientConnection:
        provider, base = target.provider, base_url(target)
        if self._call_id is not None:
            url = provider.sideband_url(base, self._call_id)
        else:
            url = provider.session_url(base, target.session)
        url = address(target, url, websocket=True)
        try:
            async with asyncio.timeout(target.timeout):
                return await self._dial(url, target)
        except TimeoutError:
            raise ConnectTimeout(
                f"the service did not open the WebSocket within {target.timeout:.3g} s"
            ) from None

    async def _dial(self, url: str, target: Target) -> ClientConnection:
        loop = asyncio.get_running_loop()
        give_up, wait = loop.time() + CALL_PATIENCE, 0.05
        while True:
            try:
                return await _dial_once(url, target)
            except SignallingError as error:
                early = self._call_id is not None and error.status == 404
                if not early or loop.time() + wait > give_up:
                    raise
            await asyncio.sleep(wait)
            wait = min(2 * wait, 1.0)

    async def _greet(self, socket: ClientConnection, target: Target) -> None:
        """Send the configuration and receive the first event, which may refuse it.

        Does nothing for a sideband: its call is running and has a configuration.
        """
        if self._call_id is not None:
            return
        gone: NotConnected | None = None
        try:
            await self._configure(target)
        except NotConnected as error:
            gone = error
        self._first = await _first_event(socket, target)
        if gone is not None:
            raise gone

    async def _configure(self, target: Target) -> None:
        update = configuration_update(target.session)
        self._audio = AudioEvents(
            self._mixer,
            self._send_own,
            self._report,
            target.session,
            configured=update is None,
        )
        if update is not None:
            await self._send_own(update)

    # -- frames

    async def send(self, frame: str) -> None:
        """Send one event; wait while more than `SEND_LIMIT` bytes are buffered.

        Raises `NotConnected` unless the connection is open, ValueError for a lone
        surrogate.
        """
        if self._socket is None or self._closed:
            raise NotConnected("this transport is not connected")
        if self._audio is not None:
            self._audio.before_sending(frame)
        await self._put(self._socket, frame)

    async def _send_own(self, frame: str) -> None:
        if self._socket is None or self._closed:
            raise NotConnected("this transport is not connected")
        self._report(frame, "out")
        await self._put(self._socket, frame)

    async def _put(self, socket: ClientConnection, frame: str) -> None:
        try:
            data = frame.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"not valid Unicode: {error.reason}") from None
        try:
            await socket.send(data, text=True)
        except ConnectionClosed as error:
            lost = _lost(error, self._key)
            reason = str(lost) if lost is not None else "the service closed"
            raise NotConnected(reason) from None

    async def frames(self) -> AsyncIterator[str | bytes]:
        """Received events; raises `ConnectionLost` for any close code but 1000."""
        while self._socket is not None:
            try:
                data, self._first = self._first, b""
                data = data or await self._socket.recv(decode=False)
            except ConnectionClosed as error:
                lost = None if self._closed else _lost(error, self._key)
                if lost is not None:
                    raise lost from None
                return
            if self._audio is not None:
                self._audio.before_giving_out(data)
            yield _text(data)

    async def close(self) -> None:
        """Close the connection. Idempotent, also while connecting.

        Waits at most `CLOSE_PATIENCE` seconds for the peer.
        """
        self._closed = True
        if self._audio is not None:
            await self._audio.close()
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._opening is not None and not self._opening.cancelled():
            # It may have opened in the same iteration of the loop that cancelled it.
            socket = None if self._opening.exception() else self._opening.result()
            await _close(socket)


async def _close(socket: ClientConnection | None) -> None:
    if socket is None:
        return
    try:
        # A sender that waits for buffer space blocks the library's close.
        async with asyncio.timeout(CLOSE_PATIENCE):
            await socket.close()
    except TimeoutError:
        pass
    finally:
        # Also if the close was cancelled: free the socket.
        socket.transport.abort()
    await socket.wait_closed()


async def _first_event(socket: ClientConnection, target: Target) -> bytes:
    """The first event; empty after a timeout. Raises the error of a refusal."""
    event = b""
    # Not every error is followed by a close, and some services send nothing first.
    with contextlib.suppress(TimeoutError, ConnectionClosed):
        async with asyncio.timeout(FIRST_PATIENCE):
            event = await socket.recv(decode=False)
        if is_error(event):
            async with asyncio.timeout(CLOSE_PATIENCE):
                await socket.wait_closed()
    host = target.base_url.partition("?")[0]
    code, reason = socket.close_code, socket.close_reason or ""
    refusal_error = refused(host, event, code, reason, target.credentials.key)
    if refusal_error is not None:
        raise refusal_error
    return event


class _Dial(connect):
    """Follows no redirects: a key is sent only to the host that the caller named."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def _dial_once(url: str, target: Target) -> ClientConnection:
    """Connect once, and translate the exceptions of websockets."""
    host, loopback = url.partition("?")[0], is_loopback(target.base_url)
    try:
        return await _Dial(
            url,
            additional_headers=identification(target),
            # A proxy from the environment cannot reach our loopback.
            proxy=None if loopback else True,
            compression=None,
            # `WebSocketTransport` limits the whole connect.
            open_timeout=None,
            ping_interval=PING,
            ping_timeout=PING,
            close_timeout=CLOSE_PATIENCE,
            max_size=FRAME_LIMIT,
            write_limit=SEND_LIMIT,
            logger=_log,
        )
    except InvalidStatus as error:
        raise refusal(target, reply_of(error.response)) from None
    except InvalidHandshake as error:
        raise SignallingError(
            f"{host} does not speak WebSocket: {one_line(str(error))}"
        ) from None
    except (OSError, EOFError) as error:
        raise ServiceUnreachable(
            f"nothing answers at {host} ({one_line(str(error))})"
        ) from error
    except (WebSocketException, ImportError, ValueError) as error:
        # An unusable URL, proxy or certificate.
        raise SignallingError(
            f"cannot connect to {host}: {one_line(str(error), target.credentials.key)}"
        ) from error


def _lost(error: ConnectionClosed, key: Secret | None) -> ConnectionLost | None:
    """The error for a close; None for 1000, the end of the session."""
    if error.rcvd is not None:
        return lost(error.rcvd.code, error.rcvd.reason, key)
    if error.sent is not None and error.sent.reason:
        # Closed locally: no answer to a ping, or an invalid frame.
        text = f"the connection was given up: {error.sent.reason}"
        return ConnectionLost(text, code=error.sent.code)
    return broken_off()


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
