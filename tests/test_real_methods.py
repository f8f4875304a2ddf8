"""Methods on the real data sets: facts of their recipes that only the original images can show."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.images import ContrastScaling
from bench.specs import parse_spec
from bench.workspace import open_workspace

pytestmark = pytest.mark.real_data

# smallest and largest value after contrast normalisation, by class: constants of the Deep SVDD authors' code
EXTREMES = {
    "mnist": [
        (-0.8827, 9.0015), (-0.6661, 20.1081), (-0.7820, 11.6651), (-0.7646, 12.8951), (-0.7254, 12.6832),
        (-0.7699, 13.1033), (-0.7784, 10.4578), (-0.7130, 12.0578), (-0.8280, 10.5815), (-0.7370, 10.6970),
    ],
    "cifar10": [
        (-28.9408, 13.8030), (-6.6818, 9.1581), (-34.9245, 14.4193), (-10.5992, 11.0932), (-11.9450, 10.6280),
        (-9.6920, 8.9483), (-9.1749, 13.8470), (-6.8767, 12.2824), (-15.6035, 15.2465), (-6.1329, 8.0461),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", EXTREMES)
def test_the_extremes_after_contrast_normalisation_are_those_of_the_deep_svdd_authors(
    real_data: Path, name: str
) -> None:
    dataset = open_workspace(data=real_data).dataset(parse_spec(name))
    assert dataset.is_test is not None
    for label, wanted in enumerate(EXTREMES[name]):
        scaling = ContrastScaling(dataset.images[(dataset.labels == label) & ~dataset.is_test])
        assert (scaling.low, scaling.high) == pytest.approx(wanted, abs=6e-5), dataset.classes[label]
