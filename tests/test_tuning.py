"""Settings compared on training images alone: what is held out, what is chosen, and no test image has a part in it."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project
from records import make_job, make_record
from splits import protocol

from bench.choice import Choice, choose, trials, tuned, under_every_label, with_choice
from bench.criterion import open_criterion
from bench.dataset import PreparedDataset
from bench.errors import BenchError
from bench.execution.fits import Fits
from bench.execution.judgement import CODE
from bench.execution.measurement import measured_with
from bench.execution.messages import Outcome, Task
from bench.execution.tuning import settings
from bench.jobs import Job, Request, expand
from bench.method import FitContext, Images, Method, Scores, ignore_epoch
from bench.record import Record
from bench.registry import Registry
from bench.report.export.frame import frame
from bench.report.request import read_records, tables
from bench.report.selection import superseded
from bench.specs import parse_spec
from bench.store import Store
from bench.tuning import HeldOut, parse_tuning
from bench.workspace import open_workspace

CRITERIA = Registry("criterion")
CRITERION = functools.cache(lambda spec: open_criterion(spec, CRITERIA))
ONE_DETECTOR = [name for name in CRITERIA.names() if name not in ("centrality", "stability", "other_images")]

KEY_BEFORE = "65fc3e5bf0fb778f80e0f7ad94e0f4f5"
"""Of a job as ``make_job`` makes it, before jobs could compare settings."""

shares = st.floats(0.01, 0.99)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=200, unique=True), shares, st.integers(0, 5))
def test_training_images_are_divided_and_no_other_image_comes_in(images: list[int], share: float, repeat: int) -> None:
    train = np.sort(np.array(images, np.int64))
    split = HeldOut(share, repeat).split(train, "mnist")
    assert sorted([*split.train, *split.test]) == train.tolist()
    assert len(split.train)
    assert len(split.test)
    assert not split.test_labels.any()
    assert split.fingerprint == HeldOut(share, repeat + 1).split(train, "mnist").fingerprint
    resampled = HeldOut(share, repeat, bootstrap=True).split(train, "mnist")
    assert np.array_equal(resampled.test, split.test)
    assert len(resampled.train) == len(split.train)
    assert set(resampled.train) <= set(split.train)


def test_bootstrap_samples_differ_between_fits() -> None:
    train = np.arange(100)
    samples = [HeldOut(repeat=repeat, bootstrap=True).split(train, "mnist").train for repeat in range(3)]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(samples, 2))


def test_one_image_cannot_be_divided() -> None:
    with pytest.raises(BenchError, match="none would be held out"):
        HeldOut().split(np.array([3]), "mnist")


@given(shares, st.integers(0, 9), st.booleans())
def test_the_text_means_what_it_was_made_of(share: float, repeat: int, bootstrap: bool) -> None:
    way = HeldOut(share, repeat, bootstrap)
    assert parse_tuning(str(way)) == way


@pytest.mark.parametrize("text", ["held_out(share=2.0)", "held_out(part=0.1)", "left_out", "held_out(repeat='a')"])
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(BenchError):
        parse_tuning(text)


def test_only_jobs_that_compare_settings_have_another_key_or_another_text() -> None:
    job = make_job()
    assert job.tuning == ""
    assert job.key == KEY_BEFORE
    assert b'"tuning"' not in make_record().to_json().encode()
    asked = [dataclasses.replace(job, tuning=str(HeldOut(repeat=repeat))) for repeat in range(3)]
    assert len({job.key, *(each.key for each in asked)}) == 4
    assert asked[0].fit_seed == job.fit_seed
    assert len({each.fit_seed for each in asked}) == 3


def test_jobs_of_all_seeds_share_their_fits_where_the_seed_does_not_change_the_split() -> None:
    jobs = [make_job(seed=seed) for seed in range(3)]
    assert len({each.key for job in jobs for each in trials(job, 2, 0.2, False, seeded=False)}) == 2
    assert len({each.key for job in jobs for each in trials(job, 2, 0.2, False, seeded=True)}) == 6


def test_settings_are_every_combination() -> None:
    made = settings("vae(epochs=3)", ["latent=8,32", "norm='l1',l2"])
    assert [str(spec) for spec in made] == [
        f"vae(epochs=3,latent={latent},norm='{norm}')" for latent in (8, 32) for norm in ("l1", "l2")
    ]
    assert [dict(spec.parameters) for spec in settings("x", ["sizes=(8,16),(4,)"])] == [
        {"sizes": (8, 16)},
        {"sizes": (4,)},
    ]


@pytest.mark.parametrize("over", [[], ["latent"], ["latent="], ["latent=8"], ["latent=8,16", "latent=3,4"], ["=1,2"]])
def test_what_leaves_nothing_to_choose_is_refused(over: list[str]) -> None:
    with pytest.raises(BenchError, match="--over"):
        settings("vae", over)


def fit(label: str, criteria: dict[str, float], repeat: int = 0, status: str = "done") -> Record:
    job = make_job(method="vae", label=label, tuning=str(HeldOut(repeat=repeat)))
    return dataclasses.replace(make_record(status=status), job=job, metrics={}, criteria=criteria)


def no_scores(record: Record) -> Scores:
    raise AssertionError("this criterion needs no scores")


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=6), st.sampled_from(["held_out_level", "made_anomalies"]))
def test_the_best_median_is_chosen(figures: list[float], by: str) -> None:
    criterion = CRITERION(by)
    fits = {f"vae(latent={i})": [fit("vae", {by: figure})] for i, figure in enumerate(figures)}
    choice = choose("vae", criterion, fits, no_scores)
    best = (max if by == "made_anomalies" else min)(figures)
    assert choice.chosen == f"vae(latent={figures.index(best)})"
    assert choice.label == f"vae(tuned='{by}')"


def test_a_setting_whose_fits_failed_is_not_chosen_and_one_without_a_figure_is_an_error() -> None:
    criterion = CRITERION("own_loss")
    failed = {"a": [fit("a", {}, status="failed")], "b": [fit("b", {"own_loss": 9.0})]}
    assert choose("vae", criterion, failed, no_scores).among == {"b": [9.0]}
    silent = {"a": [fit("a", {})], "b": [fit("b", {"own_loss": 9.0})]}
    with pytest.raises(BenchError, match="own_loss says nothing of a"):
        choose("vae", criterion, silent, no_scores)
    with pytest.raises(BenchError, match="no fit ended well"):
        choose("vae", criterion, {"a": failed["a"]}, no_scores)


def test_agreement_is_taken_of_the_scores_of_all_fits() -> None:
    criterion = CRITERION("centrality")
    fits = {label: [fit(label, {}, repeat) for repeat in range(2)] for label in ("a", "b", "c")}
    order, generator = np.arange(40.0), np.random.default_rng(0)
    scores = {label: order + generator.normal(0, noise, 40) for label, noise in (("a", 1), ("b", 4), ("c", 1000))}
    choice = choose("vae", criterion, fits, lambda record: scores[record.job.label])
    assert choice.chosen != "c"
    assert choice.among["c"][0] < min(choice.among["a"][0], choice.among["b"][0])


CHOICE = Choice("vae", "made_anomalies", "higher", {"vae": [0.7], "vae(latent=8)": [0.8, 0.9]}, str(HeldOut()))


def test_a_record_keeps_its_choices_and_stands_under_the_label_of_each() -> None:
    record = make_record(method="vae", label="vae(latent=8)")
    noted = with_choice(with_choice(record, CHOICE), CHOICE)
    assert len(noted.choices) == 1
    assert Record.from_json(noted.to_json().encode()) == noted
    assert noted.job.key == record.job.key
    assert tuned(noted) is None
    labels = {each.job.label: tuned(each) for each in under_every_label([noted, fit("vae", {})])}
    assert labels == {"vae(latent=8)": None, "vae(tuned='made_anomalies')": CHOICE}
    by_loss = dataclasses.replace(CHOICE, by="own_loss", better="lower")
    of_its_own = dataclasses.replace(noted, job=dataclasses.replace(noted.job, label=CHOICE.label))
    both = under_every_label([with_choice(of_its_own, by_loss)])
    assert [each.job.label for each in both] == [CHOICE.label, by_loss.label]


def test_tables_mark_what_was_tuned_count_the_settings_and_warn_of_settings_side_by_side(project: Project) -> None:
    workspace = project.workspace()
    plain = [
        make_record(method="vae", label=label, auroc=auroc, normal_class=name)
        for label, auroc in (("vae", 0.8), ("vae(latent=8)", 0.9))
        for name in "01"
    ]
    alone = tables(["mnist"], plain[:2], workspace)[0]
    assert not any("settings" in note for note in alone.notes)
    (beside,) = tables(["mnist"], plain, workspace)
    assert (
        "vae stands in 2 settings: which of them is best the test labels tell, and they alone; bench tune chooses "
        "without them" in beside.notes
    )
    chosen = [
        dataclasses.replace(record, choices=[CHOICE.facts()], job=dataclasses.replace(record.job, label=CHOICE.label))
        for record in (plain[0], plain[3])
    ]
    (made,) = tables(["mnist"], chosen, workspace)
    assert [made.marked(column) for column in made.columns] == ["vae(tuned='made_anomalies') §"]
    assert [made.cells[row][CHOICE.label].mean for row in made.rows] == pytest.approx([0.8, 0.9, 0.85])
    assert any(note.startswith("§") and "among 2 settings by made_anomalies" in note for note in made.notes)


# ---------------------------------------------------------------------------------------------------------------------
# No criterion reaches a label or a test image


class Watched:
    """Images of a data set that note which of them are asked for."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self.asked: set[int] = set()
        self.shape = images.shape

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, wanted: Any) -> Images:
        self.asked |= set(np.arange(len(self._images))[wanted].ravel().tolist())
        return self._images[wanted]


class Spy(Method):
    """Knows its training images by their mean, and notes all that it is shown."""

    def __init__(self) -> None:
        self.shown: list[bytes] = []

    def fit(self, images: Images, context: FitContext) -> Spy:
        self.mean = images.mean(axis=0)
        self.shown += [image.tobytes() for image in images]
        return self

    def score(self, images: Images) -> Scores:
        self.shown += [image.tobytes() for image in images]
        found: Scores = ((images - self.mean) ** 2).mean(axis=(1, 2, 3))
        return found

    def hyperparameters(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def digits(digits_data: Path) -> PreparedDataset:
    return open_workspace(data=digits_data).dataset(parse_spec("digits"))


@pytest.fixture
def job(project: Project, digits_data: Path) -> Job:
    request = Request(dataset="digits", methods="pca", classes="3", seeds="1,", profile="cpu")
    (asked,) = expand(request, open_workspace(data=digits_data))
    return dataclasses.replace(asked, tuning=str(HeldOut(0.25)))


def judged(job: Job, dataset: Any, criteria: Sequence[str] = ONE_DETECTOR, detector: Method | None = None) -> Outcome:
    task = Task(job, dataset.folder, (), criteria=criteria)
    return measured_with(detector or Spy(), dataset, task, ignore_epoch, [], Fits())


def test_no_image_is_read_but_those_that_train_and_none_is_shown_that_tests(job: Job, digits: PreparedDataset) -> None:
    whole = dataclasses.replace(job, tuning="").split(digits, protocol(job.protocol))
    watched, spy = Watched(np.asarray(digits.images)), Spy()
    outcome = judged(job, dataclasses.replace(digits, images=watched), detector=spy)  # type: ignore[arg-type]
    assert watched.asked == set(whole.train.tolist())
    train = {digits.images[i].tobytes() for i in whole.train}
    test = {digits.images[i].tobytes() for i in whole.test} - train
    assert len(test) > 50
    assert not test & set(spy.shown)
    assert set(outcome.criteria) == set(ONE_DETECTOR) - {"own_loss"}
    assert outcome.metrics == {}
    assert set(outcome.provenance[CODE]) == set(ONE_DETECTOR)
    assert outcome.arrays is not None
    assert set(outcome.arrays["indices"]) < set(whole.train)
    assert len(outcome.arrays["indices"]) == round(0.25 * len(whole.train))


@pytest.mark.parametrize("change", ["test images", "labels of anomalies"])
def test_no_figure_depends_on_a_test_image_or_on_what_kind_an_anomaly_is(
    job: Job, digits: PreparedDataset, change: str
) -> None:
    split = job.split(digits, protocol(job.protocol))
    generator = np.random.default_rng(0)
    images, labels = np.array(digits.images), np.array(digits.labels)
    if change == "test images":
        others = np.setdiff1d(np.arange(len(images)), [*split.train, *split.test])
        images[others] = generator.integers(0, 256, images[others].shape)
    else:
        anomalies = labels != 3
        labels[anomalies] = generator.permutation(labels[anomalies])
    before, after = judged(job, digits), judged(job, dataclasses.replace(digits, images=images, labels=labels))
    assert after.criteria == before.criteria
    assert before.arrays is not None
    assert after.arrays is not None
    assert np.array_equal(after.arrays["scores"], before.arrays["scores"])


PRYING = '''
"""Goes through all that it can reach from what it is given."""

import numpy as np

from bench.criterion import DetectorCriterion, criterion


@criterion(version=1, better="lower")
class Prying(DetectorCriterion):
    folder: str

    def figure(self, fitted):
        arrays, seen, open_ = [], set(), [vars(fitted)]
        while open_:
            thing = open_.pop()
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            if isinstance(thing, np.ndarray):
                arrays.append(thing)
            elif isinstance(thing, dict):
                open_ += thing.values()
            elif isinstance(thing, list | tuple):
                open_ += thing
        np.savez(self.folder, *arrays)
        return 0.0
'''


def test_a_criterion_gets_no_array_but_images_that_train(project: Project, job: Job, digits: PreparedDataset) -> None:
    project.write("mine/prying.py", PRYING)
    spec = f"prying(folder={str(project.root / 'found.npz')!r})"
    task = Task(job, digits.folder, (), criteria=(spec,), criterion_folders=(str(project.root / "mine"),))
    measured_with(Spy(), digits, task, ignore_epoch, [], Fits())
    with np.load(project.root / "found.npz") as found:
        arrays = [found[name] for name in found.files]
    train = {
        digits.images[i].tobytes()
        for i in dataclasses.replace(job, tuning="").split(digits, protocol(job.protocol)).train
    }
    assert len(arrays) == 2
    assert {image.tobytes() for array in arrays for image in array} == train


def test_images_of_the_data_set_that_is_tested_on_are_refused(job: Job, digits: PreparedDataset) -> None:
    with pytest.raises(BenchError, match="test images of digits"):
        judged(job, digits, ["other_images(dataset='digits')"])


def test_a_criterion_that_returns_no_number_is_named(project: Project, job: Job, digits: PreparedDataset) -> None:
    body = PRYING.replace("return 0.0", "return float('nan')")
    project.write("mine/prying.py", body)
    spec = f"prying(folder={str(project.root / 'found.npz')!r})"
    task = Task(job, digits.folder, (), criteria=(spec,), criterion_folders=(str(project.root / "mine"),))
    with pytest.raises(BenchError, match=r"criterion prying.* returned nan"):
        measured_with(Spy(), digits, task, ignore_epoch, [], Fits())


def test_an_export_has_every_record_once_as_it_is(project: Project) -> None:
    workspace = project.workspace()
    store = Store(workspace.results)
    chosen = with_choice(make_record(method="vae", label="vae(latent=8)"), CHOICE)
    store.put(chosen)
    store.put(fit("vae", {"made_anomalies": 0.5}))
    exported = read_records(workspace, as_shown=False)
    assert sorted(record.job.key for record in exported) == sorted({chosen.job.key, fit("vae", {}).job.key})
    assert [record.job.label for record in read_records(workspace)] == ["vae(latent=8)", CHOICE.label]
    assert superseded([*exported, fit("vae", {}, repeat=1)], lambda record: True) == []
    written = frame(exported, {}, [])
    assert len(written) == 2
