"""Without Hypothesis, importing the testing package raises one clear error."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from duologue.core import testing

ROOT = Path(__file__).parents[3] / "core"


def test_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which extra to install."""
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    spec = importlib.util.spec_from_file_location("anew", testing.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)

    with pytest.raises(
        ImportError, match=r"pip install 'duologue\[testing\]'"
    ) as error:
        spec.loader.exec_module(module)
    assert error.value.name == "hypothesis"


def test_core_does_not_import_it() -> None:
    """A fold needs neither Hypothesis nor the extra."""
    code = (
        "import sys; sys.modules['hypothesis'] = None; import duologue.core as core; "
        "core.fold([]); assert 'duologue.core.testing' not in sys.modules"
    )
    run = [sys.executable, "-c", code]

    assert (
        subprocess.run(run, env={"PYTHONPATH": str(ROOT)}, check=False).returncode == 0
    )
