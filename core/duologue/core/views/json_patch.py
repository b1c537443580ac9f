"""JSON Patch (RFC 6902): the three operations that `patch` uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..argument_checks import require
from ..errors import DuologueError
from ..wire.json_values import is_array, is_object

__all__ = ["PatchError", "apply"]


class PatchError(DuologueError, ValueError):
    """A patch that cannot be applied to this document."""


def apply(document: Any, patch: Iterable[Mapping[str, Any]]) -> Any:
    """The document after a patch of ``add``, ``remove`` and ``replace``.

    The argument is not changed: nodes on a path are copied, all others are shared.
    Raises `PatchError` for another operation or a missing path, TypeError unless
    ``patch`` is an iterable of mappings.
    """
    require(patch, Iterable, "apply: the patch")
    for operation in patch:
        require(operation, Mapping, "apply: each operation")
        name, path = operation.get("op"), operation.get("path")
        if name not in ("add", "remove", "replace") or not isinstance(path, str):
            raise PatchError(f"not an add, remove or replace with a path: {operation}")
        # A path begins with a slash; the empty path is the document itself.
        root = path.partition("/")[0]
        try:
            value = None if name == "remove" else operation["value"]
            document = _edit({root: document}, path.split("/"), name, value)[""]
        except (LookupError, ValueError):
            raise PatchError(f"the path or index does not exist: {operation}") from None
    return document


def _edit(node: Any, keys: Sequence[str], name: str, value: Any) -> Any:
    """A copy of a node, with one value below it set or removed.

    Raises LookupError or ValueError if the path does not exist.
    """
    at: Any = keys[0].replace("~1", "/").replace("~0", "~")
    sets = name == "add" and len(keys) == 1
    copy: Any
    if is_object(node):
        copy = dict(node)
    elif is_array(node):
        copy = list(node)
        at = len(node) if sets and at == "-" else _index(at, len(node) + sets)
    else:
        raise LookupError
    held = None if sets else copy[at]
    if len(keys) > 1:
        copy[at] = _edit(held, keys[1:], name, value)
    elif name == "remove":
        del copy[at]
    elif sets and is_array(node):
        copy.insert(at, value)
    else:
        copy[at] = value
    return copy


def _index(key: str, end: int) -> int:
    """The index of a list: digits without a leading zero. Raises if it is not one."""
    if str(int(key)) != key or not 0 <= int(key) < end:
        raise LookupError
    return int(key)
