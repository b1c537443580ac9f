"""The HTTP routes of the service; the only module that imports Starlette.

Routes and shapes follow the API reference ("Realtime": client secrets, calls); errors
are ``{"error": {"message", "type", "param", "code"}}``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from duologue.core import models
from duologue.transports.errors import SignallingError

from ..engine.settings import Settings
from ..schema.checks import anything, either, integer, one_of, record
from ..schema.refusal import Refusal
from .calls import Calls, no_call
from .http_errors import HttpError, ScriptedFailures, refusal_error
from .keys import EphemeralKey, Keys, request_key
from .origin_guard import reject
from .session_runner import new_id
from .websocket import WebSocketApp

__all__ = ["application"]

#: Maximum bytes of an SDP and of a request body.
_SDP_LIMIT = 64 * 1024
_BODY_LIMIT = 4 * _SDP_LIMIT
#: Seconds until an ephemeral key expires, by default.
_LIFE = 600
#: The body of a ``client_secrets`` request.
_SECRET = record(
    {
        "expires_after": record(
            {"anchor": one_of("created_at"), "seconds": integer(10, 7200)}
        ),
        "session": either((dict, anything)),
    }
)
#: The models of ``GET /v1/models``; the service accepts other names too.
_MODELS = {
    name: {"id": name, "object": "model", "created": 0, "owned_by": "duologue"}
    for name in (*models.REASONING, *models.EARLIER, *models.TRANSCRIBERS)
}

#: Maximum seconds for a request, including its body.
_PATIENCE = 20.0

_Handler = Callable[[Request], Awaitable[Response]]


def application(
    calls: Calls, keys: Keys, websocket: WebSocketApp, failures: ScriptedFailures
) -> Starlette:
    """The ASGI application of a service."""
    service = _Service(calls, keys)
    posts = (
        ("/v1/realtime", service.beta),
        ("/v1/realtime/client_secrets", service.client_secrets),
        ("/v1/realtime/calls", service.calls),
        ("/v1/realtime/calls/{call_id}/hangup", service.hang_up),
        ("/v1/realtime/calls/{call_id}/accept", service.sip),
        ("/v1/realtime/calls/{call_id}/reject", service.sip),
        ("/v1/realtime/calls/{call_id}/refer", service.sip),
    )
    gets = (("/v1/models", service.models), ("/v1/models/{model}", service.model))
    app = Starlette(
        routes=[
            WebSocketRoute("/v1/realtime", websocket),
            *(
                Route(path, _guarded(do, failures), methods=["POST"])
                for path, do in posts
            ),
            *(
                Route(path, _guarded(do, failures), methods=["GET"])
                for path, do in gets
            ),
        ],
        exception_handlers={HTTPException: _on_http_exception, Exception: _on_bug},
    )
    # A redirect would lose the request body.
    app.router.redirect_slashes = False
    app.router.default = _unknown_path
    return app


class _Service:
    """The route handlers."""

    def __init__(self, calls: Calls, keys: Keys) -> None:
        self._calls = calls
        self._keys = keys

    async def beta(self, request: Request) -> Response:
        """Refuse an offer of the retired beta."""
        raise HttpError(
            400,
            "The Realtime Beta API is no longer supported. Post to /v1/realtime/calls.",
            code="beta_api_shape_disabled",
        )

    async def client_secrets(self, request: Request) -> Response:
        """Create an ephemeral key."""
        self._authorize(request, ephemeral=False)
        body = _SECRET(_json(await _body(request) or b"{}", "body"), "")
        given = body.get("session", {})
        if "session" in body:
            _check_kind(given)
        settings = _settings(given)
        seconds = body.get("expires_after", {}).get("seconds", _LIFE)
        secret = self._keys.mint(settings.given, seconds)
        created = {
            "value": secret.value,
            "expires_at": secret.expires_at,
            "session": settings.shown(),
        }
        return _reply(200, msgspec.json.encode(created))

    async def calls(self, request: Request) -> Response:
        """Accept a call: a form with offer and session, or the bare offer."""
        secret = self._authorize(request, ephemeral=True)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/sdp":
            offer = _text(await _body(request, _SDP_LIMIT), "sdp")
            session = dict(secret.session) if secret else {}
            if model := request.query_params.get("model"):
                session.setdefault("model", model)
        elif kind == "multipart/form-data":
            offer, given = await _form(request)
            session = dict(secret.session) if secret else {}
            if given:
                session |= _settings(given).given
        else:
            raise HttpError(
                400, "Send the offer as application/sdp or multipart/form-data."
            )
        _settings(session)
        call_id, answer = await self._calls.answer(offer, session)
        return Response(
            answer,
            201,
            headers={"Location": f"/v1/realtime/calls/{call_id}"},
            media_type="application/sdp",
        )

    async def hang_up(self, request: Request) -> Response:
        """End a call."""
        self._authorize(request, ephemeral=True)
        call_id = request.path_params["call_id"]
        if not await self._calls.hang_up(call_id):
            raise no_call(call_id)
        return Response(status_code=200)

    async def sip(self, request: Request) -> Response:
        """Refuse a request about a SIP call; there are none."""
        self._authorize(request, ephemeral=False)
        raise no_call(request.path_params["call_id"])

    async def models(self, request: Request) -> Response:
        """List the models that the service knows."""
        self._authorize(request, ephemeral=False)
        listed = {"object": "list", "data": list(_MODELS.values())}
        return _reply(200, msgspec.json.encode(listed))

    async def model(self, request: Request) -> Response:
        """Show one model."""
        self._authorize(request, ephemeral=False)
        name = request.path_params["model"]
        if name not in _MODELS:
            raise HttpError(
                404,
                f"The model '{name}' does not exist.",
                code="model_not_found",
                param="model",
            )
        return _reply(200, msgspec.json.encode(_MODELS[name]))

    def _authorize(self, request: Request, *, ephemeral: bool) -> EphemeralKey | None:
        """The request's ephemeral key; None for the API key. Raises `HttpError`."""
        key = request_key(request.headers.get("authorization", ""))
        return self._keys.check(key, ephemeral=ephemeral)


def _guarded(do: _Handler, failures: ScriptedFailures) -> _Handler:
    """A handler that turns errors into responses."""

    async def handler(request: Request) -> Response:
        try:
            failures.check()
            async with asyncio.timeout(_PATIENCE):
                return await do(request)
        except HttpError as error:
            answer = error
        except Refusal as error:
            answer = refusal_error(error)
        except SignallingError as error:
            answer = HttpError(400, str(error), code="invalid_offer", param="sdp")
        except ClientDisconnect:
            answer = HttpError(400, "The request was cut off.")
        except TimeoutError:
            answer = HttpError(408, f"The request took more than {_PATIENCE:g} s.")
        return _reply(answer.status, answer.body)

    return handler


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method with a JSON error."""
    assert isinstance(error, HTTPException)
    message = f"Invalid URL ({request.method} {request.url.path})"
    if error.status_code == 405:
        message = f"Not allowed method for {request.url.path}: {request.method}"
    answer = _reply(error.status_code, HttpError(error.status_code, message).body)
    answer.headers.update(error.headers or {})
    return answer


async def _unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an unknown path, also of a WebSocket (Starlette: 403 without a body)."""
    if scope["type"] != "websocket":
        raise HTTPException(404)
    error = HttpError(404, f"Invalid URL (GET {scope['path']})")
    await reject(scope, send, error)


async def _on_bug(request: Request, error: Exception) -> Response:
    """Answer an unexpected error as JSON; Starlette raises it again for the log."""
    message = "The server had an error while processing your request."
    return _reply(500, HttpError(500, message, kind="server_error").body)


def _reply(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")


async def _body(request: Request, limit: int = _BODY_LIMIT) -> bytes:
    """The request body of up to ``limit`` bytes. Raises `HttpError`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise HttpError(413, f"The request is larger than {limit} bytes.")
    return bytes(body)


async def _form(request: Request) -> tuple[str, dict[str, Any]]:
    """The parts ``sdp`` and ``session`` of a form. Raises `HttpError`, `Refusal`."""
    body = await _body(request)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    parts = {}
    try:
        async with Request(request.scope, receive).form(
            max_files=4, max_fields=4, max_part_size=_BODY_LIMIT
        ) as form:
            for name, part in form.items():
                parts[name] = (
                    await part.read() if isinstance(part, UploadFile) else part.encode()
                )
    except HTTPException as error:
        raise HttpError(400, f"The form cannot be read: {error.detail}") from error
    if "sdp" not in parts:
        raise HttpError(400, "The form has no part 'sdp'.", param="sdp")
    if len(parts["sdp"]) > _SDP_LIMIT:
        raise HttpError(413, f"The SDP is larger than {_SDP_LIMIT} bytes.")
    session = {}
    if "session" in parts:
        session = _json(parts["session"], "session")
        _check_kind(session)
    return _text(parts["sdp"], "sdp"), session


def _text(data: bytes, param: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise HttpError(400, "The text is not UTF-8.", param=param) from None


def _json(data: bytes, param: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise HttpError(400, "Expected a JSON object.", param=param)
    return value


def _check_kind(session: dict[str, Any]) -> None:
    """Check that a session has a ``type``. Raises `Refusal`."""
    record(dict.fromkeys(session, anything), required=("type",))(session, "session")


def _settings(session: Mapping[str, Any]) -> Settings:
    """The settings of a new session. Raises `Refusal`."""
    return Settings(new_id("sess"), session)
