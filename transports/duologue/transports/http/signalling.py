"""The requests that start and end a WebRTC call and mint keys.

One POST sends the SDP offer and returns the answer (API page "Realtime API with
WebRTC").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from ..contract import Target
from ..errors import AuthenticationError, SignallingError
from .credentials import Secret
from .http_client import (
    BODY_LIMIT,
    Reply,
    address,
    authorization,
    base_url,
    described,
    identification,
    is_call_id,
    is_loopback,
    post,
    refusal,
    retry_after,
    websocket_url,
)
from .redaction import Headers

__all__ = [
    "BODY_LIMIT",
    "Answer",
    "Reply",
    "authorization",
    "create_call",
    "create_key",
    "fetch_key",
    "hang_up",
    "identification",
    "is_call_id",
    "is_loopback",
    "refusal",
    "websocket_url",
]

#: The HTTP status for a content type that a service does not take.
_UNSUPPORTED = 415


@attrs.frozen
class Answer:
    """The service's answer to an offer.

    ``call_id`` identifies the call for a sideband and for `hang_up`; ``None`` if the
    service sent none, or an invalid one. If ``configured`` is false, the request did
    not contain the session: send it as ``session.update``.
    """

    sdp: str
    call_id: str | None
    configured: bool = True


async def create_call(target: Target, offer: str) -> Answer:
    """Send the SDP offer; return the service's answer.

    With an API key, the body is a form with the offer and the session object. With an
    ephemeral key, and for a service that takes no form, it is the offer alone, and the
    URL names the model. Raises `AuthenticationError` if the service refuses the key,
    `ServiceUnreachable` if nothing answers, `ConnectTimeout` after ``target.timeout``
    seconds, and `SignallingError` for any other failure.
    """
    provider, url = target.provider, base_url(target)
    configured = provider.takes_form and not target.credentials.ephemeral
    if configured:
        reply = await _post(target, provider.calls_url(url), _form(target, offer))
        configured = reply.status != _UNSUPPORTED
    if not configured:
        body = {"content": offer, "headers": {"Content-Type": "application/sdp"}}
        reply = await _post(target, provider.calls_url(url, target.session), body)
    if reply.status not in (200, 201):
        raise refusal(target, reply)
    if not reply.text.startswith("v=0"):
        raise SignallingError(
            f"the service answered the offer with {described(target, reply)}, "
            "not with an SDP answer",
            status=reply.status,
        )
    return Answer(reply.text, _call_id(reply), configured)


def _form(target: Target, offer: str) -> dict[str, Any]:
    session = json.dumps(target.session, default=dict)
    return {
        "files": {
            "sdp": (None, offer, "application/sdp"),
            "session": (None, session, "application/json"),
        }
    }


async def hang_up(target: Target, call_id: str) -> None:
    """End the call at the service. An unknown call counts as ended.

    Raises as `create_call` does.
    """
    if not is_call_id(call_id):
        raise SignallingError("invalid call id: it must look like rtc_…")
    url = target.provider.hang_up_url(base_url(target), call_id)
    reply = await _post(target, url, {})
    if reply.status != 404 and not 200 <= reply.status < 300:
        raise refusal(target, reply)


async def create_key(target: Target, lifetime: int) -> Secret:
    """Mint an ephemeral key for the session of ``target``, valid ``lifetime`` seconds.

    Raises as `create_call` does.
    """
    provider = target.provider
    values = provider.key_request(target.session, lifetime)
    url = provider.keys_url(base_url(target))
    reply = await _post(target, url, _as_json(values))
    if not 200 <= reply.status < 300:
        raise refusal(target, reply)
    return _key_in(reply)


async def fetch_key(
    address: str, headers: Mapping[str, str], session: Mapping[str, Any], timeout: float
) -> Secret:
    """Fetch a key from a token endpoint within ``timeout`` seconds.

    Raises as `create_call` does. The messages quote nothing of the response,
    because it may contain a key.
    """
    body = _as_json({"session": session})
    # `Headers` hides its values, also from a traceback that prints local variables.
    headers = Headers(body.pop("headers"), headers)
    reply = await post(address, headers, body, timeout)
    if reply.status in (401, 403):
        raise AuthenticationError(
            f"the token endpoint refused the request ({reply.status})",
            status=reply.status,
        )
    if not 200 <= reply.status < 300:
        raise SignallingError(
            f"the token endpoint answered {reply.status}",
            status=reply.status,
            retry_after=retry_after(reply),
        )
    return _key_in(reply)


async def _post(target: Target, url: str, body: dict[str, Any]) -> Reply:
    headers = Headers(body.pop("headers", {}), identification(target))
    return await post(address(target, url), headers, body, target.timeout)


def _as_json(value: Any) -> dict[str, Any]:
    content = json.dumps(value, default=dict)
    return {"content": content, "headers": {"Content-Type": "application/json"}}


def _key_in(reply: Reply) -> Secret:
    """The key in a response, in the GA form or the beta form."""
    key = _key_of(reply.text)
    if key is None:
        raise SignallingError(
            "the response contains no ephemeral key", status=reply.status
        )
    return key


def _key_of(text: str) -> Secret | None:
    try:
        fields = json.loads(text)
        old = fields.get("client_secret")
        value = fields.get("value") or (old.get("value") if old else None)
    except (ValueError, AttributeError, RecursionError):
        return None
    return Secret(value) if isinstance(value, str) and value else None


def _call_id(reply: Reply) -> str | None:
    path = reply.location.partition("?")[0]
    name = path.rstrip("/").rpartition("/")[2]
    return name if is_call_id(name) else None
