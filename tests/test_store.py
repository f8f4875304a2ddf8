"""The store: a record is there whole or not at all, and what is no record is said to be none."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import make_job, make_record

from bench.errors import BenchError, RecordUnreadable
from bench.record import Record
from bench.store import Store

ARRAYS = {
    "scores": np.array([0.1, 1 / 3, -2.5e-7, 1e30], dtype=np.float32),
    "labels": np.array([0, 1, 0, 1], dtype=np.uint8),
    "indices": np.array([3, 1, 4, 15], dtype=np.int64),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def full_record() -> Record:
    """A record with something in every field."""
    return dataclasses.replace(
        make_record(auroc=1 / 3, normal_label=3),
        cost={"fit_seconds": 1.25, "parameters": None},
        by_kind={"scratch": {"auroc": 0.5}},
        maps={"height": 8, "agreement": None, "sha256": "a" * 64},
        parameters={"nu": 0.1, "sizes": [1, 2], "name": "ü"},
        epochs=[{"epoch": 1, "losses": {"ede1": 0.1}, "auroc": 0.5}],
        error={"type": "", "message": "x"},
        attempts=[{"status": "oom"}],
    )


def files(store: Store) -> set[str]:
    return {path.name for path in store.folder.rglob("*") if path.is_file()}


def written(store: Store, **overrides: Any) -> Path:
    """The file of a good record, some of its top-level facts overwritten."""
    record = make_record()
    store.put(record)
    path = store.path(record.job)
    path.write_text(json.dumps({**json.loads(path.read_text()), **overrides}))
    return path


# ---------------------------------------------------------------------------------------------------------------------
# Round trip


def test_a_record_is_read_back_as_it_was_put(store: Store) -> None:
    record = full_record()
    assert store.get(record.job) is None
    store.put(record)
    assert store.get(record.job) == record
    assert store.records() == ([record], [])


def test_arrays_are_read_back_bit_for_bit_with_their_types(store: Store) -> None:
    store.put(make_record(), ARRAYS)
    record = store.get(make_job())
    assert record is not None
    back = store.scores(record)
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype
        assert np.array_equal(back[name], array)


def test_every_status_is_read_back(store: Store) -> None:
    for seed, status in enumerate(("done", "failed", "diverged", "timeout", "oom", "killed", "skipped")):
        store.put(make_record(status=status, seed=seed))
        record = store.get(make_job(seed=seed))
        assert record is not None
        assert record.status == status


def test_records_lie_by_dataset_protocol_and_method(store: Store) -> None:
    job = make_job()
    assert store.path(job) == store.folder / "mnist" / "official_split" / "ocsvm" / f"{job.key}.json"


def test_datasets_that_differ_in_parameters_lie_in_different_folders(store: Store) -> None:
    folders = {
        store.path(make_job(dataset=f"folder(path='{path}')")).parts[-4] for path in ("a/b", "../../c", "x" * 300)
    }
    assert len(folders) == 3
    assert all(name.startswith("folder-") and len(name) < 20 for name in folders)


def test_a_record_replaces_the_one_before(store: Store) -> None:
    store.put(make_record(auroc=0.1), ARRAYS)
    store.put(make_record(auroc=0.2), {**ARRAYS, "scores": ARRAYS["scores"] + 1})
    record = store.get(make_job())
    assert record is not None
    assert record.metrics["auroc"] == 0.2
    assert np.array_equal(store.scores(record)["scores"], ARRAYS["scores"] + 1)
    assert len(files(store)) == 2


def test_a_record_without_scores_removes_those_of_the_one_before(store: Store) -> None:
    store.put(make_record(), ARRAYS)
    store.put(make_record(status="failed"))
    assert files(store) == {f"{make_job().key}.json"}


def test_the_reason_of_a_failure_is_one_line() -> None:
    assert make_record(status="failed").reason == "ValueError: made to fail"
    assert make_record().reason == ""


# ---------------------------------------------------------------------------------------------------------------------
# What is no record


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"schema": 1, "jo', "no JSON: .*EOF"),
        ("", "no JSON: .*EOF"),
        ("[]", "not a record: Input should be an object"),
        ('{"a": 1}', "not a record: .*required"),
        ('{"schema": 1}', "not a record: key: Field required"),
        ('{"schema": 1, "key": "", "job": {"method": "x"}, "status": "done"}', "not a record: job.*required"),
        ('{"schema": 1, "key": "", "job": 3, "status": "done"}', "not a record: job"),
        (b"\xff\xfe", "no JSON"),
        ("[" * 100_000, "no JSON: .*recursion limit"),
        (
            make_record().to_json().replace('"parameters": {}', '"parameters": {"nu": Infinity}'),
            "no JSON: expected value",
        ),
    ],
)
def test_a_file_that_holds_no_record_is_named_with_what_to_do(store: Store, content: str | bytes, said: str) -> None:
    path = written(store)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecordUnreadable, match=said) as caught:
        store.get(make_job())
    assert str(path) in str(caught.value)
    assert f"rm {path}" in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"schema": 99}, "schema 99 is not known to this version, which writes 2; upgrade bench"),
        ({"key": "0" * 32}, "its key '0+' does not follow from its job"),
        ({"status": "finished"}, "not a record: status: Input should be 'done', 'failed'"),
        ({"colour": "red"}, "not a record: .*colour"),
        ({"metrics": None}, "not a record: metrics: "),
        ({"metrics": {}}, "it is done, but has no figures"),
        ({"metrics": {"auroc": "0.9"}}, "not a record: metrics.auroc: Input should be a valid number"),
        ({"epochs": 5}, "not a record: epochs: "),
        ({"epochs": [{"epoch": 1, "losses": [0.5]}]}, "not a record: epochs.0.losses: "),
        ({"error": "boom"}, "not a record: error: "),
        ({"provenance": {"libraries": 5}, "ledger": []}, "not a record: ledger: .*and 1 more"),
    ],
)
def test_a_record_that_was_altered_is_refused_with_the_reason(
    store: Store, overrides: dict[str, Any], said: str
) -> None:
    path = written(store, **overrides)
    with pytest.raises(RecordUnreadable, match=said) as caught:
        store.get(make_job())
    assert str(path) in str(caught.value)


def test_a_record_whose_job_was_altered_is_refused(store: Store) -> None:
    path = written(store)
    facts = json.loads(path.read_text())
    facts["job"]["seed"] = 1
    path.write_text(json.dumps(facts))
    with pytest.raises(RecordUnreadable, match="does not follow from its job"):
        store.get(make_job())


def test_a_renamed_record_is_refused_with_its_own_key(store: Store) -> None:
    store.put(make_record(seed=1))
    other = store.path(make_job())
    store.path(make_job(seed=1)).rename(other)
    with pytest.raises(RecordUnreadable, match=f"{other.stem}.json belongs to another key, {make_job(seed=1).key}"):
        store.get(make_job())


def test_one_unreadable_record_hides_no_other(store: Store) -> None:
    store.put(make_record(seed=1))
    written(store, schema=99)
    found, unreadable = store.records()
    assert [record.job.seed for record in found] == [1]
    assert [make_job().key in str(error) for error in unreadable] == [True]


def test_scores_that_are_not_those_recorded_are_refused(store: Store) -> None:
    store.put(make_record(), ARRAYS)
    record = store.get(make_job())
    assert record is not None
    path = store.scores_path(record)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(RecordUnreadable, match=rf"{path.name} are not those of its record; .*--rerun all"):
        store.scores(record)
    path.unlink()
    with pytest.raises(RecordUnreadable, match=f"{path.name} cannot be read"):
        store.scores(record)


def test_temporary_files_are_no_records(store: Store) -> None:
    store.put(make_record())
    folder = store.path(make_job()).parent
    (folder / f".{make_job().key}.json.host-1-abc.tmp").write_text("half")
    (folder / f".{make_job().key}.json").write_text("half")
    assert store.records() == ([make_record()], [])


def test_a_folder_that_does_not_exist_holds_no_records(store: Store) -> None:
    assert store.records() == ([], [])


# ---------------------------------------------------------------------------------------------------------------------
# Writing that fails


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the disk has no room for what is flushed to it."""

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)


def test_a_full_disk_leaves_nothing_behind_and_says_how_to_go_on(store: Store, full_disk: None) -> None:
    with pytest.raises(BenchError, match=r"(?s)No space left on device.*--results.*goes on where it stopped"):
        store.put(make_record(), ARRAYS)
    assert files(store) == set()


def test_a_full_disk_leaves_the_record_before_as_it_was(store: Store, request: pytest.FixtureRequest) -> None:
    store.put(make_record(auroc=0.1), ARRAYS)
    before = {path: path.read_bytes() for path in store.folder.rglob("*.*")}
    request.getfixturevalue("full_disk")
    with pytest.raises(BenchError):
        store.put(make_record(auroc=0.2), ARRAYS)
    assert {path: path.read_bytes() for path in store.folder.rglob("*.*")} == before


@pytest.fixture
def no_room_for_json(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, scores reach the disk and their records do not."""
    real = Path.replace

    def refuse_json(source: Path, target: Path) -> Path:
        if target.suffix == ".json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(source, target)

    return lambda: monkeypatch.setattr(Path, "replace", refuse_json)


def test_a_write_that_breaks_off_after_the_scores_leaves_no_record(
    store: Store, no_room_for_json: Callable[[], None]
) -> None:
    no_room_for_json()
    with pytest.raises(BenchError, match="No space left on device"):
        store.put(make_record(), ARRAYS)
    (left,) = files(store)
    assert left.startswith(f"{make_job().key}-")
    assert store.records() == ([], [])
    assert store.get(make_job()) is None


def test_a_write_that_breaks_off_leaves_the_record_before_with_its_scores(
    store: Store, no_room_for_json: Callable[[], None]
) -> None:
    store.put(make_record(), ARRAYS)
    no_room_for_json()
    with pytest.raises(BenchError):
        store.put(make_record(auroc=0.5), {**ARRAYS, "scores": ARRAYS["scores"] + 1})
    record = store.get(make_job())
    assert record is not None
    assert np.array_equal(store.scores(record)["scores"], ARRAYS["scores"])


def test_scores_under_the_name_that_they_had_at_first_are_read(store: Store) -> None:
    store.put(make_record(), ARRAYS)
    record = store.get(make_job())
    assert record is not None
    store.scores_path(record).rename(store.path(record.job).with_suffix(".npz"))
    assert np.array_equal(store.scores(record)["scores"], ARRAYS["scores"])
    assert store.leftovers() == []
    store.put(make_record(auroc=0.2), {**ARRAYS, "scores": ARRAYS["scores"] + 1})
    assert len(files(store)) == 2


def test_a_record_that_lies_in_anothers_folder_is_refused(store: Store) -> None:
    store.put(make_record())
    path = store.path(make_job())
    elsewhere = path.parent.with_name("vae") / path.name
    elsewhere.parent.mkdir()
    path.rename(elsewhere)
    found, unreadable = store.records()
    assert found == []
    assert "belongs elsewhere, to mnist/official_split/ocsvm; move it there" in str(unreadable[0])


def test_scores_that_are_none_are_refused_though_their_checksum_is_right(store: Store) -> None:
    store.put(make_record(), {**ARRAYS, "labels": ARRAYS["labels"][:2]})
    record = store.get(make_job())
    assert record is not None
    with pytest.raises(RecordUnreadable, match="not of one length"):
        store.scores(record)


def test_a_results_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(BenchError, match=f"cannot write to the results folder {tmp_path / 'runs'}"):
        Store(tmp_path / "runs").put(make_record())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_no_number_is_not_written_and_changes_nothing(store: Store, value: float) -> None:
    store.put(make_record(), ARRAYS)
    with pytest.raises(ValueError, match="Out of range float"):
        store.put(make_record(auroc=value), {**ARRAYS, "scores": ARRAYS["scores"] + 1})
    record = store.get(make_job())
    assert record is not None
    assert np.array_equal(store.scores(record)["scores"], ARRAYS["scores"])


def test_a_message_with_bytes_of_no_encoding_is_kept(store: Store) -> None:
    record = dataclasses.replace(make_record(status="failed"), error={"type": "", "message": "file \udcff"})
    store.put(record)
    back = store.get(record.job)
    assert back is not None
    assert back.reason == "file \\udcff"
    path = store.path(record.job)  # as such bytes were written before
    path.write_bytes(path.read_bytes().replace(b"\\\\udcff", b"\\udcff"))
    assert store.get(record.job) == back


# ---------------------------------------------------------------------------------------------------------------------
# Several at once


def test_many_threads_may_write_at_once(store: Store) -> None:
    def put(number: int) -> None:
        scores = np.full(4, number, dtype=np.float32)
        store.put(make_record(auroc=number / 100, seed=number % 5), {**ARRAYS, "scores": scores})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(60)))
    found, unreadable = store.records()
    assert not unreadable
    assert sorted(record.job.seed for record in found) == [0, 1, 2, 3, 4]
    for record in found:  # each with the scores of whoever wrote it last
        assert round(record.metrics["auroc"] * 100) % 5 == record.job.seed
        assert store.scores(record)["scores"][0] == pytest.approx(record.metrics["auroc"] * 100)


# ---------------------------------------------------------------------------------------------------------------------
# Finding


def test_a_record_is_found_by_the_beginning_of_its_key(store: Store) -> None:
    record = make_record()
    store.put(record)
    assert store.find(record.job.key) == store.find(record.job.key[:6]) == record


def test_a_key_that_no_record_has_is_refused(store: Store) -> None:
    with pytest.raises(BenchError, match=f"no record has a key starting with 'abc' in {store.folder}"):
        store.find("abc")


def test_a_beginning_that_several_keys_have_is_refused_with_all_of_them(store: Store) -> None:
    keys = []
    for seed in range(17):  # two of 17 keys begin with the same of 16 digits
        store.put(make_record(seed=seed))
        keys.append(make_job(seed=seed).key)
    digit = max("0123456789abcdef", key=lambda d: sum(key.startswith(d) for key in keys))
    alike = [key for key in keys if key.startswith(digit)]
    with pytest.raises(BenchError, match=f"{len(alike)} records have a key starting with '{digit}'") as caught:
        store.find(digit)
    assert all(f"{key}  mnist/official_split/ocsvm" in str(caught.value) for key in alike)


@pytest.mark.parametrize("prefix", ["", "xyz", "../x", "A", "0" * 33])
def test_what_is_no_key_is_refused(store: Store, prefix: str) -> None:
    with pytest.raises(BenchError, match="is no key; keys are hexadecimal"):
        store.find(prefix)
