"""Batch normalisation where one layer meets several kinds of input.

In training each kind is normalised by its own batch. The running statistics of the layer are a blend of all kinds, and
fit none of them: scored with it, a method is not the one that was trained. Statistics for each kind mend that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass
class _Layer:
    """A layer, and the mean and variance (channels,) that it has for each time that a computation comes through it."""

    norm: _BatchNorm
    means: list[Tensor]
    variances: list[Tensor]
    passes: int = 0
    """How often the computation that is under way has come through it."""


def norms(network: nn.Module) -> list[_BatchNorm]:
    """The layers of a network that normalise batches."""
    return [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]


@contextlib.contextmanager
def by_batch(layers: Iterable[_BatchNorm]) -> Iterator[None]:
    """A block in which each batch is normalised by itself, in whichever mode a network is; its running statistics stay
    as they are."""

    def begin(norm: nn.Module, inputs: object) -> None:
        norm.train()

    def end(norm: nn.Module, inputs: object, output: object) -> None:
        norm.eval()

    changed = [(norm, norm.training, norm.momentum) for norm in layers]
    handles = []
    for norm, _, _ in changed:
        norm.momentum = 0.0
        handles += [norm.register_forward_pre_hook(begin), norm.register_forward_hook(end)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for norm, training, momentum in changed:
            norm.train(training)
            norm.momentum = momentum


class PassStatistics:
    """Statistics of a network's batch normalisation for each pass that one computation makes through each layer.

    They are taken over training images, which needs neither labels nor test images.
    """

    def __init__(self, network: nn.Module) -> None:
        self._layers = [_Layer(norm, [], []) for norm in norms(network)]

    @torch.no_grad()
    def take(self, compute: Callable[[Tensor], object], batches: Iterable[Tensor]) -> None:
        """Take them anew: of what ``compute`` brings through each layer, the mean over batches that are normalised each
        by itself, as in training. The layers' own statistics stay as they are."""
        for layer in self._layers:
            layer.means, layer.variances = [], []
        count = 0
        with self._listening(_taken), by_batch(layer.norm for layer in self._layers):
            for batch in batches:
                self._begin()
                compute(batch)
                count += 1
        for layer in self._layers:
            for total in (*layer.means, *layer.variances):
                total.div_(count)

    def apply(self, compute: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The same computation, each of its passes through a layer normalised by that pass's statistics."""

        def normalised(batch: Tensor) -> Tensor:
            self._begin()
            with self._listening(_used), self._own_statistics_kept():
                return compute(batch)

        return normalised

    def _begin(self) -> None:
        for layer in self._layers:
            layer.passes = 0

    @contextlib.contextmanager
    def _listening(self, before: Callable[[_Layer, Tensor], None]) -> Iterator[None]:
        """A block in which ``before`` is called with whatever comes to a layer."""

        def hook(layer: _Layer) -> Callable[[nn.Module, tuple[Tensor]], None]:
            def called(_: nn.Module, inputs: tuple[Tensor]) -> None:
                before(layer, inputs[0])
                layer.passes += 1

            return called

        handles = [layer.norm.register_forward_pre_hook(hook(layer)) for layer in self._layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextlib.contextmanager
    def _own_statistics_kept(self) -> Iterator[None]:
        before = [(layer.norm, layer.norm.running_mean, layer.norm.running_var) for layer in self._layers]
        try:
            yield
        finally:
            for norm, mean, variance in before:
                norm.running_mean, norm.running_var = mean, variance


def _taken(layer: _Layer, x: Tensor) -> None:
    """Add a batch's statistics to those of this pass."""
    variance, mean = torch.var_mean(x.float(), dim=[d for d in range(x.dim()) if d != 1])
    if layer.passes == len(layer.means):
        layer.means.append(torch.zeros_like(mean))
        layer.variances.append(torch.zeros_like(variance))
    layer.means[layer.passes].add_(mean)
    layer.variances[layer.passes].add_(variance)


def _used(layer: _Layer, x: Tensor) -> None:
    """Give the layer the statistics of this pass."""
    layer.norm.running_mean, layer.norm.running_var = layer.means[layer.passes], layer.variances[layer.passes]
