"""What a worker does for one job: fit on the normal images, score the test images, take the figures."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from bench import device
from bench.corruption import parse_corruption
from bench.dataset import PreparedDataset, open_prepared
from bench.errors import BenchError, unknown
from bench.execution.messages import Outcome, Task
from bench.fingerprint import source_fingerprint
from bench.jobs import Job
from bench.method import Epoch, EpochMethod, FitContext, Images, Method, Precision, Scores
from bench.metrics import auroc, measured
from bench.protocol import Protocol, Split, open_protocol
from bench.provenance import accelerator
from bench.randomness import derive_seed, global_generators_seeded
from bench.record import Arrays, Status
from bench.registry import Registry
from bench.specs import parse_spec

if TYPE_CHECKING:
    from torch import nn

FEW = 16
"""Test images that are scored a second time, by themselves."""
TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "bf16": 1e-3, "tf32": 1e-2}
"""Share of the range of the scores that a score may differ by when it is computed in another call; scores are computed
in fp32 where the forward passes of training are in bf16."""
SHOWN = 4
"""Test images of either kind whose reconstructions are kept."""


class Diverged(Exception):
    """A loss or a score is not a finite number."""


def measure(task: Task, report: Callable[[Epoch], None]) -> Outcome:
    """The outcome of a task; whatever the method raises becomes one. ``report`` is called after every epoch."""
    epochs: list[dict[str, Any]] = []
    outcome = _ended(task, report, epochs)
    try:
        device.release(task.device)
    except Exception:  # noqa: BLE001 - a GPU that has failed raises whatever it likes; the job's own reason is known
        return dataclasses.replace(outcome, worn_out=True)
    return outcome


def _ended(task: Task, report: Callable[[Epoch], None], epochs: list[dict[str, Any]]) -> Outcome:
    try:
        return _measured(task, report, epochs)
    except Diverged as error:
        return Outcome("diverged", epochs=epochs, error={"type": "", "message": str(error)})
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and each becomes a record
        failure = device.failure(error)
        status: Status = "oom" if failure == "memory" else "failed"
        return Outcome(status, epochs=epochs, error=describe(error), worn_out=failure is not None)


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as a record keeps it."""
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def _measured(task: Task, report: Callable[[Epoch], None], epochs: list[dict[str, Any]]) -> Outcome:
    job = task.job
    precision = _precision(job.precision)
    device.set_precision(task.device, precision)
    detector = _detector(task)
    dataset = _dataset(task.dataset_folder)
    if dataset.checksum != job.dataset_checksum:
        raise BenchError(f"dataset {job.dataset} changed since this run began; repeat the command")
    protocol = _protocol(job.protocol, tuple(task.protocol_folders))
    split = protocol.split(dataset, job.normal_class, job.seed, job.max_train, job.contamination)
    test = dataset.images[split.test]
    if job.corruption:
        test = parse_corruption(job.corruption)(test, split.test_labels, split.test, dataset.name)
    seed = job.fit_seed
    clock = _Clock(task.device)
    device.reset_peak(task.device)
    captured, steps = False, 0
    with global_generators_seeded(seed):
        context = FitContext(seed=seed, device=task.device, precision=precision, graphs=task.graphs)
        for epoch in _fitted(detector, dataset.images[split.train], context, clock):
            epochs.append({"epoch": epoch.number, "losses": dict(epoch.losses)})
            report(epoch)
            captured |= epoch.captured
            steps += epoch.steps
            if not epoch.finite:
                losses = ", ".join(f"{name} {loss}" for name, loss in epoch.losses.items())
                epochs[-1]["losses"] = dict.fromkeys(epoch.losses)  # JSON knows no NaN
                raise Diverged(f"a loss is not finite after epoch {epoch.number}: {losses}")
            if task.trace and epoch.scorable:
                epochs[-1]["auroc"] = auroc(split.test_labels, _scores(detector, test))
        fit_seconds = clock.lap()
        scores = _scores(detector, test)
        score_seconds = clock.lap()
        memory = device.peak(task.device)
        candidates = _oracle_candidates(detector, test, split.test_labels) if task.trace else []
        if task.trace and epochs:
            epochs[-1] |= _by_batch(detector, test, split.test_labels, seed)
        used = _used(detector, test, scores, TOLERANCE[precision])
        reconstructions = _reconstructions(detector, test, split)
    return Outcome(
        status="done",
        split=_split_facts(split, job, dataset, protocol),
        metrics=measured(split.test_labels, scores),
        cost={
            "fit_seconds": fit_seconds,
            "score_seconds": score_seconds,
            "images_per_second": len(test) / max(score_seconds, 1e-9),
            "parameters": _parameter_count(detector),
            **({"steps": steps} if steps else {}),
            **memory,
        },
        parameters=detector.hyperparameters(),
        epochs=epochs,
        traced=task.trace,
        oracle_candidates=candidates,
        ledger={"used": used, "published": list(detector.published_used)},
        provenance={**accelerator(task.device), **({"cuda_graph": captured} if _is_on_gpu(task) else {})},
        arrays={"scores": scores, "labels": split.test_labels, "indices": split.test, **reconstructions},
    )


def _detector(task: Task) -> Method:
    registry = _registry(tuple(task.plugin_folders))
    if _loaded(registry, task.job.method, device.kind(task.device)) != task.job.fingerprint:
        raise BenchError(f"the code of {task.job.method} changed since this run began; repeat the command")
    built: Method = registry.build(parse_spec(task.job.spec))
    return built


@functools.lru_cache(maxsize=8)
def _protocol(text: str, folders: tuple[str, ...]) -> Protocol:
    return open_protocol(text, Registry("protocol", [Path(folder) for folder in folders]))


@functools.lru_cache(maxsize=4)
def _registry(plugin_folders: tuple[str, ...]) -> Registry:
    return Registry("method", [Path(folder) for folder in plugin_folders])


@functools.lru_cache(maxsize=64)
def _loaded(registry: Registry, name: str, kind: device.Kind) -> str:
    """The fingerprint of the code as this process imported it, which may not be what the file holds by now.

    What a method imports on first use is imported too: the first job of a worker must not seem slower than the next.
    """
    cls = registry.load(name)
    fingerprint = source_fingerprint(registry.find(name))
    registry.preload(name)
    if issubclass(cls, EpochMethod):
        from bench.training import warm_up

        warm_up(kind)
    return fingerprint


@functools.lru_cache(maxsize=2)
def _dataset(folder: Path) -> PreparedDataset:
    return open_prepared(folder)


def _fitted(detector: Method, images: Images, context: FitContext, clock: _Clock) -> Iterator[Epoch]:
    """Fit the detector, yielding its epochs; what the harness does between epochs is not on the method's clock."""
    if not isinstance(detector, EpochMethod):
        detector.fit(images, context)
        return
    for epoch in detector.fit_epochs(images, context):
        clock.pause()
        yield epoch
        clock.resume()


def _scores(detector: Method, images: Images) -> Scores:
    return _checked(detector.score(images), len(images))


def _checked(returned: Scores, count: int) -> Scores:
    scores = np.asarray(returned)
    if scores.shape != (count,) or not np.issubdtype(scores.dtype, np.floating):
        raise TypeError(f"score returned {scores.dtype} {scores.shape}; expected floats of shape ({count},)")
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise Diverged(f"{bad} of {len(scores)} scores are not finite")
    return scores


def _oracle_candidates(detector: Method, test: Images, labels: NDArray[np.uint8]) -> list[dict[str, Any]]:
    return [
        {"parameters": dict(parameters), "auroc": auroc(labels, _checked(scores, len(test)))}
        for parameters, scores in detector.candidates(test)
    ]


def _by_batch(detector: Method, test: Images, labels: NDArray[np.uint8], seed: int) -> dict[str, float]:
    """The AUROC where batches of test images, in an order drawn by lot, are normalised by themselves, as some authors'
    code does; nothing for a detector without batch normalisation, or one that fails at it."""
    from bench.batchnorm import by_batch, norms

    layers = [layer for network in _networks(detector) for layer in norms(network)]
    if not layers:
        return {}
    order = np.random.default_rng(derive_seed(seed, "batches")).permutation(len(test))
    with contextlib.suppress(ValueError, Diverged), by_batch(layers):  # a single image may have no statistics
        return {"auroc_by_batch": auroc(labels[order], _scores(detector, test[order]))}
    return {}


def _used(detector: Method, test: Images, scores: Scores, tolerance: float) -> list[str]:
    """What the method declares, or what shows when a few of the images are scored by themselves."""
    declared = list(detector.used())
    alone = _scores(detector, test[:FEW])
    if not declared and np.abs(alone - scores[:FEW]).max() > tolerance * np.ptp(scores):
        return ["the other test images, or chance, in scoring"]
    return declared


def _reconstructions(detector: Method, test: Images, split: Split) -> Arrays:
    """Those of a few test images, evenly spaced among the normal and among the anomalous ones; empty without any."""
    kinds = [np.flatnonzero(split.test_labels == kind) for kind in (0, 1)]
    spaced = [np.linspace(0, len(kind) - 1, min(SHOWN, len(kind))).round().astype(int) for kind in kinds]
    shown = np.concatenate([kind[places] for kind, places in zip(kinds, spaced, strict=True)])
    made = detector.reconstruct(test[shown])
    return {} if made is None else {"reconstructed": made, "reconstructed_indices": split.test[shown]}


def _split_facts(split: Split, job: Job, dataset: PreparedDataset, protocol: Protocol) -> dict[str, Any]:
    usable = protocol.normal_classes(dataset)
    return {
        "normal_label": protocol.place(dataset, job.normal_class),
        "normal_classes": len(usable) if job.normal_class in usable else 0,  # 0: one of countless sets of classes
        "fingerprint": split.fingerprint,
        "train": len(split.train),
        "test": len(split.test),
        "anomalous": int(split.test_labels.sum()),
    }


def _parameter_count(detector: Method) -> int | None:
    """Trained parameters of the torch modules that the detector holds; None where it holds none."""
    networks = _networks(detector)
    parameters = {id(p): p.numel() for network in networks for p in network.parameters() if p.requires_grad}
    return sum(parameters.values()) if networks else None


def _networks(detector: Method) -> list[nn.Module]:
    """The torch modules that the detector holds."""
    import torch

    return [value for value in vars(detector).values() if isinstance(value, torch.nn.Module)]


def _precision(name: str) -> Precision:
    if name not in get_args(Precision):
        raise unknown("precision", name, get_args(Precision))
    return cast(Precision, name)


def _is_on_gpu(task: Task) -> bool:
    return device.kind(task.device) == "cuda"


class _Clock:
    """Seconds of computing: waits for the device, and can be paused."""

    def __init__(self, place: str) -> None:
        self._device = place
        self._spent = 0.0
        self._since: float | None = self._now()

    def pause(self) -> None:
        if self._since is not None:
            self._spent += self._now() - self._since
            self._since = None

    def resume(self) -> None:
        self._since = self._now()

    def lap(self) -> float:
        """Seconds since the last lap, pauses left out; the clock runs on."""
        self.pause()
        spent, self._spent = self._spent, 0.0
        self.resume()
        return spent

    def _now(self) -> float:
        device.synchronise(self._device)
        return time.perf_counter()
