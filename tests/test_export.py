"""Records as a data frame and as files of other tools, and what ``bench gc`` removes."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from records import make_record

from bench.errors import BenchError
from bench.record import Record
from bench.report.export.frame import frame, write
from bench.report.selection import superseded
from bench.store import Store

ARRAYS = {"scores": np.array([0.1, 0.2]), "labels": np.array([0, 1], np.uint8), "indices": np.arange(2)}


def with_parameters(record: Record, **parameters: object) -> Record:
    return dataclasses.replace(record, parameters=parameters)


RECORDS = [
    with_parameters(make_record(auroc=0.75), gamma="scale", nu=0.1, sizes=(1, 2)),
    with_parameters(make_record(auroc=0.5, normal_class="4"), gamma=0.05, nu=0.2),
    make_record(status="failed", normal_class="5"),
]


def test_a_frame_has_a_row_a_record_with_all_that_it_says() -> None:
    rows = frame(RECORDS)
    assert list(rows["key"]) == [record.job.key for record in RECORDS]
    assert list(rows["status"]) == ["done", "done", "failed"]
    assert list(rows["metrics.auroc"].dropna()) == [0.75, 0.5]
    assert list(rows["parameters.gamma"][:2]) == ["scale", "0.05"]
    assert rows["parameters.sizes"][0] == "[1, 2]"
    assert rows["reason"][2] == "ValueError: made to fail"
    assert rows["normal_class"][1] == "4"
    assert rows["current"].all()
    assert list(frame(RECORDS, superseded=[RECORDS[1]])["current"]) == [True, False, True]


def test_every_column_holds_values_of_one_type() -> None:
    rows = frame([*RECORDS, make_record(normal_class="ape", precision="bf16", max_train=10)])
    assert {name for name in rows.columns if len({type(value) for value in rows[name].dropna()}) > 1} == set()
    assert {type(value) for value in rows["normal_class"]} == {str}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_holds_what_the_frame_holds(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"records{suffix}"
    assert write(RECORDS, file) == 3
    found = pd.read_csv(file) if suffix == ".csv" else pd.read_parquet(file)
    assert list(found["key"]) == [record.job.key for record in RECORDS]
    assert list(found["metrics.auroc"][:2]) == [0.75, 0.5]
    assert list(found["parameters.nu"][:2]) == [0.1, 0.2]
    assert list(found["parameters.gamma"][:2]) == ["scale", "0.05"]


def test_another_suffix_and_a_folder_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"ends in \.csv or \.parquet"):
        write(RECORDS, tmp_path / "records.xls")
    with pytest.raises(BenchError, match=r"cannot write .*absent"):
        write(RECORDS, tmp_path / "absent" / "records.csv")


# ---------------------------------------------------------------------------------------------------------------------
# What nobody needs any more


def current(record: Record) -> bool:
    return record.job.fingerprint != "old"


def test_a_record_of_old_code_is_superseded_by_one_of_todays_however_new_it_is() -> None:
    today = make_record(ended="2025-01-01")
    old = make_record(fingerprint="old", ended="2025-02-01")
    assert superseded([today, old], current) == [old]
    assert superseded([old], current) == [], "alone it is still the best there is"


def test_of_two_records_of_todays_code_the_older_is_superseded() -> None:
    first, second = (make_record(spec=f"ocsvm(nu={nu})", label="ocsvm", ended=e) for nu, e in ((0.1, "a"), (0.2, "b")))
    assert superseded([second, first], current) == [first]
    other_data = make_record(dataset_checksum="x" * 64, ended="c")
    assert superseded([second, other_data], current) == [second]


def test_records_of_other_jobs_and_settings_are_all_kept() -> None:
    one = make_record()
    others = [
        make_record(**change)
        for change in (
            {"seed": 1},
            {"normal_class": "4"},
            {"method": "pca"},
            {"profile": "cpu"},
            {"max_train": 10},
            {"precision": "bf16"},
            {"protocol": "holdout_80_20"},
        )
    ]
    assert superseded([one, *others], current) == []


def test_leftovers_are_old_half_written_files_and_scores_without_a_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = make_record()
    store.put(kept, ARRAYS)
    folder = store.path(kept.job).parent
    old, young = folder / ".a.json.host-1-x.tmp", folder / ".b.json.host-1-x.tmp"
    alone = folder / f"{'0' * 32}.npz"
    for file in (old, young, alone):
        file.write_bytes(b"half")
    long_ago = time.time() - 7200
    for file in (old, alone, store.scores_path(store.find(kept.job.key))):
        os.utime(file, (long_ago, long_ago))
    assert store.leftovers() == [old, alone]


def test_a_removed_record_is_gone_with_its_scores(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second = make_record(), make_record(seed=1)
    for record in (first, second):
        store.put(record, ARRAYS)
    store.remove(first)
    store.remove(first)
    assert [record.job.key for record in store.records()[0]] == [second.job.key]
    assert len(list(tmp_path.rglob("*.npz"))) == 1
