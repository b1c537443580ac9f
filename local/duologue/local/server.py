"""The service's HTTP face: the one module that knows Starlette.

Routes and shapes are those of the API reference ("Realtime": client secrets, calls);
errors are ``{"error": {"message", "type", "param", "code"}}``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from duologue.transports.errors import SignallingError

from .calls import Calls
from .keys import Keys, Secret
from .outbox import Refusal
from .session import new_id
from .settings import Settings

__all__ = ["application"]

#: Bytes of an SDP that are read, and of a whole request.
_SDP_LIMIT = 64 * 1024
_BODY_LIMIT = 4 * _SDP_LIMIT
#: Seconds that an ephemeral key lives: default, least, most.
_LIFE, _SHORTEST, _LONGEST = 600, 10, 7200

_Handler = Callable[[Request], Awaitable[Response]]


class _HttpError(Exception):
    """An answer that is an error in the service's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "message": message,
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        }


def application(calls: Calls, keys: Keys) -> Starlette:
    """The ASGI application of a service."""
    service = _Service(calls, keys)
    routes = (
        ("/v1/realtime/client_secrets", service.client_secrets),
        ("/v1/realtime/calls", service.calls),
        ("/v1/realtime/calls/{call_id}/hangup", service.hang_up),
    )
    return Starlette(
        routes=[Route(path, _guarded(do), methods=["POST"]) for path, do in routes],
        exception_handlers={HTTPException: _not_found},
    )


class _Service:
    """What the routes do."""

    def __init__(self, calls: Calls, keys: Keys) -> None:
        self._calls = calls
        self._keys = keys

    async def client_secrets(self, request: Request) -> Response:
        """Make an ephemeral key."""
        self._authorize(request, ephemeral=False)
        body = _json(await _body(request) or b"{}", "body")
        given = body.get("session") or {}
        settings = _settings(given)
        secret = self._keys.mint(given, _life(body.get("expires_after")))
        return _reply(
            200,
            {
                "value": secret.value,
                "expires_at": secret.expires_at,
                "session": settings.shown(),
            },
        )

    async def calls(self, request: Request) -> Response:
        """Take a call: multipart with the session, or the bare offer."""
        secret = self._authorize(request, ephemeral=True)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/sdp":
            offer = _text(await _body(request, _SDP_LIMIT), "sdp")
            session = dict(secret.session) if secret else {}
            if model := request.query_params.get("model"):
                session.setdefault("model", model)
        elif kind == "multipart/form-data":
            offer, session = await _form(request)
            session = (dict(secret.session) if secret else {}) | session
        else:
            raise _HttpError(
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
            raise _HttpError(
                404, f"No call found with id '{call_id}'.", code="call_not_found"
            )
        return Response(status_code=200)

    def _authorize(self, request: Request, *, ephemeral: bool) -> Secret | None:
        """The ephemeral key that was used, if one was. Raises `_HttpError`."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise _HttpError(
                401, "You didn't provide an API key in the Authorization header."
            )
        secret = self._keys.secret(key) if ephemeral else None
        if secret is None and not self._keys.is_api_key(key):
            raise _HttpError(
                401, "Incorrect or expired API key provided.", code="invalid_api_key"
            )
        return secret


def _guarded(do: _Handler) -> _Handler:
    """The handler with its refusals as answers."""

    async def handler(request: Request) -> Response:
        try:
            return await do(request)
        except _HttpError as error:
            return _reply(error.status, {"error": error.body})
        except Refusal as error:
            refused = _HttpError(400, error.message, code=error.code, param=error.param)
        except SignallingError as error:
            refused = _HttpError(400, str(error), code="invalid_offer", param="sdp")
        except ClientDisconnect:
            refused = _HttpError(400, "The request was cut off.")
        return _reply(refused.status, {"error": refused.body})

    return handler


async def _not_found(request: Request, error: Exception) -> Response:
    """A path or method that is not there, in the service's shape."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"Invalid URL ({request.method} {request.url.path})"
    return _reply(status, {"error": _HttpError(status, message).body})


def _reply(status: int, body: object) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


async def _body(request: Request, limit: int = _BODY_LIMIT) -> bytes:
    """The request's body, no more than ``limit`` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _HttpError(413, f"The request is larger than {limit} bytes.")
    return bytes(body)


async def _form(request: Request) -> tuple[str, dict[str, Any]]:
    """The parts ``sdp`` and ``session`` of a form."""
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
        raise _HttpError(400, f"The form cannot be read: {error.detail}") from error
    if "sdp" not in parts:
        raise _HttpError(400, "The form has no part 'sdp'.", param="sdp")
    if len(parts["sdp"]) > _SDP_LIMIT:
        raise _HttpError(413, f"The SDP is larger than {_SDP_LIMIT} bytes.")
    return _text(parts["sdp"], "sdp"), _json(parts.get("session", b"{}"), "session")


def _text(data: bytes, param: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _HttpError(400, "The text is not UTF-8.", param=param) from None


def _json(data: bytes, param: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _HttpError(400, "A JSON object is needed.", param=param)
    return value


def _settings(session: object) -> Settings:
    """The session that would be made. Raises `Refusal`."""
    if not isinstance(session, Mapping):
        raise _HttpError(400, "A JSON object is needed.", param="session")
    return Settings(new_id("sess"), session)


def _life(expires_after: object) -> int:
    """Seconds until an ephemeral key expires."""
    seconds = _LIFE
    if isinstance(expires_after, dict):
        seconds = expires_after.get("seconds", _LIFE)
    if type(seconds) is not int or not _SHORTEST <= seconds <= _LONGEST:
        raise _HttpError(
            400,
            f"Expected an integer from {_SHORTEST} to {_LONGEST}.",
            code="invalid_value",
            param="expires_after.seconds",
        )
    return seconds
