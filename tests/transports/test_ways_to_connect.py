"""Every way of connecting gives the service the same configuration, on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from duologue.core import Session, SessionConfig
from duologue.core.events.config import (
    FunctionTool,
    RealtimeSessionConfig,
    Reasoning,
    ServerVad,
    Transcription,
)
from duologue.transports import (
    Client,
    Credentials,
    EphemeralKeys,
    KeySource,
    TokenEndpoint,
    Transport,
    webrtc,
    websocket,
)
from duologue.transports.drivers.webrtc.webrtc_transport import WebRTCTransport

if TYPE_CHECKING:
    from tests.transports.conftest import End, Kit

pytestmark = pytest.mark.realtime

#: A value for each kind of field that a backend could drop.
CONFIG = SessionConfig(
    model="a-model",
    instructions="Speak like a pilot.",
    output_modalities=("text",),
    voice="cedar",
    turn_detection=ServerVad(silence_duration_ms=700),
    transcription=Transcription(model="a-recogniser", language="en"),
    tools=(FunctionTool(name="weather", parameters={"type": "object"}),),
    tool_choice="required",
    parallel_tool_calls=False,
    max_output_tokens=99,
    speed=1.1,
    reasoning=Reasoning(effort="low"),
)
WHOLE = CONFIG.to_session()


@attrs.define
class Call:
    """The session of one connection, as the service knows it, and its updates."""

    session: dict[str, Any]
    updates: int = 0

    def receive(self, frame: str | bytes) -> dict[str, Any] | None:
        """The answer to an event."""
        event = json.loads(frame)
        if event["type"] != "session.update":
            return None
        self.updates += 1
        # OpenAI refuses a model that differs; other services refuse any.
        assert "model" not in event["session"]
        self.session |= event["session"]
        return self.event("session.updated")

    def event(self, kind: str) -> dict[str, Any]:
        session = {"id": "sess_1", "object": "realtime.session", **self.session}
        return {"type": kind, "event_id": kind, "session": session}


class Door:
    """A service that keeps what each request and event contains, and adds nothing."""

    def __init__(self, make_end: Callable[..., End], *, forms: bool) -> None:
        self._make_end = make_end
        self._forms = forms
        self._keys: dict[str, dict[str, Any]] = {"ek_bare": {}, "opaque": {}}
        self.calls: list[Call] = []
        self.url = ""

    async def client_secrets(self, request: Request) -> Response:
        self._keys["ek_minted"] = (await request.json())["session"]
        return JSONResponse({"value": "ek_minted"})

    async def token(self, request: Request) -> Response:
        """A backend that ignores the session."""
        return JSONResponse({"value": request.query_params["key"]})

    def _begin(self, authorization: str, query: Any) -> Call:
        session = dict(self._keys.get(authorization.removeprefix("Bearer "), {}))
        if "model" in query:
            session.setdefault("model", query["model"])
        self.calls.append(Call(session))
        return self.calls[-1]

    async def call(self, request: Request) -> Response:
        kind = request.headers["content-type"]
        if kind == "application/sdp":
            offer = (await request.body()).decode()
            call = self._begin(request.headers["authorization"], request.query_params)
        elif not self._forms:
            return Response("only application/sdp", 415)
        else:
            form = await request.form()
            offer = str(form["sdp"])
            call = Call(json.loads(str(form["session"])))
            self.calls.append(call)

        def receive(frame: str | bytes) -> None:
            if (answer := call.receive(frame)) is not None:
                end.peer.send(json.dumps(answer))

        end = self._make_end(on_message=receive)
        answer = await end.peer.answer(offer)
        end.peer.send(json.dumps(call.event("session.created")))
        number = len(self.calls)
        headers = {"Location": f"/v1/realtime/calls/rtc_{number}"}
        return Response(answer, 201, headers, "application/sdp")

    async def websocket(self, socket: WebSocket) -> None:
        await socket.accept()
        if "call_id" in socket.query_params:
            call = self.calls[int(socket.query_params["call_id"][4:]) - 1]
        else:
            call = self._begin(socket.headers["authorization"], socket.query_params)
        await socket.send_json(call.event("session.created"))
        try:
            while True:
                if (answer := call.receive(await socket.receive_text())) is not None:
                    await socket.send_json(answer)
        except WebSocketDisconnect:
            pass


@asynccontextmanager
async def opened(
    kit: type[Kit], make_end: Callable[..., End], *, forms: bool
) -> AsyncIterator[Door]:
    door = Door(make_end, forms=forms)
    routes = [
        Route("/v1/realtime/client_secrets", door.client_secrets, methods=["POST"]),
        Route("/v1/realtime/calls", door.call, methods=["POST"]),
        Route("/v1/token", door.token, methods=["POST"]),
        WebSocketRoute("/v1/realtime", door.websocket),
    ]
    async with kit.serving(Starlette(routes=routes)) as door.url:
        yield door


def api_key(url: str) -> KeySource:
    return Credentials("sk-made-up")


def minted(url: str) -> KeySource:
    return EphemeralKeys(credentials=Credentials("sk-made-up"))


def given(url: str) -> KeySource:
    return Credentials("ek_bare")


def endpoint(url: str) -> KeySource:
    return TokenEndpoint(f"{url}/token?key=ek_bare")


def opaque_endpoint(url: str) -> KeySource:
    return TokenEndpoint(f"{url}/token?key=opaque")


#: The way, its key, its transport, whether the service takes a form, and the number of
#: updates that it needs.
WAYS: dict[str, tuple[Callable[[str], KeySource], Callable[[], Transport], bool, int]]
WAYS = {
    "form": (api_key, webrtc, True, 0),
    "bare after 415": (api_key, webrtc, False, 1),
    "minted key": (minted, webrtc, True, 1),
    "given key": (given, webrtc, True, 1),
    "token endpoint": (endpoint, webrtc, True, 1),
    "token endpoint, other key": (opaque_endpoint, webrtc, True, 1),
    "websocket": (api_key, websocket, True, 1),
    "websocket, minted key": (minted, websocket, True, 1),
    "websocket, token endpoint": (endpoint, websocket, True, 1),
}


def is_configured(session: Session) -> bool:
    confirmed = session.connection.confirmed
    assert confirmed is None or isinstance(confirmed, RealtimeSessionConfig)
    return confirmed is not None and confirmed.reasoning == CONFIG.reasoning


async def test_every_way_gives_the_same_session(
    kit: type[Kit], make_end: Callable[..., End]
) -> None:
    """The request and the first update together have each field of the configuration.

    A sideband finds the session of its call, and changes nothing.
    """
    got: dict[str, Any] = {}
    confirmed: dict[str, Any] = {}
    for way, (keys, transport, forms, updates) in WAYS.items():
        async with (
            opened(kit, make_end, forms=forms) as door,
            Client(credentials=keys(door.url), base_url=door.url) as client,
        ):
            made = transport()
            session = await client.start_session(CONFIG, transport=made)
            call = door.calls[-1]
            async with asyncio.timeout(10):
                while call.updates < updates:
                    await asyncio.sleep(0.001)
            await session.until(is_configured, timeout=10)
            if isinstance(made, WebRTCTransport):
                sideband = websocket(call_id=made.call_id)
                joined = await client.start_session(CONFIG, transport=sideband)
                await joined.until(is_configured, timeout=10)
            got[way] = (call.session, call.updates)
            confirmed[way] = session.state.connection.confirmed
    assert got == {way: (WHOLE, each[3]) for way, each in WAYS.items()}
    assert confirmed == dict.fromkeys(WAYS, confirmed["form"])
