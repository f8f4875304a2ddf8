"""What is released says which version it is, everywhere alike."""

from __future__ import annotations

import re
from pathlib import Path

from bench.version import VERSION

ROOT = Path(__file__).parent.parent


def test_the_version_is_the_newest_of_the_changelog_and_that_which_is_cited() -> None:
    (newest, *_) = re.findall(r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    cited = (ROOT / "CITATION.cff").read_text()
    (version,) = re.findall(r"^version: (\S+)$", cited, re.MULTILINE)
    (released,) = re.findall(r"^date-released: (\S+)$", cited, re.MULTILINE)
    assert newest == (version, released)
    assert version == VERSION
