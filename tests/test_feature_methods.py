"""Methods on features of a frozen network: which network, which layers, and what each remembers of normal images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from learning import one_digit
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torchvision.models import resnet18

from bench.errors import BenchError
from bench.method import FitContext, Images
from bench.methods._backbone import FeatureMethod, Features
from bench.methods._patches import Moments, PatchMethod
from bench.methods.today.feature_knn import FeatureKNN
from bench.methods.today.padim import PaDiM
from bench.methods.today.patchcore import PatchCore, centres
from bench.metrics import auroc
from bench.testing.images import TEST, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"image_size": 8, "width": 1, "batch_size": 16, "epochs": 2}
METHODS = [FeatureKNN, PaDiM, PatchCore]


def fitted(kind: type[FeatureMethod], images: Images, seed: int = 0, **parameters: Any) -> Any:
    return kind(**{**SMALL, **parameters}).fit(images, FitContext(seed=seed))


def features(method: FeatureMethod, images: Images) -> list[Tensor]:
    with torch.no_grad():
        found: list[Tensor] = method.features(torch.from_numpy(images.copy()).permute(0, 3, 1, 2))
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The network


@pytest.mark.parametrize("kind", METHODS)
def test_a_digit_is_told_from_others_by_its_own_images_and_not_by_noise(kind: type[FeatureMethod]) -> None:
    digit = one_digit(4)
    noise = np.random.default_rng(0).integers(0, 256, digit.train.shape).astype(np.uint8)
    figures = [auroc(digit.labels, fitted(kind, images).score(digit.test)) for images in (digit.train, noise)]
    assert figures[0] > 0.9, figures
    assert figures[0] > figures[1] + 0.1, figures


def test_the_rotnet_learns_from_the_images_before_it_is_frozen() -> None:
    images = lit(0, 64, 1)
    told: list[Any] = []
    trained = FeatureKNN(**SMALL).fit(images, FitContext(seed=0, on_epoch=told.append))
    untrained = fitted(FeatureKNN, images, epochs=0)
    assert [(epoch.number, epoch.scorable) for epoch in told] == [(1, False), (2, True)]
    assert not any(parameter.requires_grad for parameter in trained.features.parameters())
    before, after = (each.features.network.state_dict() for each in (untrained, trained))
    assert all(not torch.equal(before[name], after[name]) for name in before if name.endswith("weight"))
    assert untrained.used() == trained.used() == ()


def test_a_backbone_of_torchvision_takes_grey_images_in_three_colours(drawn_resnet18: str) -> None:
    images = lit(0, 8, 1)
    method = FeatureKNN(backbone="resnet18", weights=drawn_resnet18, image_size=32).fit(images, FitContext(seed=0))
    assert method.used() == ("weights pretrained on other images",)
    network = resnet18(weights=None)
    network.load_state_dict(method.features.network.state_dict())
    network.fc = torch.nn.Identity()
    large = torch.from_numpy(np.repeat(lit(0, 3, 2, height=32, width=32), 3, axis=3)).permute(0, 3, 1, 2)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        wanted = network.eval()((large / 255 - mean[:, None, None]) / deviation[:, None, None])
        (found,) = method.features(large[:, :1])
    assert torch.allclose(found.flatten(1), wanted, rtol=1e-3, atol=1e-4)


def test_what_cannot_be_is_refused_with_what_there_is(drawn_resnet18: str) -> None:
    images, context = lit(0, 8, 1), FitContext(seed=0)
    with pytest.raises(BenchError, match=r"no backbone called 'resnet19'; did you mean .*resnet18"):
        FeatureKNN(backbone="resnet19").fit(images, context)
    with pytest.raises(BenchError, match="belong to a network of torchvision's; name it"):
        FeatureKNN(weights=drawn_resnet18).fit(images, context)
    with pytest.raises(BenchError, match="no layer layer9; it has conv1, layer1"):
        FeatureKNN(layer="layer9", **SMALL).fit(images, context)


# ---------------------------------------------------------------------------------------------------------------------
# What each remembers


@pytest.mark.parametrize("neighbours", [1, 2, 100])
def test_feature_knn_is_the_mean_squared_distance_to_the_nearest(neighbours: int) -> None:
    images = lit(0, 40, 1)
    method = fitted(FeatureKNN, images, neighbours=neighbours)
    of_normal, of_test = (features(method, each)[0].double() for each in (images, TEST[1]))
    squared = (of_test[:, None] - of_normal).square().sum(dim=2).sort(dim=1).values
    assert method.score(TEST[1]) == pytest.approx(squared[:, :neighbours].mean(dim=1).numpy(), rel=1e-3)


def test_padim_is_the_mahalanobis_distance_at_each_position() -> None:
    images = lit(0, 300, 1)
    method = fitted(PaDiM, images, dimensions=5, blur=0.0)
    assert len(method.channels.unique()) == 5

    def embedded(images: Images) -> NDArray[np.float64]:
        maps = [torch.nn.functional.interpolate(each, (8, 8)) for each in features(method, images)]
        return torch.cat(maps, dim=1)[:, method.channels].double().numpy()

    normal, test = embedded(images), embedded(TEST[1])
    found = method.score_map(TEST[1])
    assert found.shape == (50, 8, 8)
    for row, column in ((0, 0), (3, 7), (6, 2)):
        here, there = normal[:, :, row, column], test[:, :, row, column]
        precision = np.linalg.inv(np.cov(here.T) + 0.01 * np.eye(5))
        apart = there - here.mean(axis=0)
        wanted = np.sqrt(np.einsum("nd,de,ne->n", apart, precision, apart))
        assert found[:, row, column] == pytest.approx(wanted, rel=1e-2)
    assert method.score(TEST[1]) == pytest.approx(found.max(axis=(1, 2)))
    others = fitted(PaDiM, images, seed=1, dimensions=5).channels
    assert not torch.equal(others, method.channels), "the seed draws the channels"


def test_the_moments_of_batches_are_those_of_all() -> None:
    numbers = np.random.default_rng(0).normal(1e3, 1.0, (2, 50, 3)).astype(np.float32)
    moments = Moments()
    for part in np.split(numbers, [1, 20, 21], axis=1):
        moments.add(torch.from_numpy(part))
    assert moments.mean.numpy() == pytest.approx(numbers.mean(axis=1), rel=1e-6)
    for found, each in zip(moments.covariance, numbers, strict=True):
        assert found.numpy() == pytest.approx(np.cov(each.T.astype(np.float64)), abs=1e-3)


def test_centres_are_each_the_farthest_from_those_before() -> None:
    points = np.random.default_rng(0).normal(size=(60, 3))
    chosen = centres(torch.from_numpy(points), 60, torch.tensor([7])).tolist()
    assert chosen[0] == 7
    assert sorted(chosen) == list(range(60))
    for count in (1, 5, 30):
        kept = points[chosen[:count]]
        farness = np.linalg.norm(points[:, None] - kept, axis=2).min(axis=1)
        assert farness[chosen[count]] == pytest.approx(farness.max())


@pytest.mark.parametrize("projected", [0, 4])
def test_patchcore_is_the_weighed_distance_of_the_farthest_patch(projected: int) -> None:
    images = lit(0, 40, 1)
    method = fitted(PatchCore, images, coreset=0.05, projected=projected, neighbours=4)
    first, second = features(method, TEST[1][:5])
    averaged = [torch.nn.functional.avg_pool2d(each, 3, 1, 1) for each in (first, second)]
    enlarged = torch.nn.functional.interpolate(averaged[1], first.shape[2:], mode="bilinear")
    patches = torch.cat([averaged[0], enlarged], dim=1).flatten(2).transpose(1, 2).double().numpy()
    memory = method.memory.double().numpy()
    assert len(memory) == int(0.05 * 40 * 16)
    wanted = []
    for each in patches:
        to_memory = np.linalg.norm(each[:, None] - memory, axis=2)
        at = to_memory.min(axis=1).argmax()
        nearest = memory[to_memory[at].argmin()]
        around = memory[np.linalg.norm(memory - nearest, axis=1).argsort()[:4]]
        far = np.exp(np.linalg.norm(around - each[at], axis=1))
        wanted.append((1 - far[0] / far.sum()) * to_memory[at].min())
    assert method.score(TEST[1][:5]) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("kind", [PaDiM, PatchCore])
def test_the_map_is_of_the_images_size_and_smoothed(kind: type[PatchMethod]) -> None:
    method = fitted(kind, lit(0, 64, 1, height=16, width=16), image_size=16, blur=14.0)
    test = lit(1, 6, 2, height=16, width=16)
    smooth = method.score_map(test)
    assert smooth.shape == (6, 16, 16)
    method.blur = 0.0
    sharp = method.score_map(test)
    wanted = np.stack([gaussian_filter(each, 1.0, mode="mirror") for each in sharp])
    assert smooth == pytest.approx(wanted, rel=1e-2)
    assert method.score_map(test[2:3])[0] == pytest.approx(sharp[2], rel=1e-3)


def test_features_are_those_of_the_layers_in_their_order() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(2, 3, 1))
    pixels = torch.randint(0, 256, (4, 1, 5, 5), dtype=torch.uint8)
    last, first = Features(network, ("2", "0"), imagenet=False)(pixels)
    assert torch.allclose(first, network[0](pixels / 127.5 - 1), atol=1e-5)
    assert last.shape == (4, 3, 5, 5)
