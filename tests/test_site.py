"""The site: docs/ and what is made of the code, built with warnings as errors."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_every_page_of_docs_has_its_place_in_the_site() -> None:
    placed = set(re.findall(r"^ +- .*: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= placed, "add the page to nav in mkdocs.yml"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_has_every_page_and_command(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None:
        pytest.skip("the extra docs is not installed")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").is_file()
    commands = (site / "reference/commands.html").read_text(encoding="utf-8")
    assert {"bench run", "bench leaderboard", "bench data fetch"} <= set(re.findall(r">(bench [a-z ]+)<", commands))
    python = (site / "reference/python.html").read_text(encoding="utf-8")
    assert "larger = more anomalous" in python
    entries = list((site / "leaderboard/entries").glob("*.html"))
    assert len(entries) > 100
    for text in (page.read_text(encoding="utf-8") for page in (*entries[:20], site / "reference/python.html")):
        assert str(ROOT) not in text
