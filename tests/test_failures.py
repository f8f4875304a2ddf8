"""Failures as commands tell them: those that are alike in one line, and none that newer code has mended."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from records import make_record
from typer.testing import CliRunner

from bench.cli import app
from bench.execution.failures import failures
from bench.fingerprint import source_fingerprint
from bench.record import Record
from bench.registry import Registry
from bench.store import Store


def failed(message: str, **facts: object) -> Record:
    error = {"type": "ValueError", "message": message}
    return dataclasses.replace(make_record(status="failed", **facts), error=error)  # type: ignore[arg-type]


TOO_LARGE = [failed(f"Seed must be between 0 and 4294967295, got {10**12 + seed}", seed=seed) for seed in range(20)]


def test_failures_that_differ_in_numbers_alone_are_told_together_with_the_first_one() -> None:
    other = failed("out of patience", seed=30)
    told = list(failures([*TOO_LARGE, other, make_record(seed=31)]))
    assert [(each.key, each.status) for each in told] == [(r.job.key[:12], "failed") for r in (TOO_LARGE[0], other)]
    said = "ValueError: Seed must be between 0 and 4294967295, got 1000000000000"
    assert told[0].text == f"20 jobs like ocsvm on mnist, class 3, seed 0: {said}"
    assert told[1].text == "ocsvm on mnist, class 3, seed 30: ValueError: out of patience"


def test_failures_of_other_methods_or_of_another_kind_are_told_apart() -> None:
    same = "the same"
    records = [failed(same), failed(same, method="knn"), dataclasses.replace(failed(same, seed=1), status="diverged")]
    assert len(list(failures(records))) == 3
    assert list(failures([])) == []


def test_status_tells_alike_failures_once_and_none_that_newer_code_has_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "runs")
    for record in TOO_LARGE:
        store.put(record)
    today = source_fingerprint(Registry("method").find("ocsvm"))
    for seed in range(3):
        store.put(make_record(seed=seed, fingerprint=today))
    shown = CliRunner().invoke(app, ["status", "--results", "runs"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("ValueError") == 1
    assert "failed    " in shown.output
    assert "  17 jobs like ocsvm on mnist, class 3, seed " in shown.output
    assert (
        "3 that did not end well are superseded by newer records of their jobs; bench gc removes them" in shown.output
    )
