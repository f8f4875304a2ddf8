"""How near each neural method's training comes to what the machine's matrix products reach. Prints a Markdown table.

    python benchmarks/limits.py [--workers 2] [--threads 1] [--repeats 5] [--precision bf16]
    python benchmarks/limits.py --methods rivals
    python benchmarks/limits.py --scoring --methods anogan

``--methods`` takes specs and groups of bench.toml, of which methods that train no network are left out; ``--scoring``
measures the scoring of images instead. Of f-AnoGAN the game is measured, not its encoder's training.

Every worker is a process that measures, in turn, large matrix products and one epoch of each method in
its steady state, all workers at the same time, as in a run. A matrix product is timed as such and as the wide
convolution that is one, and the faster counts: on some processors the two come from libraries of different speed.
Floating-point operations are counted as torch dispatches them, and so are the bytes that its operations read and
write. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np

from bench.execution.supervisor import worker_environment

METHODS = (
    "shared_ae(width=64)",
    "shared_ae(width=32)",
    "autoencoder(width=64)",
    "vae(width=64)",
    "ganomaly(width=64)",
    "skip_ganomaly(width=64)",
    "deep_svdd",
)
SIZE, STEPS = 32, 4
SCORED = 250
"""Images that are scored in one go."""
MATRIX = 1024

Work = Iterator[int]
"""Each time it is asked, an epoch of training or so many images scored; how many images that were."""


@dataclass(frozen=True)
class Counts:
    """Of one training image."""

    flops: float
    bytes: float


@dataclass(frozen=True)
class Measured:
    """One worker's figures of one method: images a second of each piece of work, the matrix products' rates around."""

    images: list[float]
    rates: list[float]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--workers", type=int, default=os.cpu_count())
    arguments.add_argument("--threads", type=int, default=1, help="of each worker")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    arguments.add_argument("--methods", nargs="+", default=METHODS)
    arguments.add_argument("--scoring", action="store_true", help="of images, instead of training")
    arguments.add_argument("--channels", type=int, default=3)
    given = arguments.parse_args()
    os.environ |= {**worker_environment(), "OMP_NUM_THREADS": str(given.threads)}  # as a worker of a run has them
    print(f"{given.workers} workers, threads each: {given.threads}, {given.precision}, ", end="")
    print(f"{SIZE}×{SIZE}×{given.channels} images, ", end="")
    piece = f"scorings of {SCORED} images" if given.scoring else f"epochs of {STEPS} batches"
    print(f"medians of {given.repeats} {piece}; load before {os.getloadavg()[0]:.1f}\n")
    print("| method | images/s, all workers | GFLOP/image | MB/image | GFLOP/s | matrix products, GFLOP/s | share |")
    print("|---|---|---|---|---|---|---|")
    spawned = get_context("spawn")
    barrier = spawned.Barrier(given.workers)
    with ProcessPoolExecutor(given.workers, spawned, initializer=_begin, initargs=(barrier, given.threads)) as pool:
        for text in _trained(given.methods):
            kind = (text, given.channels, given.precision, given.scoring)
            counts = pool.submit(count, *kind).result()
            parts = [pool.submit(measure, *kind, given.repeats) for _ in range(given.workers)]
            print(_row(text, counts, [part.result() for part in parts]), flush=True)


def count(text: str, channels: int, precision: str, scoring: bool) -> Counts:
    """The operations of one piece of work in the steady state, by image."""
    work = _work(text, channels, precision, scoring)
    next(work)
    with _counted() as done:
        images = next(work)
    return Counts(done.flops / images, done.bytes / images)


def measure(text: str, channels: int, precision: str, scoring: bool, repeats: int) -> Measured:
    """Pieces of work and matrix products in turn, begun by all workers at once."""
    work = _work(text, channels, precision, scoring)
    next(work)
    images, rates = [], [_matrix_rate(precision)]
    for _ in range(repeats):
        _barrier.wait()
        began = time.perf_counter()
        done = next(work)
        images.append(done / (time.perf_counter() - began))
        _barrier.wait()
        rates.append(_matrix_rate(precision))
    return Measured(images, rates)


def _row(text: str, counts: Counts, parts: list[Measured]) -> str:
    images = [sum(turn) for turn in zip(*(part.images for part in parts), strict=True)]
    products = [sum(rates) for rates in zip(*(part.rates for part in parts), strict=True)]
    beside = [(before + after) / 2 for before, after in itertools.pairwise(products)]
    share = statistics.median(own * counts.flops / rate for own, rate in zip(images, beside, strict=True))
    median = statistics.median(images)
    cells = [
        text, f"{median:,.0f}", f"{counts.flops / 1e9:.3f}", f"{counts.bytes / 1e6:.1f}",
        f"{median * counts.flops / 1e9:.0f}", f"{statistics.median(beside) / 1e9:.0f}", f"{share:.0%}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _begin(barrier: Barrier, threads: int) -> None:
    global _barrier
    import torch

    _barrier = barrier
    torch.set_num_threads(threads)


def _trained(names: Sequence[str]) -> Iterator[str]:
    """The specs of methods that train a network, those of groups in their place."""
    from bench.config import load_config
    from bench.method import EpochMethod
    from bench.registry import Registry
    from bench.specs import parse_spec

    groups = load_config().groups
    for text in (text for name in names for text in groups.get(name, [name])):
        if isinstance(Registry("method").build(parse_spec(text)), EpochMethod):
            yield text


def _work(text: str, channels: int, precision: str, scoring: bool) -> Work:
    """A method's training, pretraining left out, or the scoring of images by what one epoch has trained."""
    from bench.method import FitContext
    from bench.registry import Registry
    from bench.specs import Spec, parse_spec

    spec = parse_spec(text)
    endless = {"epochs": 1000, **({"pretrain_epochs": 0} if spec.name == "deep_svdd" else {})}
    detector: Any = Registry("method").build(Spec(spec.name, {**spec.parameters, **endless}))
    # f-AnoGAN's steps take a batch for each one of the critic
    batch = detector.batch_size * (detector.critic_steps if spec.name == "f_anogan" else 1)
    seen = 1 - getattr(detector, "validation", 0.0)
    shape = (math.ceil(STEPS * batch / seen), SIZE, SIZE, channels)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, shape, dtype=np.uint8)
    epochs = detector.fit_epochs(images, FitContext(seed=0, precision=precision))  # type: ignore[arg-type]
    if not scoring:
        for epoch in epochs:
            yield epoch.steps * batch
    next(epochs)
    images = random.integers(0, 256, (SCORED, *shape[1:]), dtype=np.uint8)
    while True:
        detector.score(images)
        yield len(images)


def _matrix_rate(precision: str) -> float:
    """FLOP/s of large matrix products whose operands fit into the cache: the faster of two ways to ask for them."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.randn(MATRIX, MATRIX, dtype=dtype)
    x, weight = torch.randn(64, 256, 16, 16, dtype=dtype), torch.randn(256, 256, 3, 3, dtype=dtype)
    x, weight = (tensor.to(memory_format=torch.channels_last) for tensor in (x, weight))
    return max(
        _rate(lambda: torch.mm(a, a), 2 * MATRIX**3),
        _rate(lambda: torch.conv2d(x, weight, padding=1), 2 * weight.numel() * x[:, 0].numel()),
    )


def _rate(product: Callable[[], Any], flops: int) -> float:
    """FLOP/s of a product, repeated for a third of a second."""
    product()
    began, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < 0.3:
        product()
        done += 1
    return done * flops / passed


def _counted() -> Any:
    """A block that adds up the floating-point operations of torch's, and the size of the tensors that they read and
    write; views cost nothing.

    torch's FlopCounterMode knows the modules too, and for that forbids the gradient of a penalty on gradients.
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):
        flops = bytes = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs, known = kwargs or {}, flop_registry.get(func.overloadpacket)
            if known is None:
                with self:  # what is made of others is counted by these
                    parts = func.decompose(*args, **kwargs)
                if parts is not NotImplemented:
                    return parts
            out = func(*args, **kwargs)
            if known is not None:
                self.flops += known(*args, **kwargs, out_val=out)
            if not func.is_view:
                leaves = [x for x in tree_leaves((args, kwargs, out)) if hasattr(x, "element_size")]
                self.bytes += sum(x.numel() * x.element_size() for x in leaves)
            return out

    return Counter()


if __name__ == "__main__":
    main()
