"""docs/python.md, docs/use.md and docs/notebook.ipynb: what they say can be typed, and does what they say."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from cli import Bench, python_prints
from pages import DOCS, blocks

pytestmark = pytest.mark.slow

NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?(?:e-?\d+)?")


@pytest.fixture
def plain(bench: Bench) -> Bench:
    """The command line in an empty working folder, without the tests' own plugins."""
    return Bench(bench.folder / "empty", bench.data)


def same(one: str, other: str) -> None:
    """Fail where the words of two texts differ, or a number of more than one digit by more than five hundredths."""
    assert NUMBER.sub("#", one).split() == NUMBER.sub("#", other).split()
    numbers = [[float(found.replace("−", "-")) for found in NUMBER.findall(text)] for text in (one, other)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.05)


def test_the_page_on_python_is_one_script(plain: Bench) -> None:
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    script = "\n".join(text for language, text in blocks(page) if language == "python")
    (plain.folder / "page.py").write_text(script, encoding="utf-8")
    printed = python_prints("page.py", folder=plain.folder, **plain.variables())
    assert "ocsvm" in printed.split("\n\n")[1]
    assert "MeanImage on digits, class 8, seed 0: auroc 0.9" in printed
    assert "−score_samples(rows)" in printed
    assert "pca fitted on 100 images of 8 × 8, grey; profile cpu, seed 0" in printed
    assert (plain.folder / "roc.pdf").read_bytes().startswith(b"%PDF")


def test_the_page_on_use_leads_to_scores_that_tell_new_pictures_apart(plain: Bench) -> None:
    page = (DOCS / "use.md").read_text(encoding="utf-8")
    for language, text in blocks(page):
        if language == "python":
            name = text.partition("\n")[0].removeprefix("# ")
            (plain.folder / name).write_text(text, encoding="utf-8")
        elif language == "sh":
            for line in text.splitlines():
                program, *arguments = shlex.split(line)
                if program == "python":
                    python_prints(*arguments, folder=plain.folder)
                else:
                    assert program == "bench"
                    ended = plain(*arguments)
                    assert ended.returncode == 0, ended.stderr
    scores = (plain.folder / "scores.csv").read_text()
    (shown,) = [text for language, text in blocks(page) if language == "text"]
    same("\n".join(scores.splitlines()[:3]), shown.replace("…", ""))
    by_path = {path: float(score) for path, score in (line.split(",") for line in scores.splitlines()[1:])}
    zeros, sixes = ([score for path, score in by_path.items() if path.startswith(f"new/{digit}")] for digit in (0, 6))
    assert len(zeros) == len(sixes) == 8
    assert max(zeros) < min(sixes)


# ---------------------------------------------------------------------------------------------------------------------
# The notebook. To make it anew, in an empty folder:  jupyter execute --inplace notebook.ipynb


def outputs(notebook: Any) -> list[dict[str, str]]:
    """Of each cell of code: what it showed, by kind. What it printed may have come in several parts."""
    cells: list[dict[str, str]] = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cells.append({})
            for output in cell["outputs"]:
                for kind, text in output.get("data", {output.get("name", "error"): output.get("text", "")}).items():
                    cells[-1][kind] = cells[-1].get(kind, "") + "".join(text)
    return cells


def test_the_notebook_shows_what_it_shows(tmp_path: Path, plain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    text = (DOCS / "notebook.ipynb").read_text(encoding="utf-8")
    assert not re.search(r"/(tmp|home|opt|root|work|Users)/", text)
    for name, value in plain.variables().items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    committed, today = outputs(json.loads(text)), outputs(notebook)
    assert [set(shown) for shown in today] == [set(shown) for shown in committed]
    for before, now in zip(committed, today, strict=True):
        assert "error" not in now
        for kind in {"text/plain", "stdout"} & set(now):
            same(re.sub(r"\d:\d\d:\d\d", "", now[kind]), re.sub(r"\d:\d\d:\d\d", "", before[kind]))
    ran, table, _, figure = today[:4]
    assert "30/30 ended, 0 running, 0 waiting" in ran["text/plain"]
    assert 'class="figures"' in table["text/html"]
    assert "<svg" in figure["image/svg+xml"]
