"""RotNet: its network and score are what its sources describe, and it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from learning import learnt

from bench.method import FitContext
from bench.methods._wide_residual import WideResidual
from bench.methods.today.rotnet import RotNet
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"image_size": 8, "width": 1, "batch_size": 16, "epochs": 3}


def fitted(seed: int = 0, **parameters: Any) -> RotNet:
    return RotNet(**{**SMALL, **parameters}).fit(lit(0, 48, 1), FitContext(seed=seed))


def test_it_learns_which_half_is_bright() -> None:
    figures = {
        epochs: [
            auroc_of(RotNet(**{**SMALL, "epochs": epochs}).fit(lit(normal, 256, normal), FitContext(seed=3)), normal)
            for normal in (0, 1)
        ]
        for epochs in (0, 3)
    }
    assert min(figures[3]) > 0.95, figures
    assert min(figures[0]) < 0.7, figures


def test_it_learns_a_digit_that_no_rotation_looks_like() -> None:
    figures, told = learnt(4, lambda epochs: RotNet(**{**SMALL, "epochs": epochs}), (0, 12))
    assert told[-1].losses["cross_entropy"] < 0.5 * told[0].losses["cross_entropy"]
    assert figures[1] > 0.9, figures
    assert figures[1] > figures[0] + 0.15, figures


def test_the_score_is_the_mean_over_rotations_of_the_right_ones_surprisal() -> None:
    method = fitted()
    images = np.concatenate([TEST[0][:4], TEST[1][:4]])
    wanted = []
    for image in images:
        surprisal = []
        for turns in range(4):
            x = torch.from_numpy(np.rot90(image, turns).copy()).permute(2, 0, 1)[None] / 127.5 - 1
            with torch.no_grad():
                surprisal.append(-method.network(x).log_softmax(dim=1)[0, turns].item())
        wanted.append(np.mean(surprisal))
    assert method.score(images) == pytest.approx(wanted, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("blocks", "width"), [(1, 4), (2, 1)])
def test_a_wide_residual_network_has_the_layers_of_its_name(blocks: int, width: int) -> None:
    network = WideResidual(3, 72, blocks=blocks, width=width)
    layers = [each for each in network.modules() if isinstance(each, torch.nn.Conv2d | torch.nn.Linear)]
    deep = [each for each in layers if not isinstance(each, torch.nn.Conv2d) or each.kernel_size == (3, 3)]
    shortcuts = 2 if width == 1 else 3  # a group whose width and size stay has none
    assert len(deep) == 6 * blocks + 2
    assert len(layers) == len(deep) + shortcuts
    x = torch.rand(2, 3, 32, 32)
    shapes = {}
    for name in ("layer1", "layer2", "layer3", "avgpool"):
        network.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: shapes.update({name: o.shape[1:]}))
    assert network(x).shape == (2, 72)
    k = 16 * width
    assert shapes == {"layer1": (k, 32, 32), "layer2": (2 * k, 16, 16), "layer3": (4 * k, 8, 8), "avgpool": (4 * k,)}


def test_images_of_any_shape_are_made_square_and_another_seed_gives_other_scores() -> None:
    images = lit(0, 48, 1, channels=3, height=13, width=17)
    scores = [RotNet(**SMALL).fit(images, FitContext(seed=seed)).score(images) for seed in (0, 0, 1)]
    assert np.isfinite(scores).all()
    assert np.array_equal(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2])
