"""Write a master playlist as it reads from another folder.

In:   a master playlist that vidpipe wrote, whose URIs are relative; the folder that it lies in, as seen from the other one.
Out:  the same playlist with that folder before every relative URI.
Wrong: nothing here can fail.
"""

from __future__ import annotations

import re

_ATTRIBUTE = re.compile(r'([:,]URI=")([^"]*)"')
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/")


def relocated(text: str, folder: str) -> str:
    """Return the text of the playlist for one folder above. folder: its name there, such as the version."""

    def moved(uri: str) -> str:
        return uri if _ABSOLUTE.match(uri) else f"{folder}/{uri}"

    lines = (
        _ATTRIBUTE.sub(lambda found: f'{found[1]}{moved(found[2])}"', line) if line.startswith("#") else moved(line) if line else line
        for line in text.splitlines()
    )
    return "".join(f"{line}\n" for line in lines)
