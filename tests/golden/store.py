"""Reading and writing the files of golden values.

Each is JSON; a long file is compressed and its name ends in ``.xz``. The same values
give the same bytes.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
TOP = FOLDER.parents[1]
#: Recorded traffic of the live API, if available.
RECORDINGS = TOP.parent / "shared" / "recordings"


def read(name: str) -> Any:
    """The values in a file of this folder."""
    data = (FOLDER / name).read_bytes()
    return json.loads(lzma.decompress(data) if name.endswith(".xz") else data)


def write(name: str, values: Any) -> None:
    """Put these values into a file of this folder."""
    if name.endswith(".xz"):
        data = lzma.compress(compact(values), preset=9 | lzma.PRESET_EXTREME)
    else:
        data = json.dumps(values, indent=1, ensure_ascii=False).encode() + b"\n"
    (FOLDER / name).write_bytes(data)


def compact(values: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces. 1, 1.0 and true differ."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return text.encode()


def first_difference(wanted: Any, found: Any, path: str = "") -> str | None:
    """The first difference of two JSON values; None if they are equal."""
    if compact(wanted) == compact(found):
        return None
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return _of_parts(wanted, found, sorted({*wanted, *found}), path)
    if isinstance(wanted, list) and isinstance(found, list):
        ours, theirs = dict(enumerate(wanted)), dict(enumerate(found))
        return _of_parts(ours, theirs, sorted({*ours, *theirs}), path)
    return f"{path or '/'}: golden {_shown(wanted)}, now {_shown(found)}"


def _of_parts(
    wanted: Mapping[Any, Any], found: Mapping[Any, Any], keys: Iterable[Any], path: str
) -> str | None:
    for key in keys:
        here = f"{path}/{key}"
        if key not in found:
            return f"{here}: golden {_shown(wanted[key])}, now missing"
        if key not in wanted:
            return f"{here}: not in the golden, now {_shown(found[key])}"
        said = first_difference(wanted[key], found[key], here)
        if said is not None:
            return said
    return None


def _shown(value: Any) -> str:
    text = compact(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"
