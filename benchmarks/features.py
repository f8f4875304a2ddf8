"""PaDiM and PatchCore against anomalib's, on the same images and the same weights. Prints a Markdown table.

    python benchmarks/features.py [--images 100] [--size 256] [--repeats 3] [--coreset 0.01]

A ResNet-18 with drawn weights, which cost what trained ones do. Both sides are in one process with as many threads as
there are cores, take turns, and score a quarter as many images as they are fitted on, 16 at a time; a ratio is the
median over the turns. The largest relative difference of the image scores is told with the same channels, and the same
memory, on both sides. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parent.parent / "tests"
BATCH = 16
HEAD = ("method", "fit here, s", "anomalib", "ratio", "score here, s", "anomalib", "ratio", "largest difference")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--coreset", type=float, default=0.01)
    asked = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    import torch

    from bench.testing.images import lit

    torch.set_num_threads(os.cpu_count() or 1)
    train = lit(0, asked.images, 1, channels=3, height=asked.size, width=asked.size)
    tested = lit(1, asked.images // 4, 2, channels=3, height=asked.size, width=asked.size)
    size = f"{asked.size}×{asked.size}×3"
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}; {len(train)} images of {size} fitted,")
    print(f"{len(tested)} scored; medians of {asked.repeats} turns\n")
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    with tempfile.TemporaryDirectory() as folder:
        weights = drawn_weights(folder)
        turns: dict[str, Callable[[], list[float]]] = {
            "PaDiM, 100 channels": partial(padim, weights, train, tested),
            f"PatchCore, coreset {asked.coreset:g}": partial(patchcore, weights, train, tested, asked.coreset),
        }
        for name, turn in turns.items():
            turn()  # warms up
            found = np.array([turn() for _ in range(asked.repeats)])
            cells = [name]
            for here, there in ((found[:, 0], found[:, 1]), (found[:, 2], found[:, 3])):
                ratio = statistics.median(there / here)
                cells += [f"{statistics.median(here):.2f}", f"{statistics.median(there):.2f}", f"{ratio:.2f} ×"]
            print("| " + " | ".join([*cells, f"{found[:, 4].max():.0e}"]) + " |", flush=True)


def drawn_weights(folder: str) -> str:
    """A file of a ResNet-18's weights."""
    import torch
    from torchvision.models import resnet18

    torch.manual_seed(0)
    torch.save(resnet18(weights=None).state_dict(), f"{folder}/resnet18.pth")
    return f"{folder}/resnet18.pth"


def padim(weights: str, train: np.ndarray, tested: np.ndarray) -> list[float]:
    """Seconds to fit here and there, to score here and there, and the largest relative difference of the scores."""
    from anomalib.models.image.padim.torch_model import PadimModel
    from anomalibs import RIDGE, alike, twin

    from bench.method import FitContext
    from bench.methods.today.padim import PaDiM

    ours = PaDiM(ridge=RIDGE, **alike(weights, train.shape[1]))
    fit = seconds(lambda: ours.fit(train, FitContext(seed=0)))
    model = twin(PadimModel, ours, n_features=100)
    model.idx = ours.channels
    return [fit, seconds(lambda: (batches(model, train), model.fit())), *scoring(ours, model, tested)]


def patchcore(weights: str, train: np.ndarray, tested: np.ndarray, coreset: float) -> list[float]:
    """Likewise. Scores are by our memory on both sides."""
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel
    from anomalibs import alike, twin

    from bench.method import FitContext
    from bench.methods.today.patchcore import PatchCore

    ours = PatchCore(coreset=coreset, **alike(weights, train.shape[1]))
    fit = seconds(lambda: ours.fit(train, FitContext(seed=0)))
    model = twin(PatchcoreModel, ours, num_neighbors=ours.neighbours)
    with contextlib.redirect_stderr(io.StringIO()):  # a bar of progress
        theirs = seconds(lambda: (batches(model, train), model.subsample_embedding(coreset)))
    model.memory_bank = ours.memory
    return [fit, theirs, *scoring(ours, model, tested)]


def scoring(ours: Any, model: Any, tested: np.ndarray) -> list[float]:
    import torch

    found = []
    model.eval()
    with torch.inference_mode():
        here = seconds(lambda: found.append(ours.score(tested)))
        there = seconds(lambda: found.extend(each.pred_score.flatten().numpy() for each in batches(model, tested)))
    return [here, there, float(np.abs(found[0] / np.concatenate(found[1:]) - 1).max())]


def batches(model: Any, images: np.ndarray) -> list[Any]:
    """What anomalib's model makes of the images, some at a time."""
    from anomalibs import standardised

    return [model(standardised(part)) for part in np.array_split(images, -(-len(images) // BATCH))]


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
