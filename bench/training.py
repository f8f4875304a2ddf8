"""The one training loop that all neural methods share, and what goes with it: devices, seeds, optimisers, scoring.

The whole training set lies on the device as uint8 and is normalised there, batch by batch; batches come from a
permutation drawn on the host, so that every device trains on the same ones; losses are summed on the device, so an
epoch waits for the host once, at its end.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.checkpoints import begun, remember
from bench.graphs import recorded
from bench.images import symmetric
from bench.method import Epoch, FitContext
from bench.randomness import derive_seed

Step = Callable[[Tensor, Tensor], Mapping[str, Tensor]]
"""One training step: (batch (b, channels, height, width) float, epoch number as a 0-d tensor) → losses by name.

The step does forward, backward and the optimiser's update. It must not read a value back to the host. What it draws by
torch's own functions (``torch.randn``, dropout) follows from the context's seed.
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


def autocast(context: FitContext) -> contextlib.AbstractContextManager[Any]:
    """The block in which a step's forward pass runs: bfloat16 where the context asks for it, else unchanged."""
    if context.precision != "bf16":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(context.device).type, dtype=torch.bfloat16)


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
    """Adam with its update fused into one kernel.

    Its rate is a tensor beside the parameters, which a captured step reads anew each time: change it in place, as
    ``*=`` does.
    """
    weights = list(parameters)
    place = weights[0].device
    precision = torch.float32 if place.type == "cuda" else torch.float64  # a kernel takes that, the CPU's a number
    optimiser = torch.optim.Adam(
        weights,
        lr=torch.tensor(lr, dtype=precision, device=place),
        betas=betas,
        weight_decay=weight_decay,
        fused=place.type in ("cpu", "cuda"),
        capturable=place.type == "cuda",
    )
    return remember(optimiser)


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


def warm_up(device: str) -> None:
    """Have torch import what it imports on the first step of an optimiser, and a GPU load its first kernels, before
    anything is timed."""
    weight = nn.Parameter(torch.zeros(1, device=device))
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
    min_steps: int = 0,
    prepare: Callable[[Tensor], Tensor] = symmetric,
    drop_last: bool = True,
    capturable: bool = False,
) -> Iterator[Epoch]:
    """Run ``step`` over every epoch's batches and yield after each epoch with the mean losses.

    ``network`` holds all that is trained: it is in training mode during an epoch, and in evaluation mode whenever this
    has yielded and after the end.

    ``min_steps``: at least so many in all; where the epochs would have fewer, each goes over the images several times.
    ``drop_last`` leaves out the last, smaller batch of the images (the next permutation brings them back); a training
    set smaller than one batch is one batch. ``capturable``: the step does the same to every batch, with nothing decided
    or counted in Python and every tensor that outlasts it changed in place, so that a GPU may replay it as a graph.
    """
    data = torch.from_numpy(np.array(images)).to(context.device)
    batches = _Batches(len(data), batch_size, drop_last, context)
    number = torch.zeros((), device=context.device)
    sums: dict[str, Tensor] = {}

    def do(indices: Tensor) -> None:
        # (b, h, w, c) permuted to (b, c, h, w) is channels-last already, without a copy
        for name, loss in step(prepare(data[indices].permute(0, 3, 1, 2)), number).items():
            if name not in sums:
                sums[name] = torch.zeros((), device=context.device)
            sums[name].add_(loss.detach())

    graph = recorded(do, batches.size, context.device) if capturable and context.graphs else None
    drawing = _Drawing(context)
    network.eval()
    training = begun(network, batches, drawing)
    first = 1
    if training.resumed is not None:
        yield training.resumed
        first = training.resumed.number + 1
    for epoch in range(first, epochs + 1):
        network.train()
        number.fill_(epoch)
        for total in sums.values():
            total.zero_()
        chosen = batches.of_epoch(math.ceil(min_steps / epochs))
        with drawing.resumed():
            for indices in chosen:
                (graph or do)(indices)
        network.eval()
        totals = torch.stack(list(sums.values())).tolist() if sums else []
        losses = {name: total / len(chosen) for name, total in zip(sums, totals, strict=True)}
        captured = graph is not None and graph.replays
        yield training.ended(Epoch(epoch, epochs, losses, steps=len(chosen), captured=captured))


class _Batches:
    """The batches of one training, as indices of images; drawn on the host, from a generator of their own."""

    def __init__(self, images: int, batch_size: int, drop_last: bool, context: FitContext) -> None:
        self.size = min(batch_size, images)
        self._images = images
        self._drop_last = drop_last
        self._device = context.device
        self._generator = torch.Generator().manual_seed(context.seed)

    def of_epoch(self, least: int) -> list[Tensor]:
        """Those of one epoch: of one permutation of the images, or of as many as it takes for ``least`` batches."""
        batches = self._of_permutation()
        while len(batches) < least:
            batches += self._of_permutation()[: least - len(batches)]
        return batches

    def state_dict(self) -> dict[str, Tensor]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._generator.set_state(state["generator"])

    def _of_permutation(self) -> list[Tensor]:
        permutation = torch.randperm(self._images, generator=self._generator).to(self._device)
        batches = list(permutation.split(self.size))
        return batches[:-1] if self._drop_last and len(batches[-1]) < self.size else batches


class _Drawing:
    """What torch's own generators give to the steps of one training; everybody else's numbers are left as they are."""

    def __init__(self, context: FitContext) -> None:
        self._seed = derive_seed(context.seed, "steps")
        self._gpus = [torch.device(context.device)] if context.device.startswith("cuda") else []
        self._states: list[Tensor] = []

    @contextlib.contextmanager
    def resumed(self) -> Iterator[None]:
        """A block that goes on where the last one stopped."""
        with torch.random.fork_rng(devices=self._gpus):
            if self._states:
                torch.set_rng_state(self._states[0])
                for gpu, state in zip(self._gpus, self._states[1:], strict=True):
                    torch.cuda.set_rng_state(state, gpu)
            else:
                torch.manual_seed(self._seed)
            yield
            self._states = [torch.get_rng_state(), *(torch.cuda.get_rng_state(gpu) for gpu in self._gpus)]

    def state_dict(self) -> dict[str, list[Tensor]]:
        return {"states": self._states}

    def load_state_dict(self, state: Mapping[str, list[Tensor]]) -> None:
        self._states = [each.cpu() for each in state["states"]]


def scored(
    score: Callable[[Tensor], Tensor],
    images: NDArray[Any],
    *,
    device: str,
    prepare: Callable[[Tensor], Tensor] = symmetric,
    batch_size: int = SCORED_AT_ONCE,
) -> NDArray[np.float32]:
    """Scores (n,) of images in large batches. ``score`` maps a prepared batch to one number an image."""
    with torch.inference_mode():
        parts = [score(batch).float() for batch in batches(images, batch_size, device=device, prepare=prepare)]
    return torch.cat(parts).cpu().numpy() if parts else np.zeros(0, dtype=np.float32)


def batches(
    images: NDArray[Any],
    size: int,
    *,
    device: str,
    prepare: Callable[[Tensor], Tensor] = symmetric,
    whole: bool = False,
) -> Iterator[Tensor]:
    """Prepared batches (b, channels, height, width) of images, in order; ``whole`` leaves out a last, smaller one."""
    for start in range(0, len(images) - (size - 1 if whole else 0), size):
        batch = torch.from_numpy(np.array(images[start : start + size])).to(device)
        yield prepare(batch.permute(0, 3, 1, 2))
