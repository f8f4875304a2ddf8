"""``bench tune`` from the command line: chosen on training images alone, tested once, told in records and tables."""

from __future__ import annotations

import pytest
from cli import Bench

from bench.choice import tuned
from bench.store import TUNING, Store

pytestmark = pytest.mark.slow

ASKED = ("tune", "knn", "--over", "neighbours=1,4,40", "--dataset", "digits", "--profile", "cpu", "--device", "cpu")


def test_a_setting_is_chosen_tested_once_and_shown_with_how_many_were_tried(bench: Bench) -> None:
    asked = (*ASKED, "--classes", "0,3", "--repeats", "2", "--bootstrap", "--workers", "2")
    ended = bench(*asked, "--by", "made_anomalies")
    assert ended.returncode == 0, ended.stderr
    assert "digits: 3 settings of knn: 12 jobs, 0 recorded, 12 to run" in ended.stderr
    fits, unreadable = Store(bench.store.folder / TUNING).records()
    assert unreadable == []
    assert len(fits) == 12
    for record in fits:
        assert record.metrics == {}
        assert {"made_anomalies", "excess_mass", "mass_volume", "held_out_level"} <= record.criteria.keys()
    records = bench.records()
    assert len(records) == 2
    for record in records:
        choice = tuned(record)
        assert choice is not None
        assert record.job.label == "knn(tuned='made_anomalies')"
        assert len(choice.among) == 3
        assert all(len(figures) == 2 for figures in choice.among.values())
        assert record.job.spec == choice.chosen or (record.job.spec, choice.chosen) == ("knn", "knn(neighbours=5)")
        assert f"key {record.job.key[:12]}" in ended.stdout
    files = bench.files()

    again = bench(*asked, "--by", "made_anomalies")
    assert again.returncode == 0, again.stderr
    assert "12 jobs, 12 recorded, 0 to run" in again.stderr
    assert bench.files() == files

    other = bench(*asked, "--by", "stability")
    assert other.returncode == 0, other.stderr
    assert "12 jobs, 12 recorded, 0 to run" in other.stderr, "one fit serves every criterion"

    table = bench("table", "digits", "--profile", "cpu")
    assert table.returncode == 0, table.stderr
    assert "knn(tuned='made_anomalies') §" in table.stdout
    assert "knn(tuned='stability') §" in table.stdout
    assert "§ knn(tuned='stability'): chosen for each class among 3 settings by stability" in table.stdout
    assert "held_out" not in table.stdout, "fits on training images are in no table of tests"


def test_a_record_that_was_there_is_not_made_again_but_told_of_the_choice(bench: Bench) -> None:
    for neighbours in (1, 4, 40):
        assert bench.digits(f"knn(neighbours={neighbours})", "3").returncode == 0
    ended = bench(*ASKED, "--classes", "3", "--repeats", "1", "--by", "held_out_level", "--workers", "2")
    assert ended.returncode == 0, ended.stderr
    assert "what was chosen, tested: 1 jobs, 1 recorded, 0 to run" in ended.stderr
    (chosen,) = [record for record in bench.records() if record.choices]
    assert tuned(chosen) is None
    table = bench("table", "digits", "--profile", "cpu")
    assert "knn stands in 3 settings" in table.stdout
    assert "knn(tuned='held_out_level') §" in table.stdout


def test_what_cannot_be_chosen_is_said_before_anything_is_computed(bench: Bench) -> None:
    for words, told in (
        (("--by", "nearest_miss"), "bench list criteria"),
        (("--by", "other_images(dataset='digits')"), "test images of digits"),
        (("--by", "own_loss", "--over", "neighbours=3"), "write each parameter once"),
        (("--by", "own_loss", "--over", "neighbors=3,4"), "neighbours"),
    ):
        ended = bench(*ASKED, *words)
        assert ended.returncode == 2, ended.stdout
        assert told in ended.stderr
    assert not bench.store.folder.exists()
