"""Records as runs of an experiment tracker, MLflow or Weights & Biases, written after the fact.

``tracked`` says what a tracker keeps of a record; a writer only hands that over. Names are those of the columns of
``export.frame``, with ``_`` for what is no letter, digit or ``_``, which both trackers can sort and filter by.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.errors import BenchError, unknown
from bench.jobs import Job
from bench.record import Record
from bench.report.export.frame import flat, row

EXPERIMENT = "oneclass-bench"
"""MLflow's experiment for the runs."""
LONGEST_NAME = 128
"""W&B takes no run with a longer name."""
MOST_METRICS = 1000
"""MLflow takes no more in one request."""
MARK = "bench.json"
"""Written last into the folder of an offline run of W&B: its project, and the record's status."""


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker keeps of one record."""

    key: str
    name: str
    status: str
    """Written last: a run without it is what a killed export left, one with another was exported before a rerun."""
    parameters: dict[str, Any]
    """The job's fields, and every hyperparameter as ``parameters_*``."""
    tags: dict[str, Any]
    metrics: dict[str, float]
    """Figures, costs and the oracle, where there is one."""
    steps: dict[int, dict[str, float]]
    """Losses and traced AUROC by epoch."""
    milliseconds: tuple[int | None, int | None]
    """When the job began and ended, since 1970."""


def export(records: Sequence[Record], tracker: str, place: str) -> int:
    """Write a run for each record that the tracker does not have yet; returns how many were written.

    ``place`` is a tracking URI for ``mlflow`` (empty: MLflow's own default), a project for ``wandb``. Raises BenchError
    for another tracker, for one that is not installed, and where it refuses.
    """
    if tracker not in _WRITERS:
        raise unknown("tracker", tracker, _WRITERS)
    return _WRITERS[tracker](map(tracked, records), place)


def tracked(record: Record) -> TrackedRun:
    """What a tracker keeps of a record. What the record does not have, as a loss that was not finite, is left out."""
    job, facts = record.job, row(record)
    fields = [field.name for field in dataclasses.fields(Job)]
    tags = {
        "key": job.key,
        "reason": record.reason,
        **{name: getattr(job, name) for name in ("dataset", "protocol", "normal_class", "seed", "profile")},
        "git_commit": record.provenance.get("git_commit"),
    }
    return TrackedRun(
        key=job.key,
        name=job.title[:LONGEST_NAME],
        status=record.status,
        parameters=_named({n: v for n, v in facts.items() if n in fields or n.startswith("parameters.")}),
        tags=_named(tags),
        metrics=_named({n: v for n, v in facts.items() if n == "oracle" or n.startswith(("metrics.", "cost."))}),
        steps={
            epoch["epoch"]: _named(flat("epoch", {name: value for name, value in epoch.items() if name != "epoch"}))
            for epoch in record.epochs
        },
        milliseconds=(_since_1970(record.provenance.get("started")), _since_1970(record.provenance.get("ended"))),
    )


def _to_mlflow(runs: Iterable[TrackedRun], uri: str) -> int:
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise BenchError("MLflow is not installed; pip install 'oneclass-bench[mlflow]'") from error
    written = 0
    try:
        client = MlflowClient(tracking_uri=uri or None)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT)
        for run in runs:
            found = client.search_runs([experiment_id], f"tags.`bench.key` = '{run.key}'")
            if any(each.data.tags.get("bench.status") == run.status for each in found):
                continue
            for old in found:
                client.delete_run(old.info.run_id)
            started, ended = run.milliseconds
            tags = {f"bench.{name}": str(value) for name, value in run.tags.items()}
            run_id = client.create_run(experiment_id, started, tags, run.name).info.run_id
            client.log_batch(run_id, params=[Param(name, str(value)) for name, value in run.parameters.items()])
            metrics = [
                Metric(name, value, ended or 0, step)
                for step, values in [(0, run.metrics), *run.steps.items()]
                for name, value in values.items()
            ]
            for first in range(0, len(metrics), MOST_METRICS):
                client.log_batch(run_id, metrics=metrics[first : first + MOST_METRICS])
            client.set_terminated(run_id, "FINISHED" if run.status == "done" else "FAILED", ended)
            client.set_tag(run_id, "bench.status", run.status)
            written += 1
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise BenchError(f"MLflow: {error}") from error
    return written


def _to_wandb(runs: Iterable[TrackedRun], project: str) -> int:
    try:
        from wandb import Api, Settings, init, setup
        from wandb.errors import CommError, Error
    except ImportError as error:
        raise BenchError("Weights & Biases is not installed; pip install 'oneclass-bench[wandb]'") from error
    entity, _, name = project.rpartition("/")
    if not name:
        raise BenchError("name a project of Weights & Biases: wandb:PROJECT or wandb:ENTITY/PROJECT")

    def mark(run: TrackedRun) -> dict[str, str]:
        return {"project": project, "status": run.status}

    def there(run: TrackedRun) -> bool:
        if api is None:
            marks = folder.glob(f"offline-run-*-{run.key}/files/{MARK}")
            return any(json.loads(each.read_text()) == mark(run) for each in marks)
        try:
            return bool(api.run(f"{project}/{run.key}").summary.get("status") == run.status)
        except (CommError, ValueError):  # no such run or project; what else is wrong, init will say
            return False

    written = 0
    try:
        usual = setup().settings
        if usual.mode == "disabled":
            raise BenchError("W&B is disabled and would write nothing; try WANDB_MODE=online or WANDB_MODE=offline")
        folder, api = Path(usual.wandb_dir), None if usual.mode in ("offline", "dryrun") else Api()
        # the machine, packages, code and output of this command are not those of the record
        blind = {"x_disable_stats": True, "x_disable_meta": True, "x_save_requirements": False}
        settings = Settings(console="off", disable_code=True, disable_git=True, silent=True, **blind)
        for run in runs:
            if there(run):
                continue
            with init(
                entity=entity or None, project=name, id=run.key, name=run.name, resume="allow", settings=settings
            ) as live:
                # its own tags are bare words, 64 letters at most; what is in the config can be sorted and filtered by
                live.config.update({**run.tags, "status": run.status, **run.parameters}, allow_val_change=True)
                begun = live.step  # more than 0 where an earlier export left a part, whose steps W&B keeps as they are
                for step, values in run.steps.items():
                    if step >= begun:
                        live.log(values, step=step)
                live.summary.update({**run.metrics, "status": run.status})
                if api is None:
                    (Path(live.dir) / MARK).write_text(json.dumps(mark(run)))
                live.finish(exit_code=0 if run.status == "done" else 1)
            written += 1
    except Error as error:
        raise BenchError(f"W&B: {error}") from error
    return written


_WRITERS: dict[str, Callable[[Iterable[TrackedRun], str], int]] = {"mlflow": _to_mlflow, "wandb": _to_wandb}


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {re.sub(r"\W", "_", name): value for name, value in values.items() if value is not None}


def _since_1970(time: str | None) -> int | None:
    return None if time is None else round(1000 * datetime.fromisoformat(time).timestamp())
