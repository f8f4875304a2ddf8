"""PaDiM and PatchCore beside anomalib's, on the same images, from the same weights: the same scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from anomalibs import RIDGE, alike, standardised, twin

from bench.method import FitContext
from bench.methods.today.padim import PaDiM
from bench.methods.today.patchcore import PatchCore, centres
from bench.testing.images import lit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]  # for what importing anomalib takes

SIZE = 64
TRAIN, TESTED = lit(0, 24, 1, channels=3, height=SIZE, width=SIZE), lit(1, 6, 2, channels=3, height=SIZE, width=SIZE)


def test_padim(drawn_resnet18: str) -> None:
    from anomalib.models.image.padim.torch_model import PadimModel

    ours = PaDiM(ridge=RIDGE, dimensions=40, **alike(drawn_resnet18, SIZE)).fit(TRAIN, FitContext(seed=0))
    model = twin(PadimModel, ours, n_features=40)
    model.idx = ours.channels
    model.train()
    model(standardised(TRAIN))
    model.fit()
    model.eval()
    found = model(standardised(TESTED))
    assert ours.score(TESTED) == pytest.approx(found.pred_score.flatten().numpy(), rel=2e-3)
    assert ours.score_map(TESTED) == pytest.approx(found.anomaly_map[:, 0].numpy(), rel=2e-3)


@pytest.mark.parametrize("neighbours", [1, 9])
def test_patchcore(drawn_resnet18: str, neighbours: int) -> None:
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    ours = PatchCore(coreset=0.1, neighbours=neighbours, **alike(drawn_resnet18, SIZE)).fit(TRAIN, FitContext(seed=0))
    model = twin(PatchcoreModel, ours, num_neighbors=neighbours)
    model.train()
    embedding = model(standardised(TRAIN))
    model.eval()
    with torch.no_grad():
        own = torch.cat([ours.embedded(maps).flatten(0, 2) for maps in ours.each(TRAIN)])
    assert own.numpy() == pytest.approx(embedding.numpy(), rel=1e-3, abs=1e-4)
    model.memory_bank = ours.memory
    assert ours.score(TESTED) == pytest.approx(model(standardised(TESTED)).pred_score.numpy(), rel=1e-3)


def test_the_centres(monkeypatch: pytest.MonkeyPatch) -> None:
    from anomalib.models.components import KCenterGreedy

    points = torch.from_numpy(np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32))
    first = torch.tensor([13])
    monkeypatch.setattr(torch, "randint", lambda *arguments, **named: first)
    whole = KCenterGreedy(points[:, :, None], 0.5)  # points of three dimensions are not projected
    assert whole.select_coreset_idxs() == centres(points, 40, first).tolist()
