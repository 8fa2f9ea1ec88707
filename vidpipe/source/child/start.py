"""Where the child begins: it loads no more than its question needs.

In:   the question.  Out: the function that answers it.  Wrong: nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def loaded(question: str) -> Callable[[list[str]], None]:
    """Load what answers a question, and return it. A file is measured without pydantic; the other questions bring facts to be read."""
    if question == "examine":
        from vidpipe.source.child import plain_data

        sys.modules["vidpipe.data"] = plain_data  # half of the child's start, which every ingest waits for, was pydantic
    from vidpipe.source.child.entry import main

    return main
