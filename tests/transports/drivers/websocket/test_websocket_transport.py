"""The WebSocket transport against the local service, and against a small server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from duologue.core import (
    Session,
    SessionConfig,
    SessionStatus,
    select_is_settled,
    select_transcripts,
)
from duologue.local import LocalService, Parts
from duologue.transports import (
    AuthenticationError,
    BufferSink,
    Client,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    Credentials,
    NotConnected,
    QueueSource,
    ServiceUnreachable,
    SignallingError,
    Target,
    Transport,
    webrtc,
    websocket,
)
from duologue.transports.drivers.websocket import websocket_transport as _websocket

if TYPE_CHECKING:
    from tests.transports.conftest import Kit

TYPED = SessionConfig(output_modalities=("text",))
HELLO = [("user", "hello"), ("assistant", "Hello there. It is good to hear you.")]
UPDATED = json.dumps({"type": "session.updated", "session": {"type": "realtime"}})
SECOND = bytes(48_000)


def is_answered(session: Session) -> bool:
    last = [line.role for line in select_transcripts(session)][-1:]
    return last == ["assistant"] and select_is_settled(session)


def words(session: Session) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in select_transcripts(session)]


@attrs.define
class Far:
    """A small server: its requests, its received frames, and its script."""

    url: str = ""
    requests: list[Request] = attrs.field(factory=list)
    got: list[dict[str, Any]] = attrs.field(factory=list)
    statuses: list[int] = attrs.field(factory=list)
    headers: dict[str, str] = attrs.field(factory=dict)
    body: str = ""
    does: Callable[[ServerConnection], Awaitable[None]] | None = None

    def refuse(self, socket: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if not self.statuses:
            return None
        response = socket.respond(HTTPStatus(self.statuses.pop(0)), self.body)
        for name, value in self.headers.items():
            response.headers[name] = value
        return response

    async def serve(self, socket: ServerConnection) -> None:
        reading = asyncio.create_task(self._read(socket))
        if self.does is not None:
            await self.does(socket)
        await socket.wait_closed()
        await reading

    async def _read(self, socket: ServerConnection) -> None:
        with contextlib.suppress(Exception):
            async for frame in socket:
                self.got.append(json.loads(frame))

    async def until(self, count: int, kind: str | None = None) -> list[dict[str, Any]]:
        """Wait until there are so many events, of one type or of all."""
        async with asyncio.timeout(20):
            while True:
                found = [e for e in self.got if kind in (None, e["type"])]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.001)


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    far = Far()
    async with serve(
        far.serve, "127.0.0.1", 0, process_request=far.refuse, close_timeout=0.1
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        far.url = f"http://127.0.0.1:{port}/v1"
        yield far


@pytest.fixture
async def service() -> AsyncIterator[LocalService]:
    async with LocalService(parts=Parts()) as service:
        yield service


@pytest.fixture
async def client(service: LocalService) -> AsyncIterator[Client]:
    credentials = Credentials("made-up")
    async with Client(credentials=credentials, base_url=service.base_url) as client:
        yield client


def with_session(target: Target, **session: Any) -> Target:
    return attrs.evolve(target, session=session)


# The local service.


async def test_a_typed_turn(client: Client) -> None:
    """Text both ways; the configuration is in effect before the first line."""
    config = SessionConfig(output_modalities=("text",), instructions="Be brief.")
    session = await client.start_session(config, transport=websocket())
    await session.send_text("hello")
    state = await session.until(is_answered, timeout=20)
    assert words(state) == HELLO
    confirmed = state.connection.confirmed
    assert confirmed is not None
    assert getattr(confirmed, "instructions", None) == "Be brief."


async def test_a_transcription_session_is_one_by_its_address(client: Client) -> None:
    """The URL fixes its type, without a model."""
    transport = websocket()
    target = Target(
        base_url=client.base_url,
        credentials=Credentials("made-up"),
        session={
            "type": "transcription",
            "audio": {"input": {"transcription": {"model": "any"}}},
        },
    )
    await transport.connect(target)
    frames = transport.frames()
    events = [json.loads(await anext(frames)) for _ in range(2)]
    await transport.close()
    assert [event["type"] for event in events] == ["session.created", "session.updated"]
    assert events[1]["session"]["type"] == "transcription"


async def test_a_wrong_key_is_refused_by_an_error_and_a_close() -> None:
    """After the upgrade, as by the real service; the key is not repeated."""
    async with LocalService(parts=Parts(), key="sk-right") as service:
        target = Target(
            base_url=service.base_url,
            credentials=Credentials("sk-wrong"),
            session={"type": "realtime", "model": "m"},
        )
        with pytest.raises(AuthenticationError, match="refused the session") as caught:
            await websocket().connect(target)
    assert caught.value.status == 401
    assert "sk-wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [(3000, AuthenticationError, 401), (4000, SignallingError, 400)],
)
@pytest.mark.parametrize("told", [True, False])
async def test_a_refusal_is_an_error_of_connecting(
    far: Far, kit: type[Kit], code: int, kind: type[Exception], status: int, told: bool
) -> None:
    """With the text of the event, or of the close without one."""

    async def refuse(socket: ServerConnection) -> None:
        if told:
            error = {"type": "error", "error": {"message": "No\x1b such thing."}}
            await socket.send(json.dumps(error))
        await socket.close(code, "invalid_request_error.no")

    far.does = refuse
    with pytest.raises(kind) as caught:
        await websocket().connect(kit.target(far.url))
    said = "No such thing." if told else "invalid_request_error.no"
    assert str(caught.value).endswith(f"refused the session: {said} ({code})")
    assert getattr(caught.value, "status", None) == status


@pytest.mark.parametrize("told", [True, False])
async def test_a_refusal_does_not_repeat_the_key(
    far: Far, kit: type[Kit], told: bool
) -> None:
    """In the event or in the close, for any key."""
    said = "wrong key odd-key-1, not sk-proj-Ab_9 or Bearer abc.def-1"

    async def refuse(socket: ServerConnection) -> None:
        if told:
            error = {"type": "error", "error": {"message": said}}
            await socket.send(json.dumps(error))
        await socket.close(3000, said)

    far.does = refuse
    with pytest.raises(AuthenticationError) as caught:
        await websocket().connect(kit.target(far.url, key="odd-key-1"))
    assert str(caught.value).endswith(
        ": wrong key ***, not sk-*** or Bearer *** (3000)"
    )


async def test_a_close_does_not_repeat_the_key(far: Far, kit: type[Kit]) -> None:
    """Its reason is in the state and in the log."""

    async def close(socket: ServerConnection) -> None:
        await socket.close(1008, "ek_12ab expired, odd-key-1 too")

    far.does = close
    transport = websocket()
    await transport.connect(kit.target(far.url, key="odd-key-1"))
    with pytest.raises(ConnectionLost) as caught:
        await anext(transport.frames())
    assert str(caught.value) == "ek_*** expired, *** too (1008)"
    with pytest.raises(NotConnected, match=r"expired, .* too"):
        await transport.send("{}")
    await transport.close()


async def test_an_error_that_ends_nothing_is_given_out(
    far: Far, kit: type[Kit]
) -> None:
    """The first event may be an error in a session that continues."""

    async def complain(socket: ServerConnection) -> None:
        await socket.send('{"type":"error"}')
        await socket.send('{"type":"session.created"}')
        await socket.wait_closed()

    far.does = complain
    transport = websocket()
    await transport.connect(kit.target(far.url))
    frames = transport.frames()
    assert [
        await anext(frames),
        await anext(frames),
    ] == ['{"type":"error"}', '{"type":"session.created"}']
    await transport.close()


@pytest.mark.realtime
async def test_a_sideband_sees_and_sends_as_the_call_does(client: Client) -> None:
    """It joins by the call id, without `session.created` and configuration."""
    transport = webrtc()
    call = await client.start_session(TYPED, transport=transport)
    assert transport.call_id is not None
    sideband = websocket(call_id=transport.call_id)
    watching = await client.start_session(TYPED, transport=sideband)
    assert watching.state.connection.status is SessionStatus.OPEN
    await watching.send_text("hello")
    states = [await each.until(is_answered, timeout=20) for each in (call, watching)]
    assert [words(state) for state in states] == [HELLO, HELLO]
    await call.close()
    ended = await watching.until(
        lambda state: state.connection.status is SessionStatus.CLOSED, timeout=20
    )
    assert ended.connection.status is SessionStatus.CLOSED


# Connecting.


async def test_address_and_key(far: Far, kit: type[Kit]) -> None:
    """The model is in the URL, the key in a header only."""
    transport = websocket()
    target = with_session(
        kit.target(far.url, key="sk-secret"),
        type="realtime",
        model="a model",
        output_modalities=("text",),
    )
    await transport.connect(target)
    [update] = await far.until(1)
    await transport.close()
    [request] = far.requests
    assert request.path == "/v1/realtime?model=a+model"
    assert request.headers["Authorization"] == "Bearer sk-secret"
    assert "OpenAI-Beta" not in request.headers
    assert update == {
        "type": "session.update",
        "event_id": "configuration",
        "session": {"type": "realtime", "output_modalities": ["text"]},
    }


async def test_a_call_that_is_not_known_yet_is_asked_for_again(
    far: Far, kit: type[Kit]
) -> None:
    """A sideband may connect before its call."""
    far.statuses = [404, 404]
    transport = websocket(call_id="rtc_one")
    await transport.connect(kit.target(far.url))
    await transport.close()
    assert [r.path for r in far.requests] == ["/v1/realtime?call_id=rtc_one"] * 3
    assert far.got == []


async def test_a_call_that_there_is_not_is_an_error(
    far: Far, kit: type[Kit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while; only a 404 is repeated."""
    monkeypatch.setattr(_websocket, "CALL_PATIENCE", 0.1)
    far.statuses = [404] * 10
    with pytest.raises(SignallingError) as caught:
        await websocket(call_id="rtc_one").connect(kit.target(far.url))
    assert caught.value.status == 404
    far.statuses, far.requests = [500], []
    with pytest.raises(SignallingError, match="500"):
        await websocket(call_id="rtc_one").connect(kit.target(far.url))
    assert len(far.requests) == 1


async def test_a_session_of_ones_own_is_not_asked_for_again(
    far: Far, kit: type[Kit]
) -> None:
    """Without a call, a 404 is a wrong URL."""
    far.statuses = [404]
    with pytest.raises(SignallingError, match=r"404.*a base URL ends in /v1"):
        await websocket().connect(kit.target(far.url))
    assert len(far.requests) == 1


async def test_a_redirect_is_not_followed(far: Far, kit: type[Kit]) -> None:
    """The key is sent only to the named host."""
    far.statuses, far.headers = [307], {"Location": "/elsewhere"}
    with pytest.raises(SignallingError, match="redirects"):
        await websocket().connect(kit.target(far.url))
    assert len(far.requests) == 1


async def test_a_refusal_says_what_the_service_said(far: Far, kit: type[Kit]) -> None:
    """In one line, without the repeated key."""
    far.statuses = [429]
    far.headers = {"Retry-After": "7"}
    far.body = json.dumps({"error": {"message": "no money for sk-test\n\x1b[31m"}})
    with pytest.raises(SignallingError) as caught:
        await websocket().connect(kit.target(far.url, key="sk-test"))
    assert str(caught.value) == "the service refused (429): no money for *** [31m"
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("http://127.0.0.1:9/v1", ServiceUnreachable, "nothing answers at ws://127"),
        ("nonsense", SignallingError, "must begin with http"),
        ("http://127.0.0.1:99999/v1", SignallingError, "there is no port"),
    ],
)
async def test_an_address_that_leads_nowhere(
    kit: type[Kit], url: str, kind: type[ConnectError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        await websocket().connect(kit.target(url))


async def test_what_is_no_websocket_is_said(raw_server: Any, kit: type[Kit]) -> None:
    """A service of another protocol, and one that never answers."""
    raw_server.reply = b"SSH-2.0-OpenSSH\r\n\r\n"
    with pytest.raises(SignallingError, match="does not speak WebSocket"):
        await websocket().connect(kit.target(raw_server.url))

    async def hang(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    raw_server.reply = hang
    with pytest.raises(
        ConnectTimeout, match=r"did not open the WebSocket within 0.2 s"
    ):
        await websocket().connect(kit.target(raw_server.url, timeout=0.2))


async def test_a_key_that_no_header_carries(kit: type[Kit], far: Far) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(AuthenticationError):
        await websocket().connect(kit.target(far.url, key="sk\nx"))
    assert far.requests == []


async def test_the_key_is_not_logged(
    far: Far, kit: type[Kit], caplog: pytest.LogCaptureFixture
) -> None:
    """Not even at debug level."""
    caplog.set_level(logging.DEBUG)
    transport = websocket()
    await transport.connect(kit.target(far.url, key="sk-secret"))
    await transport.close()
    ours = [r.getMessage() for r in caplog.records if r.name != "websockets.server"]
    assert len(ours) < len(caplog.records)
    assert not [message for message in ours if "sk-secret" in message]


@pytest.mark.parametrize(
    "options",
    [
        {"call_id": "rtc_/../x"},
        {"call_id": "sess_1"},
        {"call_id": "rtc_1", "sink": BufferSink()},
        {"call_id": "rtc_1", "source": QueueSource()},
    ],
)
def test_a_sideband_is_a_call_and_has_no_sound(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"call|audio"):
        websocket(**options)


# The end.


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        (1001, "session_expired", "session_expired (1001)"),
        (1008, "", "the service refused a message (1008)"),
        (1011, "", "the service failed (1011)"),
        (1012, "", "the service restarts (1012)"),
        (1013, "", "the service is overloaded (1013)"),
        (4999, "beta_api\x1b[31m", "beta_api [31m (4999)"),
        (4321, "", "the service closed the connection (4321)"),
    ],
)
async def test_close_codes_are_told(
    far: Far, kit: type[Kit], code: int, reason: str, message: str
) -> None:
    """With the code, which decides about a reconnect."""

    async def close(socket: ServerConnection) -> None:
        await socket.close(code, reason)

    far.does = close
    transport = websocket()
    await transport.connect(kit.target(far.url))
    with pytest.raises(ConnectionLost) as caught:
        await anext(transport.frames())
    assert (str(caught.value), caught.value.code) == (message, code)
    with pytest.raises(NotConnected):
        await transport.send("{}")
    await transport.close()


async def test_a_cable_that_is_cut(far: Far, kit: type[Kit]) -> None:
    """Without a close frame: code 1006, in the state too."""

    async def cut(socket: ServerConnection) -> None:
        await far.until(1)
        socket.transport.abort()

    far.does = cut
    key = Credentials("x")
    async with Client(credentials=key, base_url=far.url, backoff=None) as client:
        facts: list[Any] = []
        client.store.subscribe(lambda before, r, after: facts.append(r.event))
        session = await client.start_session(TYPED, transport=websocket())
        state = await session.until(
            lambda state: state.connection.status is SessionStatus.FAILED, timeout=20
        )
    assert state.connection.reason == "the connection broke off"
    [lost] = [fact for fact in facts if type(fact).__name__ == "Disconnected"]
    assert (lost.code, lost.expected) == (1006, False)


async def test_a_service_that_answers_no_ping_is_given_up(
    far: Far, kit: type[Kit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreachable peer is detected."""
    monkeypatch.setattr(_websocket, "PING", 0.05)

    async def fall_silent(socket: ServerConnection) -> None:
        socket.transport.pause_reading()

    far.does = fall_silent
    transport = websocket()
    await transport.connect(kit.target(far.url))
    with pytest.raises(ConnectionLost, match="ping"):
        await anext(transport.frames())
    await transport.close()


async def test_a_frame_that_is_too_large_ends_it(
    far: Far, kit: type[Kit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size of received frames is bounded."""
    monkeypatch.setattr(_websocket, "FRAME_LIMIT", 1000)

    async def shout(socket: ServerConnection) -> None:
        await socket.send("x" * 2000)

    far.does = shout
    transport = websocket()
    await transport.connect(kit.target(far.url))
    with pytest.raises(ConnectionLost) as caught:
        await anext(transport.frames())
    assert caught.value.code == 1009
    await transport.close()


async def test_sending_waits_for_a_service_that_does_not_read(
    far: Far, kit: type[Kit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The buffer is bounded; closing wakes the sender."""
    monkeypatch.setattr(_websocket, "SEND_LIMIT", 1000)
    monkeypatch.setattr(_websocket, "CLOSE_PATIENCE", 0.1)

    async def fall_silent(socket: ServerConnection) -> None:
        socket.transport.pause_reading()

    far.does = fall_silent
    transport = websocket()
    await transport.connect(kit.target(far.url))

    async def send_all() -> None:
        for _ in range(1000):
            await transport.send(json.dumps({"type": "x", "text": "x" * 100_000}))

    sending = asyncio.create_task(send_all())
    done, _ = await asyncio.wait([sending], timeout=0.5)
    assert not done
    await asyncio.wait_for(transport.close(), 2)
    with pytest.raises(NotConnected):
        await asyncio.wait_for(sending, 2)


async def test_a_lone_surrogate_is_refused(far: Far, kit: type[Kit]) -> None:
    """It is not valid UTF-8; the connection stays open."""
    transport = websocket()
    await transport.connect(kit.target(far.url))
    with pytest.raises(ValueError, match="Unicode"):
        await transport.send('{"type":"\ud800"}')
    await transport.send('{"type":"fine"}')
    assert await far.until(1) == [{"type": "fine"}]
    await transport.close()


# Audio.


def delta(pcm: bytes, item: str = "item_1") -> str:
    return json.dumps(
        {
            "type": "response.output_audio.delta",
            "event_id": "x",
            "response_id": "resp_1",
            "item_id": item,
            "output_index": 0,
            "content_index": 0,
            "delta": base64.b64encode(pcm).decode(),
        }
    )


class Reports:
    """The events and facts that a transport reports."""

    def __init__(self, transport: Any) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []
        transport.report_to(
            lambda frame, way: self.all.append((way, json.loads(frame)))
        )

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for _, event in self.all if event["type"] == kind]


async def test_the_source_is_sent_in_frames_of_20_ms(far: Far, kit: type[Kit]) -> None:
    """After the configuration; each frame is reported as it is sent."""

    async def configured(socket: ServerConnection) -> None:
        await far.until(1, "session.update")
        await asyncio.sleep(0.1)
        assert far.got[1:] == []
        await socket.send(UPDATED)

    far.does = configured
    source = QueueSource()
    source.push(b"\x01\x02" * 960)
    transport = websocket(source=source)
    reports = Reports(transport)
    target = with_session(
        kit.target(far.url), type="realtime", model="m", output_modalities=["audio"]
    )
    await transport.connect(target)
    await anext(transport.frames())
    appended = await far.until(4, "input_audio_buffer.append")
    await transport.close()
    audio = [base64.b64decode(event["audio"]) for event in appended]
    assert audio[:4] == [b"\x01\x02" * 480, b"\x01\x02" * 480, bytes(960), bytes(960)]
    assert {way for way, _ in reports.all} == {"out"}
    assert [e["type"] for _, e in reports.all[:2]] == [
        "session.update",
        "input_audio_buffer.append",
    ]
    assert reports.of("input_audio_buffer.append")[: len(appended)] == appended


async def test_muted_is_silence(far: Far, kit: type[Kit]) -> None:
    """The service gets silence; muted audio is not sent later."""

    async def configured(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "session.created"}))

    far.does = configured
    source = QueueSource()
    source.push(b"\x01\x02" * 960)
    transport = websocket(source=source)
    transport.set_muted(True)
    await transport.connect(kit.target(far.url))
    await anext(transport.frames())
    await far.until(3)
    assert source.buffered_ms == 0
    transport.set_muted(False)
    source.push(b"\x01\x02" * 480)
    sent = await far.until(8)
    await transport.close()
    heard = [
        event["audio"]
        for event in sent
        if base64.b64decode(event["audio"]).strip(b"\0")
    ]
    assert len(heard) == 1


async def test_a_source_that_fails_ends_alone(
    far: Far, kit: type[Kit], caplog: pytest.LogCaptureFixture
) -> None:
    """The session continues."""

    class Broken:
        def read(self, samples: int) -> bytes:
            raise RuntimeError("mine")

    async def configured(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "session.created"}))
        await far.until(1)
        await socket.send("{}")

    far.does = configured
    transport = websocket(source=Broken())
    await transport.connect(kit.target(far.url))
    frames = transport.frames()
    await anext(frames)
    await transport.send('{"type":"alive"}')
    assert await anext(frames) == "{}"
    await transport.close()
    assert "the audio source failed" in caplog.text


async def test_what_came_is_played_in_real_time(far: Far, kit: type[Kit]) -> None:
    """A second takes a second, and the played duration is reported."""

    async def say(socket: ServerConnection) -> None:
        await socket.send(delta(SECOND[:24_001]))
        await socket.send(delta(SECOND[24_001:]))

    far.does = say
    heard = kit.Heard()
    transport = websocket(sink=heard)
    reports = Reports(transport)
    await transport.connect(kit.target(far.url))
    frames = transport.frames()
    started = asyncio.get_running_loop().time()
    await anext(frames)
    await anext(frames)
    async with asyncio.timeout(20):
        while not reports.all or reports.all[-1][1]["ms"] < 1000:
            await asyncio.sleep(0.01)
    taken = asyncio.get_running_loop().time() - started
    await transport.close()
    assert 0.9 < taken < 5
    assert bytes(heard.pcm) == SECOND
    assert [event["ms"] for event in reports.of("duologue.played")] == [
        0,
        200,
        400,
        600,
        800,
        1000,
    ]


async def test_where_the_user_begins_to_speak_is_told_first(
    far: Far, kit: type[Kit]
) -> None:
    """The played duration is recorded before the interruption."""
    go = asyncio.Event()

    async def say(socket: ServerConnection) -> None:
        await socket.send(delta(SECOND))
        await go.wait()
        await socket.send(json.dumps({"type": "input_audio_buffer.speech_started"}))

    far.does = say
    heard = kit.Heard()
    transport = websocket(sink=heard)
    reports = Reports(transport)
    await transport.connect(kit.target(far.url))
    frames = transport.frames()
    await anext(frames)
    async with asyncio.timeout(20):
        while len(heard.pcm) < 7 * 960:
            await asyncio.sleep(0.005)
    go.set()
    await anext(frames)
    began, *_, played = reports.of("duologue.played")
    assert began["ms"] == 0
    # All but the current frame, and one that may have followed.
    assert 0 <= len(heard.pcm) // 48 - played["ms"] <= 40
    await transport.close()


async def test_what_is_cut_off_is_played_no_more(far: Far, kit: type[Kit]) -> None:
    """Neither queued nor late audio of it; another item is played."""
    go = asyncio.Event()

    async def say(socket: ServerConnection) -> None:
        await socket.send(delta(b"\x01\x00" * 24_000))
        await far.until(1)
        await socket.send(delta(b"\x02\x00" * 480))
        await socket.send(delta(b"\x03\x00" * 480, "item_2"))

    far.does = say
    sink = BufferSink()
    transport = websocket(sink=sink)
    await transport.connect(kit.target(far.url))
    frames = transport.frames()
    await anext(frames)
    await asyncio.sleep(0.05)
    await transport.send(
        json.dumps({"type": "conversation.item.truncate", "item_id": "item_1"})
    )
    before = sink.pcm
    await anext(frames)
    await anext(frames)
    async with asyncio.timeout(20):
        while len(sink.pcm) == len(before):
            await asyncio.sleep(0.005)
    await transport.close()
    go.set()
    assert sink.pcm == before + b"\x03\x00" * 480
    assert sink.flushes == 1
    assert 0 < len(before) < 48_000


@pytest.mark.parametrize("way", ["input", "output"])
async def test_sound_that_is_not_pcm_is_refused(
    far: Far, kit: type[Kit], way: str
) -> None:
    """It would be noise; without audio any format is accepted."""
    audio = {way: {"format": {"type": "audio/pcmu"}}}
    target = with_session(kit.target(far.url), type="realtime", model="m", audio=audio)
    sounding = websocket(source=QueueSource(), sink=BufferSink())
    with pytest.raises(ConnectError, match=rf"not audio/pcmu \({way}\)"):
        await sounding.connect(target)
    silent = websocket()
    await silent.connect(target)
    await silent.close()


async def test_a_service_that_goes_over_to_another_format_is_not_played(
    far: Far, kit: type[Kit]
) -> None:
    audio = {"output": {"format": {"type": "audio/pcmu"}}}

    async def say(socket: ServerConnection) -> None:
        update = {"type": "session.updated", "session": {"audio": audio}}
        await socket.send(json.dumps(update))
        await socket.send(delta(SECOND))

    far.does = say
    sink = BufferSink()
    transport = websocket(sink=sink)
    await transport.connect(kit.target(far.url))
    frames = transport.frames()
    await anext(frames)
    await anext(frames)
    await asyncio.sleep(0.05)
    await transport.close()
    assert sink.pcm == b""


async def test_events_that_are_none_do_no_harm(far: Far, kit: type[Kit]) -> None:
    """Invalid frames are delivered unchanged."""
    broken = [
        "[]",
        "1",
        '{"type":1}',
        delta(b"")[:-2],
        delta(b"xx").replace("eHg", "?!"),
    ]

    async def say(socket: ServerConnection) -> None:
        for frame in broken:
            await socket.send(frame)
        await socket.send(b"\xff\xfe")

    far.does = say
    sink = BufferSink()
    transport = websocket(sink=sink)
    await transport.connect(kit.target(far.url))
    frames = transport.frames()
    assert [await anext(frames) for _ in range(6)] == [*broken, b"\xff\xfe"]
    await transport.close()


async def test_it_is_a_transport() -> None:
    """For the type checker."""
    transport: Transport = websocket()
    await transport.close()
