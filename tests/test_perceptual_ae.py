"""The deep perceptual autoencoder, with drawn weights of the real VGG-19: what can be told without trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.method import FitContext
from bench.methods._perceptual import PerceptualDistance
from bench.methods.rivals.perceptual_ae import PerceptualAE
from bench.testing.images import TEST, auroc_of, lit

SMALL: dict[str, Any] = {"width": 8, "latent": 4, "image_size": 8, "batch_size": 16, "epochs": 4, "lr": 2e-3}


def built(drawn_vgg19: str, **parameters: Any) -> PerceptualAE:
    return PerceptualAE(weights=drawn_vgg19, **{**SMALL, **parameters})


def test_the_distance_is_relative_and_of_standardised_features(drawn_vgg19: str) -> None:
    distance = PerceptualDistance("r32", drawn_vgg19)
    x, y = torch.rand(6, 1, 16, 16) * 2 - 1, torch.rand(6, 1, 16, 16) * 2 - 1
    distance.standardise([x[:3], x[3:]])
    features = distance.features(x)
    assert features.shape == (6, 256, 4, 4), "two poolings and the second ReLU of the third block"
    assert features.mean(dim=(0, 2, 3)) == pytest.approx(np.zeros(256), abs=1e-4)
    deviation = distance.deviation.flatten()
    moving = deviation > 1.01 * deviation.min()
    assert moving.float().mean() > 0.8, "the others are nearly always 0"
    assert features.std(dim=(0, 2, 3), correction=0)[moving] == pytest.approx(np.ones(int(moving.sum())), abs=0.01)
    by_hand = (features - distance.features(y)).abs().sum(dim=(1, 2, 3)) / features.abs().sum(dim=(1, 2, 3))
    assert torch.allclose(distance(x, y), by_hand)
    assert torch.equal(distance(x, x), torch.zeros(6))
    assert PerceptualDistance("r42", drawn_vgg19).features(x).shape == (6, 512, 2, 2)


def test_gradients_reach_the_images_and_no_weight_of_the_features(drawn_vgg19: str) -> None:
    distance = PerceptualDistance("r32", drawn_vgg19)
    y = torch.zeros(2, 3, 16, 16, requires_grad=True)
    distance(torch.rand(2, 3, 16, 16), y).sum().backward()
    assert y.grad is not None
    assert y.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in distance.parameters())


@pytest.mark.slow
def test_it_learns_what_an_untrained_copy_does_not_know(drawn_vgg19: str) -> None:
    trained, untrained = [], []
    for normal in (0, 1):
        images, context = lit(normal, 256, normal), FitContext(seed=3)
        trained.append(auroc_of(built(drawn_vgg19).fit(images, context), normal))
        untrained.append(auroc_of(built(drawn_vgg19, epochs=0).fit(images, context), normal))
    assert min(trained) > 0.9
    assert min(trained) > min(untrained) + 0.2


def test_training_leaves_the_features_as_they_were_loaded(drawn_vgg19: str) -> None:
    images, context = lit(0, 64, 1), FitContext(seed=0)
    detector = built(drawn_vgg19, epochs=1).fit(images, context)
    fresh = PerceptualDistance("r32", drawn_vgg19)
    for name, value in fresh.network.state_dict().items():
        assert torch.equal(detector.networks.distance.network.state_dict()[name], value)
    before = built(drawn_vgg19, epochs=0).fit(images, context).networks.encoder.state_dict()
    after = detector.networks.encoder.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before if name.endswith("weight"))


def test_a_score_is_of_its_own_image_and_colour_is_scored_too(drawn_vgg19: str) -> None:
    detector = built(drawn_vgg19, epochs=1).fit(lit(0, 64, 1), FitContext(seed=0))
    scores = detector.score(TEST[0])
    assert detector.score(TEST[0][:5]) == pytest.approx(scores[:5], rel=1e-4)
    assert detector.reconstruct(TEST[0][:3]).shape == (3, 8, 8, 1)
    images = lit(0, 48, 1, channels=3)
    assert np.isfinite(built(drawn_vgg19, epochs=1).fit(images, FitContext(seed=0)).score(images)).all()
    assert "weights pretrained on other images" in detector.used()


def test_without_weights_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(BenchError, match=r"vgg19 needs weights .* vgg19-dcbb9e9d.pth"):
        PerceptualAE(**SMALL).fit(lit(0, 16, 1), FitContext(seed=0))
