"""CSI: the score is the paper's, the losses are its own, and it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from learning import learnt

from bench.method import Epoch, FitContext, Images
from bench.methods._augmentations import changed
from bench.methods.today.csi import CSI
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {
    "body": "wrn", "image_size": 8, "width": 1, "batch_size": 16, "epochs": 4, "trust": 0.0, "lr": 0.05, "warm_up": 0,
    "ensemble": 0,
}  # fmt: skip


def fitted(images: Images, seed: int = 0, **parameters: Any) -> CSI:
    return CSI(**{**SMALL, **parameters}).fit(images, FitContext(seed=seed))


def test_it_learns_which_half_is_bright() -> None:
    figures = [min(auroc_of(fitted(lit(n, 128, n), epochs=epochs), n) for n in (0, 1)) for epochs in (0, 5)]
    assert figures[1] > 0.95, figures
    assert figures[0] < 0.7, figures


@pytest.mark.slow
def test_it_learns_a_digit() -> None:
    figures, told = learnt(7, lambda epochs: CSI(**{**SMALL, "epochs": epochs}), (0, 25))
    for loss in ("contrast", "shift"):
        assert told[-1].losses[loss] < told[0].losses[loss] - 0.2
    assert figures[1] > 0.85, figures
    assert figures[1] > figures[0] + 0.2, figures


@pytest.mark.parametrize("ensemble", [0, 3])
def test_the_score_is_the_papers(ensemble: int) -> None:
    """Section 2.3, image by image: max cos · ‖z‖ and the logit, each over its mean for training images."""
    normal, test = lit(0, 20, 1), np.concatenate([TEST[0][:3], TEST[1][:3]])
    method = fitted(normal, epochs=1, ensemble=ensemble)
    assert len(method.changes) == max(1, ensemble)

    def represented(image: np.ndarray, turns: int) -> tuple[np.ndarray, float]:
        x = torch.from_numpy(np.rot90(image, turns).copy()).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            made = [method.network(changed(x, changes) if ensemble else x) for changes in method.changes]
        z = np.mean([each["contrast"][0].double().numpy() for each in made], axis=0)
        return z, float(np.mean([each["shift"][0, turns].item() for each in made]))

    wanted = np.zeros(len(test))
    for turns in range(4):
        training, certain = zip(*(represented(image, turns) for image in normal), strict=True)
        length = np.mean([np.linalg.norm(z) for z in training])
        for i, image in enumerate(test):
            z, certainty = represented(image, turns)
            contrast = max(float(m @ z) / float(np.linalg.norm(m)) for m in training)
            wanted[i] -= (contrast / length + certainty / np.mean(certain)) / 4
    assert method.score(test) == pytest.approx(wanted, rel=1e-2, abs=1e-2)


def test_augmentations_of_scoring_are_drawn_by_the_seed_once_for_all_images() -> None:
    images = lit(0, 32, 1)
    first, second, other = (fitted(images, seed=seed, epochs=0, ensemble=4) for seed in (0, 0, 1))
    for one, two, three in zip(first.changes, second.changes, other.changes, strict=True):
        assert torch.equal(one.crop, two.crop)
        assert not torch.equal(one.crop, three.crop)
        assert (one.crop[0, 0, 0] * one.crop[0, 1, 1]).item() == pytest.approx(0.54, abs=1e-4)


def test_the_first_losses_are_of_so_many_views_and_four_rotations() -> None:
    told: list[Epoch] = []
    CSI(**{**SMALL, "epochs": 1, "lr": 1e-6, "temperature": 100.0}).fit(
        lit(0, 32, 1), FitContext(seed=0, on_epoch=told.append)
    )
    assert told[0].losses["contrast"] == pytest.approx(np.log(2 * 4 * 16 - 1), abs=0.05)
    assert told[0].losses["shift"] == pytest.approx(np.log(4), abs=0.3)
