"""Running jobs from Python, and what can be run."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.api import words
from bench.api.results import Results
from bench.api.words import Classes, File, Names, Seeds
from bench.errors import BenchError, warn
from bench.execution import run as execution
from bench.execution.executor import Kind
from bench.execution.failures import failures
from bench.execution.opening import open_executor
from bench.execution.session import execute
from bench.execution.slots import JobsPerGpu
from bench.jobs import Request, expand, left_out
from bench.method import Precision
from bench.specs import Value, parse_specs
from bench.store import Store
from bench.terminal import echo
from bench.workspace import open_workspace

if TYPE_CHECKING:
    from bench.execution.run import Rerun, Result


def run(
    suite: str | None = None,
    *,
    dataset: str | None = None,
    protocol: str | None = None,
    methods: Names | None = None,
    classes: Classes | None = None,
    seeds: Seeds | None = None,
    profile: str | None = None,
    max_train: int | Sequence[int] | None = None,
    normal: str | int | None = None,
    contamination: float | Sequence[float] = (),
    corruption: Names = (),
    precision: Precision = "fp32",
    parameters: Mapping[str, Value] | None = None,
    trace: bool = False,
    keep_maps: bool = False,
    rerun: Rerun = "missing",
    workers: int | None = None,
    device: str = "auto",
    jobs_per_gpu: JobsPerGpu = "auto",
    graphs: bool = True,
    executor: Kind = "local",
    address: str | None = None,
    timeout: float | None = None,
    memory: float | None = None,
    checkpoint: float | None = None,
    max_hours: float | None = None,
    quiet: bool = False,
    results: File | None = None,
    data: File | None = None,
    config: File | None = None,
) -> Results:
    """Do every job of a suite, or of a dataset, that has no record yet; the records of all of them.

    The same as ``bench run`` with options of these names, and the same records: what one has begun the other goes on
    with. ``methods`` and ``classes`` are lists, or text as on the command line; ``seeds`` says how many (3) or which
    ([0, 5]). ``max_train``, ``contamination`` and ``corruption`` may be several, which are run one after another;
    ``normal`` are classes that are normal together (``cat+dog``), or how many of them are drawn. ``parameters`` are
    ``{"shared_ae.epochs": 5}``, which is ``--set`` there. ``timeout`` is in seconds, ``memory`` in GB,
    ``checkpoint`` in minutes. ``quiet``: no progress.

    Jobs that do not end well are named on stderr, and are among the ``failed`` of the results. Raises BenchError for
    names that do not exist, DataMissing where the data is not there; KeyboardInterrupt where it is stopped, after which
    the same call goes on.
    """
    workspace = open_workspace(words.path(config), words.path(data), words.path(results))
    request = Request(
        suite=suite,
        dataset=dataset,
        protocol=protocol,
        methods=words.names(methods),
        classes=words.classes(classes),
        seeds=words.seeds(seeds),
        profile=profile,
        max_train=words.several_or_none(max_train),
        normal=None if normal is None else str(normal),
        contamination=words.several_or_none(contamination),
        corruption=[str(spec) for spec in parse_specs(words.names(corruption) or "")],
        precision=precision,
        overrides=words.overrides(parameters or {}),
    )
    jobs = expand(request, workspace)
    for told in left_out(request, workspace):
        echo(told, err=True)
    with open_executor(executor, address, device, workers, jobs_per_gpu) as places:
        if precision == "tf32" and places.device == "cpu":
            raise BenchError("precision='tf32' is a way in which GPUs compute, and there is none; use fp32 or bf16")
        planned = execution.plan(jobs, workspace, places.device, rerun, trace)
        planned.command = list(command_line(request, trace))
        for error in planned.unreadable:
            warn(error)
        seconds = math.inf if max_hours is None else 3600 * max_hours
        options = execution.Options(
            timeout=timeout,
            memory=memory,
            max_seconds=seconds,
            trace=trace,
            graphs=graphs,
            checkpoint=checkpoint,
            keep_maps=keep_maps,
        )
        title = suite or dataset or ""
        result = execute(title, planned, workspace, places, options, "nothing" if quiet else "progress")
    _tell(result)
    store = Store(workspace.results)  # what lies there knows where its scores are
    records = (store.get(job) for job in jobs if job.key in result.records)
    return Results([record for record in records if record is not None], workspace)


def list_methods(config: File | None = None) -> dict[str, str]:
    """Every method by name with its one-line summary, or why it cannot be used; nothing of them is imported."""
    plugins = open_workspace(words.path(config)).methods.plugins
    return {
        name: f"unavailable: {plugin.problem}" if plugin.problem else plugin.summary
        for name, plugin in sorted(plugins.items())
    }


def command_line(request: Request, trace: bool) -> Iterator[str]:
    """The words that ask for the same jobs on the command line: a notebook's own would repeat nothing."""
    yield from ("bench", "run")
    options: dict[str, object] = {
        "suite": request.suite,
        "dataset": request.dataset,
        "protocol": request.protocol,
        "methods": request.methods,
        "classes": request.classes,
        "seeds": request.seeds,
        "profile": request.profile,
        "max-train": _listed(request.max_train),
        "normal": request.normal,
        "contamination": _listed(request.contamination),
        "corruption": _listed(request.corruption),
        "precision": None if request.precision == "fp32" else request.precision,
    }
    for name, value in options.items():
        if value is not None:
            yield from (f"--{name}", str(value))
    for override in request.overrides:
        yield from ("--set", override)
    if trace:
        yield "--trace"


def _listed(values: Sequence[object]) -> str | None:
    """Values with commas between them; None where there are none."""
    return ",".join(map(str, values)) or None


def _tell(result: Result) -> None:
    """Name what did not end well. Raises KeyboardInterrupt or SystemExit where a signal stopped the run."""
    if failed := result.failed:
        echo(f"{len(failed)} of {len(result.jobs)} jobs did not end well:", err=True)
        for each in failures(failed):
            echo(f"  {each}", err=True)
    if result.signal is not None:
        stopped = f"{result.missing} jobs are left; the same call goes on with them"
        raise KeyboardInterrupt(stopped) if result.signal == signal.SIGINT else SystemExit(128 + result.signal)
    if result.unfit:
        echo(f"{len(result.unfit)} jobs were not started, as they were not expected to end in time", err=True)
