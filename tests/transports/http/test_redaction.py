"""Foreign text in messages, and headers that hide their values."""

from __future__ import annotations

import pytest

from duologue.transports.http.credentials import Secret
from duologue.transports.http.redaction import Headers, one_line, shown_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\r\n two\x1b[31m", "one two [31m"),
        (
            "no sk-proj-Ab_1, (ek_12), xai-1 or Bearer a.b-1!",
            "no sk-***, (ek_***), xai-*** or Bearer ***!",
        ),
        ("Authorization: bearer abcdefghijklmnopqrst", "Authorization: bearer ***"),
        ("sk-very********CRET", "sk-***"),
        ("Missing bearer authentication", "Missing bearer authentication"),
        ("a task-force, a week_end", "a task-force, a week_end"),
        ("my odd key", "my *** key"),
        ("x" * 300, "x" * 199 + "…"),
        ("x" * 190 + " sk-" + "y" * 100, "x" * 190 + " sk-***"),
    ],
)
def test_a_foreign_text(text: str, shown: str) -> None:
    """In one line of at most 200 characters, without keys."""
    assert one_line(text, Secret("odd")) == shown


def test_no_key_to_hide() -> None:
    """An empty key changes nothing."""
    assert one_line("odd", Secret("")) == one_line("odd") == "odd"


def test_headers_show_no_value() -> None:
    """Later headers win."""
    headers = Headers({"A": "1", "B": "2"}, {"B": "3"})
    assert dict(headers) == {"A": "1", "B": "3"}
    assert repr(headers) == "Headers(A, B)"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.example/v1", "https://h.example/v1"),
        ("https://h.example/v1?", "https://h.example/v1?***"),
        ("https://h.example/v1?key=canary", "https://h.example/v1?***"),
        ("https://me:can/ary@h.example/v1", "https://***@h.example/v1"),
        (
            "http://me:canary@h.example:99999/v1?a=b",
            "http://***@h.example:99999/v1?***",
        ),
        ("http://me:can@ary@h.example", "http://***@h.example"),
        ("no url", "no url"),
    ],
)
def test_a_url_without_its_secrets(url: str, shown: str) -> None:
    """Neither its query nor its user, even if the password is not encoded."""
    assert shown_url(url) == shown
