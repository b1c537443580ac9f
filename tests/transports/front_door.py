"""A service of any provider on loopback, which keeps what it is sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

if TYPE_CHECKING:
    from tests.transports.conftest import End, Kit

__all__ = ["Call", "Door", "opened"]


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
    """A service that keeps what each request and event contains, and adds nothing.

    It serves every path that ends as those of OpenAI do. ``key`` is what it answers to
    a request for an ephemeral key; the keys in ``refused`` get 401.
    """

    def __init__(
        self,
        make_end: Callable[..., End],
        *,
        forms: bool,
        key: Mapping[str, Any],
        refused: Collection[str],
    ) -> None:
        self._refused = refused
        self._make_end = make_end
        self._forms = forms
        self._key = key
        self._keys: dict[str, dict[str, Any]] = {"ek_bare": {}, "opaque": {}}
        self.calls: list[Call] = []
        #: The lines and the headers of all requests, and the bodies for keys.
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.key_requests: list[Any] = []
        self.origin = ""

    def note(self, request: HTTPConnection, method: str) -> None:
        query = f"?{request.url.query}" if request.url.query else ""
        self.requests.append(f"{method} {request.url.path}{query}")
        self.headers.append(dict(request.headers))

    async def client_secrets(self, request: Request) -> Response:
        self.note(request, "POST")
        self.key_requests.append(await request.json())
        self._keys[self._key["value"]] = self.key_requests[-1].get("session", {})
        return JSONResponse(self._key)

    async def token(self, request: Request) -> Response:
        """A backend that ignores the session."""
        return JSONResponse({"value": request.query_params["key"]})

    def _begin(self, request: HTTPConnection) -> Call:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        session, query = dict(self._keys.get(key, {})), request.query_params
        for name in ("model", "deployment", "engine"):
            if name in query:
                session.setdefault("model", query[name])
        self.calls.append(Call(session))
        return self.calls[-1]

    async def call(self, request: Request) -> Response:
        self.note(request, "POST")
        kind = request.headers["content-type"]
        if kind == "application/sdp":
            offer = (await request.body()).decode()
            call = self._begin(request)
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
        self.note(socket, "GET")
        key = socket.headers.get("authorization", "").removeprefix("Bearer ")
        if key in self._refused:
            await socket.send_denial_response(Response("expired", 401))
            return
        await socket.accept()
        if "call_id" in socket.query_params:
            call = self.calls[int(socket.query_params["call_id"][4:]) - 1]
        else:
            call = self._begin(socket)
        await socket.send_json(call.event("session.created"))
        try:
            while True:
                if (answer := call.receive(await socket.receive_text())) is not None:
                    await socket.send_json(answer)
        except WebSocketDisconnect:
            pass


@asynccontextmanager
async def opened(
    kit: type[Kit],
    make_end: Callable[..., End],
    *,
    forms: bool = True,
    key: Mapping[str, Any] = {"value": "ek_minted"},
    refused: Collection[str] = (),
) -> AsyncIterator[Door]:
    door = Door(make_end, forms=forms, key=key, refused=refused)
    posts = {
        "/realtime/client_secrets": door.client_secrets,
        "/realtime/calls": door.call,
        "/token": door.token,
    }
    routes = [
        *(
            Route("/{base:path}" + path, do, methods=["POST"])
            for path, do in posts.items()
        ),
        WebSocketRoute("/{base:path}/realtime", door.websocket),
    ]
    async with kit.serving(Starlette(routes=routes)) as url:
        door.origin = url.removesuffix("/v1")
        yield door
