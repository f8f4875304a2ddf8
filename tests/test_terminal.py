"""Names from folders, plugins and records neither steer the terminal nor pass for markup."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from cli import Bench
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from bench.execution.progress import Board
from bench.terminal import printable

EVIL = "\x1b[31m[bold]red[/bold]\x07"
"""A class's name that would colour the terminal, ring it, and be read as markup."""


@given(st.text())
def test_what_is_printable_steers_nothing_and_plain_text_stays(text: str) -> None:
    shown = printable(text)
    assert all(each in "\n\t" or unicodedata.category(each) not in ("Cc", "Cf", "Cs") for each in shown)
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize("text", ["ü × −0.5 – „q“", "two\nlines\tand a tab"])
def test_letters_signs_and_layout_stay(text: str) -> None:
    assert printable(text) == text


def test_a_board_shows_names_as_they_are() -> None:
    console = Console(width=200, force_terminal=True, color_system=None)
    board = Board(EVIL, 2)
    board.started("key", "gpu:[0]", f"m on [/x], class {EVIL}")
    board.epoch("key", 1, 2, {"[/a]": 0.5})
    with console.capture() as captured:
        console.print(board.rendered(1.0))
    shown = captured.get()
    assert shown.count("\\x1b[31m[bold]red[/bold]\\x07") == 2
    assert "gpu:[0]" in shown
    assert "m on [/x]" in shown
    assert "[/a] 0.5" in shown


@pytest.mark.slow
def test_a_run_over_folders_with_strange_names_shows_them_escaped(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in (EVIL, "[/red]"):
        folder = tmp_path / "data/own" / name.replace("/", "\u2215")
        folder.mkdir(parents=True)
        for number in range(12):
            Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(folder / f"{number}.png")
    bench = Bench(tmp_path / "work", tmp_path / "data")
    run = ["run", "--dataset", "folder(path='own',size=8)", "--methods", "mean_image", "--device", "cpu"]
    for command in (run, ["table", "folder(path='own',size=8)"], ["status"], ["show", "", "--json"]):
        words = [*command[:1], bench.records()[0].job.key[:12], *command[2:]] if command[0] == "show" else command
        ended = bench(*words)
        assert ended.returncode == 0, ended.stderr
        assert "\x1b" not in ended.stdout + ended.stderr
        assert "\x07" not in ended.stdout + ended.stderr
    assert "\\x1b[31m[bold]red" in bench("table", "folder(path='own',size=8)").stdout
