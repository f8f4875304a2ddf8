"""Pixel metrics against those of scikit-learn and anomalib, and the upsampling of maps against torch's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from localisations import Images, cases, images, relaxed

from bench.localisation import localised, upsampled


@relaxed
@given(cases())
def test_ranks_of_pixels_are_scikit_learns(case: Images) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    maps, masks = case
    labels, scores = (np.concatenate([part.ravel() for part in parts]) for parts in (masks, maps))
    found = localised(maps, masks)
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found["pixel_average_precision"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [0.05, 0.3])
def test_aupro_is_anomalibs(limit: float, seed: int) -> None:
    from anomalib.metrics.aupro import _AUPRO
    from torch import from_numpy

    maps, masks = images(3, 2, 64, seed)
    theirs = _AUPRO(fpr_limit=limit)
    theirs.update(from_numpy(np.stack(maps)), from_numpy(np.stack(masks)).int())
    # it adds up in single precision
    assert localised(maps, masks)[f"aupro_{100 * limit:02.0f}"] == pytest.approx(float(theirs.compute()), abs=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_aupimo_is_anomalibs(seed: int) -> None:
    from anomalib.metrics.pimo.functional import aupimo_scores
    from torch import from_numpy

    maps, masks = images(2, 3, 512, seed)
    scores = aupimo_scores(from_numpy(np.stack(maps)), from_numpy(np.stack(masks)).int(), num_thresholds=100_000)[4]
    # its thresholds are a grid, and it begins and ends at those nearest to the bounds
    assert localised(maps, masks)["aupimo"] == pytest.approx(float(scores.nanmean()), abs=5e-3)


@relaxed
@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(-9, 9, width=32)),
    array_shapes(min_dims=2, max_dims=2, max_side=20),
)
def test_maps_are_brought_to_a_size_as_torch_does(scores: np.ndarray, shape: tuple[int, int]) -> None:
    import torch

    theirs = torch.nn.functional.interpolate(torch.from_numpy(scores)[None, None], shape, mode="bilinear")[0, 0]
    ours = upsampled(scores, shape)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
