"""``bench.evaluate``: detectors that are no plugins, measured on the images that jobs get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import Bench
from projects import Project

import bench as api
from bench.errors import BenchError
from bench.method import FitContext, Images, Method, Scores, method
from bench.metrics import auroc, measured
from bench.specs import parse_spec
from bench.workspace import open_workspace


class MeanImage:
    """Five lines."""

    def fit(self, images: Images) -> None:
        self.fitted_on = images
        self.mean = images.mean(axis=0)

    def score(self, images: Images) -> Scores:
        scores: Scores = ((images - self.mean) ** 2).mean(axis=(1, 2, 3))
        return scores


@pytest.fixture
def digits(project: Project, digits_data: Path) -> dict[str, Any]:
    """What names the digits of scikit-learn."""
    return {"dataset": "digits", "data": digits_data}


@pytest.mark.slow
def test_it_is_measured_as_a_plugin_that_does_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bench.folder)
    bench.digits("mean_image", "8", "--seeds", "3,")
    record = bench.record("mean_image", "8", 3)
    mine = MeanImage()
    found = api.evaluate(mine, "digits", 8, seed=3, data=bench.data)
    assert found.split == record.split
    assert found.metrics == record.metrics
    arrays = bench.store.scores(record)
    assert found.indices.tolist() == arrays["indices"].tolist()
    assert found.labels.tolist() == arrays["labels"].tolist()
    assert np.corrcoef(found.scores, arrays["scores"])[0, 1] == pytest.approx(1)
    assert len(mine.fitted_on) == record.split["train"]
    assert (found.taken, found.used) == ("score(images)", [])
    assert found.frame()["score"].tolist() == found.scores.tolist()
    assert f"auroc {record.metrics['auroc']:.3f}" in repr(found)


def test_what_scikit_learn_calls_more_normal_is_negated(digits: dict[str, Any], digits_data: Path) -> None:
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
    from sklearn.mixture import GaussianMixture
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import OneClassSVM

    forest = IsolationForest()
    found = api.evaluate(forest, normal_class=0, **digits)
    assert found.auroc > 0.95
    images = open_workspace(data=digits_data).dataset(parse_spec("digits")).images[found.indices]
    rows = images.reshape(len(images), -1).astype(np.float32) / 255
    assert found.scores.tolist() == (-forest.score_samples(rows)).tolist()
    assert found.metrics == measured(found.labels, found.scores)
    assert found.taken == "−score_samples(rows)"
    for detector in (OneClassSVM(), GaussianMixture(4), make_pipeline(PCA(8), OneClassSVM())):
        assert api.evaluate(detector, normal_class=0, **digits).auroc > 0.95, detector


def test_a_forest_without_a_random_state_depends_on_the_seed_alone(digits: dict[str, Any]) -> None:
    from sklearn.ensemble import IsolationForest

    one, same, other = (
        api.evaluate(IsolationForest(n_estimators=10), normal_class=0, seed=seed, **digits).scores for seed in (0, 0, 1)
    )
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()


def test_pyods_larger_is_more_anomalous_as_it_is(digits: dict[str, Any]) -> None:
    from pyod.models.knn import KNN

    found = api.evaluate(KNN(), normal_class=0, **digits)
    assert found.auroc > 0.95
    assert found.taken == "decision_function(rows)"


def test_a_duck_typed_estimator_is_taken_by_its_convention_and_one_with_score_by_that(digits: dict[str, Any]) -> None:
    class Duck:
        def fit(self, rows: Any) -> None:
            self.mean = rows.mean(axis=0)

        def decision_function(self, rows: Any) -> Any:
            return -((rows - self.mean) ** 2).sum(axis=1)

    class Both(MeanImage):
        def decision_function(self, images: Any) -> Any:
            raise AssertionError("score is there")

    assert api.evaluate(Duck(), normal_class=0, **digits).auroc > 0.95
    assert api.evaluate(Both(), normal_class=0, **digits).taken == "score(images)"


def test_a_fit_that_takes_a_context_and_a_declared_method_get_the_seed(digits: dict[str, Any]) -> None:
    seeds: list[int] = []

    class Seeded(MeanImage):
        def fit(self, images: Images, context: FitContext) -> None:  # type: ignore[override]
            assert context.device == "cpu"
            seeds.append(context.seed)
            super().fit(images)

    @method(version="1")
    class Declared(Method):
        floor: float = 0.5

        def fit(self, images: Images, context: FitContext) -> Declared:
            seeds.append(context.seed)
            self.mean = images.mean(axis=0)
            return self

        def score(self, images: Images) -> Scores:
            return np.maximum(((images - self.mean) ** 2).mean(axis=(1, 2, 3)), self.floor)

    for detector in (Seeded(), Declared()):
        assert api.evaluate(detector, normal_class=0, seed=5, **digits).auroc > 0.95
    assert len(set(seeds)) == 2


def test_other_splits_are_asked_for_as_of_bench_run(digits: dict[str, Any]) -> None:
    found = api.evaluate(MeanImage(), normal_class=0, max_train=20, protocol="holdout_80_20", **digits)
    assert (found.split["train"], found.job.max_train) == (20, 20)
    assert api.evaluate(MeanImage(), normal_class="1", **digits).split["normal_label"] == 1


def test_a_score_that_looks_at_the_other_test_images_shows(digits: dict[str, Any]) -> None:
    class Scaled(MeanImage):
        def score(self, images: Images) -> Scores:
            scores = super().score(images)
            return (scores - scores.min()) / np.ptp(scores)  # type: ignore[no-any-return]

    found = api.evaluate(Scaled(), normal_class=0, **digits)
    assert found.used == ["the other test images, or chance, in scoring"]
    assert "† used the other test images" in repr(found)
    assert found.auroc == auroc(found.labels, found.scores)


class NoFinite(MeanImage):
    def score(self, images: Images) -> Scores:
        return np.full(len(images), np.nan)


class OneNumber(MeanImage):
    def score(self, images: Images) -> Any:
        return 0.5


class NoScore:
    def fit(self, images: Images) -> None: ...


class NoFit:
    def score(self, images: Images) -> None: ...


@pytest.mark.parametrize(
    ("detector", "options", "error", "reason"),
    [
        (NoFinite(), {}, BenchError, r"NoFinite on class 0 of digits: 72 of 72 scores are not finite"),
        (OneNumber(), {}, TypeError, r"score returned float64 \(\); expected floats of shape \(72,\)"),
        (NoScore(), {}, BenchError, r"NoScore has nothing to score images with; a detector has fit\(images\) and"),
        (NoFit(), {}, BenchError, "NoFit has no fit; a detector has"),
        (MeanImage, {}, BenchError, r"MeanImage is a class; give an object of it: MeanImage\(\)"),
        (MeanImage(), {"dataset": "digit"}, BenchError, "no dataset called 'digit'; did you mean digits"),
        (MeanImage(), {"normal_class": "ten"}, BenchError, "no class of digits called 'ten'"),
        (MeanImage(), {"protocol": "official_split"}, BenchError, "no official split"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_a_reason(
    digits: dict[str, Any], detector: Any, options: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        api.evaluate(detector, **{"normal_class": 0, **digits, **options})


@pytest.mark.real_data
def test_detectors_are_measured_on_mnist(real_data: Path) -> None:
    from sklearn.ensemble import IsolationForest

    mine = api.evaluate(MeanImage(), "mnist", 8, max_train=1500, data=real_data)
    forest = api.evaluate(IsolationForest(), "mnist", 8, max_train=1500, data=real_data)
    assert (mine.split["train"], mine.split["test"], mine.split["anomalous"]) == (1500, 10000, 10000 - 974)
    assert mine.split["fingerprint"] == forest.split["fingerprint"]
    assert 0.7 < mine.auroc < 0.9
    assert 0.6 < forest.auroc < 0.85
