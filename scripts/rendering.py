"""Markdown: blocks, tables, code spans, signatures."""

from __future__ import annotations

import enum
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from typing import Any


def markdown(text: str) -> str:
    """A docstring's light markup as Markdown: code spans, blocks, lists."""
    blocks = []
    for block in text.replace("``", "`").split("\n\n"):
        lines = block.splitlines()
        if not lines:
            continue
        if all(line.startswith("    ") for line in lines) or block.startswith(">>>"):
            blocks.append("\n".join(["```", textwrap.dedent(block), "```"]))
        elif block.strip() != "::":
            blocks.append(re.sub(r"::$", ":", block))
    return "\n\n".join(blocks)


def code(text: str) -> str:
    """A code span that can stand in a table."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def table(head: str, rows: Iterable[str]) -> str:
    rule = re.sub(r"[^|]+", "---", head)
    return "\n".join([head, rule, *rows])


def anchor(title: str) -> str:
    """The fragment of a heading on code hosts."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def join(*parts: str) -> str:
    """Blocks of Markdown separated by blank lines, without empty blocks."""
    text = "\n\n".join(part.strip("\n") for part in parts if part)
    return text + "\n"


class Bare:
    """A value whose repr is the given text, for signatures."""

    def __init__(self, words: str) -> None:
        self.words = words

    def __repr__(self) -> str:
        return self.words


def signature(name: str, function: Callable[..., Any]) -> str:
    """The signature, on one line if it fits and a parameter a line if not."""
    whole = inspect.signature(function)
    shown = [
        parameter.replace(
            annotation=said(parameter.annotation), default=bare(parameter.default)
        )
        for parameter in whole.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    gives = said(whole.return_annotation)
    if inspect.isclass(function):
        gives = inspect.Signature.empty
    whole = whole.replace(parameters=shown, return_annotation=gives)
    text = f"{name}{whole}"
    if len(text) <= 88:
        return text
    lines, marked = [], False
    for parameter in whole.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not marked:
            lines.append("    *,")
            marked = True
        lines.append(f"    {parameter},")
    end = "" if gives is inspect.Signature.empty else f" -> {gives!r}"
    return "\n".join([f"{name}(", *lines, f"){end}"])


def said(annotation: Any) -> Any:
    """An annotation without the quotes of its string."""
    if "ForwardRef" in (text := repr(annotation)):
        annotation = re.sub(r"ForwardRef\('(.*?)'\)|\b[a-z]+\.", r"\1", text)
    return Bare(annotation) if isinstance(annotation, str) else annotation


def bare(value: Any) -> Any:
    """A default; a member of an enum and a function by their names."""
    if isinstance(value, enum.Enum):
        return Bare(f"{type(value).__name__}.{value.name}")
    if callable(value) and not inspect.isclass(value):
        name = getattr(value, "__name__", "…")
        return Bare("…" if name == "<lambda>" else name)
    return value


def plain(word: str) -> str:
    return word.value if isinstance(word, enum.Enum) else word
