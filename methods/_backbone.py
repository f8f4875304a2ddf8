"""Features of a frozen network, and the methods on them: which network, from which weights, at which layers.

Either a network of torchvision's with pretrained weights, or a small one that learns from the normal class alone by how
many quarters images were turned (rotnet), which needs no file.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError, unknown
from bench.images import resized, symmetric
from bench.method import Count, Epoch, EpochMethod, FitContext, Images, Positive, Whole
from bench.methods._perceptual import DEVIATION, MEAN
from bench.methods._transform_prediction import WEIGHT_DECAY, SidesInQuarters, predicting
from bench.methods._transforms import ROTATIONS, Transformer
from bench.methods._wide_residual import WideResidual
from bench.training import SCORED_AT_ONCE, batches, seeded, to_device, unchanged
from bench.weights import USED, Weights, backbone

ROTNET = "rotnet"


class Features(nn.Module):
    """What a frozen network has at some of its layers for a batch of uint8 images (b, channels, size, size).

    ``imagenet``: it takes colour images, standardised as those of ImageNet; grey ones stand in all three colours.
    Raises BenchError for a layer that it does not have.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, layers: Sequence[str], *, imagenet: bool) -> None:
        super().__init__()
        names = dict(network.named_modules())
        if absent := [layer for layer in layers if not layer or layer not in names]:
            known = ", ".join(name for name, _ in network.named_children())
            raise BenchError(f"the backbone has no layer {', '.join(absent)}; it has {known}, and what lies in these")
        self.network = network.eval().requires_grad_(False)
        self.layers = tuple(layers)
        self.imagenet = imagenet
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = symmetric(pixels)
        if self.imagenet:
            x = ((x.expand(-1, 3, -1, -1) + 1) / 2 - self.mean) / self.deviation
        found: dict[str, Tensor] = {}

        def note(layer: str) -> Any:
            return lambda module, inputs, output: found.__setitem__(layer, output)

        handles = [self.network.get_submodule(layer).register_forward_hook(note(layer)) for layer in self.layers]
        try:
            self.network(x)
        finally:
            for handle in handles:
                handle.remove()
        return [found[layer] for layer in self.layers]


@dataclass(kw_only=True, eq=False)
class FeatureMethod(EpochMethod):
    """A method on the features that a frozen network has of normal images.

    - ``backbone``: ``rotnet``, a WRN-10-k that learns from the training images by their rotations, or the name of a
      network of torchvision's, as ``wide_resnet50_2``.
    - ``weights``: of the latter, a file; empty: torchvision's own, from torch's cache.
    - ``image_size``: images are resized to it; pretrained networks want 224.
    - ``epochs``, ``min_steps``, ``batch_size``, ``lr``, ``width``: of the rotnet, as that method has them.
    """

    backbone: str = ROTNET
    weights: Weights = ""
    image_size: SidesInQuarters = 32
    epochs: Whole = 50
    min_steps: Whole = 0
    batch_size: Count = 32
    lr: Positive = 1e-3
    width: Count = 4

    resumable = True

    @abstractmethod
    def layers_used(self) -> Sequence[str]:
        """The layers whose features the method takes, the largest maps first."""

    @abstractmethod
    def remember(self, images: Images, context: FitContext) -> None:
        """Take from the features of sized training images what they are compared with."""

    def used(self) -> tuple[str, ...]:
        return () if self.backbone == ROTNET else (USED,)

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        images = resized(images, self.image_size)
        last = Epoch(1, 1)
        if self.backbone == ROTNET:
            with seeded(context):
                network = self._wide_residual(images.shape[3])
            for last in self._rotations(network, images, context):
                if last.number < last.total:
                    yield dataclasses.replace(last, scorable=False)
        else:
            network = self._pretrained()
        self.features = Features(network, self.layers_used(), imagenet=self.backbone != ROTNET)
        to_device(self.features, context)
        with torch.no_grad():
            self.remember(images, context)
        yield last

    @property
    def at_once(self) -> int:
        """Images that are looked at together: the fewer, the larger they are."""
        return max(1, SCORED_AT_ONCE * 32**2 // self.image_size**2)

    def each(self, images: Images) -> Iterator[list[Tensor]]:
        """The features of sized images at each layer, batch by batch."""
        for pixels in batches(images, self.at_once, device=self.device, prepare=unchanged):
            yield self.features(pixels)

    def _wide_residual(self, channels: int) -> nn.Module:
        if self.weights:
            raise BenchError(
                f"weights={self.weights!r} belong to a network of torchvision's; name it: backbone='wide_resnet50_2'"
            )
        return WideResidual(channels, len(ROTATIONS), blocks=1, width=self.width)

    def _pretrained(self) -> nn.Module:
        from torchvision.models import list_models

        if self.backbone not in (known := list_models()):
            raise unknown("backbone", self.backbone, [ROTNET, *known])
        return backbone(self.backbone, self.weights)

    def _rotations(self, network: nn.Module, images: Images, context: FitContext) -> Iterator[Epoch]:
        to_device(network, context)
        return predicting(
            network,
            Transformer(ROTATIONS, self.image_size, context.device).every,
            images,
            context,
            epochs=self.epochs,
            min_steps=self.min_steps,
            batch_size=self.batch_size,
            lr=self.lr,
            weight_decay=WEIGHT_DECAY,
        )
