"""Records of every earlier schema are read as they were, for good: frozen samples of each, as a version wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.jobs import SCHEMA
from bench.record import Record
from bench.store import Store

FROZEN = sorted((Path(__file__).parent / "frozen").glob("*.json"))
SEEDS = {
    "schema-1": 7113951151232413528,
    "schema-2-conditions": 1798754605,
    "schema-2-maps": 2100161911,
    "schema-2": 1418438650,
}
"""By sample, the seed that its method drew from: it follows from the record's own schema."""


def test_there_is_a_sample_of_every_schema() -> None:
    assert {json.loads(file.read_bytes())["schema"] for file in FROZEN} == set(range(1, SCHEMA + 1))
    assert {file.stem for file in FROZEN} == SEEDS.keys()


@pytest.mark.parametrize("file", FROZEN, ids=[file.stem for file in FROZEN])
def test_a_record_is_what_it_was_when_it_was_written(file: Path) -> None:
    written = json.loads(file.read_bytes())
    record = Record.from_json(file.read_bytes())
    assert record.job.key == written["key"]
    assert record.job.fit_seed == SEEDS[file.stem]
    again = json.loads(record.to_json())
    later = {"contamination": 0.0, "corruption": ""}
    assert again == {**written, "job": {**later, **written["job"]}}
    assert Record.from_json(record.to_json().encode()) == record


def test_samples_are_read_from_a_folder_and_from_an_archive(tmp_path: Path) -> None:
    loose = Store(tmp_path / "loose")
    for file in FROZEN:
        path = loose.path(Record.from_json(file.read_bytes()).job)
        path.parent.mkdir(parents=True)
        path.write_bytes(file.read_bytes())
    records, unreadable = loose.records()
    assert (len(records), unreadable) == (len(FROZEN), [])
    loose.pack(records, tmp_path / "packed" / "records.zip")
    assert Store(tmp_path / "packed").records() == (records, [])
