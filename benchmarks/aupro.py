"""Exact pixel metrics against what people would use instead, on the same maps and masks. Prints a Markdown table.

    python benchmarks/aupro.py [--images 100] [--side 1024] [--cases 1000]

Each contender is a process of its own, one after another: what it takes is its processor's time, and the most memory
that it held, maps and masks included. Two thirds of the images have defects, some 2 % of their pixels. ``--cases``: so
many small random cases are computed plainly, with fractions and every distinct score a threshold, and the largest
difference from that is told. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TESTS = Path(__file__).parent.parent / "tests"
LIMIT = 0.3
THRESHOLDS = 200

Images = tuple[list[NDArray[np.float32]], list[NDArray[np.bool_]]]


def made(images: int, side: int) -> Images:
    """Noise of few waves, higher in blobs that masks mark."""
    from scipy.ndimage import gaussian_filter, zoom

    generator = np.random.default_rng(0)
    maps, masks = [], []
    for index in range(images):
        noise = zoom(generator.normal(size=(side // 16, side // 16)), 16, order=1)
        noise += generator.normal(scale=0.1, size=noise.shape)
        blobs = gaussian_filter(zoom(generator.normal(size=(side // 32, side // 32)), 32, order=1), 8)
        mask = blobs > np.quantile(blobs, 0.97) if index % 3 else np.zeros(noise.shape, bool)
        maps.append((noise + 1.5 * mask).astype(np.float32))
        masks.append(mask)
    return maps, masks


def ours(maps: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]]) -> float:
    from bench.localisation import localised

    return localised(maps, masks)[f"aupro_{100 * LIMIT:02.0f}"]


def anomalibs(maps: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]]) -> float:
    import torch
    from anomalib.metrics.aupro import _AUPRO

    metric = _AUPRO(fpr_limit=LIMIT)
    for scores, mask in zip(maps, masks, strict=True):
        metric.update(torch.from_numpy(scores)[None], torch.from_numpy(mask)[None].int())
    return float(metric.compute())


def a_loop(maps: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]]) -> float:
    """So many thresholds from the lowest score to the highest, every component counted at each."""
    from scipy.ndimage import label

    every = np.stack(maps)
    normal = ~np.stack(masks)
    parts = []
    for scores, mask in zip(maps, masks, strict=True):
        components, count = label(mask, np.ones((3, 3)))
        parts += [scores[components == number] for number in range(1, count + 1)]
    rates, shares = [0.0], [0.0]
    for threshold in np.linspace(every.max(), every.min(), THRESHOLDS):
        rates.append(float((every[normal] >= threshold).mean()))
        shares.append(float(np.mean([(part >= threshold).mean() for part in parts])))
    at = np.append(np.array(rates)[np.array(rates) < LIMIT], LIMIT)
    return float(np.trapezoid(np.interp(at, rates, shares), at) / LIMIT)


CONTENDERS: dict[str, tuple[str, Callable[..., float]]] = {
    "ours": ("bench, exact, with pixel AUROC, AP, AUPRO at 0.05 and AUPIMO", ours),
    "anomalib": ("anomalib's AUPRO", anomalibs),
    "loop": (f"a loop over {THRESHOLDS} thresholds", a_loop),
}


def largest_difference(cases: int) -> float:
    """Between AUPRO here and computed plainly, at both limits, over random cases with many ties."""
    from bench.localisation import localised

    sys.path.insert(0, str(TESTS))
    from localisations import aupro

    generator = np.random.default_rng(0)
    worst, done = 0.0, 0
    while done < cases:
        shapes = [tuple(generator.integers(1, 9, 2)) for _ in range(generator.integers(1, 5))]
        masks = [generator.random(shape) < generator.choice([0.0, 0.3, 1.0]) for shape in shapes]
        maps = [generator.integers(0, generator.choice([2, 5, 1000]), shape).astype(np.float32) for shape in shapes]
        if not any(mask.any() for mask in masks) or all(mask.all() for mask in masks):
            continue
        found = localised(maps, masks)
        for limit in (0.05, 0.3):
            worst = max(worst, abs(found[f"aupro_{100 * limit:02.0f}"] - aupro(maps, masks, limit)))
        done += 1
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--only", choices=CONTENDERS, help="one contender, in this process")
    given = parser.parse_args()
    if given.only:
        maps, masks = made(given.images, given.side)
        held, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        found = CONTENDERS[given.only][1](maps, masks)
        spent = time.process_time() - begun
        print(f"{found:.6f} | {spent:.1f} | {held / 1024:.0f} | "
              f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")  # fmt: skip
        return
    print(f"{given.images} images of {given.side}×{given.side}, AUPRO at {LIMIT}\n")
    print("| | AUPRO | processor s | MiB before | MiB at most |\n|---|---|---|---|---|")
    for name, (title, _) in CONTENDERS.items():
        command = [sys.executable, __file__, "--images", str(given.images), "--side", str(given.side), "--only", name]
        print(f"| {title} | {subprocess.check_output(command, text=True).strip()} |", flush=True)
    print(f"\nLargest difference from AUPRO computed plainly, over {given.cases} random cases at 0.05 and 0.3: "
          f"{largest_difference(given.cases):.1e}")  # fmt: skip


if __name__ == "__main__":
    main()
