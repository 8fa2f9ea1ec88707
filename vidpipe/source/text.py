"""Make text that comes out of a file fit for a terminal, a log and a playlist.

In:   metadata as the file has it.  Out: one short line without control characters.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200  # characters: enough for a title, too little to flood a terminal

# ECMA-48 sequences whole (CSI, then OSC and other strings), so that no "[31m" stays behind when ESC is removed.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|$)|\x1b[ -/]*[0-~]", re.DOTALL
)
# Cc: C0 and C1.  Cf: bidi overrides, zero-width characters, tags.  Cs: half surrogates.  Co, Cn: no agreed meaning.  Zl, Zp: line breaks.
_UNWANTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return ``text`` as one line without control, escape, bidi and invisible characters, at most ``longest`` characters."""
    text = _ESCAPES.sub("", text[: 16 * longest])
    words = re.sub(r"[\t\r\n\v\f]", " ", text)
    line = " ".join("".join(char for char in words if unicodedata.category(char) not in _UNWANTED).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
