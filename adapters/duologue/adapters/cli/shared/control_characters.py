"""Escaping of foreign text, so that it cannot control a terminal."""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["json_line", "single_line", "strip_controls"]

#: Complete sequences of ECMA-48: control sequences (CSI), control strings (OSC, DCS,
#: SOS, PM, APC), and escape sequences of two or three characters.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])"
    r"[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
#: The other control characters (C0, C1), and Unicode's Bidi_Control characters, which
#: change the direction of text.
_CONTROLS = dict.fromkeys(
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


def strip_controls(text: str) -> str:
    """Remove escape sequences, control characters and Bidi_Control characters.

    Tabs stay. Each kind of line break becomes ``\\n``.
    """
    return _BREAKS.sub("\n", _SEQUENCES.sub("", text)).translate(_CONTROLS)


def single_line(text: str) -> str:
    """`strip_controls`, with a space for each tab and line break."""
    return strip_controls(text).translate({0x0A: " ", 0x09: " "})


#: msgspec escapes C0. All other characters that `strip_controls` changes are below
#: U+2070.
_ESCAPED = {
    code: f"\\u{code:04x}"
    for code in range(0x7F, 0x2070)
    if strip_controls(chr(code)) != chr(code)
}


def json_line(value: Any) -> str:
    """One line of JSON. Control characters are escaped, so the values do not change."""
    return msgspec.json.encode(value).decode().translate(_ESCAPED) + "\n"
