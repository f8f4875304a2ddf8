"""Pages of the documentation as tests read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """The language and the text of each block of code, in order."""
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield found[1], found[2]
