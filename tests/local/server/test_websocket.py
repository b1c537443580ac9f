"""The service over WebSocket on loopback, with an ordinary client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import socket
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from duologue.local import LocalService, Options, Parts
from duologue.local.faults.injector import NO_CLOSE_FRAME, Cut, Fault, Faults
from duologue.local.server.websocket import WAITING_LIMIT
from duologue.transports.drivers.webrtc.peer import Peer

KEY = {"Authorization": "Bearer made-up"}
TEXT = {
    "type": "realtime",
    "output_modalities": ["text"],
    "audio": {"input": {"turn_detection": None}},
}


@pytest.fixture
async def service() -> AsyncGenerator[LocalService]:
    async with LocalService(parts=Parts()) as service:
        yield service


def url(service: LocalService, query: str = "model=some-model") -> str:
    return service.base_url.replace("http", "ws", 1) + f"/realtime?{query}"


def dial(
    service: LocalService,
    query: str = "model=some-model",
    *,
    headers: dict[str, str] | None = None,
    subprotocols: Sequence[str] = (),
    **options: Any,
) -> connect:
    return connect(
        url(service, query),
        additional_headers=KEY if headers is None else headers,
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        **options,
    )


async def send(far: ClientConnection, kind: str, **fields: Any) -> None:
    await far.send(json.dumps({"type": kind, **fields}))


async def until(far: ClientConnection, kind: str) -> dict[str, Any]:
    """The next event of this type."""
    async with asyncio.timeout(10):
        while True:
            event: dict[str, Any] = json.loads(await far.recv())
            if event["type"] == kind:
                return event


async def say(far: ClientConnection, text: str) -> str:
    """The reply to a typed line."""
    part = {"type": "input_text", "text": text}
    item = {"type": "message", "role": "user", "content": [part]}
    await send(far, "conversation.item.create", item=item)
    await send(far, "response.create")
    done = await until(far, "response.done")
    words: str = done["response"]["output"][0]["content"][0]["text"]
    return words


async def raw(service: LocalService) -> asyncio.StreamWriter:
    """A WebSocket of a client that does not read."""
    host = service.base_url.removeprefix("http://").removesuffix("/v1")
    _, writer = await asyncio.open_connection(*host.split(":"), limit=1024)
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, 4096
    )
    key = base64.b64encode(bytes(16)).decode()
    writer.write(
        f"GET /v1/realtime?model=m HTTP/1.1\r\nHost: {host}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Authorization: Bearer x\r\n\r\n".encode()
    )
    return writer


async def refusal(dialled: connect) -> tuple[int, dict[str, Any]]:
    """The response to a refused upgrade."""
    with pytest.raises(InvalidStatus) as caught:
        await dialled
    answer = caught.value.response
    error: dict[str, Any] = json.loads(answer.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return answer.status_code, error


async def let_go(dialled: connect) -> tuple[dict[str, Any], int | None, str]:
    """The only event of a refused session, its error, and the close."""
    async with dialled as far, asyncio.timeout(10):
        event = json.loads(await far.recv())
        assert event["type"] == "error"
        with pytest.raises(ConnectionClosed):
            await far.recv()
    return event["error"], far.close_code, far.close_reason or ""


async def test_a_typed_turn(service: LocalService) -> None:
    async with dial(service) as far:
        created = await until(far, "session.created")
        assert created["session"]["model"] == "some-model"
        await send(far, "session.update", session=TEXT)
        await until(far, "session.updated")
        assert await say(far, "hello") == "Hello there. It is good to hear you."


async def test_a_browser_sends_its_key_as_a_subprotocol() -> None:
    """The service selects ``realtime`` and never echoes the key."""
    async with LocalService(parts=Parts(), key="sk-right") as service:
        offered = ["realtime", "openai-insecure-api-key.sk-right", "other.v1"]
        async with dial(service, headers={}, subprotocols=offered) as far:
            assert far.subprotocol == "realtime"
            await until(far, "session.created")
        offered = ["realtime", "openai-insecure-api-key.sk-wrong"]
        wrong = dial(service, headers={}, subprotocols=offered)
        assert (await let_go(wrong))[1] == 3000
        assert wrong.connection.subprotocol == "realtime"
        async with dial(service, headers={"Authorization": "Bearer sk-right"}) as far:
            assert far.subprotocol is None


@pytest.mark.parametrize(
    ("query", "headers", "close", "code"),
    [
        ("model=m", {}, 3000, None),
        ("model=m", {"Authorization": "Basic x"}, 3000, None),
        ("model=m", {"Authorization": "Bearer ek_x"}, 3000, "invalid_api_key"),
        ("call_id=rtc_x", {}, 3000, None),
        ("", KEY, 4000, "missing_model"),
        ("model=", KEY, 4000, "missing_model"),
        ("model=gpt-4o", KEY, 4000, "invalid_model"),
        ("model=gpt-4o-transcribe", KEY, 4000, "invalid_model"),
        ("intent=other", KEY, 4000, "missing_model"),
        ("intent=transcription&model=m", KEY, 4000, "invalid_model"),
        ("model=m&call_id=rtc_x", KEY, 4000, "invalid_parameter"),
    ],
)
async def test_who_asks_in_a_wrong_way_is_told_and_let_go(
    service: LocalService,
    query: str,
    headers: dict[str, str],
    close: int,
    code: str | None,
) -> None:
    """The upgrade succeeds first; the close reason is the error's type and code.

    A missing key has no code.
    """
    error, closed, reason = await let_go(dial(service, query, headers=headers))
    assert set(error) == {"message", "type", "param", "code", "event_id"}
    kind = "invalid_request_error"
    assert (error["type"], error["code"]) == (kind, code)
    assert (closed, reason) == (close, f"{kind}.{code}" if code else kind)


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        ("call_id=rtc_x", KEY, 404, "call_id_not_found"),
        ("model=m", {**KEY, "Origin": "http://evil.example"}, 403, None),
    ],
)
async def test_an_upgrade_that_is_not_made(
    service: LocalService,
    query: str,
    headers: dict[str, str],
    status: int,
    code: str | None,
) -> None:
    """It gets the error of an HTTP request."""
    answer = await refusal(dial(service, query, headers=headers))
    assert (answer[0], answer[1]["code"]) == (status, code)


async def test_there_is_one_path(service: LocalService) -> None:
    there = url(service).partition("?")[0]
    for path in (f"{there}/", f"{there}/calls", there.replace("/v1", "")):
        dialled = connect(f"{path}?model=m", additional_headers=KEY)
        assert (await refusal(dialled))[0] == 404


async def test_what_a_client_does_wrong_is_not_our_trouble(
    service: LocalService, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused sessions, bad UTF-8 and invalid HTTP are not logged."""
    await let_go(dial(service, headers={}))
    await refusal(dial(service, "call_id=rtc_x"))
    await refusal(dial(service, headers={**KEY, "Origin": "http://evil.example"}))
    async with dial(service) as far:
        await far.send(b"\xff\xfe", text=True)
        await far.wait_closed()
    port = httpx.URL(service.base_url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"what is this\r\n\r\n")
    await reader.read()
    writer.close()
    assert [each for each in caplog.records if each.levelno >= logging.INFO] == []


async def test_a_name_that_somebody_pointed_here_is_refused(
    service: LocalService,
) -> None:
    port = httpx.URL(service.base_url).port
    dialled = connect(
        f"ws://evil.example:{port}/v1/realtime?model=m",
        host="127.0.0.1",
        port=port,
        additional_headers=KEY,
    )
    assert (await refusal(dialled))[0] == 421


@pytest.mark.parametrize(
    ("headers", "subprotocols"),
    [
        ({**KEY, "OpenAI-Beta": "realtime=v1"}, ()),
        ({}, ("realtime", "openai-insecure-api-key.x", "openai-beta.realtime-v1")),
    ],
)
async def test_the_beta_is_gone(
    service: LocalService, headers: dict[str, str], subprotocols: tuple[str, ...]
) -> None:
    """A client of the beta API is refused."""
    dialled = dial(service, headers=headers, subprotocols=subprotocols)
    error, closed, reason = await let_go(dialled)
    assert error["code"] == "beta_api_shape_disabled"
    assert (closed, reason) == (4000, f"invalid_request_error.{error['code']}")


async def test_another_beta_is_nothing_to_us(service: LocalService) -> None:
    async with dial(service, headers={**KEY, "OpenAI-Beta": "assistants=v2"}) as far:
        await until(far, "session.created")


async def test_an_ephemeral_key_brings_its_session(service: LocalService) -> None:
    """Its model too, so the URL needs none."""
    session = {**TEXT, "model": "of-the-key"}
    async with httpx.AsyncClient(base_url=service.base_url, headers=KEY) as http:
        made = await http.post("/realtime/client_secrets", json={"session": session})
    headers = {"Authorization": f"Bearer {made.json()['value']}"}
    async with dial(service, "", headers=headers) as far:
        created = await until(far, "session.created")
    assert created["session"]["model"] == "of-the-key"
    assert created["session"]["output_modalities"] == ["text"]


async def test_a_transcription_session(service: LocalService) -> None:
    async with dial(service, "intent=transcription") as far:
        created = await until(far, "session.created")
        assert created["session"]["type"] == "transcription"


async def test_binary_frames_are_not_taken(service: LocalService) -> None:
    """A binary frame gets an error; the session continues."""
    async with dial(service) as far:
        await until(far, "session.created")
        await far.send(json.dumps({"type": "session.update", "session": TEXT}).encode())
        error = (await until(far, "error"))["error"]
        assert error == {
            "type": "invalid_request_error",
            "code": "invalid_event",
            "message": "Expected a text WebSocket message; binary frames are not "
            "supported.",
            "param": None,
            "event_id": None,
        }
        await send(far, "session.update", session=TEXT)
        await until(far, "session.updated")


# Sidebands


class Caller:
    """A WebRTC client that collects the types of its events."""

    def __init__(self) -> None:
        self.types: list[str] = []
        self.closed = asyncio.Event()
        self.peer = Peer(
            on_message=lambda text: self.types.append(json.loads(text)["type"]),
            on_audio=None,
            next_audio=None,
            on_closed=lambda _: self.closed.set(),
            loopback=True,
        )

    async def call(self, service: LocalService, **session: str) -> str:
        """The id of a call, and its answer, which the client has not applied yet."""
        files = {
            "sdp": (None, await self.peer.offer()),
            "session": (None, json.dumps(TEXT | session)),
        }
        async with httpx.AsyncClient(base_url=service.base_url, headers=KEY) as http:
            answer = await http.post("/realtime/calls", files=files)
        self.answer = answer.text
        return answer.headers["location"].rpartition("/")[2]

    async def open(self) -> None:
        await self.peer.accept(self.answer)
        async with asyncio.timeout(10):
            await self.peer.wait_open()


@pytest.fixture
async def caller() -> AsyncGenerator[Caller]:
    caller = Caller()
    yield caller
    await caller.peer.close()


async def test_a_sideband_sees_and_does_what_the_call_does(
    service: LocalService, caller: Caller
) -> None:
    """It gets no ``session.created`` and waits for the call's own client."""
    call_id = await caller.call(service)
    async with dial(service, f"call_id={call_id}") as side:
        await send(side, "session.update", session={**TEXT, "instructions": "Hi"})
        await caller.open()
        updated = json.loads(await side.recv())
        assert updated["type"] == "session.updated"
        assert await say(side, "hello") == "Hello there. It is good to hear you."
        async with asyncio.timeout(5):
            while "response.done" not in caller.types:
                await asyncio.sleep(0.01)
        assert caller.types[:2] == ["session.created", "session.updated"]

        caller.peer.send('{"type": "response.create"}')
        done = await until(side, "response.done")
        assert done["response"]["status"] == "completed"


async def test_a_sideband_ends_with_its_call_and_not_the_other_way(
    service: LocalService, caller: Caller
) -> None:
    call_id = await caller.call(service)
    await caller.open()
    async with dial(service, f"call_id={call_id}"):
        pass
    async with dial(service, f"call_id={call_id}") as side:
        async with httpx.AsyncClient(base_url=service.base_url, headers=KEY) as http:
            path = f"/realtime/calls/{call_id}/hangup"
            assert (await http.post(path)).status_code == 200
        async with asyncio.timeout(5):
            await side.wait_closed()
        assert side.close_code == 1000
    assert (await refusal(dial(service, f"call_id={call_id}")))[0] == 404


# Capacity


async def test_beyond_the_limit_a_new_session_is_told_to_come_later(
    caller: Caller,
) -> None:
    """A session counts while turn detection or transcription is on."""
    async with LocalService(parts=Parts(), max_listening=1) as service:
        async with dial(service) as first:
            await until(first, "session.created")
            status, error = await refusal(dial(service))
            assert (status, error["code"]) == (429, "rate_limit_exceeded")
            async with httpx.AsyncClient(
                base_url=service.base_url, headers=KEY
            ) as http:
                files = {"sdp": (None, await caller.peer.offer())}
                answer = await http.post("/realtime/calls", files=files)
                assert answer.status_code == 429
            await send(first, "session.update", session=TEXT)
            await until(first, "session.updated")
            async with dial(service) as second:
                await until(second, "session.created")
                listening = {"audio": {"input": {"transcription": {"model": "any"}}}}
                await send(
                    first, "session.update", session={"type": "realtime", **listening}
                )
                refused = await until(first, "error")
                assert refused["error"]["code"] == "rate_limit_exceeded"
        async with asyncio.timeout(5):
            while True:
                try:
                    async with dial(service) as third:
                        await until(third, "session.created")
                        break
                except InvalidStatus:
                    await asyncio.sleep(0.02)


# The end of a session, and bad input


async def test_a_client_that_answers_no_ping_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A half-open connection: the client's program hangs."""
    monkeypatch.setattr("duologue.local.server.listener._PING", 0.2)
    monkeypatch.setattr("duologue.local.server.listener._GRACE", 0.2)
    async with LocalService(parts=Parts(), max_listening=1) as service:
        writer = await raw(service)
        async with asyncio.timeout(10):
            # The client takes the only capacity and then loses it.
            while await is_served(service):
                pass
            while not await is_served(service):
                pass
        writer.close()


async def is_served(service: LocalService) -> bool:
    """Whether another session is accepted."""
    await asyncio.sleep(0.05)
    try:
        async with dial(service):
            return True
    except InvalidStatus:
        return False


async def test_the_next_requests_fail_as_the_script_says() -> None:
    async with (
        LocalService(parts=Parts(), fail=[503, 200, 429, 500]) as service,
        httpx.AsyncClient(base_url=service.base_url, headers=KEY) as http,
    ):
        seen = []
        for _ in range(3):
            answer = await http.post("/realtime/client_secrets")
            error = answer.json().get("error", {})
            seen.append((answer.status_code, error.get("type"), error.get("code")))
        assert seen == [
            (503, "server_error", None),
            (200, None, None),
            (429, "requests", "rate_limit_exceeded"),
        ]
        assert (await refusal(dial(service)))[0] == 500
        async with dial(service) as far:
            await until(far, "session.created")


async def test_the_end_of_the_service_is_a_clean_close() -> None:
    """1012 (service restart) means that a client may try again."""
    before = asyncio.all_tasks()
    async with LocalService(parts=Parts()) as service:
        far = await dial(service)
        await until(far, "session.created")
    async with asyncio.timeout(5):
        await far.wait_closed()
    assert far.close_code == 1012
    assert asyncio.all_tasks() == before


async def test_a_session_that_has_lasted_long_enough_is_closed(caller: Caller) -> None:
    """An error, then 1001; a call ends with its sidebands."""
    options = Options(life=1.0)
    async with LocalService(parts=Parts(), options=options) as service:
        async with dial(service) as far:
            error = await until(far, "error")
            assert error["error"]["code"] == "session_expired"
            async with asyncio.timeout(5):
                await far.wait_closed()
            assert far.close_code == 1001
        call_id = await caller.call(service)
        async with dial(service, f"call_id={call_id}") as side:
            await caller.open()
            await until(side, "error")
            async with asyncio.timeout(5):
                await side.wait_closed()
                await caller.closed.wait()
            assert side.close_code == 1001


@pytest.mark.parametrize(
    "frame", ["", "{", "[]", '"x"', "null", '{"type": 1}', "{" * 100_000, '"\\ud800"']
)
async def test_a_frame_that_is_no_event_is_answered(
    service: LocalService, frame: str
) -> None:
    async with dial(service) as far:
        await until(far, "session.created")
        await far.send(frame)
        error = await until(far, "error")
        assert error["error"]["type"] == "invalid_request_error"
        await send(far, "session.update", session=TEXT)
        await until(far, "session.updated")


async def test_text_that_is_not_utf8_ends_its_connection_alone(
    service: LocalService,
) -> None:
    """RFC 6455 section 8.1: the close code is 1007."""
    async with dial(service) as other, dial(service) as far:
        await far.send(b"\xff\xfe", text=True)
        async with asyncio.timeout(5):
            await far.wait_closed()
        assert far.close_code == 1007
        await send(other, "session.update", session=TEXT)
        await until(other, "session.updated")


async def test_a_message_that_is_too_large_ends_its_connection_alone(
    service: LocalService,
) -> None:
    async with dial(service) as other, dial(service) as far:
        with contextlib.suppress(ConnectionClosed):
            await far.send("x" * (16 * 1024 * 1024 + 1))
        async with asyncio.timeout(10):
            await far.wait_closed()
        assert far.close_code == 1009
        await send(other, "session.update", session=TEXT)
        await until(other, "session.updated")


async def test_a_client_that_does_not_read_is_cut(service: LocalService) -> None:
    """The queue is limited; these events are an example of a large response."""
    text = "x" * (WAITING_LIMIT // 4)
    item = {
        "id": "big",
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": text}],
    }
    writer = await raw(service)
    for event in (
        {"type": "session.update", "session": TEXT},
        {"type": "conversation.item.create", "item": item},
        *[{"type": "conversation.item.retrieve", "item_id": "big"}] * 12,
    ):
        payload = json.dumps(event).encode()
        # Text, whole, masked with zeros (RFC 6455 section 5.2).
        head = b"\x81\xff" + len(payload).to_bytes(8) + bytes(4)
        writer.write(head + payload)
    ping = b"\x89\x80" + bytes(4)
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(ping)
                await writer.drain()
                await asyncio.sleep(0.1)
    writer.close()
    async with dial(service) as other:
        await until(other, "session.created")


@pytest.mark.parametrize(("code", "seen"), [(1011, 1011), (NO_CLOSE_FRAME, 1006)])
async def test_a_connection_that_is_cut_by_script(code: int, seen: int) -> None:
    """With a close code or without a close frame; the next session works."""
    cut = Fault(does=Cut(code), events=("session.updated",), sessions=frozenset({1}))
    async with LocalService(parts=Parts(), faults=Faults((cut,))) as service:
        async with dial(service) as far:
            await send(far, "session.update", session=TEXT)
            await until(far, "session.updated")
            async with asyncio.timeout(5):
                await far.wait_closed()
            assert far.close_code == seen
        async with dial(service) as far:
            await send(far, "session.update", session=TEXT)
            assert await say(far, "hello") == "Hello there. It is good to hear you."


async def test_a_cut_that_comes_by_itself_ends_a_call_and_its_sideband(
    caller: Caller,
) -> None:
    """The peer closes DTLS; the fault selects the session by its model."""
    cut = Fault(does=Cut(1013), at=0.3, model="flaky")
    async with (
        LocalService(parts=Parts(), faults=Faults((cut,))) as service,
        dial(service, "model=steady") as steady,
    ):
        call_id = await caller.call(service, model="flaky")
        async with dial(service, f"call_id={call_id}") as side:
            await caller.open()
            async with asyncio.timeout(5):
                await caller.closed.wait()
                await side.wait_closed()
            assert side.close_code == 1013
        await send(steady, "session.update", session=TEXT)
        assert await say(steady, "hello")
