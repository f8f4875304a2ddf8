"""PaDiM and PatchCore against anomalib's, on the same images and the same weights. Prints a Markdown table.

    python benchmarks/features.py [--images 100] [--size 256] [--repeats 3] [--coreset 0.01]

A ResNet-18 with drawn weights, which cost what trained ones do. Both sides are in one process with as many threads as
there are cores, take turns, and score a quarter as many images as they are fitted on, 16 at a time; a ratio is the
median over the turns. The largest relative difference of the image scores is told with the same channels, and the same
memory, on both sides. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parent.parent / "tests"
BATCH = 16


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    made = work()
    return time.perf_counter() - began, made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--coreset", type=float, default=0.01)
    asked = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    import torch
    from anomalib.models.image.padim.torch_model import PadimModel
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel
    from anomalibs import RIDGE, blur_for, standardised, twin
    from torchvision.models import resnet18

    from bench.method import FitContext
    from bench.methods.today.padim import PaDiM
    from bench.methods.today.patchcore import PatchCore
    from bench.testing.images import lit

    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    train = lit(0, asked.images, 1, channels=3, height=asked.size, width=asked.size)
    tested = lit(1, asked.images // 4, 2, channels=3, height=asked.size, width=asked.size)

    def fit_theirs(model: Any) -> None:
        model.train()
        for part in np.array_split(train, -(-len(train) // BATCH)):
            model(standardised(part))
        if isinstance(model, PadimModel):
            model.fit()
        else:
            model.subsample_embedding(asked.coreset)
        model.eval()

    def scores_of(model: Any) -> np.ndarray:
        with torch.inference_mode():
            parts = np.array_split(tested, -(-len(tested) // BATCH))
            found = [model(standardised(part)).pred_score.flatten().numpy() for part in parts]
        return np.concatenate(found)

    with tempfile.TemporaryDirectory() as folder:
        weights = f"{folder}/resnet18.pth"
        torch.save(resnet18(weights=None).state_dict(), weights)
        common: dict[str, Any] = {
            "backbone": "resnet18", "weights": weights, "image_size": asked.size, "blur": blur_for(asked.size),
        }  # fmt: skip
        pairs: dict[str, tuple[Callable[[], PaDiM | PatchCore], type[Any], dict[str, Any]]] = {
            "PaDiM, 100 channels": (lambda: PaDiM(ridge=RIDGE, **common), PadimModel, {"n_features": 100}),
            f"PatchCore, coreset {asked.coreset:g}": (
                lambda: PatchCore(coreset=asked.coreset, **common), PatchcoreModel, {"num_neighbors": 9},
            ),
        }  # fmt: skip
        size = f"{asked.size}×{asked.size}×3"
        print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}; {len(train)} images of {size} fitted, ")
        print(f"{len(tested)} scored; medians of {asked.repeats} turns\n")
        print("| method | fit here, s | anomalib | ratio | score here, s | anomalib | ratio | largest difference |")
        print("|---|---|---|---|---|---|---|---|")
        for name, (make, kind, settings) in pairs.items():
            spent: dict[str, list[float]] = {each: [] for each in ("fit", "their fit", "score", "their score")}
            difference = 0.0
            for turn in range(-1, asked.repeats):  # the first warms up
                ours = make()
                fitting, _ = timed(lambda ours=ours: ours.fit(train, FitContext(seed=0)))  # type: ignore[misc]
                model = twin(kind, ours, **settings)
                if isinstance(ours, PaDiM):
                    model.idx = ours.channels
                their_fitting, _ = timed(lambda model=model: fit_theirs(model))  # type: ignore[misc]
                if isinstance(ours, PatchCore):
                    model.memory_bank = ours.memory
                scoring, own = timed(lambda ours=ours: ours.score(tested))  # type: ignore[misc]
                their_scoring, theirs = timed(lambda model=model: scores_of(model))  # type: ignore[misc]
                difference = max(difference, float(np.abs(own / theirs - 1).max()))
                for key, value in zip(spent, (fitting, their_fitting, scoring, their_scoring), strict=True):
                    if turn >= 0:
                        spent[key].append(value)
            cells = [name]
            for mine, other in (("fit", "their fit"), ("score", "their score")):
                ratio = statistics.median(b / a for a, b in zip(spent[mine], spent[other], strict=True))
                cells += [f"{statistics.median(spent[key]):.2f}" for key in (mine, other)] + [f"{ratio:.2f} ×"]
            print("| " + " | ".join([*cells, f"{difference:.0e}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
