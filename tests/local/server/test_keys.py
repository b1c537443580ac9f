"""Authentication by API keys and ephemeral keys."""

from __future__ import annotations

import pytest

from duologue.local.server.http_errors import HttpError
from duologue.local.server.keys import Keys, request_key


@pytest.mark.parametrize(
    ("authorization", "subprotocols", "key"),
    [
        ("Bearer sk-1", (), "sk-1"),
        ("bearer  sk-1 ", (), "sk-1"),
        ("", ("realtime", "openai-insecure-api-key.sk-1"), "sk-1"),
        ("Bearer ", ("openai-insecure-api-key.sk-1",), "sk-1"),
        ("Bearer sk-1", ("openai-insecure-api-key.sk-2",), "sk-1"),
        ("Basic sk-1", ("realtime",), ""),
        ("", (), ""),
    ],
)
def test_a_key_comes_in_a_header_or_as_a_subprotocol(
    authorization: str, subprotocols: tuple[str, ...], key: str
) -> None:
    assert request_key(authorization, subprotocols) == key


def test_a_key_that_is_none_is_a_401() -> None:
    keys = Keys("sk-right", lambda: 0.0)
    secret = keys.mint({"model": "m"}, 10)
    assert keys.check("sk-right", ephemeral=False) is None
    assert keys.check(secret.value, ephemeral=True) == secret
    for key, ephemeral in (
        ("", True),
        ("sk-wrong", True),
        ("\udcff", True),
        (secret.value, False),
        ("ek_other", True),
    ):
        with pytest.raises(HttpError) as caught:
            keys.check(key, ephemeral=ephemeral)
        assert caught.value.status == 401


def test_only_a_key_that_was_given_vouches_for_a_page() -> None:
    """If any key is accepted, a key is no secret."""
    now = [0.0]
    own, open_ = Keys("sk-right", lambda: now[0]), Keys(None, lambda: now[0])
    secret = open_.mint({}, 10)
    assert own.is_secret("sk-right")
    assert not own.is_secret("sk-wrong")
    assert open_.is_api_key("sk-any")
    assert not open_.is_secret("sk-any")
    assert open_.is_secret(secret.value)
    now[0] = 10.0
    assert not open_.is_secret(secret.value)


@pytest.mark.parametrize(
    ("key", "code", "message"),
    [
        ("", None, "You didn't provide an API key in the Authorization header."),
        ("sk-wrong", "invalid_api_key", "Incorrect API key provided: ***."),
        (
            "sk-proj-0123456789wxyz",
            "invalid_api_key",
            "Incorrect API key provided: sk-***wxyz.",
        ),
        ("ü" * 30, "invalid_api_key", "Incorrect API key provided: ***."),
    ],
)
def test_a_refused_key_is_shown_masked(
    key: str, code: str | None, message: str
) -> None:
    """A missing key has no code, as with the real service."""
    with pytest.raises(HttpError) as caught:
        Keys("sk-right", lambda: 0.0).check(key, ephemeral=True)
    assert (caught.value.code, caught.value.message) == (code, message)
