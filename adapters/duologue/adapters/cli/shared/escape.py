"""Text of others as it may stand in a file or on a screen: nothing in it commands."""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["as_line", "plain"]

#: Sequences of ECMA-48, whole: those that set something (CSI), those that carry a
#: string (OSC, DCS, SOS, PM, APC), and those of two or three characters.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])"
    r"[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
#: What is left of C0 and C1, and Unicode's Bidi_Control, which turns the direction
#: of writing.
_HARMFUL = dict.fromkeys(
    number
    for span in (
        range(0x09),
        range(0x0B, 0x20),
        range(0x7F, 0xA0),
        (0x061C, 0x200E, 0x200F),
        range(0x202A, 0x202F),
        range(0x2066, 0x206A),
    )
    for number in span
)


def plain(text: str) -> str:
    """``text`` without control characters, escape sequences and marks of direction.

    Tabs stay, and line breaks of all kinds as ``\\n``.
    """
    return _BREAKS.sub("\n", _SEQUENCES.sub("", text)).translate(_HARMFUL)


#: msgspec escapes C0 by itself; the rest of what `plain` changes is below U+2070.
_ESCAPED = {
    code: f"\\u{code:04x}"
    for code in range(0x7F, 0x2070)
    if plain(chr(code)) != chr(code)
}


def as_line(value: Any) -> str:
    """``value`` as a line of JSON. The texts in it stay what they are, but escaped."""
    return msgspec.json.encode(value).decode().translate(_ESCAPED) + "\n"
