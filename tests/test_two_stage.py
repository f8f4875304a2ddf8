"""Two-stage detectors: the classifiers are scikit-learn's and the authors', and the representations are learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from learning import learnt
from scipy.special import logsumexp
from sklearn.svm import OneClassSVM
from torch import nn
from torchvision.models import resnet18

from bench.method import Epoch, FitContext
from bench.methods._representation import Encoder
from bench.methods._two_stage import TwoStage, density, support
from bench.methods.today.rot_kde import RotKDE
from bench.methods.today.simclr_ocsvm import SimCLROCSVM
from bench.testing.images import TEST, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {
    "body": "wrn", "image_size": 8, "width": 1, "head_layers": 1, "head_width": 16, "batch_size": 16,
}  # fmt: skip
RATES = {SimCLROCSVM: 0.05, RotKDE: 1e-3}


def features(count: int, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(np.abs(random.normal(1.0, 0.5, (count, 6)) * random.uniform(1, 3, (count, 1)))).float()


def on_sphere(rows: torch.Tensor) -> np.ndarray:
    numbers = rows.double().numpy()
    return np.asarray(numbers / np.linalg.norm(numbers, axis=1, keepdims=True))


def test_the_svm_ranks_as_scikit_learns_with_ten_times_its_gamma() -> None:
    normal, test = features(80, 0), features(30, 1)
    points = on_sphere(normal)
    gamma = 10 / (points.shape[1] * points.var())
    fitted = OneClassSVM(kernel="rbf", nu=0.3, gamma=gamma).fit(points)
    found = support(normal, 0.3, seed=0)
    assert len(found.points) == len(fitted.support_)
    wanted = fitted.score_samples(on_sphere(test))
    assert np.exp(-gamma * found.anomaly(test).numpy()) == pytest.approx(wanted, rel=1e-3, abs=1e-9)


def test_the_density_is_the_sum_of_all_kernels() -> None:
    normal, test = features(80, 0), features(30, 1)
    points, at = on_sphere(normal), on_sphere(test)
    gamma = 10 / (points.shape[1] * points.var())
    squared = np.square(at[:, None] - points).sum(axis=2)
    assert density(normal).anomaly(test).numpy() == pytest.approx(
        -logsumexp(-gamma * squared, axis=1) / gamma, rel=1e-4
    )


def test_what_is_far_from_all_kernels_is_far_by_different_amounts() -> None:
    near = torch.tensor([[1.0, 0.0, 0.0]]) + 0.001 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    far = torch.tensor([[0.0, 1.0, 0.0], [-0.5, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    for classifier in (density(near), support(near, 0.5, seed=0)):
        scores = classifier.anomaly(far)
        assert torch.isfinite(scores).all()
        assert (scores.diff() > 0.1).all()


@pytest.mark.parametrize("kind", [SimCLROCSVM, RotKDE])
def test_a_digit_is_told_better_after_training(kind: type[TwoStage]) -> None:
    figures, told = learnt(7, lambda epochs: kind(**SMALL, epochs=epochs, lr=RATES[kind]), (0, 4))
    missed = [1 - figure for figure in figures]
    (loss,) = told[-1].losses
    assert told[-1].losses[loss] < told[0].losses[loss] - 0.2
    assert missed[1] < 0.6 * missed[0], missed


@pytest.mark.parametrize("kind", [SimCLROCSVM, RotKDE])
def test_the_score_is_the_classifiers_of_the_bodys_features(kind: type[TwoStage]) -> None:
    images = lit(0, 40, 1)
    method: Any = kind(**SMALL, epochs=1, lr=0.01).fit(images, FitContext(seed=0))

    def body(pictures: np.ndarray) -> torch.Tensor:
        with torch.no_grad():
            made: torch.Tensor = method.network.body(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1)
        return made

    again = support(body(images), 0.5, 0) if kind is SimCLROCSVM else density(body(images))
    assert method.score(TEST[1]) == pytest.approx(again.anomaly(body(TEST[1])).numpy(), rel=1e-2, abs=1e-4)


def test_instances_are_turned_only_where_that_is_asked() -> None:
    """As many views more are contrasted, so that the first loss is larger: near the log of their number."""
    losses = {}
    for rotated in (False, True):
        told: list[Epoch] = []
        method = SimCLROCSVM(**SMALL, epochs=1, lr=1e-6, temperature=100.0, rotated=rotated)
        method.fit(lit(0, 32, 1), FitContext(seed=0, on_epoch=told.append))
        losses[rotated] = told[0].losses["contrast"]
    assert losses[False] == pytest.approx(np.log(2 * 16 - 1), abs=0.05)
    assert losses[True] == pytest.approx(np.log(2 * 64 - 1), abs=0.05)


def test_the_encoders_are_a_resnet_for_small_images_and_a_wide_one() -> None:
    def heads(features: int) -> dict[str, nn.Module]:
        return {"first": nn.Linear(features, 5), "second": nn.Linear(features, 3)}

    x = torch.rand(2, 1, 16, 16)
    for body, width, count in (("resnet18", 4, 512), ("wrn", 2, 128)):
        encoder = Encoder(1, body, width, heads).eval()  # type: ignore[arg-type]
        assert encoder.body(x).shape == (2, count)
        made = encoder(x)
        assert {name: each.shape for name, each in made.items()} == {"first": (2, 5), "second": (2, 3)}
        assert torch.equal(made["second"], encoder.heads["second"](encoder.body(x)))
    network = Encoder(3, "resnet18", 4, heads).body.eval()
    published = resnet18().eval()
    state = {name: value for name, value in network.state_dict().items() if name != "conv1.weight"}
    published.load_state_dict(state, strict=False)
    published.conv1, published.maxpool, published.fc = network.conv1, nn.Identity(), nn.Identity()  # type: ignore[assignment]
    colour = torch.rand(2, 3, 16, 16)
    assert torch.allclose(network(colour), published(colour), atol=1e-5)
