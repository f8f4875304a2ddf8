"""Training steps on a GPU: whether they wait, whether a graph is the same, what they hold and how fast they are.

The sections of benchmarks/gpu.py that need no run.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench import device
from bench.execution.supervisor import worker_environment

NETWORKS = ("shared_ae", "autoencoder", "vae", "ganomaly", "skip_ganomaly", "deep_svdd")


@dataclass
class Given:
    """What the command was asked, and what it has found so far."""

    out: Path
    device: str
    small: bool
    deadline: float
    found: dict[str, Any] = field(default_factory=dict)
    keep: Callable[[], None] = lambda: None
    """Writes down what has been found so far."""

    @property
    def left(self) -> float:
        """Seconds."""
        return self.deadline - time.monotonic()


def graphs(given: Given) -> dict[str, Any]:
    """Each network trained as it is and as a graph: the same scores."""
    found = {}
    for name in NETWORKS:
        (plain, _), (replayed, captured) = (_fitted(given, name, graphs=each) for each in (False, True))
        scores = [each.score(_images(given, name, 64)) for each in (plain, replayed)]
        gap = float(np.abs(scores[0] - scores[1]).max())
        found[name] = {"captured": captured, "bit for bit": bool((scores[0] == scores[1]).all()), "largest": gap}
    return found


def _fitted(given: Given, name: str, graphs: bool) -> tuple[Any, bool]:
    from bench.method import FitContext
    from bench.randomness import global_generators_seeded

    detector = _detector(name, 8 if given.small else 64, epochs=3)
    place = "cuda:0" if given.device == "cuda" else "cpu"
    device.set_precision(place, "fp32")
    with global_generators_seeded(0):
        context = FitContext(seed=0, device=place, graphs=graphs)
        captured = [epoch.captured for epoch in detector.fit_epochs(_images(given, name, 8), context)]
    return detector, any(captured)


def waits(given: Given) -> dict[str, Any]:
    """An epoch of every network in which a step that waits for the GPU is an error."""
    import torch

    from bench import training
    from bench.methods import _image_network
    from bench.methods.paper import deep_svdd

    def guarded(step: Any) -> Any:
        def called(*arguments: Any) -> Any:
            if given.device == "cuda":
                torch.cuda.set_sync_debug_mode("error")
            try:
                return step(*arguments)
            finally:
                if given.device == "cuda":
                    torch.cuda.set_sync_debug_mode("default")

        return called

    def train(network: Any, step: Any, *arguments: Any, **named: Any) -> Any:
        return training.train(network, guarded(step), *arguments, **named)

    found = {}
    for module in (_image_network, deep_svdd):
        module.train = train  # type: ignore[attr-defined]
    try:
        for name in NETWORKS:
            try:
                _fitted(given, name, graphs=False)
                found[name] = "never"
            except RuntimeError as error:
                found[name] = f"waits: {str(error).partition(chr(10))[0]}"
    finally:
        for module in (_image_network, deep_svdd):
            module.train = training.train  # type: ignore[attr-defined]
    return found


def memory(given: Given) -> dict[str, Any]:
    """What an epoch of each network takes of the GPU: its tensors, what torch reserves, and the driver's own view."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        return {name: pool.submit(_memory, given.device, given.small, name).result() for name in NETWORKS}


def _memory(place: str, small: bool, name: str) -> dict[str, float]:
    given = Given(Path(), place, small, 0.0)
    device.reset_peak(place)
    detector, _ = _fitted(given, name, graphs=True)
    detector.score(_images(given, name, 256))
    found = {key: round(value / 1e9, 3) for key, value in device.peak(place).items()}
    for line in device.ask_driver("--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits").splitlines():
        pid, _, used = line.partition(",")
        if pid.strip() == str(os.getpid()):
            found["nvidia-smi"] = round(float(used) * 1.048576e-3, 3)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# How fast


def throughput(given: Given) -> dict[str, Any]:
    """Images a second of every network by jobs at a time, as it is and as a graph, without and with MPS."""
    widths = (8,) if given.small else (64, 16)
    jobs = (1, 2) if given.small else (1, 4, 8, 16)
    rates: dict[str, dict[str, float]] = {}
    with _team(max(jobs)) as team:
        for name, width in itertools.product(NETWORKS, widths):
            if name == "deep_svdd" and width != widths[0]:
                continue  # it has no width
            own = rates.setdefault(_named(name, width), {})
            own["1 job, as it is"] = team(given, name, width, 1, False)
            for count in jobs:
                own[f"{count} jobs, graph"] = team(given, name, width, count, True)
            given.found["throughput"] = {"images/s": rates, "unfinished": True}
            given.keep()
    if given.device == "cuda" and shutil.which("nvidia-cuda-mps-control") and given.left > 60:
        with _mps(), _team(max(jobs)) as team:
            for name, width in itertools.product(NETWORKS, widths):
                if _named(name, width) in rates and given.left > 20:
                    rates[_named(name, width)]["8 jobs, graph, MPS"] = team(given, name, width, 8, True)
    flops = {_named(name, width): _gflop(name, width) for name, width in itertools.product(NETWORKS, widths)}
    peak = given.found.get("machine", {}).get("matrix TFLOP/s, fp32")
    best = {name: max(own.values()) for name, own in rates.items()}
    return {
        "images/s": rates,
        "best : one job as it is": {name: round(best[name] / own["1 job, as it is"], 2) for name, own in rates.items()},
        "share of the matrix rate": {name: round(best[name] * flops[name] / peak / 1e3, 3) for name in best}
        if peak
        else {},
    }


def _named(name: str, width: int) -> str:
    return name if name == "deep_svdd" else f"{name}, width {width}"


@contextlib.contextmanager
def _team(size: int) -> Iterator[Callable[..., float]]:
    """Processes that train at the same time, as the workers of a run do."""
    spawned = get_context("spawn")
    barriers = {count: spawned.Barrier(count) for count in range(1, size + 1)}
    os.environ.update(worker_environment() | device.CUBLAS_WORKSPACE | {"OMP_NUM_THREADS": "1"})
    with contextlib.ExitStack() as stack:
        pools = [
            stack.enter_context(ProcessPoolExecutor(1, spawned, initializer=_join, initargs=(barriers,)))
            for _ in range(size)
        ]

        def measured(given: Given, name: str, width: int, count: int, graph: bool) -> float:
            asked = (given.device, given.small, name, width, count, graph)
            return round(sum(part.result() for part in [pool.submit(_rate, *asked) for pool in pools[:count]]), 1)

        yield measured


def _join(barriers: Any) -> None:
    global _barriers
    _barriers = barriers


def _rate(place: str, small: bool, name: str, width: int, count: int, graph: bool) -> float:
    """Images a second of this process, over epochs that all processes begin together."""
    from bench.method import FitContext

    given = Given(Path(), place, small, 0.0)
    where = "cuda:0" if place == "cuda" else "cpu"
    device.set_precision(where, "fp32")
    images = _images(given, name, 2 if small else 16)
    detector = _detector(name, width, epochs=10**6)
    epochs = detector.fit_epochs(images, FitContext(seed=0, device=where, graphs=graph))
    next(epochs)
    next(epochs)
    device.synchronise(where)
    _barriers[count].wait(300)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < (0.2 if small else 1.0):
        next(epochs)
        done += len(images)
    spent = time.perf_counter() - began
    epochs.close()
    device.release(where)
    return done / spent


def _detector(name: str, width: int, epochs: int) -> Any:
    from bench.registry import Registry
    from bench.specs import Spec

    own = {"pretrain_epochs": 0} if name == "deep_svdd" else {"width": width}
    return Registry("method").build(Spec(name, {"epochs": epochs, **own}))


def _images(given: Given, name: str, batches: int) -> np.ndarray:
    size = 200 if name == "deep_svdd" else 64
    count = min(batches, 4) * size if given.small else batches * size
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@functools.cache
def _gflop(name: str, width: int) -> float:
    """Of a training step, by image; counted on the CPU."""
    from torch.utils.flop_counter import FlopCounterMode

    given = Given(Path(), "cpu", True, 0.0)
    images = _images(given, name, 1)
    from bench.method import FitContext

    epochs = _detector(name, width, epochs=3).fit_epochs(images, FitContext(seed=0))
    next(epochs)
    with FlopCounterMode(display=False) as flops:
        next(epochs)
    return flops.get_total_flops() / len(images) / 1e9


@contextlib.contextmanager
def _mps() -> Iterator[None]:
    """NVIDIA's Multi-Process Service for what is started meanwhile; the card's settings stay as they are."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        os.environ.update(own)
        for each in own.values():
            Path(each).mkdir()
        try:
            subprocess.run(["nvidia-cuda-mps-control", "-d"], check=True, timeout=30)
            yield
        finally:
            subprocess.run(["nvidia-cuda-mps-control"], input="quit\n", text=True, check=False, timeout=60)
            for name in own:
                os.environ.pop(name, None)


def peer(given: Given) -> dict[str, Any]:
    """anomalib's Engine on the same GANomaly, images and epochs, in turn with ours."""
    import peers

    shape = (128 if given.small else 4096, 32, 32, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    where = "cuda:0" if given.device == "cuda" else "cpu"
    ours, theirs = [], []
    for turn in range(2 if given.small else 4):  # the first warms up
        for own, work in (
            (ours, functools.partial(_ganomaly, images, where)),
            (theirs, functools.partial(peers.anomalib_ganomaly, images, 2, "gpu" if where != "cpu" else "cpu")),
        ):
            began = time.perf_counter()
            with contextlib.redirect_stdout(sys.stderr):
                work()
            device.synchronise(where)
            if turn:
                own.append(2 * len(images) / (time.perf_counter() - began))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return {
        "ours, images/s": round(statistics.median(ours)),
        "anomalib's Engine, images/s": round(statistics.median(theirs)),
        "ratio": round(ratio, 2),
    }


def _ganomaly(images: np.ndarray, where: str) -> None:
    from bench.method import FitContext

    device.set_precision(where, "fp32")
    _detector("ganomaly", 64, epochs=2).fit(images, FitContext(seed=0, device=where))
