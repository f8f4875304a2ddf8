"""What the pages say can be typed: every command and every option on them is one of ``bench``.

Those of docs/reports.md are done here too; those of docs/plugins.md in test_plugin_package.py, those of docs/python.md,
docs/use.md and the notebook in test_python_pages.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.core
import typer.main
from pages import DOCS, blocks
from typer.testing import CliRunner

from bench.cli import app

ROOT = DOCS.parent
PAGES = [*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "results/README.md"]
SET = re.compile(r"[A-Z_]+=\S+")
"""``BENCH_DATA=~/data`` before a command."""
ENDS = {"|", ">", ">>", "<", "&"}
"""What a command line of a shell goes on with."""


def in_blocks(page: str) -> Iterator[list[str]]:
    """The words of each command of ``bench`` in a block for a shell."""
    for language, block in blocks(page):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                for part in line.split(" && "):
                    yield from words_of(part)


def within_sentences(page: str) -> Iterator[list[str]]:
    for mention in re.findall(r"`(bench [a-z][^`\n]*)`", page):
        yield from words_of(mention)


def words_of(line: str) -> Iterator[list[str]]:
    words = [word for word in shlex.split(line, comments=True) if not SET.fullmatch(word)]
    if words[:1] == ["bench"]:
        yield words[1 : next((i for i, word in enumerate(words) if word in ENDS), None)]


BENCH: Any = typer.main.get_command(app)


def found(words: list[str]) -> tuple[Any, list[str]]:
    """The command that is meant, and what is typed after its name."""
    command = BENCH
    while isinstance(command, typer.core.TyperGroup) and words and not words[0].startswith("-"):
        assert words[0] in command.commands or words[0] == "…", f"there is no {words[0]}"
        if words[0] == "…":
            break
        command, words = command.commands[words[0]], words[1:]
    return command, words


def parsed(words: list[str]) -> None:
    """Parse a command down to its last option; nothing is run."""
    command, rest = found(words)
    try:
        command.make_context(command.name, rest)
    except typer.Exit:
        assert "--version" in words or "--help" in words
    except Exception as error:  # click's own, which typer has a copy of
        raise AssertionError(getattr(error, "message", error)) from error


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in sorted(PAGES)])
def test_every_command_on_a_page_can_be_typed(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for words in in_blocks(text):
        try:
            parsed(words)
        except AssertionError as error:
            pytest.fail(f"bench {shlex.join(words)}: {error}")
    for words in within_sentences(text):
        command, rest = found(words)
        options = {name for parameter in command.params for name in parameter.opts}
        unknown = {word.partition("=")[0] for word in rest if word.startswith("--")} - options
        assert not unknown, f"bench {shlex.join(words)}: there is no {unknown}"


@pytest.mark.parametrize("line", ["bench rnu", "bench run --suit mnist", "bench table mnist --metric"])
def test_what_cannot_be_typed_is_found(line: str) -> None:
    (words,) = words_of(line)
    with pytest.raises(AssertionError):
        parsed(words)


# ---------------------------------------------------------------------------------------------------------------------
# docs/reports.md, on the reference run: it stands in where there are no runs of one's own

ASKS_FOR_OTHERS = re.compile(r"^(run|compare|reproduce|pack|bundle) |magnetic_tile|--figures all|^leaderboard$")
"""They need runs of one's own, or data; or take minutes, as others here that do the same do not."""


@pytest.mark.slow
def test_what_the_page_on_reports_says_of_records_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results/reference").symlink_to(ROOT / "results/reference")
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "reports.md").read_text(encoding="utf-8")
    typed = [words for words in in_blocks(page) if not ASKS_FOR_OTHERS.search(" ".join(words))]
    assert len(typed) > 15
    for words in typed:
        ended = CliRunner().invoke(app, words)
        told = f"bench {shlex.join(words)}: {ended.exception!r} {ended.output[-400:]}"
        assert ended.exit_code == ("verify" in words), told
    for file in ("figures", "report.html", "site/index.html", "records.csv"):
        assert (tmp_path / file).exists()
