"""The service of a command: its provider, base URL and key."""

from __future__ import annotations

import pytest

from duologue.adapters.cli.shared.service import Service, find_service, open_service
from duologue.core.errors import DuologueError
from duologue.transports import PROVIDERS, Credentials, SignallingError

PLACEHOLDER = PROVIDERS["local"].credentials()
ENVIRONMENT = {
    "XAI_API_KEY": "xai-1",
    "AZURE_OPENAI_ENDPOINT": "https://my.openai.azure.com/",
    "DUOLOGUE_BASE_URL": "https://voice.example/v1",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in PROVIDERS.values():
        monkeypatch.delenv(each.base_url_variable, raising=False)
        monkeypatch.delenv(each.key_variable, raising=False)
    monkeypatch.delenv("DUOLOGUE_PROVIDER", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("base_url", "provider", "found", "usable"),
    [
        (None, "openai", ("https://api.openai.com/v1", "the default", None), False),
        (None, "xai", ("https://api.x.ai/v1", "the default", "XAI_API_KEY"), True),
        ("https://x.example", "xai", ("https://x.example", "--base-url", 0), True),
        (
            None,
            "azure",
            ("https://my.openai.azure.com/openai/v1", "AZURE_OPENAI_ENDPOINT", None),
            False,
        ),
        (None, "plain", ("https://voice.example/v1", "DUOLOGUE_BASE_URL", None), True),
        ("http://127.0.0.1:1/v1", "openai", ("", "--base-url", None), True),
    ],
)
def test_each_value_and_its_source(
    base_url: str | None, provider: str, found: tuple[str, str, object], usable: bool
) -> None:
    """The option wins over the variable of the provider, and that over its default."""
    url, url_from, key_from = found
    has_key = key_from is not None
    expected = Service(
        base_url=url or str(base_url),
        url_from=url_from,
        credentials=Credentials("xai-1") if has_key else PLACEHOLDER,
        key_from="XAI_API_KEY" if has_key else None,
        provider=PROVIDERS[provider],
    )
    if provider == "plain":
        # It gets no key at all.
        expected = Service(
            base_url=url,
            url_from=url_from,
            credentials=Credentials(""),
            key_from=None,
            provider=PROVIDERS[provider],
        )
    service = find_service(base_url, provider)
    assert (service, service.is_usable) == (expected, usable)


@pytest.mark.parametrize(
    ("variables", "provider", "message"),
    [
        ({"XAI_BASE_URL": "x.example"}, "xai", "XAI_BASE_URL 'x.example': the base"),
        ({"XAI_BASE_URL": " "}, "xai", "XAI_BASE_URL is blank"),
        ({"AZURE_OPENAI_ENDPOINT": ""}, "azure", "the provider azure needs a base URL"),
        ({"DUOLOGUE_PROVIDER": "x"}, None, "DUOLOGUE_PROVIDER: unknown provider 'x'"),
    ],
)
def test_wrong_settings(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    provider: str | None,
    message: str,
) -> None:
    """One line, which names the variable."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DuologueError) as caught:
        find_service(None, provider)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


async def test_a_missing_key_is_that_of_the_provider() -> None:
    """The error names its variable."""
    with pytest.raises(DuologueError, match=r"^AZURE_OPENAI_API_KEY is not set"):
        async with open_service(local=False, base_url=None, provider="azure"):
            pass  # pragma: no cover - it is refused
    with pytest.raises(SignallingError, match=r"^--base-url 'http://h.example"):
        find_service("http://h.example#x", "azure")
