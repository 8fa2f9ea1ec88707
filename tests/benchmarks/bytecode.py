"""vidpipe's bytecode, written as an installation writes it: else a checkout is compiled anew at every start, half of a CPU second.

(Where PYTHONDONTWRITEBYTECODE is set, no run leaves any.)
"""

from __future__ import annotations

import compileall
from pathlib import Path

import vidpipe


def write_bytecode() -> None:
    """Compile what is new."""
    compileall.compile_dir(Path(vidpipe.__file__).parent, quiet=1)
