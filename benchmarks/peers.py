"""Training here against what people would use instead, on the same layers and images. Prints a Markdown table.

    python benchmarks/peers.py [--repeats 5]

Each side has the whole machine: here a worker process of one thread on each core, as in a run; the peer one process
with as many threads. Sides take turns, and a ratio is the median over the turns. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from bench.execution.supervisor import worker_environment

CORES = os.cpu_count() or 1
DETECTORS = {
    "OCSVM": "ocsvm", "KNN": "knn", "LOF": "lof", "IForest": "iforest", "PCA": "pca",
    "DeepSVDD": "deep_svdd", "AutoEncoder": "auto_encoder", "VAE": "vae",
}  # fmt: skip
"""Detectors of pyod, each with its module; with their default settings."""
PLUGINS = Path(__file__).parent / "plugins"

_LOOP = """
import importlib, sys
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
digits = load_digits()
for i, name in enumerate(sys.argv[1].split(",")):
    for normal in range(10):
        own = digits.data[digits.target == normal] / 16
        train = own[: int(0.8 * len(own))]
        cls = getattr(importlib.import_module("pyod.models." + sys.argv[2].split(",")[i]), name)
        detector = cls(n_features=64) if name == "DeepSVDD" else cls()
        detector.fit(train)
        roc_auc_score(digits.target != normal, detector.decision_function(digits.data / 16))
"""


@dataclass(frozen=True)
class Side:
    """Somebody's training: what trains, and by how many processes with how many threads each."""

    name: str
    train: Callable[[np.ndarray, int], None]
    """Takes images (n, height, width, channels) and epochs."""
    processes: int = 1
    threads: int = CORES
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Duel:
    """The same layers trained by several sides, the last of which is the peer."""

    what: str
    shape: tuple[int, int, int, int]
    epochs: int
    sides: tuple[Side, ...]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=5)
    repeats = arguments.parse_args().repeats
    print(f"{CORES} cores, medians of {repeats} turns, load before {os.getloadavg()[0]:.1f}\n")
    print("| layers and images | here | images/s | peer | images/s | ratio |\n|---|---|---|---|---|---|")
    for duel in duels():
        rates = fought(duel, repeats)
        *ours, (peer, theirs) = rates.items()
        for name, own in ours:
            ratio = statistics.median(a / b for a, b in zip(own, theirs, strict=True))
            cells = [duel.what, name, f"{statistics.median(own):,.0f}", peer, f"{statistics.median(theirs):,.0f}"]
            print("| " + " | ".join([*cells, f"{ratio:.2f} ×"]) + " |", flush=True)
    whole_suite(repeats)


def duels() -> list[Duel]:
    """What is compared."""
    ganomaly = "GANomaly, width 64, latent 100, batch 64, 1024 images of 32×32×3, 1 epoch"
    layers = "784-64-32, batch 32, 6000 images of 28×28"
    return [
        Duel(ganomaly, (1024, 32, 32, 3), 1, (
            here("fp32", "ganomaly(width=64,epochs={epochs})"),
            here("bf16", "ganomaly(width=64,epochs={epochs})", "bf16"),
            Side("anomalib's Engine", anomalib_ganomaly),
        )),
        Duel(f"Deep SVDD, {layers}", (6000, 28, 28, 1), 10, (
            here("fp32", "mlp(objective='svdd',epochs={epochs})"), Side("pyod's DeepSVDD", pyod_svdd),
        )),
        Duel(f"autoencoder, {layers}", (6000, 28, 28, 1), 10, (
            here("fp32", "mlp(objective='autoencoder',epochs={epochs})"), Side("pyod's AutoEncoder", pyod_autoencoder),
        )),
    ]  # fmt: skip


def fought(duel: Duel, repeats: int) -> dict[str, list[float]]:
    """Images per second of each side, turn by turn."""
    rates: dict[str, list[float]] = {side.name: [] for side in duel.sides}
    with contextlib.ExitStack() as stack:
        teams = {}
        for side in duel.sides:
            spawned = get_context("spawn")
            barrier = spawned.Barrier(side.processes)
            pool = ProcessPoolExecutor(side.processes, spawned, initializer=_begin, initargs=(barrier, side.threads))
            teams[side.name] = stack.enter_context(pool)
        for turn in range(-1, repeats):  # the first turn imports and warms up
            for side in duel.sides:
                with patch.dict(os.environ, side.environment):  # the first task starts a process
                    parts = [
                        teams[side.name].submit(_timed, side.train, duel.shape, duel.epochs)
                        for _ in range(side.processes)
                    ]
                seconds = max(part.result() for part in parts)
                if turn >= 0:
                    rates[side.name].append(side.processes * duel.shape[0] * duel.epochs / seconds)
    return rates


def whole_suite(repeats: int) -> None:
    """Wall time of a suite's run with pyod's detectors, against a plain loop that fits and scores the same."""
    methods = ",".join(f"pyod(model={name!r})" for name in DETECTORS)
    ours, theirs = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            run = ["-m", "bench", "run", "--suite", "quickstart", "--methods", methods, "--device", "cpu", "--quiet"]
            ours.append(_wall([*run, "--results", folder]))
        theirs.append(_wall(["-c", _LOOP, ",".join(DETECTORS), ",".join(DETECTORS.values())]))
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    print(f"\nquickstart with pyod's {', '.join(DETECTORS)}, wall time from start to end:")
    print(f"here {statistics.median(ours):.1f} s, a plain loop {statistics.median(theirs):.1f} s, ratio {ratio:.2f} ×")


def _wall(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def here(name: str, spec: str, precision: str = "fp32") -> Side:
    """A method of this harness, a process a core."""
    return Side(name, _Here(spec, precision), CORES, 1, worker_environment())


@dataclass(frozen=True)
class _Here:
    spec: str
    precision: str

    def __call__(self, images: np.ndarray, epochs: int) -> None:
        from bench.method import FitContext
        from bench.registry import Registry
        from bench.specs import parse_spec

        detector = Registry("method", [PLUGINS]).build(parse_spec(self.spec.format(epochs=epochs)))
        detector.fit(images, FitContext(seed=0, precision=self.precision))  # type: ignore[arg-type]


def anomalib_ganomaly(images: np.ndarray, epochs: int, accelerator: str = "cpu") -> None:
    """anomalib's Engine with its own network and settings, fed from memory."""
    import torch
    from anomalib.data import ImageBatch
    from anomalib.engine import Engine
    from anomalib.models import Ganomaly
    from anomalib.pre_processing import PreProcessor
    from lightning.pytorch import LightningDataModule
    from torch.utils.data import DataLoader
    from torchvision.transforms.v2 import Compose, Normalize, Resize

    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)

    def batch(items: list[Any]) -> Any:
        stacked = torch.stack(items).float() / 255
        normal = torch.zeros(len(stacked), dtype=torch.bool)
        return ImageBatch(image=stacked, gt_label=normal, gt_mask=torch.zeros_like(stacked[:, 0]))

    class Data(LightningDataModule):
        name, category, train_batch_size = "memory", "images", 64

        def train_dataloader(self) -> DataLoader[Any]:
            return DataLoader(pixels, 64, shuffle=True, collate_fn=batch)  # type: ignore[arg-type]

    transform = PreProcessor(Compose([Resize((32, 32)), Normalize([0.5] * 3, [0.5] * 3)]))
    model = Ganomaly(
        batch_size=64, n_features=64, latent_vec_size=100, pre_processor=transform,
        post_processor=False, evaluator=False, visualizer=False,
    )  # fmt: skip
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Engine(accelerator=accelerator, devices=1, max_epochs=epochs, **quiet).fit(model, datamodule=Data())


def pyod_svdd(images: np.ndarray, epochs: int) -> None:
    """pyod's DeepSVDD; it fits and then scores what it was fitted on."""
    from pyod.models.deep_svdd import DeepSVDD

    rows = images.reshape(len(images), -1) / np.float32(255)
    DeepSVDD(rows.shape[1], hidden_neurons=[64, 32], batch_size=32, epochs=epochs, verbose=0, validation_size=0.0).fit(
        rows
    )


def pyod_autoencoder(images: np.ndarray, epochs: int) -> None:
    """pyod's AutoEncoder; it fits and then scores what it was fitted on."""
    from pyod.models.auto_encoder import AutoEncoder

    rows = images.reshape(len(images), -1) / np.float32(255)
    AutoEncoder(hidden_neuron_list=[64, 32], batch_size=32, epoch_num=epochs, verbose=0).fit(rows)


def _begin(barrier: Any, threads: int) -> None:
    global _barrier
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    _barrier = barrier


def _timed(train: Callable[[np.ndarray, int], None], shape: tuple[int, int, int, int], epochs: int) -> float:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    _barrier.wait()
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        train(images, epochs)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
