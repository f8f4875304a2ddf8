"""PixelCNN: nothing is predicted from itself or later, probabilities sum to one, corrections are as published."""

from __future__ import annotations

import io
import itertools
import math
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.method import FitContext
from bench.methods._masked_convolution import MaskedConvolution
from bench.methods.rivals.pixelcnn import (
    Network,
    PixelCNN,
    bits_per_dimension,
    compressed_bits_per_dimension,
    mutated,
)
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"levels": 8, "width": 4, "blocks": 1, "batch_size": 16, "lr": 1e-2, "epochs": 2}


def fitted(seed: int = 0, channels: int = 1, n: int = 48, **parameters: Any) -> PixelCNN:
    return PixelCNN(**{**SMALL, **parameters}).fit(lit(0, n, 1, channels), FitContext(seed=seed))


def network(colours: int, levels: int = 3, h: int = 6, blocks: int = 2) -> Network:
    torch.manual_seed(1)
    return Network(colours, levels, h, blocks)


# ---------------------------------------------------------------------------------------------------------------------
# The network


@pytest.mark.parametrize(("colours", "h"), [(1, 6), (3, 6), (3, 4), (3, 1)])
def test_no_prediction_depends_on_its_own_number_or_a_later_one(colours: int, h: int) -> None:
    """In raster order, red before green before blue; also where three colours do not divide the features."""
    size = 5 if h == 6 else 3
    net = network(colours, h=h).double()
    x = (2 * torch.rand(1, colours, size, size, dtype=torch.float64)).requires_grad_()
    logits = net(x).square().sum(dim=-1).flatten()  # (height · width · colours,), which is the order
    reached = torch.zeros(len(logits), len(logits), dtype=torch.bool)
    for i, prediction in enumerate(logits):
        (gradient,) = torch.autograd.grad(prediction, x, retain_graph=True, allow_unused=True)
        reached[i] = gradient.permute(0, 2, 3, 1).flatten() != 0
    assert not reached.triu().any()
    if h == 6:
        # of 5×5 pixels only those far to the right are out of sight, the known blind spot
        assert reached.diagonal(-1).any() and reached.diagonal(-colours).any()
        assert reached.sum() > 0.8 * len(logits) * (len(logits) - 1) / 2


@pytest.mark.parametrize("kind", ["A", "B"])
def test_the_mask_of_colours_is_the_paper_s(kind: Any) -> None:
    layer = MaskedConvolution(3, 6, 3, kind=kind, colours=3)
    assert layer.mask.shape == (6, 3, 2, 3)
    assert layer.mask[:, :, 0].all() and layer.mask[:, :, 1, 0].all() and not layer.mask[:, :, 1, 2].any()
    seen = {"A": ["", "r", "rg"], "B": ["r", "rg", "rgb"]}[kind]
    for output, sees in enumerate(s for s in seen for _ in range(2)):
        assert "".join(c for c, m in zip("rgb", layer.mask[output, :, 1, 1], strict=True) if m) == sees


def test_a_masked_convolution_is_the_whole_one_with_its_later_weights_cleared() -> None:
    layer = MaskedConvolution(4, 5, 7, kind="B", colours=1)
    whole = torch.zeros(5, 4, 7, 7)
    whole[:, :, :3] = layer.weight.detach()[:, :, :3]
    whole[:, :, 3, :4] = layer.weight.detach()[:, :, 3, :4]
    x = torch.randn(2, 4, 9, 8)
    assert torch.allclose(layer(x), torch.nn.functional.conv2d(x, whole, layer.bias, padding=3), atol=1e-5)


def test_the_network_has_the_paper_s_layers() -> None:
    """7×7 to 2h features, blocks of 1×1, 3×3 and 1×1, two more of 1×1; the kernels have no rows that a mask clears."""
    h, levels = 8, 256
    block = (2 * h * h + h) + (6 * h * h + h) + (h * 2 * h + 2 * h)
    wanted = (28 * 3 * 2 * h + 2 * h) + 15 * block + (4 * h * h + 2 * h) + (2 * h * 3 * levels + 3 * levels)
    assert sum(p.numel() for p in Network(3, levels, h, 15).parameters()) == wanted
    assert (PixelCNN().width, PixelCNN().blocks, PixelCNN().levels) == (128, 15, 256)


# ---------------------------------------------------------------------------------------------------------------------
# The likelihood


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("levels", [2, 16, 256])
def test_a_uniform_prediction_costs_all_the_bits_of_a_level(colours: int, levels: int) -> None:
    net = network(colours, levels)
    for parameter in net.layers[-1].parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randint(levels, (4, colours, 5, 6)).float()
    bits = bits_per_dimension(net(x), x)
    assert bits.shape == (4,)
    assert bits.tolist() == pytest.approx([math.log2(levels)] * 4, rel=1e-6)


@pytest.mark.parametrize("colours", [1, 3])
def test_probabilities_of_all_images_of_a_tiny_world_sum_to_one(colours: int) -> None:
    """2×2 pixels of two levels: 16 images, or 4096 in colour, by a method that was trained on some of them."""
    every = np.array(list(itertools.product((0, 255), repeat=4 * colours)), dtype=np.uint8)
    images = every.reshape(-1, 2, 2, colours)
    method = PixelCNN(**{**SMALL, "levels": 2, "epochs": 15})
    likely = images[np.random.default_rng(0).integers(0, len(images) // 4, 64)]
    bits = method.fit(likely, FitContext(seed=0)).score(images).astype(np.float64) * 4 * colours
    probabilities = 2.0**-bits
    assert probabilities.sum() == pytest.approx(1, abs=1e-4)
    assert probabilities[: len(images) // 4].mean() > 2 / len(images)  # not uniform: it has learnt


def test_bits_are_those_of_the_softmax() -> None:
    net, x = network(3, 4), torch.randint(4, (2, 3, 3, 3)).float()
    with torch.no_grad():
        logits = net(x).double().numpy()  # (b, height, width, colours, levels)
        found = bits_per_dimension(net(x), x)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    for image in range(2):
        logs = [
            math.log2(probabilities[image, row, column, colour, int(x[image, colour, row, column])])
            for row, column, colour in itertools.product(range(3), repeat=3)
        ]
        assert float(found[image]) == pytest.approx(-np.mean(logs), rel=1e-5)


def test_images_are_quantised_and_only_larger_ones_resized() -> None:
    method = PixelCNN(levels=4, image_size=8)
    pixels = np.array([0, 63, 64, 127, 128, 191, 192, 255], dtype=np.uint8).reshape(1, 2, 4, 1)
    assert method._quantised(pixels).ravel().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert method._quantised(lit(0, 2, 0, height=9, width=6)).shape == (2, 8, 8, 1)
    images = lit(0, 2, 0)
    assert np.array_equal(PixelCNN()._quantised(images), images)


# ---------------------------------------------------------------------------------------------------------------------
# The method


def test_it_learns_and_an_untrained_copy_knows_of_no_normal_class() -> None:
    trained, untrained = [], []
    for normal in (0, 1):
        for epochs, figures in ((3, trained), (0, untrained)):
            method = PixelCNN(**{**SMALL, "epochs": epochs}).fit(lit(normal, 256, normal), FitContext(seed=3))
            figures.append(auroc_of(method, normal))
    assert min(trained) > 0.9, trained
    assert min(untrained) < 0.6, untrained


@pytest.mark.parametrize("score_by", ["nll", "ratio", "complexity"])
@pytest.mark.parametrize("channels", [1, 3])
def test_scores_are_the_image_s_own_and_the_seed_s(score_by: Any, channels: int) -> None:
    method, images = fitted(score_by=score_by, channels=channels), lit(1, 60, 4, channels)
    scores = method.score(images)
    assert np.isfinite(scores).all()
    alone = np.concatenate([method.score(images[i : i + 1]) for i in range(16)])
    assert alone == pytest.approx(scores[:16], rel=1e-4, abs=1e-5)
    assert np.array_equal(scores, fitted(score_by=score_by, channels=channels).score(images))
    assert not np.allclose(scores, fitted(score_by=score_by, channels=channels, seed=1).score(images))


def test_the_second_network_is_trained_only_for_the_ratio_and_leaves_the_first_as_it_is() -> None:
    alone, pair, images = fitted(), fitted(score_by="ratio"), np.concatenate(TEST)
    assert list(alone.networks) == ["model"]
    assert list(pair.networks) == ["model", "background"]
    own = pair.networks["model"].state_dict()
    assert all(torch.equal(own[name], value) for name, value in alone.networks["model"].state_dict().items())
    x = torch.from_numpy(pair._quantised(images)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        background = bits_per_dimension(pair.networks["background"](x), x).numpy()
    assert pair.score(images) == pytest.approx(alone.score(images) - background, abs=1e-4)


def test_mutation_replaces_the_given_share_by_any_level() -> None:
    torch.manual_seed(0)
    x = torch.full((50, 1, 20, 20), 3.0)
    changed = mutated(x, 0.2, 16)
    assert float((changed != x).float().mean()) == pytest.approx(0.2 * 15 / 16, abs=0.01)
    assert sorted(set(changed.flatten().tolist())) == list(range(16))
    assert changed.dtype == x.dtype


@pytest.mark.parametrize("compressor", ["png", "zlib"])
@pytest.mark.parametrize("channels", [1, 3])
def test_complexity_is_the_length_of_the_compressed_image(compressor: Any, channels: int) -> None:
    method = fitted(score_by="complexity", compressor=compressor, channels=channels)
    images = lit(1, 5, 4, channels)
    levels = images // 32
    for image, bits in zip(levels, compressed_bits_per_dimension(levels, compressor), strict=True):
        if compressor == "zlib":
            packed = zlib.compress(image.tobytes(), 9)
            assert np.array_equal(np.frombuffer(zlib.decompress(packed), np.uint8).reshape(image.shape), image)
        else:
            file = io.BytesIO()
            Image.fromarray(image.squeeze()).save(file, "PNG", optimize=True)
            packed = file.getvalue()
            assert np.array_equal(np.asarray(Image.open(file)).reshape(image.shape), image)
        assert bits == 8 * len(packed) / (64 * channels)
    plain = fitted(channels=channels).score(images)
    wanted = plain - compressed_bits_per_dimension(levels, compressor)
    assert method.score(images) == pytest.approx(wanted, abs=1e-5)


def test_a_blank_image_is_likely_and_its_complexity_takes_that_back() -> None:
    """Trained on noise, the likelihood finds a blank image the most normal; corrected, the most anomalous."""
    random = np.random.default_rng(0)
    noise = random.normal(132, 24, (272, 8, 8, 1)).clip(0, 255).astype(np.uint8)
    images = np.concatenate([noise[256:], np.full((1, 8, 8, 1), 132, np.uint8)])
    scores = {}
    for score_by in ("nll", "complexity"):
        method = PixelCNN(**{**SMALL, "levels": 32, "epochs": 6, "score_by": score_by})
        scores[score_by] = method.fit(noise[:256], FitContext(seed=0)).score(images)
    assert scores["nll"].argmin() == 16
    assert scores["complexity"].argmax() == 16


def test_a_reconstruction_is_the_mean_of_what_is_predicted() -> None:
    method, images = fitted(), np.concatenate(TEST)[::10]
    made = method.reconstruct(images)
    assert made.shape == images.shape
    x = torch.from_numpy(method._quantised(images)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        means = (method.networks["model"](x).softmax(dim=-1) * torch.arange(8)).sum(dim=-1)
    assert np.abs(made - 255 / 7 * means.numpy()).max() <= 0.51
