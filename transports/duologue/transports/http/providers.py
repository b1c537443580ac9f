"""The table of providers: the URLs of a service, and how it takes a key.

How a service behaves afterwards is not described here: the state is inferred from the
events alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

import attrs

from duologue.core.models import REALTIME, XAI_VOICE

from ..errors import SignallingError
from .credentials import Credentials
from .redaction import Headers

__all__ = [
    "AZURE",
    "AZURE_PREVIEW",
    "LOCAL",
    "OPENAI",
    "PLAIN",
    "PROVIDERS",
    "XAI",
    "Provider",
    "find_provider",
]


@attrs.frozen(kw_only=True, repr=False)
class Provider:
    """A service: its URLs, how it takes a key, and what it supports.

    ``base_url`` is the default base URL, which the variable ``base_url_variable``
    replaces; without both, one must be given. ``base_path`` is appended to a base URL
    that has no path. The API key is in ``key_variable``. It is sent in the header
    ``key_header``: with ``Bearer`` in ``Authorization``, else alone; or, with
    ``key_query``, in this parameter of the URL. Access tokens and ephemeral keys are
    always sent as ``Bearer``. Without a key in the environment, ``default_key`` is
    used; if it is empty, requests have no key, and if it is None, they fail.
    ``headers`` and ``query`` are added to every request; their ``repr`` shows no
    values.

    ``model`` is the default model; None if there is none. The URL of a session names
    the model in ``model_query``. ``sessions``, ``calls`` and ``keys`` are the paths of
    sessions over WebSocket, of calls over WebRTC, and of ephemeral keys below the base
    URL; None if the service does not have them. If ``takes_form`` is false, a call is
    requested with the offer alone; the URL of such a request names the model if
    ``calls_name_model`` is true. If ``keys_take_session`` is false, a request for a
    key contains only its lifetime.
    """

    name: str
    base_url: str | None = None
    base_url_variable: str = "DUOLOGUE_BASE_URL"
    base_path: str = ""
    key_variable: str = "DUOLOGUE_API_KEY"
    key_header: str = "Authorization"
    key_query: str | None = None
    default_key: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=Headers)
    query: Mapping[str, str] = attrs.field(factory=dict, converter=Headers)
    model: str | None = REALTIME
    model_query: str = "model"
    sessions: str = "/realtime"
    calls: str | None = "/realtime/calls"
    keys: str | None = "/realtime/client_secrets"
    calls_name_model: bool = True
    takes_form: bool = True
    keys_take_session: bool = True

    def __repr__(self) -> str:
        # Headers and query may be secret.
        return f"Provider({self.name!r})"

    # The base URL and the key.

    def find_base_url(self, base_url: str | None = None) -> str:
        """This base URL, or else that of the environment, or else the default.

        Raises `SignallingError` for a blank one, and if there is none.
        """
        url = base_url
        if url is None:
            url = os.environ.get(self.base_url_variable) or self.base_url
        if url is None:
            raise SignallingError(
                f"the provider {self.name} needs a base URL: "
                f"set {self.base_url_variable}, or pass one"
            )
        if not url.strip():
            source = "the base URL" if base_url is not None else self.base_url_variable
            raise SignallingError(f"{source} is blank")
        try:
            return urlunsplit(self._base(url))
        except ValueError:
            # It is refused with its reason before the first request.
            return url

    def credentials(self) -> Credentials:
        """The API key of the environment, or else the default one, or an empty one."""
        found = Credentials.from_environment(self.key_variable)
        return found if found.key.reveal() else Credentials(self.default_key or "")

    # URLs. All begin with http, those of WebSockets too.

    def session_url(self, base_url: str, session: Mapping[str, Any]) -> str:
        """The URL of a session over WebSocket, which names its model."""
        if session.get("type") == "transcription":
            return self._url(base_url, self.sessions, {"intent": "transcription"})
        return self._url(base_url, self.sessions, self._model(session))

    def sideband_url(self, base_url: str, call_id: str) -> str:
        """The URL of the sideband of a call."""
        return self._url(base_url, self.sessions, {"call_id": call_id})

    def calls_url(self, base_url: str, session: Mapping[str, Any] | None = None) -> str:
        """The URL to request a call; with a ``session`` it names the model.

        Raises `SignallingError` if the service has no calls.
        """
        if self.calls is None:
            raise SignallingError(
                f"the provider {self.name} has no calls over WebRTC: use WebSocket"
            )
        names_model = self.calls_name_model and session is not None
        query = self._model(session or {}) if names_model else {}
        return self._url(base_url, self.calls, query)

    def hang_up_url(self, base_url: str, call_id: str) -> str:
        """The URL to end a call. Raises as `calls_url` does."""
        self.calls_url(base_url)
        return self._url(base_url, f"{self.calls}/{call_id}/hangup", {})

    def keys_url(self, base_url: str) -> str:
        """The URL to request an ephemeral key.

        Raises `SignallingError` if the service has none.
        """
        if self.keys is None:
            raise SignallingError(f"the provider {self.name} has no ephemeral keys")
        return self._url(base_url, self.keys, {})

    def _model(self, session: Mapping[str, Any]) -> dict[str, str]:
        model = session.get("model")
        return {self.model_query: str(model)} if model else {}

    def _url(self, base_url: str, path: str, query: Mapping[str, str]) -> str:
        """Add a path, and the query of the provider; that of the base URL wins."""
        base = self._base(base_url)
        given = dict(parse_qsl(base.query, keep_blank_values=True))
        pairs = urlencode({**self.query, **given, **query})
        return urlunsplit(base._replace(path=base.path + path, query=pairs))

    def _base(self, base_url: str) -> SplitResult:
        parts = urlsplit(base_url.strip())
        return parts._replace(path=parts.path.rstrip("/") or self.base_path)

    # Requests.

    def key_headers(self, credentials: Credentials) -> dict[str, str]:
        """The header that carries a key; empty if the URL carries it."""
        if credentials.kind != "api":
            return {"Authorization": credentials.header}
        if self.key_query is not None:
            return {}
        if self.key_header == "Authorization":
            return {"Authorization": credentials.header}
        return {self.key_header: credentials.key.reveal()}

    def key_request(self, session: Mapping[str, Any], lifetime: int) -> dict[str, Any]:
        """The body of a request for an ephemeral key, valid ``lifetime`` seconds."""
        if not self.keys_take_session:
            return {"expires_after": {"seconds": lifetime}}
        expiry = {"anchor": "created_at", "seconds": lifetime}
        return {"expires_after": expiry, "session": session}


#: The API of OpenAI.
OPENAI = Provider(
    name="openai",
    base_url="https://api.openai.com/v1",
    base_url_variable="OPENAI_BASE_URL",
    key_variable="OPENAI_API_KEY",
)
#: Azure OpenAI. The base URL may be the endpoint of the resource alone; the model is
#: the name of the deployment. Source: Microsoft Learn, "Use the GPT Realtime API via
#: WebRTC" and "… via WebSockets" (29 January 2026).
AZURE = Provider(
    name="azure",
    base_url_variable="AZURE_OPENAI_ENDPOINT",
    base_path="/openai/v1",
    key_variable="AZURE_OPENAI_API_KEY",
    key_header="api-key",
    model=None,
    calls_name_model=False,
    takes_form=False,
)
#: The URLs of Azure OpenAI's preview versions, over WebSocket only (the same pages).
AZURE_PREVIEW = attrs.evolve(
    AZURE,
    name="azure-preview",
    base_path="/openai",
    query={"api-version": "2025-04-01-preview"},
    model_query="deployment",
    calls=None,
    keys=None,
)
#: The Voice Agent API of xAI, over WebSocket only. Source: docs.x.ai, "Voice Agent API"
#: and "Ephemeral Tokens" (read in 2026).
XAI = Provider(
    name="xai",
    base_url="https://api.x.ai/v1",
    base_url_variable="XAI_BASE_URL",
    key_variable="XAI_API_KEY",
    model=XAI_VOICE,
    calls=None,
    keys_take_session=False,
)
#: A service that `duologue local` or `duologue.local.LocalService` has started.
LOCAL = Provider(name="local", default_key="made-up-key-for-the-local-service")
#: A compatible service with the URLs of OpenAI, with or without a key.
PLAIN = Provider(name="plain", default_key="")

#: The providers by name.
PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {each.name: each for each in (OPENAI, AZURE, AZURE_PREVIEW, XAI, LOCAL, PLAIN)}
)


def find_provider(provider: Provider | str | None = None) -> Provider:
    """The provider with this name; by default that of ``DUOLOGUE_PROVIDER``, or OpenAI.

    Raises ValueError for an unknown name.
    """
    if isinstance(provider, Provider):
        return provider
    name = provider or os.environ.get("DUOLOGUE_PROVIDER") or OPENAI.name
    if name not in PROVIDERS:
        source = "" if provider else "DUOLOGUE_PROVIDER: "
        known = ", ".join(PROVIDERS)
        raise ValueError(f"{source}unknown provider {name!r}; known are {known}")
    return PROVIDERS[name]
