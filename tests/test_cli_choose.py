"""``bench choose`` from the command line: a detector for a folder that has no defect in it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from cli import Bench
from PIL import Image
from sklearn.datasets import load_digits

from bench.store import TUNING, Store

pytestmark = pytest.mark.slow

ASKED = ("choose", "parts", "--size", "8", "--profile", "cpu", "--device", "cpu", "--workers", "2")


def pictures(folder: Path) -> None:
    """Zeros, and nothing else."""
    folder.mkdir(parents=True)
    every = load_digits()
    for number, image in enumerate(every.images[every.target == 0][:60]):
        Image.fromarray((image * 15).astype(np.uint8)).save(folder / f"{number}.png")


def test_methods_are_ranked_on_normal_pictures_and_the_recommended_one_can_be_fitted(bench: Bench) -> None:
    pictures(bench.folder / "parts")
    asked = (*ASKED, "--methods", "pca,knn,mean_image", "--repeats", "2")
    ended = bench(*asked)
    assert ended.returncode == 0, ended.stderr
    assert "parts: 3 methods: 6 jobs, 0 recorded, 6 to run" in ended.stderr
    for told in ("made_anomalies ↑", "centrality ↑", "held_out_spread ↓", "fit s", "the study of docs/choosing.md"):
        assert told in ended.stdout
    (recommended,) = [line for line in ended.stdout.splitlines() if line.startswith("recommended: ")]
    ranked = re.findall(r"(\w+) (-?[\d.]+)", recommended.split("centrality ")[1])
    assert sorted(ranked, key=lambda each: -float(each[1])) == ranked
    assert recommended.startswith(f"recommended: {ranked[0][0]}, ")
    assert {label for label, _ in ranked} == {"pca", "knn", "mean_image"}
    assert "held_out_level" not in ended.stdout, "its figures of different methods cannot be compared"
    records, unreadable = Store(bench.store.folder / TUNING).records()
    assert (len(records), unreadable) == (6, [])
    assert all(record.split["train"] + record.split["test"] == 60 for record in records)
    assert not bench.records()

    again = bench(*asked)
    assert "6 jobs, 6 recorded, 0 to run" in again.stderr
    assert again.stdout == ended.stdout

    command = shlex.split(ended.stdout.strip().splitlines()[-1])
    assert command[:3] == ["bench", "fit", ranked[0][0]]
    fitted = bench(*command[1:])
    assert fitted.returncode == 0, fitted.stderr
    assert (bench.folder / "detector.model").is_file()


def test_a_method_that_fails_is_named_and_the_others_are_ranked(bench: Bench) -> None:
    pictures(bench.folder / "parts")
    ended = bench(*ASKED, "--methods", "pca,mean_image,misbehaves(how='raises')", "--repeats", "1")
    assert ended.returncode == 1
    assert "misbehaves" in ended.stderr
    assert "misbehaves" not in ended.stdout
    assert "recommended: " in ended.stdout


def test_one_method_alone_is_recommended_by_what_all_criteria_say(bench: Bench) -> None:
    pictures(bench.folder / "parts")
    ended = bench(*ASKED, "--methods", "pca", "--repeats", "1")
    assert ended.returncode == 0, ended.stderr
    assert "recommended by all criteria together, as centrality says nothing here: pca" in ended.stdout


def test_a_folder_without_pictures_is_refused(bench: Bench) -> None:
    ended = bench("choose", "nowhere")
    assert ended.returncode == 2
    assert "there is no folder nowhere" in ended.stderr
