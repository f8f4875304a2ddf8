"""What a worker does for one job: fit on the normal images, score the test images, take the figures."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import math
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench import device
from bench.corruption import parse_corruption
from bench.dataset import PreparedDataset
from bench.errors import BenchError
from bench.execution.detector import Clock, Diverged, built, checked, fitted, noted, precision_named, scores_of
from bench.execution.fits import Fit, Fits
from bench.execution.judgement import CODE, judged
from bench.execution.mapping import findings
from bench.execution.messages import Outcome, Task
from bench.execution.resuming import Checkpoint
from bench.jobs import Job
from bench.method import Epoch, FitContext, Images, Method, Precision, Scores
from bench.metrics import auroc, measured
from bench.prepared import open_prepared
from bench.protocol import Protocol, Split, open_protocol
from bench.provenance import accelerator
from bench.randomness import derive_seed, global_generators_seeded
from bench.record import FITTED_FOR, Arrays, Status
from bench.registry import Registry

if TYPE_CHECKING:
    from torch import nn

FEW = 16
"""Test images that are scored a second time, by themselves."""
TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "bf16": 1e-3, "tf32": 1e-2}
"""Share of the range of the scores that a score may differ by when it is computed in another call; scores are computed
in fp32 where the forward passes of training are in bf16."""
SHOWN = 4
"""Test images of either kind whose reconstructions are kept."""
SORTED = 4000
"""Test images, at most, that a trace scores in batches of one kind after every epoch."""


def measure(task: Task, report: Callable[[Epoch], None], fits: Fits | None = None) -> Outcome:
    """The outcome of a task; whatever the method raises becomes one. ``report`` is called after every epoch.

    ``fits``: what is kept from one task to the next, for those of one fit.
    """
    fits = fits or Fits()
    outcome = outcome_of(lambda epochs: _measured(task, report, epochs, fits), task.device)
    if outcome.status != "done":
        fits.drop()
    return outcome


def outcome_of(work: Callable[[list[dict[str, Any]]], Outcome], place: str) -> Outcome:
    """What some work on a device comes to; whatever it raises becomes an outcome. It gets the list that its epochs go
    into."""
    epochs: list[dict[str, Any]] = []
    outcome = _ended(work, epochs)
    try:
        device.release(place)
    except Exception:  # noqa: BLE001 - a GPU that has failed raises whatever it likes; the job's own reason is known
        return dataclasses.replace(outcome, worn_out=True)
    return outcome


def _ended(work: Callable[[list[dict[str, Any]]], Outcome], epochs: list[dict[str, Any]]) -> Outcome:
    try:
        return work(epochs)
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


def _measured(task: Task, report: Callable[[Epoch], None], epochs: list[dict[str, Any]], fits: Fits) -> Outcome:
    job = task.job
    device.set_precision(task.device, precision_named(job.precision))
    detector = built(job.spec, job.fingerprint, task.plugin_folders, task.device)
    dataset = _dataset(task.dataset_folder, task.image_size)
    if dataset.checksum != job.dataset_checksum:
        raise BenchError(f"dataset {job.dataset} changed since this run began; repeat the command")
    return measured_with(detector, dataset, task, report, epochs, fits)


def measured_with(
    detector: Method,
    dataset: PreparedDataset,
    task: Task,
    report: Callable[[Epoch], None],
    epochs: list[dict[str, Any]],
    fits: Fits,
) -> Outcome:
    """The outcome of a task with this detector on this dataset, or with the one that ``fits`` has of the same fit.

    Whatever the detector raises comes through. Its epochs go into ``epochs``, to be had even if it fails.
    """
    job, precision = task.job, precision_named(task.job.precision)
    protocol = _protocol(job.protocol, tuple(task.protocol_folders))
    split = job.split(dataset, protocol)
    if task.most_scored is not None:
        split = _thinned(split, task.most_scored)
    test = dataset.images[split.test]
    if job.corruption:
        test = parse_corruption(job.corruption)(test, split.test_labels, split.test, dataset.name)
    by_kind = np.argsort(split.test_labels, kind="stable")[:: math.ceil(len(test) / SORTED)]
    seed = job.fit_seed
    clock = Clock(task.device)
    device.reset_peak(task.device)
    with global_generators_seeded(seed):
        if shared := fits.resume(task):
            fit, detector = shared
            epochs += fit.progress.epochs
        else:
            checkpoint = Checkpoint(task, detector)
            progress = checkpoint.progress
            epochs += progress.epochs
            progress.epochs = epochs
            context = FitContext(seed=seed, device=task.device, precision=precision, graphs=task.graphs)
            for epoch in fitted(detector, dataset.images[split.train], context, clock, checkpoint.keeper):
                noted(epoch, epochs, report)
                progress.captured |= epoch.captured
                progress.steps += epoch.steps
                if task.trace and epoch.scorable:
                    epochs[-1]["auroc"] = auroc(split.test_labels, scores_of(detector, test))
                    epochs[-1] |= _by_batch("auroc_by_sorted_batch", detector, test, split.test_labels, by_kind)
                checkpoint.keep(clock.spent)
            progress.seconds += clock.lap()
            fit = Fit(job.key, copy.deepcopy(progress), device.peak(task.device))
            fits.keep(task, fit, detector)
        clock.lap()
        scores = scores_of(detector, test)
        score_seconds = clock.lap()
        memory = {name: max(held, fit.memory.get(name, 0)) for name, held in device.peak(task.device).items()}
        cost = {
            "fit_seconds": fit.progress.seconds,
            "score_seconds": score_seconds,
            "images_per_second": len(test) / max(score_seconds, 1e-9),
            "parameters": _parameter_count(detector),
            **({"steps": fit.progress.steps} if fit.progress.steps else {}),
            **memory,
        }
        provenance = {
            **accelerator(task.device),
            **({"cuda_graph": fit.progress.captured} if _is_on_gpu(task) else {}),
            **({"resumed": fit.progress.resumed} if fit.progress.resumed else {}),
            **({FITTED_FOR: fit.key} if shared else {}),
        }
        arrays = {"scores": scores, "labels": split.test_labels, "indices": split.test}
        if job.tuning:
            judgement = judged(detector, dataset, split, task, (epoch["losses"] for epoch in epochs))
            return Outcome(
                status="done",
                split=_split_facts(split, job, dataset, protocol),
                criteria=judgement.figures,
                cost=cost,
                parameters=detector.hyperparameters(),
                epochs=epochs,
                ledger={"used": list(detector.used()), "published": list(detector.published_used)},
                provenance={**provenance, CODE: judgement.code},
                arrays=arrays,
            )
        candidates = _oracle_candidates(detector, test, split.test_labels) if task.trace else []
        if task.trace and epochs:
            by_lot = np.random.default_rng(derive_seed(seed, "batches")).permutation(len(test))
            epochs[-1] |= _by_batch("auroc_by_batch", detector, test, split.test_labels, by_lot)
        used = _used(detector, test, scores, TOLERANCE[precision])
        reconstructions = _reconstructions(detector, test, split)
        located = findings(detector, dataset, protocol, split, test, scores, clock, task.keep_maps)
    return Outcome(
        status="done",
        split=_split_facts(split, job, dataset, protocol),
        metrics={**measured(split.test_labels, scores), **located.metrics},
        by_kind=located.by_kind,
        maps=located.facts,
        cost={**cost, **located.cost},
        parameters=detector.hyperparameters(),
        epochs=epochs,
        traced=task.trace,
        oracle_candidates=candidates,
        ledger={"used": used, "published": list(detector.published_used)},
        provenance=provenance,
        arrays={**arrays, **reconstructions, **located.arrays},
        every_map=located.every,
    )


def _thinned(split: Split, most: int) -> Split:
    """The split with about so many of its test images, evenly from the normal and from the anomalous ones."""
    every = max(1, round(len(split.test) / most))
    kept = np.sort(np.concatenate([np.flatnonzero(split.test_labels == kind)[::every] for kind in (0, 1)]))
    return dataclasses.replace(split, test=split.test[kept], test_labels=split.test_labels[kept])


@functools.lru_cache(maxsize=8)
def _protocol(text: str, folders: tuple[str, ...]) -> Protocol:
    return open_protocol(text, Registry("protocol", [Path(folder) for folder in folders]))


@functools.lru_cache(maxsize=2)
def _dataset(folder: Path, size: int | None) -> PreparedDataset:
    return open_prepared(folder, size)


def _oracle_candidates(detector: Method, test: Images, labels: NDArray[np.uint8]) -> list[dict[str, Any]]:
    return [
        {"parameters": dict(parameters), "auroc": auroc(labels, checked(scores, len(test)))}
        for parameters, scores in detector.candidates(test)
    ]


def _by_batch(
    name: str, detector: Method, test: Images, labels: NDArray[np.uint8], order: NDArray[np.integer[Any]]
) -> dict[str, float]:
    """The AUROC, under this name, where batches of test images in this order are normalised by themselves, as some
    authors' code does; nothing for a detector without batch normalisation, or one that fails at it."""
    from bench.batchnorm import by_batch, norms

    layers = [layer for network in _networks(detector) for layer in norms(network)]
    if not layers:
        return {}
    with contextlib.suppress(ValueError, Diverged), by_batch(layers):  # a single image may have no statistics
        return {name: auroc(labels[order], scores_of(detector, test[order]))}
    return {}


def _used(detector: Method, test: Images, scores: Scores, tolerance: float) -> list[str]:
    """What the method declares, or what shows when a few of the images are scored by themselves."""
    declared = list(detector.used())
    alone = scores_of(detector, test[:FEW])
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


def _is_on_gpu(task: Task) -> bool:
    return device.kind(task.device) == "cuda"
