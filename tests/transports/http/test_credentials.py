"""Only the header shows a key."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from duologue.transports.http.credentials import Credentials, Secret

KEY = "sk-very-private-0123456789"


@pytest.mark.parametrize("subject", [Secret(KEY), Credentials(KEY)], ids=["one", "all"])
@pytest.mark.parametrize(
    "show",
    [repr, str, "{}".format, "{!r:>60}".format, lambda it: f"{[it]} {{{it}}}"],
    ids=["repr", "str", "format", "padded", "nested"],
)
def test_no_text_of_it_holds_the_key(
    subject: object, show: Callable[[object], str]
) -> None:
    """Every conversion to text gives stars."""
    text = show(subject)
    assert KEY not in text
    assert "***" in text


@pytest.mark.parametrize("subject", [Secret(KEY), Credentials(KEY)], ids=["one", "all"])
def test_there_is_no_dict_to_print(subject: object) -> None:
    """`vars` raises: both classes have slots."""
    with pytest.raises(TypeError):
        vars(subject)


@pytest.mark.parametrize("subject", [Secret(KEY), Credentials(KEY)], ids=["one", "all"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(subject: object, protocol: int) -> None:
    """A key does not get into a file or another process by accident."""
    with pytest.raises(TypeError) as caught:
        pickle.dumps(subject, protocol)
    assert KEY not in str(caught.value)


def test_it_cannot_be_copied_deeply() -> None:
    """Copying uses pickling."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        copy.deepcopy(Credentials(KEY))


def test_as_a_dictionary_it_still_hides() -> None:
    """`attrs.asdict`, as in a logger, gives the `Secret`."""
    assert attrs.asdict(Credentials(KEY)) == {"key": Secret(KEY), "kind": "api"}


def test_a_traceback_with_locals_hides_it() -> None:
    """A traceback with all local variables does not contain the key."""

    def fail(credentials: Credentials) -> None:
        raise RuntimeError(f"refused {credentials}")

    try:
        fail(Credentials(KEY))
    except RuntimeError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        text = "".join(shown.format())
    assert "refused Credentials(key=Secret('***'), kind='api')" in text
    assert KEY not in text


@pytest.mark.parametrize(
    ("key", "ephemeral"), [("ek_abc", True), ("sk-abc", False), ("", False)]
)
def test_the_prefix_says_what_a_key_is(key: str, ephemeral: bool) -> None:
    """``ek_`` marks an ephemeral key (POST /realtime/client_secrets)."""
    assert Credentials(key).ephemeral is ephemeral


@pytest.mark.parametrize(
    ("key", "kind", "ephemeral"),
    [("opaque", "ephemeral", True), ("ek_abc", "api", False), ("a.b", "bearer", False)],
)
def test_the_prefix_is_only_a_guess(key: str, kind: Any, ephemeral: bool) -> None:
    """Other services mint keys of another form; an unknown kind is refused."""
    assert Credentials(key, kind=kind).ephemeral is ephemeral
    with pytest.raises(ValueError, match="kind"):
        Credentials(key, kind=kind + "s")


def test_the_header_is_a_bearer() -> None:
    """The only place that shows the key."""
    assert Credentials(Secret("ek_abc")).header == "Bearer ek_abc"


def test_equal_keys_are_equal() -> None:
    """Credentials compare and hash by their key."""
    assert Credentials("sk-a") == Credentials(Secret("sk-a"))
    assert {Credentials("sk-a"), Credentials("sk-a")} == {Credentials("sk-a")}
    assert Credentials("sk-a") != Credentials("sk-b")
