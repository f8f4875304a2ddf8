"""``bench compare``: two sets of records, pair by pair."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from records import make_record
from scipy import stats
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import BenchError
from bench.fingerprint import source_fingerprint
from bench.record import Record
from bench.registry import Registry
from bench.report.statistics.changes import compare_records
from bench.store import Store

FIRST = [make_record(normal_class=str(c), seed=s, auroc=0.9 + 0.01 * c) for c in range(4) for s in range(2)]


def shifted(records: list[Record], by: list[float], **job: Any) -> list[Record]:
    """The records with other figures, and fields of the job."""
    return [
        dataclasses.replace(
            record,
            job=dataclasses.replace(record.job, **job),
            metrics={**record.metrics, "auroc": record.metrics["auroc"] + more},
        )
        for record, more in zip(records, by, strict=True)
    ]


def test_the_mean_difference_has_students_interval_over_the_pairs() -> None:
    by = [0.01, 0.02, 0.0, 0.03, 0.01, -0.01, 0.02, 0.0]
    found = compare_records(FIRST, shifted(FIRST, by))
    (paired,) = found.paired
    expected = stats.ttest_1samp(by, 0).confidence_interval(0.95)
    assert paired.mean == pytest.approx(0.01)
    assert paired.interval == pytest.approx((expected.low, expected.high))
    assert found.identical == 2
    assert found.changes == {}


def test_what_has_no_counterpart_is_counted_and_other_splits_are_left_out() -> None:
    second = shifted(FIRST[:6], [0.0] * 6)
    second[0] = dataclasses.replace(second[0], split={"fingerprint": "other images"})
    failed = make_record(normal_class="9", status="failed")
    found = compare_records([*FIRST, failed], second)
    assert found.alone == (2, 0)
    assert found.other_splits == 1
    assert [len(paired.differences) for paired in found.paired] == [5]
    with pytest.raises(BenchError, match="no record of the same method"):
        compare_records(FIRST, [make_record(method="vae")])


def test_what_changed_in_code_parameters_and_environment_is_named() -> None:
    before = [dataclasses.replace(FIRST[0], parameters={"nu": 0.1}, provenance={"libraries": {"torch": "2.4"}})]
    after = shifted(before, [0.0], method_version="2", profile="cpu")
    after = [dataclasses.replace(after[0], parameters={"nu": 0.2}, provenance={"libraries": {"torch": "2.5"}})]
    assert compare_records(before, after).changes == {
        "ocsvm": ["version: 1 → 2", "profile: paper → cpu", "nu: 0.1 → 0.2"],
        "environment": ["torch: 2.4 → 2.5"],
    }


def test_the_command_takes_folders_and_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for record in FIRST:
        Store(tmp_path / "a").put(record)
    for record in shifted(FIRST, [0.01] * 8, profile="cpu"):
        Store(tmp_path / "a").put(record)
    shown = CliRunner().invoke(app, ["compare", "paper", "cpu", "--results", "a"])
    assert shown.exit_code == 0, shown.output
    assert "+0.01  " in shown.output
    assert "profile: paper → cpu" in shown.output
    facts = json.loads(CliRunner().invoke(app, ["compare", "a", "a", "--json"]).output)
    assert (facts["identical"], facts["paired"][0]["mean"]) == (8, 0.0)
    of_none = CliRunner().invoke(app, ["compare", "a", "a", "--method", "vae"])
    assert "no record of the same method" in str(of_none.exception)
    refused = CliRunner().invoke(app, ["compare", "a", "nowhere"])
    assert isinstance(refused.exception, BenchError)
    assert "neither a folder nor a profile; profiles: " in str(refused.exception)


def test_a_methods_older_code_is_held_against_todays_setting_by_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    today = source_fingerprint(Registry("method").find("ocsvm"))
    command = ["compare", "--method", "ocsvm", "--results", "a"]
    for record in [*FIRST, make_record(method="knn", fingerprint="of older code")]:
        Store(tmp_path / "a").put(record)
    refused = CliRunner().invoke(app, command)
    assert "8 records of ocsvm are by older code and 0 by today's; bench run makes" in str(refused.exception)
    for record in shifted(FIRST, [1.5e-06] * 8, fingerprint=today):
        Store(tmp_path / "a").put(record)
    elsewhere = make_record(normal_class="0", auroc=0.1, fingerprint=today, profile="cpu", ended="2030")
    Store(tmp_path / "a").put(elsewhere)
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert "today's code − older code, auroc, over pairs of class × seed" in shown.output
    assert "+1.5e-06" in shown.output
    assert "0 of 8 pairs are the same to the last bit" in shown.output
    assert "without a counterpart: 0 of older code, 1 of today's code" in shown.output
    assert f"code: ffffffffff → {today[:10]}" in shown.output
    assert "knn" not in shown.output
    for words in (["compare"], ["compare", "a"], ["compare", "a", "--method", "ocsvm"]):
        assert "name two folders or profiles, or --method NAME" in str(CliRunner().invoke(app, words).exception)
    unknown = CliRunner().invoke(app, ["compare", "--method", "ocsmv"])
    assert "did you mean ocsvm?" in str(unknown.exception)
