"""HTTP requests to a service, and their errors. The only module that imports httpx.

Requests are not retried and redirects are not followed, so a key is sent only to the
host that the caller named. The rules for URLs, keys and refusals also apply to the
upgrade to WebSocket.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from ..contract import Target
from ..errors import (
    AuthenticationError,
    ConnectTimeout,
    MissingExtra,
    ServiceUnreachable,
    SignallingError,
)
from .providers import OPENAI
from .redaction import Headers, one_line

try:
    import httpx
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra(
        "signalling needs httpx: pip install 'duologue[webrtc]'"
    ) from missing

__all__ = [
    "BODY_LIMIT",
    "Reply",
    "address",
    "authorization",
    "base_url",
    "described",
    "identification",
    "is_call_id",
    "is_loopback",
    "post",
    "refusal",
    "retry_after",
    "websocket_url",
]

#: Maximum number of bytes read of a response body.
BODY_LIMIT = 65_536

_LAST_PORT = 65_535
_CALL_ID = re.compile(r"rtc_[A-Za-z0-9_-]{1,128}")


@attrs.frozen
class Reply:
    """An HTTP response: its status, its body and three headers."""

    status: int
    # Some bodies contain a key.
    text: str = attrs.field(repr=False)
    content_type: str | None = None
    location: str = ""
    retry_after: str = ""


# URLs and headers


def is_loopback(base_url: str) -> bool:
    """Whether the host of the URL is a loopback address.

    Raises `SignallingError` for an invalid base URL.
    """
    host = _url(base_url).host
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def websocket_url(base_url: str, query: Mapping[str, str]) -> str:
    """The WebSocket URL of a session at OpenAI. Raises `SignallingError`."""
    _safe(base_url)
    return _as_websocket(OPENAI.session_url(base_url, {}), query)


def address(target: Target, url: str, *, websocket: bool = False) -> str:
    """The URL of a request: one of the provider, with the query of the target.

    Raises `SignallingError` for a base URL that a key must not be sent to, and raises
    as `authorization` does.
    """
    provider, query = target.provider, dict(target.query)
    is_in_url = provider.key_query is not None and target.credentials.kind == "api"
    if is_in_url and _has_key(target):
        query[str(provider.key_query)] = _key(target)
    return _as_websocket(url, query) if websocket else _with_query(url, query)


def base_url(target: Target) -> str:
    """The base URL of the target. Raises `SignallingError` for an unsafe one."""
    _safe(target.base_url)
    return target.base_url


def _with_query(url: str, query: Mapping[str, str]) -> str:
    found = _safe(url)
    return str(found.copy_merge_params(query)) if query else str(found)


def _as_websocket(url: str, query: Mapping[str, str]) -> str:
    found = httpx.URL(_with_query(url, query))
    scheme = "ws" if found.scheme == "http" else "wss"
    return str(found.copy_with(scheme=scheme))


def is_call_id(name: str) -> bool:
    """Whether this has the form of a call id and is therefore safe in a URL."""
    return _CALL_ID.fullmatch(name) is not None


def authorization(target: Target) -> str:
    """The value of the ``Authorization`` header.

    Raises `AuthenticationError` for a key that is not valid in a header: a library
    would repeat the key in its own message.
    """
    _key(target)
    return target.credentials.header


def _has_key(target: Target) -> bool:
    """Whether a request has a key, or needs one."""
    return target.provider.default_key != "" or bool(target.credentials.key.reveal())


def _key(target: Target) -> str:
    key = target.credentials.key.reveal()
    if not key:
        variable = target.provider.key_variable
        raise AuthenticationError(f"there is no key: set {variable}, or pass one")
    if not re.fullmatch(r"[!-~]+", key):
        raise AuthenticationError("the key has characters that are invalid in a header")
    return key


def identification(target: Target) -> Mapping[str, str]:
    """The headers that authenticate the caller. Raises as `authorization` does.

    They include those of the provider and the target. Raises `SignallingError` for one
    that is not valid. Their ``repr`` shows no values.
    """
    provider, credentials = target.provider, target.credentials
    own: dict[str, str] = {}
    if _has_key(target):
        _key(target)
        own = provider.key_headers(credentials)
    if target.safety_identifier is not None:
        own["OpenAI-Safety-Identifier"] = target.safety_identifier
    names = {name.lower() for name in own}
    added = {**provider.headers, **target.headers}
    for name, value in added.items():
        if not re.fullmatch(r"[!#-'*+.0-9A-Z^-z|~-]+", name):
            raise SignallingError(f"invalid name of a header: {name!r}")
        if not re.fullmatch(r"[ -~]*", value):
            raise SignallingError(f"the value of the header {name} is not valid")
    return Headers({n: added[n] for n in added if n.lower() not in names}, own)


def _safe(text: str) -> httpx.URL:
    """A URL that a key may be sent to. Raises `SignallingError`.

    A password in the URL would appear in messages. Plain HTTP is for loopback only.
    """
    url = _url(text)
    if url.userinfo:
        raise SignallingError("the base URL must not contain a user or a password")
    if url.scheme == "http" and not is_loopback(text):
        raise SignallingError(
            f"the base URL must begin with https: the key would be sent to {url.host} "
            "unencrypted"
        )
    return url


def _url(text: str) -> httpx.URL:
    if not text.strip():
        raise SignallingError("the base URL is blank")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise SignallingError(f"invalid base URL: {one_line(str(error))}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise SignallingError("the base URL must begin with http:// or https://")
    if url.fragment:
        raise SignallingError("the base URL must not contain a fragment (#…)")
    if url.port is not None and url.port > _LAST_PORT:
        raise SignallingError(f"invalid base URL: there is no port {url.port}")
    return url


# Requests


async def post(
    address: str, headers: Mapping[str, str], body: dict[str, Any], timeout: float
) -> Reply:
    """Send one POST request.

    ``body`` contains the httpx arguments for the body, such as ``json``. ``timeout`` is
    in seconds. Raises `SignallingError` for an address that a key must
    not be sent to, `ServiceUnreachable`, and `ConnectTimeout`.
    """
    url = _safe(address)
    async with _translated(url, timeout), _client(url) as client:
        request = client.build_request("POST", url, **body)
        request.headers.update(Headers(headers, {"Accept-Encoding": "identity"}))
        response = await client.send(request, stream=True)
        try:
            text = await _read(response)
        finally:
            await response.aclose()
    return Reply(
        response.status_code,
        text,
        content_type=response.headers.get("content-type"),
        location=response.headers.get("location", ""),
        retry_after=response.headers.get("retry-after", ""),
    )


def _client(url: httpx.URL) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        follow_redirects=False,
        # A proxy from the environment cannot reach our loopback.
        trust_env=not is_loopback(str(url)),
        # `_translated` limits the whole exchange.
        timeout=None,
        # Loading the certificates takes 60 ms; plain HTTP does not need them.
        verify=url.scheme != "http",
    )


async def _read(response: httpx.Response) -> str:
    """Read the body without decompression, up to `BODY_LIMIT` bytes."""
    body = bytearray()
    # Raw, because a compressed body may expand to any size.
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise SignallingError(
                f"the service answered with more than {BODY_LIMIT} bytes",
                status=response.status_code,
            )
    return body.decode(errors="replace")


@asynccontextmanager
async def _translated(url: httpx.URL, timeout: float) -> AsyncIterator[None]:
    """Translate the exceptions of httpx."""
    place = f"{url.host}:{url.port or (80 if url.scheme == 'http' else 443)}"
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError:
        raise ConnectTimeout(
            f"the service at {place} did not answer within {timeout:.3g} s"
        ) from None
    except httpx.ConnectError as error:
        raise ServiceUnreachable(
            f"nothing answers at {place} ({one_line(str(error))})"
        ) from error
    except httpx.HTTPError as error:
        why = one_line(str(error)) or "it closed the connection without an answer"
        raise SignallingError(f"the exchange with {place} broke off: {why}") from error
    except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:
        # The environment names an unusable proxy or unusable certificates.
        raise SignallingError(
            f"cannot send a request to {place}: {one_line(str(error))}"
        ) from error


# Refusals


def refusal(target: Target, reply: Reply) -> SignallingError:
    """The error for an HTTP status.

    401 and 403 give `AuthenticationError`, other statuses `SignallingError`. The
    message quotes the service's ``error.message``.
    """
    status = reply.status
    details = described(target, reply)
    if status in (401, 403):
        return AuthenticationError(
            f"the service refused the key ({status}): {details}", status=status
        )
    if 300 <= status < 400:
        return SignallingError(
            f"the service redirects ({status}), which is not followed: "
            "check the base URL",
            status=status,
        )
    hint = " (a base URL ends in /v1)" if status == 404 else ""
    return SignallingError(
        f"the service refused ({status}): {details}{hint}",
        status=status,
        retry_after=retry_after(reply),
    )


def retry_after(reply: Reply) -> float | None:
    """The seconds of ``Retry-After``; None for a date or an invalid value."""
    text = reply.retry_after.strip()
    return float(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def described(target: Target, reply: Reply) -> str:
    """One line about a body: its ``error.message``, or its type and first words."""
    if not reply.text.strip():
        return "an empty body"
    try:
        message = json.loads(reply.text)["error"]["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        kind = one_line(reply.content_type or "no content type")
        message = f"{kind}: {reply.text}"
    return one_line(str(message), target.credentials.key)
