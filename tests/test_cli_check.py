"""``bench check``: one line a check, and an exit code that says whether some failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli import PLUGINS, Bench

from bench.testing.checks import CHECKS


@pytest.fixture
def bench(tmp_path: Path, digits_data: Path) -> Bench:
    """The command line with the broken plugins, and those that cannot be imported."""
    return Bench(tmp_path / "work", digits_data, [PLUGINS, PLUGINS.parent / "conformance_plugins"])


def test_a_method_that_keeps_its_promises_passes(bench: Bench) -> None:
    ended = bench("check", "mean_image")
    assert ended.returncode == 0, ended.stderr
    *lines, last = ended.stdout.splitlines()
    assert [line[16:].partition(":")[0] for line in lines] == list(CHECKS)
    assert "not applicable  weights_move: it is no EpochMethod" in ended.stdout
    assert last == "mean_image: 27 ok, 9 not applicable"


def test_a_broken_one_fails_with_what_to_change_and_what_was_left_out(bench: Bench) -> None:
    ended = bench("check", "scores_are_a_column", "--check", "scores_are_finite", "--check", "fit_returns_the_method")
    assert ended.returncode == 1
    assert ended.stdout.splitlines() == [
        "ok              fits_and_scores",
        "ok              fit_returns_the_method",
        "FAILED          scores_are_an_array_of_floats: the scores are float32 (100, 1); "
        "return an array of floats of shape (100,)",
        "skipped         scores_are_finite: needs scores_are_an_array_of_floats",
        "scores_are_a_column: 2 ok, 1 FAILED, 1 skipped",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mean_imag"], ["no method called 'mean_imag'; did you mean mean_image?"]),
        (["vae(epoch=2)"], ["no parameter of vae called 'epoch'; did you mean epochs?"]),
        (["mean_image", "--check", "weight_move"], ["no check called 'weight_move'; did you mean weights_move?"]),
        (["mean_image", "--profile", "chekc"], ["no profile called 'chekc'; did you mean check?"]),
        (["unimportable"], ["method unimportable is unavailable", "unimportable.py"]),
    ],
    ids=["method", "parameter", "check", "profile", "unavailable"],
)
def test_what_does_not_exist_is_answered_with_what_does(bench: Bench, arguments: list[str], said: list[str]) -> None:
    ended = bench("check", *arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    for part in said:
        assert part in ended.stderr
