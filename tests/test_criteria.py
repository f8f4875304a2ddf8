"""Criteria: what each tells of detectors whose quality is known, with no label in sight."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project

from bench.criteria._agreement import spearman
from bench.criteria._volume import excess_mass, mass_volume, moved
from bench.criteria.made_anomalies import KINDS, made
from bench.criterion import Fitted, open_criterion, remembering, require_elsewhere
from bench.errors import BenchError
from bench.method import Images, Scores
from bench.registry import Registry
from bench.workspace import open_workspace

CRITERIA = Registry("criterion")

scores = st.lists(st.integers(0, 50), min_size=3, max_size=60).map(lambda found: np.array(found, float))


def blobs(count: int, seed: int) -> Images:
    """Bright discs that lie here and there, 12 × 12 pixels."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:12, :12]
    centres = generator.uniform(4, 7, (count, 2, 1, 1))
    distance = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2
    bright = 220 * np.exp(-distance / 8) + generator.normal(0, 2, distance.shape)
    return np.rint(bright.clip(0, 255)).astype(np.uint8)[..., None]


def nearest(train: Images) -> object:
    """A detector that knows its images: the distance to the nearest of them."""
    flat = train.reshape(len(train), -1).astype(float)

    def score(images: Images) -> Scores:
        rows = images.reshape(len(images), -1).astype(float)
        return np.array([((flat - row) ** 2).sum(axis=1).min() for row in rows])

    return score


def blind(images: Images) -> Scores:
    """A detector that sees nothing of an image but a few of its last digits."""
    return (images.reshape(len(images), -1).sum(axis=1) * 7919 % 1000).astype(float)


@pytest.fixture(scope="module")
def good() -> Fitted:
    train = blobs(150, seed=0)
    return Fitted(train, blobs(60, seed=1), remembering(nearest(train)), [{"loss": 0.5}], seed=3)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bad(good: Fitted) -> Fitted:
    return dataclasses.replace(good, score=remembering(blind), losses=[{"loss": 0.9}])


@pytest.mark.parametrize("spec", ["made_anomalies", "excess_mass", "mass_volume", "own_loss"])
def test_a_criterion_prefers_the_detector_that_knows_the_images(spec: str, good: Fitted, bad: Fitted) -> None:
    criterion = open_criterion(spec, CRITERIA)
    assert criterion.worth(criterion.figure(good)) > criterion.worth(criterion.figure(bad))  # type: ignore[attr-defined]


def test_every_criterion_of_the_project_is_tried_here_or_below() -> None:
    assert CRITERIA.names() == [
        *("centrality", "excess_mass", "held_out_level", "held_out_spread", "made_anomalies", "mass_volume"),
        *("other_images", "own_loss", "stability"),
    ]


def test_the_level_is_the_mean_and_the_spread_does_not_know_the_unit(good: Fitted) -> None:
    level, spread = (open_criterion(spec, CRITERIA) for spec in ("held_out_level", "held_out_spread"))
    linear = dataclasses.replace(good, score=lambda images: images.mean(axis=(1, 2, 3)))
    other_unit = dataclasses.replace(good, score=lambda images: 5 + 3 * images.mean(axis=(1, 2, 3)))
    assert level.figure(linear) == pytest.approx(good.held_out.mean())  # type: ignore[attr-defined]
    figures = [spread.figure(each) for each in (linear, other_unit)]  # type: ignore[attr-defined]
    assert figures[0] == pytest.approx(figures[1])
    flat = dataclasses.replace(good, score=lambda images: np.zeros(len(images)))
    assert spread.figure(flat) is None  # type: ignore[attr-defined]


def test_a_spread_is_larger_where_training_images_are_known_by_heart(good: Fitted) -> None:
    spread = open_criterion("held_out_spread", CRITERIA)
    heart = {image.tobytes() for image in good.train}

    def remembers(images: Images) -> Scores:
        return images.mean(axis=(1, 2, 3)) + np.array([0.0 if each.tobytes() in heart else 50.0 for each in images])

    plain = dataclasses.replace(good, score=lambda images: images.mean(axis=(1, 2, 3)))
    by_heart = dataclasses.replace(good, score=remembers)
    assert spread.figure(by_heart) > spread.figure(plain) + 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_excess_mass_and_mass_volume_where_they_are_known(share: float) -> None:
    """Normal images fill ``share`` of the box evenly, and the score grows away from there: the curves are straight.

    EM(u) = 1 − u·share, which is 0.9 at u = 0.1 / share: the area is (0.1 − 0.005) / share. MV(α) = α·share.
    """
    uniform = np.linspace(0, 1, 20001)
    normal = np.linspace(0, share, 20001)
    assert excess_mass(normal, uniform) == pytest.approx(0.095 / share, rel=0.01)
    assert mass_volume(normal, uniform) == pytest.approx(share * (1 - 0.9**2) / 2, rel=0.01)


@given(scores, scores)
def test_volumes_know_the_order_of_scores_alone(normal: Scores, uniform: Scores) -> None:
    for figure in (excess_mass, mass_volume):
        assert figure(np.exp(normal / 10), np.exp(uniform / 10)) == pytest.approx(figure(normal, uniform))
        assert np.isfinite(figure(normal, uniform))
    assert 0 <= mass_volume(normal, uniform) <= 0.1 + 1e-9


@given(scores, scores, st.integers(1, 30))
def test_more_of_the_space_outside_is_never_worse(normal: Scores, uniform: Scores, further: int) -> None:
    wider = np.concatenate([uniform, np.full(len(uniform), normal.max() + further)])
    assert mass_volume(normal, wider) <= mass_volume(normal, uniform) + 1e-9
    assert excess_mass(normal, wider) >= excess_mass(normal, uniform) - 1e-6


def test_moved_images_stay_in_the_box_and_are_the_same_for_every_detector(good: Fitted, bad: Fitted) -> None:
    images = moved(good, 40)
    assert images.shape == (40, 12, 12, 1)
    assert images.dtype == np.uint8
    assert np.array_equal(images, moved(bad, 40))
    assert not {image.tobytes() for image in images} & {image.tobytes() for image in good.held_out}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_made_anomalies_are_changed_images_the_same_for_every_detector(kind: str, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 9, 11, channels), dtype=np.uint8)
    fitted = Fitted(images, images, blind, seed=1)
    changed = made(fitted, kind)  # type: ignore[arg-type]
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    differing = [not np.array_equal(a, b) for a, b in zip(images, changed, strict=True)]
    assert sum(differing) >= 18  # a patch may be pasted onto itself
    assert np.array_equal(changed, made(dataclasses.replace(fitted, score=lambda x: x), kind))  # type: ignore[arg-type, return-value]


def test_made_anomalies_of_the_smallest_images() -> None:
    tiny = np.random.default_rng(0).integers(0, 256, (5, 3, 3, 1), dtype=np.uint8)
    for kind in KINDS:
        assert made(Fitted(tiny, tiny, blind), kind).shape == tiny.shape


@given(scores.filter(lambda s: np.ptp(s) > 0))
def test_agreement_is_that_of_the_order(own: Scores) -> None:
    assert spearman(own, np.exp(own)) == pytest.approx(1.0)
    assert spearman(own, -own) == pytest.approx(-1.0)
    assert spearman(own, np.zeros(len(own))) is None


def test_stability_and_centrality() -> None:
    stability, centrality = (open_criterion(spec, CRITERIA) for spec in ("stability", "centrality"))
    order, drawn = np.arange(50.0), np.random.default_rng(0).permutation(50).astype(float)
    assert stability.figure([order, 2 * order], []) == pytest.approx(1.0)  # type: ignore[attr-defined]
    assert stability.figure([order, drawn], []) < 0.5  # type: ignore[attr-defined]
    assert stability.figure([order], [drawn]) is None  # type: ignore[attr-defined]
    assert stability.figure([order, order.copy()], [drawn]) is None  # type: ignore[attr-defined]
    assert centrality.figure([order], []) is None  # type: ignore[attr-defined]
    others = [order + np.random.default_rng(seed).normal(0, 3, 50) for seed in range(4)]
    assert centrality.figure([order], [*others, drawn]) > centrality.figure([drawn], [*others, order])  # type: ignore[attr-defined]


def test_the_own_loss_is_the_one_there_is_or_those_that_are_named(good: Fitted) -> None:
    own, named = open_criterion("own_loss", CRITERIA), open_criterion("own_loss(losses=('a','b'))", CRITERIA)
    several = dataclasses.replace(good, losses=[{"a": 9.0, "b": 9.0}, {"a": 1.0, "b": 2.0}])
    assert own.figure(good) == 0.5  # type: ignore[attr-defined]
    assert own.figure(several) is None  # type: ignore[attr-defined]
    assert named.figure(several) == 3.0  # type: ignore[attr-defined]
    assert named.figure(good) is None  # type: ignore[attr-defined]
    assert own.figure(dataclasses.replace(good, losses=[])) is None  # type: ignore[attr-defined]


def test_images_of_another_data_set_are_told_apart_and_those_of_the_test_refused(good: Fitted) -> None:
    criterion = open_criterion("other_images(dataset='noise')", CRITERIA)
    noise = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 1), dtype=np.uint8)
    assert criterion.figure(dataclasses.replace(good, others={"noise": noise})) == 1.0  # type: ignore[attr-defined]
    require_elsewhere(criterion, "digits")
    with pytest.raises(BenchError, match="test images of noise"):
        require_elsewhere(criterion, "noise(size=8)")


def test_scores_are_asked_for_once() -> None:
    asked = []

    def counted(images: Images) -> Scores:
        asked.append(len(images))
        return blind(images)

    score, images = remembering(counted), blobs(5, 0)
    assert np.array_equal(score(images), score(images.copy()))
    assert asked == [5]


OWN = '''
"""The highest score of a held-out image."""

from bench.criterion import DetectorCriterion, criterion


@criterion(version=3, better="lower", across_methods=False)
class Highest(DetectorCriterion):
    power: float = 1.0

    def figure(self, fitted):
        return float(fitted.held_out_scores.max() ** self.power)
'''


def test_a_criterion_of_ones_own_is_a_file_in_a_folder_that_bench_toml_names(project: Project, good: Fitted) -> None:
    project.write("mine/highest.py", OWN)
    project.write("bench.toml", "[plugins]\ncriteria = ['mine']\n")
    workspace = open_workspace(data=Path("data"))
    found = workspace.criterion("highest(power=2)")
    assert (found.spec, found.version, found.better) == ("highest(power=2.0)", 3, "lower")
    assert found.figure(good) == good.held_out_scores.max() ** 2  # type: ignore[attr-defined]
    with pytest.raises(BenchError, match="bench list criteria"):
        workspace.criterion("nearest")
