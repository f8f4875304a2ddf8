"""The hypersphere classifier and its convolutional form: confetti, loss, maps, and that both learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import learnt
from torch import Tensor, nn

from bench.method import FitContext
from bench.methods._confetti import COLOURED, MOST, WHITE, _more_than, pieces, smoothed, strewn
from bench.methods._hypersphere import HypersphereClassifier, augmented, hypersphere_loss, pseudo_huber
from bench.methods.today.fcdd import FCDD, FIELD, STRIDE, gaussians
from bench.methods.today.hsc import HSC, network
from bench.testing.images import TEST, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"image_size": 8, "width": 8, "batch_size": 16, "mirrored": False}


def pictures(n: int, channels: int, size: int) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0))


# ---------------------------------------------------------------------------------------------------------------------
# Confetti


@pytest.mark.parametrize("mean", [COLOURED, WHITE])
def test_so_many_pieces_fall_as_poisson_says_where_one_does(mean: float) -> None:
    none = math.exp(-mean)
    wanted = [sum(none * mean**k / math.factorial(k) for k in range(least, 60)) for least in range(1, MOST + 1)]
    assert _more_than(mean) == pytest.approx([p / (1 - none) for p in wanted])
    assert _more_than(mean)[0] == pytest.approx(1)


def test_pieces_are_turned_squares_of_one_colour_each_and_at_least_one_lies_on_an_image() -> None:
    torch.manual_seed(0)
    size = 120
    made = pieces(torch.zeros(12, 3, size, size), COLOURED, coloured=True).numpy()
    areas = []
    for image in made:
        colours, counts = np.unique(image.reshape(3, -1).round(4), axis=1, return_counts=True)
        black = (colours == 0).all(axis=0)
        inner = counts[~black & (counts > 10)]  # the others are of edges
        assert len(inner) >= 1
        areas += inner.tolist()
    assert 12 <= len(areas) <= 30, "1.6 on an average image, some of which lie on an edge or below others"
    assert max(areas) <= (54 / 240 * size) ** 2
    white = pieces(torch.zeros(40, 3, 24, 24), WHITE, coloured=False)
    assert torch.equal(white[:, 0], white[:, 2])
    assert white.amax(dim=(1, 2, 3)).min() > 0
    assert white.max() == 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 32])
def test_every_image_is_changed_and_stays_an_image(channels: int, size: int) -> None:
    torch.manual_seed(1)
    for level in (0.0, 0.5, 1.0):
        x = torch.full((64, channels, size, size), level)
        made = strewn(x)
        assert made.shape == x.shape
        assert made.min() >= 0
        assert made.max() <= 1
        changed = (made - x).abs().mean(dim=(1, 2, 3))
        assert (changed > 1e-4).float().mean() > 0.9, "what shows nothing when it is added is taken away"


def test_small_images_are_not_smoothed_and_large_ones_keep_their_brightness() -> None:
    small, large = pictures(2, 1, 8), pictures(2, 3, 48)
    assert torch.equal(smoothed(small), small)
    smooth = smoothed(large)
    assert smooth.std() < 0.6 * large.std()
    assert smooth.mean() == pytest.approx(large.mean().item(), abs=0.02)


def test_an_image_is_moved_by_an_eighth_at_most_with_black_beyond_and_mirrored_where_asked() -> None:
    torch.manual_seed(0)
    x = pictures(60, 2, 16) + 0.1
    for mirrored in (False, True):
        kinds = set()
        for image, made in zip(x, augmented(x, mirrored=mirrored), strict=True):
            around = nn.functional.pad(image, [2] * 4)
            found = [
                (flipped, top, left)
                for flipped in (False, True)
                for top in range(5)
                for left in range(5)
                if torch.equal(made.flip(2) if flipped else made, around[:, top : top + 16, left : left + 16])
            ]
            assert len(found) == 1
            kinds.add(found[0])
        assert {flipped for flipped, _, _ in kinds} == {False, mirrored}
        assert {top for _, top, _ in kinds} == {left for _, _, left in kinds} == set(range(5))


# ---------------------------------------------------------------------------------------------------------------------
# Losses and networks


@given(
    normal=st.lists(st.floats(0, 20, width=32), min_size=1, max_size=5),
    anomalous=st.lists(st.floats(2**-6, 20, width=32), min_size=1, max_size=5),
)
@settings(deadline=None)
def test_the_loss_is_the_cross_entropy_of_being_normal_with_probability_exp_minus_h(
    normal: list[float], anomalous: list[float]
) -> None:
    h = np.array(normal + anomalous, dtype=np.float64)
    y = np.repeat([0.0, 1.0], [len(normal), len(anomalous)])
    p = np.exp(-h)
    wanted = -np.mean((1 - y) * np.log(p) + y * np.log1p(-p.clip(max=1 - 1e-12)))
    found = hypersphere_loss(torch.tensor(normal), torch.tensor(anomalous))
    assert found.item() == pytest.approx(wanted, rel=1e-3, abs=1e-4)


def test_the_gradient_is_finite_at_the_centre() -> None:
    h = torch.zeros(3, requires_grad=True)
    hypersphere_loss(h, h).backward()
    assert h.grad is not None
    assert torch.isfinite(h.grad).all()


def test_the_networks_are_the_authors() -> None:
    whole = network(3, 32, 32)
    shapes = [tuple(each.weight.shape) for each in whole if isinstance(each, nn.Conv2d | nn.Linear)]
    assert shapes == [(32, 3, 5, 5), (64, 32, 5, 5), (128, 64, 5, 5), (512, 2048), (256, 512)]
    assert not any(name.endswith("bias") for name, _ in whole.named_parameters())
    places = FCDD().build(3)
    assert [tuple(each.weight.shape) for each in places if isinstance(each, nn.Conv2d)] == [
        (32, 3, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (1, 128, 1, 1),
    ]  # fmt: skip
    assert places(torch.zeros(2, 3, 32, 32)).shape == (2, 1, 8, 8)


def test_an_output_sees_the_field_that_its_map_is_spread_over() -> None:
    size = 48
    places = FCDD(image_size=size, width=4).build(1).eval()
    x = pictures(1, 1, size).requires_grad_()
    for row, column in ((5, 6), (4, 8)):
        (slope,) = torch.autograd.grad(places(x)[0, 0, row, column], x)
        seen = slope[0, 0].nonzero()
        spread = gaussians(size, 3.0)
        for axis, place in ((0, row), (1, column)):
            reached = spread[:, place].nonzero()[:, 0]
            assert reached.tolist() == list(range(reached[0], reached[0] + FIELD))
            assert seen[:, axis].min() >= reached[0]
            assert seen[:, axis].max() <= reached[-1]


def fitted(kind: type[HypersphereClassifier], **parameters: Any) -> Any:
    return kind(**{**SMALL, "epochs": 1, **parameters}).fit(lit(0, 48, 1, 3), FitContext(seed=0))


@pytest.mark.parametrize("kind", [HSC, FCDD])
def test_the_score_is_the_distance_of_the_papers(kind: type[HypersphereClassifier]) -> None:
    method, train = fitted(kind), lit(0, 48, 1, 3) / 255
    test = lit(1, 9, 2, 3)
    x = (test / 255 - train.mean(axis=(0, 1, 2))) / train.std(axis=(0, 1, 2))
    with torch.no_grad():
        outputs = method.network(torch.from_numpy(x).float().permute(0, 3, 1, 2)).double()
    if kind is HSC:
        wanted = (outputs.square().sum(dim=1) + 1).sqrt() - 1
    else:
        wanted = ((outputs.square() + 1).sqrt() - 1).mean(dim=(1, 2, 3))
    assert method.score(test) == pytest.approx(wanted.numpy(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("blur", [0.0, 2.5])
def test_the_map_is_a_strided_transposed_convolution_with_a_gaussian(blur: float) -> None:
    method = FCDD(**{**SMALL, "image_size": 32, "epochs": 1, "blur": blur})
    method.fit(lit(0, 16, 1, 3, height=32, width=32), FitContext(seed=0))
    test = lit(1, 3, 2, 3, height=32, width=32)
    deviation = blur or math.log10(0.45 * 18 + 1) + 0.25
    away = np.arange(18) - 8.5
    bell = np.exp(-0.5 * (away / deviation) ** 2)
    kernel = torch.from_numpy(np.outer(bell, bell)).float()[None, None]
    x = torch.from_numpy(test).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        places = pseudo_huber(method.network(method.scaling(x)).square())
        whole = nn.functional.conv_transpose2d(places, kernel, stride=STRIDE)[:, 0]
    start = 7  # the first field begins 8.5 pixels before its middle, which lies at 1.5
    wanted = whole[:, start : start + 32, start : start + 32]
    assert method.score_map(test) == pytest.approx(wanted.numpy(), rel=1e-3, abs=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# Learning


@pytest.mark.parametrize(
    ("kind", "digit", "reached", "parameters"),
    [(HSC, 4, 0.9, {}), (FCDD, 0, 0.8, {"width": 16, "lr": 3e-3})],
)
def test_it_learns_a_digit(
    kind: type[HypersphereClassifier], digit: int, reached: float, parameters: dict[str, Any]
) -> None:
    figures, told = learnt(digit, lambda epochs: kind(**{**SMALL, **parameters, "epochs": epochs}), (0, 20))
    assert told[-1].losses["hypersphere"] < 0.7 * told[0].losses["hypersphere"]
    assert figures[1] > reached, figures
    assert figures[1] > figures[0] + 0.15, figures


def test_the_rate_falls_after_each_milestone() -> None:
    images = lit(0, 48, 1)
    at_once = HSC(**SMALL, epochs=2, milestones=(1,)).fit(images, FitContext(seed=0)).score(TEST[0])
    later = HSC(**SMALL, epochs=2, milestones=(2, 3)).fit(images, FitContext(seed=0)).score(TEST[0])
    never = HSC(**SMALL, epochs=2, milestones=()).fit(images, FitContext(seed=0)).score(TEST[0])
    assert np.array_equal(later, never)
    assert not np.allclose(at_once, never)
