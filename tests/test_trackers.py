"""Records in real trackers: an MLflow database and offline runs of Weights & Biases, read back by their own readers."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cli import Bench, python_prints
from records import make_record

from bench.errors import BenchError
from bench.record import Record
from bench.report.export.trackers import EXPERIMENT, LONGEST_NAME, MARK, MOST_METRICS, export, tracked

if TYPE_CHECKING:  # they take seconds to import, and every process of the tests imports every module
    from mlflow import MlflowClient
    from mlflow.entities import Run

ARRAYS = {"scores": np.array([0.1, 0.2]), "labels": np.array([0, 1], np.uint8), "indices": np.arange(2)}
EPOCHS = MOST_METRICS // 3 + 1
"""With three figures each they take more than one request to MLflow."""
DONE = dataclasses.replace(
    make_record(auroc=0.75),
    parameters={"nu": 0.1, "gamma": "scale", "sizes": (1, 2), "limit": None},
    cost={"fit_seconds": 1.5, "peak_memory_bytes": 7, "parameters": None},
    epochs=[{"epoch": n, "losses": {"total": 1 / n, "first part": 2 / n}, "auroc": 0.8} for n in range(1, EPOCHS + 1)],
    traced=True,
    provenance={"git_commit": "abc", "started": "2025-01-01T00:00:00+00:00", "ended": "2025-01-01T00:01:00+00:00"},
)
FAILED = make_record(status="failed", normal_class="5")
DIVERGED = dataclasses.replace(
    make_record(status="diverged", seed=1),
    epochs=[{"epoch": 1, "losses": {"total": 0.5}}, {"epoch": 2, "losses": {"total": None}}],
)
RECORDS = [DONE, FAILED, DIVERGED]
TITLES = {
    DONE.job.key: "ocsvm on mnist, class 3, seed 0",
    FAILED.job.key: "ocsvm on mnist, class 5, seed 0",
    DIVERGED.job.key: "ocsvm on mnist, class 3, seed 1",
}
RERUN = make_record(normal_class="5")
"""The job of FAILED, after a rerun that ended well."""


def test_a_tracked_run_says_what_the_record_says_under_names_that_every_tracker_takes() -> None:
    run = tracked(DONE)
    assert (run.name, run.status) == ("ocsvm on mnist, class 3, seed 0", "done")
    chosen = {name: value for name, value in run.parameters.items() if name.startswith("parameters_")}
    assert chosen == {"parameters_nu": 0.1, "parameters_gamma": "scale", "parameters_sizes": "[1, 2]"}
    assert (run.parameters["method"], run.parameters["seed"], run.parameters["precision"]) == ("ocsvm", 0, "fp32")
    assert run.tags == {
        "key": DONE.job.key,
        "reason": "",
        "dataset": "mnist",
        "protocol": "official_split",
        "normal_class": "3",
        "seed": 0,
        "profile": "paper",
        "git_commit": "abc",
    }
    assert run.metrics == {
        "metrics_auroc": 0.75,
        "metrics_average_precision": 0.375,
        "metrics_fpr_at_95_tpr": 0.25,
        "cost_fit_seconds": 1.5,
        "cost_peak_memory_bytes": 7,
        "oracle": 0.8,
    }
    assert run.steps[2] == {"epoch_losses_total": 0.5, "epoch_losses_first_part": 1.0, "epoch_auroc": 0.8}
    assert run.milliseconds == (1735689600000, 1735689660000)
    assert tracked(DIVERGED).steps == {1: {"epoch_losses_total": 0.5}, 2: {}}
    assert len(tracked(make_record(label="x" * 200)).name) == LONGEST_NAME


# ---------------------------------------------------------------------------------------------------------------------
# MLflow


@pytest.fixture(scope="module")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database that RECORDS were exported to. Look at it, leave it as it is."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/runs.db"
    assert export(RECORDS, "mlflow", uri) == 3
    return uri


def test_mlflow_gives_back_names_parameters_figures_tags_and_times(mlflow_uri: str) -> None:
    runs = mlflow_runs(mlflow_uri)
    assert {key: run.info.run_name for key, run in runs.items()} == TITLES
    for record in RECORDS:
        run, expected = runs[record.job.key], tracked(record)
        assert run.data.params == {name: str(value) for name, value in expected.parameters.items()}
        wanted = {f"bench.{name}": str(value) for name, value in expected.tags.items()}
        assert {name: value for name, value in run.data.tags.items() if name.startswith("bench.")} == {
            **wanted,
            "bench.status": record.status,
        }
        assert expected.metrics.items() <= run.data.metrics.items()
    done = runs[DONE.job.key]
    assert (done.info.start_time, done.info.end_time) == tracked(DONE).milliseconds


def test_mlflow_gives_back_every_epoch_by_step(mlflow_uri: str) -> None:
    run_id = mlflow_runs(mlflow_uri)[DONE.job.key].info.run_id
    for name, value in (("total", lambda n: 1 / n), ("first_part", lambda n: 2 / n)):
        history = client(mlflow_uri).get_metric_history(run_id, f"epoch_losses_{name}")
        assert {each.step: each.value for each in history} == {n: value(n) for n in range(1, EPOCHS + 1)}
        assert len(history) == EPOCHS
    assert len(client(mlflow_uri).get_metric_history(run_id, "epoch_auroc")) == EPOCHS


def test_what_did_not_end_well_has_failed_in_mlflow_and_says_why(mlflow_uri: str) -> None:
    runs = mlflow_runs(mlflow_uri)
    assert {key: run.info.status for key, run in runs.items()} == {
        DONE.job.key: "FINISHED",
        FAILED.job.key: "FAILED",
        DIVERGED.job.key: "FAILED",
    }
    failed = runs[FAILED.job.key].data
    assert (failed.tags["bench.reason"], failed.metrics) == ("ValueError: made to fail", {})


def test_a_second_export_to_mlflow_adds_what_is_new_and_replaces_what_is_half_written_or_was_rerun(
    mlflow_uri: str, tmp_path: Path
) -> None:
    shutil.copy(mlflow_uri.removeprefix("sqlite:///"), tmp_path / "runs.db")
    uri = f"sqlite:///{tmp_path}/runs.db"
    assert export(RECORDS, "mlflow", uri) == 0
    before = mlflow_runs(uri)

    client(uri).delete_tag(before[DONE.job.key].info.run_id, "bench.status")
    assert export([DONE, RERUN, DIVERGED, make_record(seed=2)], "mlflow", uri) == 3

    after = mlflow_runs(uri)
    assert len(after) == 4
    assert after[DIVERGED.job.key].info.run_id == before[DIVERGED.job.key].info.run_id
    assert after[DONE.job.key].data.metrics == before[DONE.job.key].data.metrics
    assert after[RERUN.job.key].info.status == "FINISHED"
    assert after[RERUN.job.key].data.tags["bench.reason"] == ""


def client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(uri)


def mlflow_runs(uri: str) -> dict[str, Run]:
    """The runs by the record's key, each key once."""
    experiment = client(uri).get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    found = client(uri).search_runs([experiment.experiment_id])
    assert max(Counter(run.data.tags["bench.key"] for run in found).values()) == 1
    return {run.data.tags["bench.key"]: run for run in found}


# ---------------------------------------------------------------------------------------------------------------------
# Weights & Biases, in processes of its own: it reads its settings once


@pytest.fixture
def offline(bench: Bench) -> Bench:
    """The command line with RECORDS in its results folder and W&B offline."""
    bench.environment = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
    put(bench, *RECORDS)
    return bench


def test_offline_runs_hold_what_the_records_say_and_are_written_once(offline: Bench) -> None:
    assert exported(offline, "wandb:ours") == "3 records exported to wandb:ours, 0 were there already\n"
    for record in RECORDS:
        run, expected = wandb_run(offline, record), tracked(record)
        assert (run.project, run.name) == ("ours", TITLES[record.job.key])
        assert run.config == {**expected.tags, "status": record.status, **expected.parameters}
        assert {**expected.metrics, "status": record.status}.items() <= run.summary.items()
        assert run.history == expected.steps
        assert run.exit_code == (0 if record.status == "done" else 1)
    assert wandb_run(offline, FAILED).config["reason"] == "ValueError: made to fail"

    assert exported(offline, "wandb:ours") == "0 records exported to wandb:ours, 3 were there already\n"
    assert len(wandb_folders(offline)) == 3


def test_offline_runs_of_another_project_half_written_or_of_a_rerun_job_do_not_count(offline: Bench) -> None:
    assert exported(offline, "wandb:ours").startswith("3 records")
    assert exported(offline, "wandb:us/others") == "3 records exported to wandb:us/others, 0 were there already\n"
    for folder in wandb_folders(offline, DIVERGED):
        (folder / "files" / MARK).unlink()
    put(offline, RERUN)
    before = wandb_folders(offline)
    assert exported(offline, "wandb:ours") == "2 records exported to wandb:ours, 1 were there already\n"
    assert wandb_run(offline, RERUN, before).config["status"] == "done"


@dataclasses.dataclass
class OfflineRun:
    """What ``wandb leet inspect`` reads from a run's file."""

    project: str
    name: str
    config: dict[str, Any]
    summary: dict[str, Any]
    history: dict[int, dict[str, float]]
    exit_code: int


def wandb_folders(bench: Bench, record: Record | None = None) -> list[Path]:
    return sorted((bench.folder / "wandb").glob(f"offline-run-*-{record.job.key if record else '*'}"))


def wandb_run(bench: Bench, record: Record, before: Collection[Path] = ()) -> OfflineRun:
    """The one offline run of a record that was not there before; the clock in the folders' names may step back."""
    (folder,) = set(wandb_folders(bench, record)) - set(before)
    file = folder / f"run-{record.job.key}.wandb"
    printed = python_prints("-m", "wandb", "leet", "inspect", "--json", str(file), folder=bench.folder)
    lines = [json.loads(line) for line in printed.splitlines()]

    def values(kind: str) -> list[dict[str, Any]]:
        return [line[kind] for line in lines if line["type"] == kind]

    def given(found: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in found.items() if not name.startswith("_")}

    (run,), (ended,) = values("run"), values("exit")
    config = [run.get("config", {}), *values("config")]
    return OfflineRun(
        project=run["project"],
        name=run["display_name"],
        config=given({name: value for each in config for name, value in each.get("update", {}).items()}),
        summary=given({name: value for each in values("summary") for name, value in each["update"].items()}),
        history={each["step"]["num"]: given(each["item"]) for each in values("history")},
        exit_code=ended["exit_code"],
    )


# ---------------------------------------------------------------------------------------------------------------------
# The command


def test_the_command_exports_to_mlflow_and_tells_trackers_from_files(bench: Bench) -> None:
    put(bench, *RECORDS)
    uri = f"sqlite:///{bench.folder}/runs.db"
    assert exported(bench, f"mlflow:{uri}") == f"3 records exported to mlflow:{uri}, 0 were there already\n"
    assert {key: run.info.run_name for key, run in mlflow_runs(uri).items()} == TITLES
    assert exported(bench, "a:b.csv") == "3 records in a:b.csv\n"


def test_the_command_refuses_another_tracker_and_a_wandb_that_is_disabled(bench: Bench) -> None:
    bench.environment = {"WANDB_MODE": "disabled"}
    for target, expected in (("comet:mine", "no tracker called 'comet'"), ("wandb:ours", "W&B is disabled")):
        refused = bench("export", target)
        assert refused.returncode == 2
        assert f"error: {expected}" in refused.stderr


@pytest.mark.parametrize(
    ("tracker", "place", "expected"),
    [
        ("comet", "mine", "no tracker called 'comet'; known: mlflow, wandb"),
        ("mlfow", "", "no tracker called 'mlfow'; did you mean mlflow?"),
        ("wandb", "", "wandb:PROJECT or wandb:ENTITY/PROJECT"),
        ("mlflow", "sqlite:////dev/null/runs.db", "MLflow: .*/dev/null"),
        ("mlflow", "nowhere://", "MLflow: .*nowhere"),
    ],
)
def test_a_place_that_takes_no_runs_is_refused(tracker: str, place: str, expected: str) -> None:
    with pytest.raises(BenchError, match=expected):
        export(RECORDS, tracker, place)


@pytest.mark.parametrize("library", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_named_with_what_to_type(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(BenchError, match=rf"pip install 'oneclass-bench\[{library}\]'"):
        export(RECORDS, library, "ours")


def put(bench: Bench, *records: Record) -> None:
    for record in records:
        bench.store.put(record, ARRAYS if record.status == "done" else None)


def exported(bench: Bench, target: str) -> str:
    ended = bench("export", target)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
