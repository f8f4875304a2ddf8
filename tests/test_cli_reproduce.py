"""``bench reproduce`` on records of a real run."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from typing import Any

import pytest
from cli import Bench

from bench.execution import supervisor
from bench.execution.supervisor import HUGE_PAGES, SAME_SUMS, worker_environment
from bench.provenance import processor_facts
from bench.record import Record

pytestmark = pytest.mark.slow


def altered(bench: Bench, record: Record, **facts: Any) -> None:
    """Write into a record's file what it did not say; its key stays that of its job."""
    path = bench.store.path(record.job)
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_a_record_comes_out_again_bit_for_bit_and_nothing_is_written(undisturbed: Bench, bench: Bench) -> None:
    shutil.copytree(undisturbed.store.folder, bench.store.folder)
    for record in {each.job.method: each for each in bench.records()}.values():
        before = sorted(bench.folder.rglob("*"))
        told = bench("reproduce", record.job.key[:10])
        assert told.returncode == 0, told.stderr
        assert record.job.title in told.stdout
        assert told.stdout.count(repr(record.metrics["auroc"])) == 2
        assert told.stdout.endswith("the same: every score, bit for bit\n")
        assert sorted(bench.folder.rglob("*")) == before


def test_a_record_that_does_not_come_out_again_is_told_apart(undisturbed: Bench, bench: Bench) -> None:
    shutil.copytree(undisturbed.store.folder, bench.store.folder)
    record = next(each for each in bench.records() if each.job.method == "ocsvm")
    auroc = record.metrics["auroc"] - 0.004

    altered(bench, record, metrics={**record.metrics, "auroc": auroc}, scores_sha256="0" * 64)
    told = bench("reproduce", record.job.key)
    assert told.returncode == 1
    assert "AUROC differs by +0.004000: asked is the same, bit for bit" in told.stdout

    elsewhere = {**record.provenance, "cpu": "Another", "libraries": {**record.provenance["libraries"], "numpy": "1.0"}}
    altered(bench, record, metrics={**record.metrics, "auroc": auroc}, scores_sha256="0" * 64, provenance=elsewhere)
    told = bench("reproduce", record.job.key)
    assert told.returncode == 0, told.stdout
    assert "the record's was Another" in told.stdout
    assert f"numpy {record.provenance['libraries']['numpy']} for 1.0" in told.stdout
    assert "AUROC differs by +0.004000: within 0.005" in told.stdout

    altered(bench, record, metrics={**record.metrics, "auroc": auroc - 0.004}, provenance=elsewhere)
    told = bench("reproduce", record.job.key)
    assert told.returncode == 1
    assert "AUROC differs by +0.008000: not within 0.005" in told.stdout


def test_a_record_of_other_code_is_done_by_todays_and_that_is_said(undisturbed: Bench, bench: Bench) -> None:
    old = next(each for each in undisturbed.records() if each.job.method == "ocsvm")
    record = dataclasses.replace(old, job=dataclasses.replace(old.job, fingerprint="of other code"))
    bench.store.put(record, undisturbed.store.scores(old))
    told = bench("reproduce", record.job.key)
    assert told.returncode == 0, told.stderr
    assert "other than then: the code of ocsvm is not the record's" in told.stdout


def test_a_default_that_has_changed_since_is_taken_from_the_record(bench: Bench) -> None:
    assert bench.digits("ocsvm(nu=0.5)", "0").returncode == 0
    (of_today,) = bench.records()
    job = dataclasses.replace(of_today.job, spec="ocsvm", label="ocsvm", fingerprint="of the code with nu=0.5")
    record = dataclasses.replace(of_today, job=job)
    bench.store.put(record, bench.store.scores(of_today))
    told = bench("reproduce", record.job.key)
    assert told.returncode == 0, told.stderr
    assert told.stdout.endswith("the same: every score, bit for bit\n")


def test_a_job_that_left_no_figure_cannot_be_compared(undisturbed: Bench, bench: Bench) -> None:
    record = next(iter(undisturbed.records()))
    bench.store.put(dataclasses.replace(record, status="killed", metrics={}))
    told = bench("reproduce", record.job.key)
    assert told.returncode == 2
    assert "ended as killed: there is no figure to compare with" in told.stderr
    assert "no record has a key starting with 'abcd'" in bench("reproduce", "abcd").stderr


def test_without_runs_of_ones_own_the_reference_run_is_meant(undisturbed: Bench, bench: Bench) -> None:
    shutil.copytree(undisturbed.store.folder, bench.folder / "results/reference")
    record = next(iter(undisturbed.records()))
    assert bench("show", record.job.key[:10]).stdout.startswith(record.job.title)
    assert bench("reproduce", record.job.key[:10]).returncode == 0
    named = "see whether the reference run has some: --results results/reference"
    assert named not in bench("table", "mnist").stderr, "it is what is shown"
    assert bench.digits("pca", "0").returncode == 0
    assert named in bench("table", "mnist").stderr
    assert named not in bench("table", "mnist", "--results", "results/reference").stderr


def test_a_worker_adds_up_in_the_order_that_is_the_same_everywhere_or_in_the_users(
    undisturbed: Bench, bench: Bench
) -> None:
    intels = processor_facts().get("vendor_id") == "GenuineIntel"
    told = {record.provenance.get("mkl_cbwr") for record in undisturbed.records()}
    assert told == {"AVX2,STRICT" if intels else None}

    bench.environment["MKL_CBWR"] = "COMPATIBLE"
    assert bench.digits("ocsvm", "0").returncode == 0
    (record,) = bench.records()
    assert record.provenance["mkl_cbwr"] == "COMPATIBLE"
    del bench.environment["MKL_CBWR"]
    told = bench("reproduce", record.job.key)
    assert told.returncode == 0, told.stderr
    assert re.search(r"other than then: mkl_cbwr: .*, the record's was COMPATIBLE", told.stdout)


@pytest.mark.parametrize(("vendor", "sums"), [("GenuineIntel", SAME_SUMS), ("AuthenticAMD", {}), (None, {})])
def test_only_intels_processors_are_told_how_to_add_up(
    monkeypatch: pytest.MonkeyPatch, vendor: str | None, sums: dict[str, str]
) -> None:
    monkeypatch.setattr(supervisor, "processor_facts", lambda: {} if vendor is None else {"vendor_id": vendor})
    assert worker_environment() == {**HUGE_PAGES, **sums}
