"""Every public name of the testing package has an example, and the examples run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from duologue.core import testing

MODULES = [
    "duologue.core.testing",
    *(
        f"duologue.core.testing.{m.name}"
        for m in pkgutil.iter_modules(testing.__path__)
    ),
]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_module(name: str) -> None:
    """The output of every example is as shown."""
    results = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)

    assert results.failed == 0


@pytest.mark.parametrize("name", sorted(set(testing.__all__) - {"fold"}))
def test_a_public_name_has_an_example(name: str) -> None:
    """Every public name has an example; that of `fold` is in its own module."""
    assert ">>>" in (getattr(testing, name).__doc__ or "")
