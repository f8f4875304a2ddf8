"""Protocols: what every split promises, on small datasets of many shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from splits import PROTOCOLS, protocol

from bench.dataset import PreparedDataset
from bench.errors import BenchError
from bench.protocol import Split

relaxed = settings(deadline=None, max_examples=60)
NAMES = [*PROTOCOLS.names(), "rest_vs_one(images='official')"]
EVERY = st.sampled_from(NAMES)
OFFICIAL = ("official_split", "train_test_folders")
BY_CLASS = EVERY.filter(lambda name: name != "category" and "rest" not in name)
"""Those whose normal classes are called by the names of classes."""
SEEDS = st.integers(0, 5)


def made(
    train: list[int], test: list[int], *, order: int = 0, official: bool = True, families: tuple[str, ...] | None = None
) -> PreparedDataset:
    """A dataset with so many official training and test images a class, its images in a random order."""
    counts = np.array([train, test])
    labels = np.repeat(np.tile(np.arange(len(train)), 2), counts.ravel())
    is_test = np.repeat([False, True], counts.sum(axis=1))
    shuffled = np.random.default_rng(order).permutation(len(labels))
    return PreparedDataset(
        name="made",
        spec="made(up=1)",
        checksum="",
        classes=tuple(f"class {i}" for i in range(len(train))),
        superclasses=families,
        folder=Path(),
        images=np.zeros((len(labels), 1, 1, 1), np.uint8),
        labels=labels[shuffled],
        is_test=is_test[shuffled] if official else None,
    )


@st.composite
def datasets(draw: st.DrawFn) -> PreparedDataset:
    """Datasets that allow every protocol for every class: two classes a family, both with training and test images."""
    n = draw(st.sampled_from([2, 4, 6]))
    counts = [draw(st.lists(st.integers(low, high), min_size=n, max_size=n)) for low, high in ((3, 20), (2, 8))]
    families = tuple(f"family {i // 2}" for i in range(n))
    return made(*counts, order=draw(st.integers(0, 100)), families=families)


CLASSES = st.integers(0, 5)


def split_of(name: str, dataset: PreparedDataset, number: int, seed: int, cap: int | None = None) -> Split:
    usable = protocol(name).normal_classes(dataset)
    return protocol(name).split(dataset, usable[number % len(usable)], seed, cap)


def same(one: Split, other: Split) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("train", "test", "test_labels"))


# ---------------------------------------------------------------------------------------------------------------------
# What every split promises


@relaxed
@given(EVERY, datasets(), CLASSES, SEEDS)
def test_no_image_trains_and_tests_and_none_comes_twice(
    name: str, dataset: PreparedDataset, number: int, seed: int
) -> None:
    split = split_of(name, dataset, number, seed)
    used = np.concatenate([split.train, split.test])
    assert len(np.unique(used)) == len(used)


@relaxed
@given(EVERY, datasets(), CLASSES, SEEDS)
def test_training_images_are_normal_and_test_labels_tell_normal_from_anomalous(
    name: str, dataset: PreparedDataset, number: int, seed: int
) -> None:
    usable = protocol(name).normal_classes(dataset)
    normal = protocol(name).normal_labels(dataset, usable[number % len(usable)])
    split = split_of(name, dataset, number, seed)
    assert np.isin(dataset.labels[split.train], list(normal)).all()
    assert np.array_equal(split.test_labels, ~np.isin(dataset.labels[split.test], list(normal)))
    assert split.test_labels.dtype == np.uint8
    assert set(split.test_labels) == {0, 1}
    assert len(split.train)


@relaxed
@given(EVERY, datasets(), CLASSES, SEEDS)
def test_the_same_names_give_the_same_split(name: str, dataset: PreparedDataset, number: int, seed: int) -> None:
    assert same(split_of(name, dataset, number, seed), split_of(name, dataset, number, seed))


@relaxed
@given(EVERY, datasets(), st.tuples(CLASSES, SEEDS), st.tuples(CLASSES, SEEDS))
def test_the_fingerprint_differs_where_the_split_does_and_only_there(
    name: str, dataset: PreparedDataset, first: tuple[int, int], second: tuple[int, int]
) -> None:
    one, other = split_of(name, dataset, *first), split_of(name, dataset, *second)
    assert (one.fingerprint == other.fingerprint) == same(one, other)


@relaxed
@given(EVERY, datasets(), CLASSES, SEEDS, st.integers(1, 25))
def test_a_training_cap_keeps_that_many_of_the_same_training_images_and_every_test_image(
    name: str, dataset: PreparedDataset, number: int, seed: int, cap: int
) -> None:
    whole, capped = split_of(name, dataset, number, seed), split_of(name, dataset, number, seed, cap)
    assert len(capped.train) == min(cap, len(whole.train))
    assert set(capped.train) <= set(whole.train)
    assert np.array_equal(capped.test, whole.test)
    assert np.array_equal(capped.train, split_of(name, dataset, number, seed, cap).train)


def test_a_training_cap_does_not_simply_take_the_first_images() -> None:
    dataset = made([40, 40], [5, 5])
    capped = protocol("official_split").split(dataset, "class 0", 0, 10)
    assert not np.array_equal(capped.train, protocol("official_split").split(dataset, "class 0", 0).train[:10])


@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [
        ("official_split", "921d1897c96157a4"),
        ("holdout_80_20", "254d385c0883a99b"),
        ("sibling_subclasses", "f6518e6b391b82e9"),
        ("train_test_folders", "6e87a2eda4cda81c"),
        ("category", "af752e26bdfb039a"),
        ("rest_vs_one", "2ea3a496fbf97239"),
        ("rest_vs_one(images='official')", "733c7d601945abf5"),
    ],
)
def test_a_split_of_version_1_stays_what_it_was(name: str, fingerprint: str) -> None:
    """Where this fails on purpose, the protocol needs a new version: old records are of other splits."""
    dataset = made([30, 20, 30, 20], [5, 6, 7, 8], families=("x", "x", "y", "y"))
    assert protocol(name).version == 1
    normal = protocol(name).named(dataset, "1")
    assert protocol(name).split(dataset, normal, 2, 12).fingerprint == fingerprint


# ---------------------------------------------------------------------------------------------------------------------
# What each protocol is


@relaxed
@given(st.sampled_from(OFFICIAL), datasets(), CLASSES, SEEDS)
def test_the_official_split_is_the_datasets_own_and_knows_no_seed(
    name: str, dataset: PreparedDataset, number: int, seed: int
) -> None:
    split = split_of(name, dataset, number, seed)
    assert dataset.is_test is not None
    normal = number % len(dataset.classes)
    assert set(split.train) == {i for i, c in enumerate(dataset.labels) if c == normal and not dataset.is_test[i]}
    assert np.array_equal(split.test, np.flatnonzero(dataset.is_test))
    assert same(split, split_of(name, dataset, number, seed + 1))
    assert not protocol(name).seeded


@relaxed
@given(datasets(), CLASSES, SEEDS)
def test_the_holdout_trains_on_four_fifths_and_tests_on_the_rest_and_as_many_anomalies(
    dataset: PreparedDataset, number: int, seed: int
) -> None:
    split = split_of("holdout_80_20", dataset, number, seed)
    own = int((dataset.labels == number % len(dataset.classes)).sum())
    assert len(split.train) == round(0.8 * own)
    assert int((split.test_labels == 0).sum()) == own - round(0.8 * own) == int(split.test_labels.sum())


def test_the_holdout_depends_on_the_seed_and_on_the_class() -> None:
    dataset = made([30, 30, 30], [10, 10, 10], official=False)
    drawn = [split_of("holdout_80_20", dataset, number, seed) for number in range(2) for seed in range(3)]
    assert len({split.fingerprint for split in drawn}) == 6
    assert protocol("holdout_80_20").seeded


def test_the_holdout_draws_from_both_parts_of_an_official_split() -> None:
    dataset = made([30, 30], [10, 10])
    split = split_of("holdout_80_20", dataset, 0, 0)
    assert dataset.is_test is not None
    assert dataset.is_test[split.train].any()
    assert not dataset.is_test[split.test].all()


@relaxed
@given(datasets(), CLASSES, SEEDS)
def test_siblings_test_on_the_official_test_images_of_the_family_alone(
    dataset: PreparedDataset, number: int, seed: int
) -> None:
    split = split_of("sibling_subclasses", dataset, number, seed)
    assert dataset.is_test is not None
    family = number % len(dataset.classes) // 2
    assert set(split.test) == {i for i, c in enumerate(dataset.labels) if c // 2 == family and dataset.is_test[i]}
    assert np.array_equal(split.train, split_of("official_split", dataset, number, seed).train)


CATEGORIES = made([8, 0, 0, 9, 0], [4, 3, 2, 5, 6], families=("nut", "nut", "nut", "screw", "screw"))


def test_a_category_is_called_by_its_name_and_tests_on_its_own_images_alone() -> None:
    category = protocol("category")
    assert category.normal_classes(CATEGORIES) == ["nut", "screw"]
    split = category.split(CATEGORIES, "screw", 0)
    assert CATEGORIES.is_test is not None
    assert len(split.train) == 9
    assert set(CATEGORIES.labels[split.train]) == {3}
    assert set(split.test) == set(np.flatnonzero((CATEGORIES.labels >= 3) & CATEGORIES.is_test))
    assert (int(split.test_labels.sum()), len(split.test)) == (6, 11)
    assert [category.place(CATEGORIES, name) for name in ("nut", "screw", "nut+screw")] == [0, 3, 0]


@pytest.mark.parametrize("wanted", ["screw", "class 4", "4", "3"])
def test_a_category_is_meant_by_its_name_and_by_any_of_its_classes(wanted: str) -> None:
    assert protocol("category").named(CATEGORIES, wanted) == "screw"


def test_several_categories_are_normal_together() -> None:
    split = protocol("category").split(CATEGORIES, protocol("category").named(CATEGORIES, "screw+nut"), 0)
    assert set(CATEGORIES.labels[split.train]) == {0, 3}
    assert len(split.test) == 20


def test_an_unknown_category_is_answered_with_the_nearest() -> None:
    with pytest.raises(BenchError, match=r"no class of made\(up=1\) called 'screws'; did you mean screw\?"):
        protocol("category").named(CATEGORIES, "screws")
    with pytest.raises(BenchError, match=r"has no superclasses, which category needs"):
        protocol("category").normal_classes(made([5], [5]))


@relaxed
@given(datasets(), CLASSES, SEEDS)
def test_the_rest_trains_and_every_image_of_the_abnormal_class_tests(
    dataset: PreparedDataset, number: int, seed: int
) -> None:
    abnormal = number % len(dataset.classes)
    merged, official = (split_of(name, dataset, abnormal, seed) for name in NAMES if name.startswith("rest_vs_one"))
    every = set(np.flatnonzero(dataset.labels == abnormal))
    rest = len(dataset.labels) - len(every)
    for split in (merged, official):
        assert set(split.test[split.test_labels == 1]) == every
        assert len(split.train) + len(split.test) == len(dataset.labels)
    assert len(merged.train) == round(0.8 * rest)
    assert dataset.is_test is not None
    assert set(official.train) == set(np.flatnonzero((dataset.labels != abnormal) & ~dataset.is_test))


def test_the_rest_is_called_by_the_class_that_is_not_in_it() -> None:
    dataset = made([5, 5, 5], [5, 5, 5])
    rest = protocol("rest_vs_one")
    assert rest.normal_classes(dataset) == ["not class 0", "not class 1", "not class 2"]
    assert [rest.named(dataset, each) for each in ("1", "class 1", "not class 1")] == ["not class 1"] * 3
    assert rest.place(dataset, "not class 1") == 1


# ---------------------------------------------------------------------------------------------------------------------
# Several normal classes


@relaxed
@given(BY_CLASS, datasets(), st.sets(CLASSES, min_size=2, max_size=3), SEEDS)
def test_several_classes_are_normal_together(name: str, dataset: PreparedDataset, numbers: set[int], seed: int) -> None:
    labels = sorted({number % len(dataset.classes) for number in numbers})
    normal = protocol(name).named(dataset, "+".join(map(str, reversed(labels))))
    assert normal == "+".join(dataset.classes[label] for label in labels)
    assert protocol(name).place(dataset, normal) == labels[0]
    try:
        split = protocol(name).split(dataset, normal, seed)
    except BenchError as error:
        assert "leaves" in str(error) or "as many anomalies" in str(error)
        return
    assert set(dataset.labels[split.train]) == set(labels)
    assert np.array_equal(split.test_labels == 0, np.isin(dataset.labels[split.test], labels))


# ---------------------------------------------------------------------------------------------------------------------
# Contaminated training images


@relaxed
@given(EVERY.filter(lambda name: "rest" not in name), datasets(), CLASSES, SEEDS, st.floats(0.01, 0.6))
def test_contamination_replaces_just_so_many_training_images_by_anomalies_that_do_not_test(
    name: str, dataset: PreparedDataset, number: int, seed: int, share: float
) -> None:
    usable = protocol(name).normal_classes(dataset)
    normal_class = usable[number % len(usable)]
    clean = protocol(name).split(dataset, normal_class, seed)
    try:
        split = protocol(name).split(dataset, normal_class, seed, contamination=share)
    except BenchError as error:
        assert "anomalies that do not test" in str(error)
        return
    normal = np.isin(dataset.labels, list(protocol(name).normal_labels(dataset, normal_class)))
    assert len(split.train) == len(np.unique(split.train)) == len(clean.train)
    assert int((~normal[split.train]).sum()) == round(share * len(clean.train))
    assert set(split.train[normal[split.train]]) <= set(clean.train)
    assert not set(split.train) & set(split.test)
    assert np.array_equal(split.test, clean.test)
    if name in ("sibling_subclasses", "category"):
        assert len(set(dataset.labels[split.train] // 2)) == 1


def test_more_contamination_keeps_the_anomalies_of_less_and_the_seed_draws_them() -> None:
    dataset = made([50, 50, 50], [10, 10, 10])
    rule = protocol("official_split")

    def anomalies(share: float, seed: int) -> set[int]:
        train = rule.split(dataset, "class 0", seed, contamination=share).train
        return set(train[dataset.labels[train] != 0])

    assert anomalies(0.1, 0) < anomalies(0.4, 0)
    assert anomalies(0.4, 0) != anomalies(0.4, 1)
    assert (
        rule.split(dataset, "class 0", 0, contamination=0.0).fingerprint
        == rule.split(dataset, "class 0", 0).fingerprint
    )


@pytest.mark.parametrize("name", ["rest_vs_one", "rest_vs_one(images='official')"])
def test_where_every_anomaly_tests_none_can_train(name: str) -> None:
    dataset = made([20, 20], [5, 5])
    with pytest.raises(BenchError, match=r"needs \d anomalies that do not test, and .* leaves 0 of made"):
        protocol(name).split(dataset, "not class 0", 0, contamination=0.2)


# ---------------------------------------------------------------------------------------------------------------------
# What a dataset does not allow


@pytest.mark.parametrize("name", [each for each in NAMES if each not in ("holdout_80_20", "rest_vs_one")])
def test_a_dataset_without_official_split_allows_drawn_ones_alone(name: str) -> None:
    dataset = made([5, 5], [5, 5], official=False, families=("x", "x"))
    with pytest.raises(BenchError, match=r"made\(up=1\) has no official split, which .* needs; use holdout_80_20"):
        protocol(name).split(dataset, "class 0", 0)
    assert protocol("holdout_80_20").split(dataset, "class 0", 0)
    assert protocol("rest_vs_one").split(dataset, "not class 0", 0)


def test_a_dataset_without_superclasses_has_no_siblings() -> None:
    with pytest.raises(BenchError, match="has no superclasses, which sibling_subclasses needs; use official_split"):
        protocol("sibling_subclasses").normal_classes(made([5, 5], [5, 5]))


def test_a_class_without_training_images_cannot_be_normal() -> None:
    dataset = made([5, 0, 5], [5, 5, 5])
    assert protocol("official_split").normal_classes(dataset) == ["class 0", "class 2"]
    assert protocol("holdout_80_20").normal_classes(dataset) == ["class 0", "class 1", "class 2"]
    with pytest.raises(
        BenchError, match=r"no class of made\(up=1\) that can be normal .*'class 1'; did you mean class"
    ):
        protocol("official_split").split(dataset, "class 1", 0)


@pytest.mark.parametrize(
    ("name", "train", "test", "families", "said"),
    [
        ("official_split", [5, 5], [0, 5], None, "leaves 5 training images, 0 normal and 5 anomalous"),
        ("official_split", [5, 5], [5, 0], None, "leaves 5 training images, 5 normal and 0 anomalous"),
        ("sibling_subclasses", [5, 5], [5, 5], ("x", "y"), "5 normal and 0 anomalous"),
        ("holdout_80_20", [2, 5], [0, 0], None, "leaves 2 training images, 0 normal and 0 anomalous"),
        (
            "holdout_80_20",
            [50, 9],
            [0, 0],
            None,
            "as many anomalies as held-out normal images: 10, but .* has 9 images",
        ),
    ],
)
def test_a_split_that_would_leave_a_part_empty_is_refused(
    name: str, train: list[int], test: list[int], families: tuple[str, ...] | None, said: str
) -> None:
    with pytest.raises(BenchError, match=said):
        protocol(name).split(made(train, test, families=families), "class 0", 0)


def test_an_unknown_protocol_is_answered_with_the_nearest() -> None:
    with pytest.raises(BenchError, match=r"no protocol called 'holdout'; did you mean holdout_80_20\?"):
        protocol("holdout")
