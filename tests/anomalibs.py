"""anomalib's models on the network of one of ours."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.method import Images
from bench.methods.today.padim import PaDiM
from bench.methods.today.patchcore import PatchCore

BLURRED = 4.0
"""Pixels by which anomalib smooths a map, whatever the size of the images."""
RIDGE = 0.01 + 1e-5
"""What its PaDiM adds to the diagonal of a covariance: once, and once more before it inverts."""


def alike(weights: str, size: int) -> dict[str, Any]:
    """Our settings under which anomalib's model has the same backbone, and smooths the map of an image alike."""
    return {"backbone": "resnet18", "weights": weights, "image_size": size, "blur": BLURRED * 224 / size}


def twin(kind: type[Any], ours: PaDiM | PatchCore, **settings: Any) -> Any:
    """anomalib's model with the backbone and the weights of our fitted one; not fitted itself."""
    model = kind(backbone="resnet18", pre_trained=False, layers=list(ours.layers), **settings)
    network = model.feature_extractor.feature_extractor
    state = ours.features.network.state_dict()
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    return model


def standardised(images: Images) -> Tensor:
    """Images as anomalib gives them to a network, (n, channels, height, width)."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    return (x - mean[:, None, None]) / deviation[:, None, None]
