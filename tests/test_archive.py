"""Packed records: read as loose ones are, their figures exact, damage named, nothing lost."""

from __future__ import annotations

import dataclasses
import shutil
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import pytest
from cli import Bench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import make_record, put_scored, scored
from sklearn.metrics import roc_auc_score

from bench.errors import BenchError
from bench.metrics import measured
from bench.record import ranked
from bench.report.statistics.intervals import auroc_interval
from bench.store import Store

LABELS = np.repeat(np.array([0, 1], dtype=np.uint8), 30)


def filled(folder: Path, records: int = 6) -> Store:
    """A results folder with scored records of two methods."""
    store = Store(folder)
    for number in range(records):
        method, seed = ("ocsvm", "pca")[number % 2], number // 2
        scores = scored(LABELS, 0.5, number).round(number % 3)  # some of them tied
        put_scored(store, LABELS, scores, method=method, seed=seed, metrics=measured(LABELS, scores))
    return store


def packed(store: Store, name: str = "all.zip") -> Store:
    """The same folder with every loose record in an archive instead."""
    records = store.records()[0]
    store.pack(records, store.folder / name)
    for record in records:
        store.remove(record)
    return Store(store.folder)


def test_a_packed_folder_reads_as_the_loose_one(tmp_path: Path) -> None:
    loose = filled(tmp_path / "loose")
    shutil.copytree(loose.folder, tmp_path / "packed")
    store = packed(Store(tmp_path / "packed"))
    assert [path.name for path in store.folder.rglob("*") if path.is_file()] == ["all.zip"]
    records, unreadable = store.records()
    assert not unreadable
    assert records == loose.records()[0]
    for record in records:
        assert store.get(record.job) == store.find(record.job.key[:12]) == record
        ranks, scores = store.scores(record), loose.scores(record)
        assert ranked(ranks)
        assert not ranked(scores)
        assert roc_auc_score(ranks["labels"], ranks["scores"]) == record.metrics["auroc"]
        assert auroc_interval(LABELS, ranks["scores"]) == auroc_interval(LABELS, scores["scores"])
        assert (ranks["indices"] == scores["indices"]).all()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    scores=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=4, max_size=40),
    anomalies=st.integers(1, 3),
)
def test_every_figure_comes_out_of_the_ranks(tmp_path: Path, scores: list[float], anomalies: int) -> None:
    shutil.rmtree(tmp_path / "r", ignore_errors=True)
    labels = np.array([1] * anomalies + [0] * (len(scores) - anomalies), dtype=np.uint8)
    values = np.array(scores, dtype=np.float32)
    store = Store(tmp_path / "r")
    record = put_scored(store, labels, values, metrics=measured(labels, values))
    store = packed(store)
    ranks = store.scores(record)
    assert measured(ranks["labels"], ranks["scores"]) == record.metrics
    assert sorted(set(ranks["scores"])) == list(range(len(set(scores))))


def test_more_values_than_16_bits_hold_are_kept_apart(tmp_path: Path) -> None:
    labels = np.arange(70_000) % 2
    store = Store(tmp_path)
    scores = np.random.default_rng(0).permutation(70_000) / 70_000
    record = put_scored(store, labels, scores, metrics=measured(labels, scores))
    assert packed(store).scores(record)["scores"].max() == 69_999


def test_the_same_records_make_the_same_archive(tmp_path: Path) -> None:
    one, other = (filled(tmp_path / name) for name in "ab")
    for store in (one, other):
        store.pack(store.records()[0], store.folder / "all.zip")
    assert (one.folder / "all.zip").read_bytes() == (other.folder / "all.zip").read_bytes()


def test_a_loose_record_goes_before_a_packed_one(tmp_path: Path) -> None:
    store = packed(filled(tmp_path))
    record = store.records()[0][0]
    again = put_scored(store, LABELS, scored(LABELS, 3.0, 9), method=record.job.method, seed=record.job.seed)
    assert again.job == record.job
    assert store.get(record.job) == again
    assert len(store.records()[0]) == 6
    assert not ranked(store.scores(again))
    store.remove(again)
    assert store.get(record.job) == record


def test_failures_and_records_without_scores_are_packed_too(tmp_path: Path) -> None:
    store = filled(tmp_path, 2)
    alone = store.records()[0][0]
    store.put(failure := make_record(status="failed", seed=7))
    store.scores_path(alone).unlink()
    assert store.pack(store.records()[0], tmp_path / "some.zip") == 1
    for record in store.records()[0]:
        store.remove(record)
    store = Store(tmp_path)
    assert store.get(failure.job) == failure
    with pytest.raises(BenchError, match="there was none to pack"):
        store.scores(alone)


def test_figures_that_are_not_those_of_the_scores_are_not_packed(tmp_path: Path) -> None:
    store = filled(tmp_path)
    record = store.records()[0][0]
    path = store.path(record.job)
    path.write_text(dataclasses.replace(record, metrics={**record.metrics, "auroc": 0.99}).to_json())
    with pytest.raises(BenchError, match=f"figures of {record.job.key[:12]} .* are not those of its scores"):
        store.pack(store.records()[0], tmp_path / "all.zip")
    assert not (tmp_path / "all.zip").exists()


def test_an_archive_is_made_once(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.pack(store.records()[0][:2], tmp_path / "some.zip")
    before = (tmp_path / "some.zip").read_bytes()
    with pytest.raises(BenchError, match=r"some.zip is there already.*--out"):
        store.pack(store.records()[0], tmp_path / "some.zip")
    assert (tmp_path / "some.zip").read_bytes() == before


def test_whatever_is_damaged_in_an_archive_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    whole = packed(filled(tmp_path / "r"))
    records = {record.job.key: record for record in whole.records()[0]}
    path = whole.folder / "all.zip"
    content = path.read_bytes()
    random = Random(0)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(random.choice((1, 1, 40))):
            damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        path.write_bytes(bytes(damaged[: random.choice((len(damaged), random.randrange(len(damaged))))]))
        store = Store(whole.folder)
        found, unreadable = store.records()
        assert all(record == records[record.job.key] for record in found)
        assert len(found) + len(unreadable) >= min(1, len(records))
        for error in unreadable:
            assert "all.zip" in str(error)
        for record in found:
            try:
                ranks = store.scores(record)
            except BenchError as error:
                assert "all.zip" in str(error)
            else:
                assert roc_auc_score(ranks["labels"], ranks["scores"]) == record.metrics["auroc"]


@pytest.mark.slow
def test_a_packed_run_is_gone_on_with_shown_and_done_again(undisturbed: Bench, bench: Bench) -> None:
    shutil.copytree(undisturbed.store.folder, bench.store.folder)
    table = bench("table", "digits").stdout
    elsewhere = bench("pack", "digits", "--out", "digits.zip", "--remove")
    assert elsewhere.returncode == 2
    assert "has to be among the records" in elsewhere.stderr
    made = bench("pack", "digits", "--remove")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("60 records in results/runs/digits.zip, ")
    assert not list(bench.store.folder.glob("digits/*/*/*"))
    assert bench("table", "digits").stdout == table
    assert "0 would be run" in bench.digits("ocsvm", "0", "--dry-run").stdout
    assert "every record of digits in results/runs is in an archive already" in bench("pack", "digits").stderr

    assert bench.digits("ocsvm", "0", "--rerun", "all").returncode == 0
    record = next(r for r in bench.records() if (r.job.method, r.job.normal_class, r.job.seed) == ("ocsvm", "0", 0))
    assert bench.store.path(record.job).is_file()
    assert "bit for bit" in bench("reproduce", record.job.key).stdout
    assert len(bench.records()) == 60

    figures_made = bench("figures", "digits", "--out", "figures")
    assert "keeps the order of the scores" in figures_made.stderr
    assert list((bench.folder / "figures").glob("digits-roc-*"))


def test_an_archive_opens_with_common_tools(tmp_path: Path) -> None:
    packed(filled(tmp_path))
    with zipfile.ZipFile(tmp_path / "all.zip") as file:
        assert file.testzip() is None
        names = file.namelist()
        place = next(name for name in names if name.endswith(".npy"))
        with file.open(place) as member:
            assert np.load(member).dtype == np.uint16
    assert sum(name.endswith(".json") for name in names) == sum(name.endswith(".npy") for name in names) == 6
    assert sum(name.startswith("splits/") for name in names) == 3
