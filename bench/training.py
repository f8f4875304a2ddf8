"""The one training loop that all neural methods share, and what goes with it: devices, seeds, optimisers, scoring.

The whole training set lies on the device as uint8 and is normalised there, batch by batch; batches come from a
permutation drawn on the device; losses are summed on the device, so an epoch waits for the host once, at its end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.images import symmetric
from bench.method import Epoch, FitContext
from bench.randomness import derive_seed

Step = Callable[[Tensor, Tensor], Mapping[str, Tensor]]
"""One training step: (batch (b, channels, height, width) float, epoch number as a 0-d tensor) → losses by name.

The step does forward, backward and the optimiser's update. It must not read a value back to the host.
"""

SCORED_AT_ONCE = 250
"""Images: enough for full speed, and no more memory than a training step takes."""


@contextlib.contextmanager
def seeded(context: FitContext, *parts: str | int) -> Iterator[None]:
    """A block whose torch randomness (weight initialisation) derives from the context's seed and the parts alone."""
    device = torch.device(context.device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(context.seed, *parts) if parts else context.seed)
        yield


def autocast(context: FitContext) -> torch.autocast:
    """The block in which a step's forward pass runs: bfloat16 where the context asks for it, else unchanged."""
    return torch.autocast(torch.device(context.device).type, dtype=torch.bfloat16, enabled=context.precision == "bf16")


def to_device(network: nn.Module, context: FitContext) -> None:
    """Move the network to the context's device, its convolutions in channels-last layout."""
    network.to(device=context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def adam(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
) -> torch.optim.Adam:
    """Adam with its update fused into one kernel."""
    return torch.optim.Adam(parameters, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)


def minimise(loss: Tensor, optimiser: torch.optim.Optimizer, *, graph_stays: bool = False) -> None:
    """One step of the optimiser on the loss, whose gradient reaches no other parameters than the optimiser's.

    ``graph_stays``: for another loss of the same forward pass, whose gradient needs none of the parameters that this
    step changes.
    """
    optimiser.zero_grad()
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    loss.backward(inputs=parameters, retain_graph=graph_stays)
    optimiser.step()


def unchanged(batch: Tensor) -> Tensor:
    """The batch as it is: the ``prepare`` of images that were prepared beforehand."""
    return batch


def warm_up() -> None:
    """Have torch import what it imports on the first step of an optimiser, before anything is timed."""
    weight = nn.Parameter(torch.zeros(1))
    weight.sum().backward()
    adam([weight], lr=0.0).step()


def train(
    network: nn.Module,
    step: Step,
    images: NDArray[Any],
    *,
    epochs: int,
    batch_size: int,
    context: FitContext,
    prepare: Callable[[Tensor], Tensor] = symmetric,
    drop_last: bool = True,
) -> Iterator[Epoch]:
    """Run ``step`` over every epoch's batches and yield after each epoch with the mean losses.

    ``network`` holds all that is trained: it is in training mode during an epoch, and in evaluation mode whenever this
    has yielded and after the end.

    ``drop_last`` leaves out an epoch's last, smaller batch (the next permutation brings its images back); a training
    set smaller than one batch is one batch.
    """
    data = torch.from_numpy(np.array(images)).to(context.device)
    generator = torch.Generator(context.device).manual_seed(context.seed)
    size = min(batch_size, len(data))
    number = torch.zeros((), device=context.device)
    network.eval()
    for epoch in range(1, epochs + 1):
        network.train()
        number.fill_(epoch)
        batches = torch.randperm(len(data), generator=generator, device=context.device).split(size)
        if drop_last and len(batches[-1]) < size:
            batches = batches[:-1]
        sums: dict[str, Tensor] = {}
        for indices in batches:
            # (b, h, w, c) permuted to (b, c, h, w) is channels-last already, without a copy
            losses = step(prepare(data[indices].permute(0, 3, 1, 2)), number)
            for name, loss in losses.items():
                sums[name] = sums[name] + loss.detach() if name in sums else loss.detach().clone()
        network.eval()
        yield Epoch(epoch, epochs, {name: total.item() / len(batches) for name, total in sums.items()})


def scored(
    score: Callable[[Tensor], Tensor],
    images: NDArray[Any],
    *,
    device: str,
    prepare: Callable[[Tensor], Tensor] = symmetric,
    batch_size: int = SCORED_AT_ONCE,
) -> NDArray[np.float32]:
    """Scores (n,) of images in large batches. ``score`` maps a prepared batch to one number an image."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = torch.from_numpy(np.array(images[start : start + batch_size])).to(device)
            parts.append(score(prepare(batch.permute(0, 3, 1, 2))).float())
    return torch.cat(parts).cpu().numpy() if parts else np.zeros(0, dtype=np.float32)
