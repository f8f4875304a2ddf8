"""The committed reference run: its tables are those that its records make, and it names no machine's folders."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from cli import Bench

RESULTS = Path(__file__).parent.parent / "results"
RECORDS = sorted(RESULTS.glob("*/*/*/*/*.json"))


@pytest.mark.parametrize(("command", "file"), [("table all", "tables.txt"), ("verify", "verify.txt")])
def test_the_commands_print_what_is_committed(bench: Bench, command: str, file: str) -> None:
    (bench.folder / "results").mkdir(exist_ok=True)
    (bench.folder / "results/reference").symlink_to(RESULTS / "reference")
    told = bench(*command.split())
    assert "showing the reference run" in told.stderr
    assert told.stdout == (RESULTS / file).read_text(encoding="utf-8"), "make it anew with results/make.py"


@pytest.mark.parametrize("page", ["README.md", "results/README.md"])
def test_a_page_shows_what_the_records_make(bench: Bench, page: str) -> None:
    text = (RESULTS.parent / page).read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- bench (.*?) -->\n((?:.+\n)*)\n", text)
    assert blocks
    shutil.copy(RESULTS / "oracle.toml", bench.folder / "bench.toml")  # these commands have a --config already
    for arguments, shown in blocks:
        options = arguments.replace("--config oracle.toml", "").split()
        printed = bench(*options, "--results", str(RESULTS / "reference")).stdout.splitlines()
        lines = [line for line in shown.splitlines() if not line.startswith("```")]
        assert lines == ["No records yet."] if not printed else lines and set(lines) <= set(printed)


def test_no_record_names_a_folder_of_the_machine_that_made_it() -> None:
    assert RECORDS
    for path in RECORDS:
        provenance = json.dumps(json.loads(path.read_bytes())["provenance"])
        assert not re.search(r"/(tmp|home|root|work|Users)/", provenance), path
