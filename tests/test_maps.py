"""Score maps that the harness makes: residuals and gradients, blurred alike, and what @method lets through."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.errors import BenchError
from bench.maps import BLUR, blurred, input_gradients, residual
from bench.method import FitContext, Images, Maps, Method, Scores, method
from bench.registry import Registry
from bench.specs import parse_spec
from bench.testing.images import lit
from bench.training import unchanged


@method(version="1")
class Halves(Method):
    """Reconstructs every image at half its brightness."""

    def fit(self, images: Images, context: FitContext) -> Self:
        return self

    def score(self, images: Images) -> Scores:
        return images.mean(axis=(1, 2, 3))

    def reconstruct(self, images: Images) -> Images:
        return images // 2


def test_a_method_that_reconstructs_has_its_residual_for_a_map() -> None:
    images = np.full((3, 8, 10, 1), 200, dtype=np.uint8)
    maps = Halves().fit(images, FitContext(seed=0)).score_map(images)
    assert maps is not None
    assert maps.shape == (3, 8, 10)
    assert maps == pytest.approx(100 / 255)


def test_a_residual_is_the_mean_over_channels_at_the_size_of_the_reconstruction() -> None:
    images = np.zeros((2, 12, 20, 3), dtype=np.uint8)
    images[1] = (30, 60, 90)
    maps = residual(images, np.zeros((2, 4, 4, 3), dtype=np.uint8))
    assert maps.shape == (2, 4, 4)
    assert maps[0] == pytest.approx(0)
    assert maps[1] == pytest.approx(60 / 255)


def test_reconstructions_of_another_shape_than_a_square_have_no_residual() -> None:
    with pytest.raises(BenchError, match=r"12×20 pixels were reconstructed as 3×5.*or define score_map"):
        residual(np.zeros((1, 12, 20, 1), dtype=np.uint8), np.zeros((1, 3, 5, 1), dtype=np.uint8))


PIXELS = st.floats(0, 1, width=32)
SHAPES = st.tuples(st.just(2), st.integers(1, 40), st.integers(1, 40))


@given(arrays(np.float32, SHAPES, elements=PIXELS))
def test_blurring_keeps_each_map_within_its_extremes_and_apart_from_the_other(maps: Maps) -> None:
    smooth = blurred(maps)
    assert smooth.shape == maps.shape
    for before, after in zip(maps, smooth, strict=True):
        assert before.min() - 1e-5 <= after.min() <= after.max() <= before.max() + 1e-5
    assert blurred(maps[:1]) == pytest.approx(smooth[:1])


def test_the_blur_is_as_wide_as_it_says_whatever_the_resolution() -> None:
    for side in (56, 112, 224):
        point = np.zeros((1, side, side))
        point[0, side // 2, side // 2] = 1.0
        profile = blurred(point)[0].sum(axis=0)
        deviation = np.sqrt((profile * (np.arange(side) - side // 2) ** 2).sum())
        assert deviation == pytest.approx(BLUR * side, rel=0.02)


def test_gradients_are_those_of_each_image_s_own_score() -> None:
    inputs = np.random.default_rng(0).normal(size=(70, 16, 16, 2)).astype(np.float32)  # more than one batch
    maps = input_gradients(lambda x: x.square().flatten(1).sum(dim=1), inputs, device="cpu", prepare=unchanged)
    assert maps == pytest.approx(blurred(np.abs(2 * inputs).sum(axis=3)), rel=1e-5)


def test_deep_svdd_s_map_says_where_a_change_changes_the_score() -> None:
    method = Registry("method").build(parse_spec("deep_svdd(pretrain_epochs=0,epochs=1)"))
    images = lit(0, 48, 1, height=28, width=28)
    method.fit(images, FitContext(seed=0))
    before = torch.is_grad_enabled()
    maps = method.score_map(images[:3])
    assert torch.is_grad_enabled() == before
    inputs = torch.from_numpy(method.scaling(images[:3])).permute(0, 3, 1, 2)
    expected = []
    for x in inputs:
        slope = torch.autograd.functional.jacobian(lambda image: method._anomaly(image[None])[0], x)
        expected.append(slope.abs().sum(dim=0).numpy())
    assert maps == pytest.approx(blurred(np.stack(expected)), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (np.zeros((2, 4, 4)), r"float64 \(2, 4, 4\) for 3 images; return floats of shape \(3, height, width\)"),
        (np.zeros((3, 4, 4, 1)), r"float64 \(3, 4, 4, 1\) for 3 images"),
        (np.zeros((3, 4, 4), dtype=int), r"int64 \(3, 4, 4\)"),
        (np.zeros((3, 4, 0)), r"float64 \(3, 4, 0\)"),
        (np.stack([np.zeros((4, 4)), np.full((4, 4), np.nan), np.full((4, 4), np.inf)]), "2 of the 3 maps"),
    ],
)
def test_what_is_no_map_is_refused(returned: Any, said: str) -> None:
    @method(version="1")
    class Mapped(Halves):
        def score_map(self, images: Images) -> Maps:
            return returned  # type: ignore[no-any-return]

    images = lit(0, 3, 1)
    fitted = Mapped().fit(images, FitContext(seed=0))
    with pytest.raises(BenchError, match=said):
        fitted.score_map(images)
    with pytest.raises(BenchError, match="has to be fitted before it can score_map"):
        Mapped().score_map(images)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_networks_of_128_pixels_learn_and_map_at_that_size(name: str) -> None:
    images = lit(0, 48, 1, height=128, width=128)
    least = {}
    for steps in (0, 60):
        budget = f"epochs={int(steps > 0)},min_steps={steps},batch_size=16,lr=2e-3"
        spec = f"{name}(image_size=128,width=4,latent=8,{budget})"
        method = Registry("method").build(parse_spec(spec))
        method.fit(images, FitContext(seed=0))
        maps = method.score_map(lit(0, 8, 5, height=128, width=128))
        assert maps.shape == (8, 128, 128)
        least[steps] = float(maps.mean())
    assert least[60] < 0.75 * least[0], least
