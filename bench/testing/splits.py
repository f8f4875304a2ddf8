"""What every protocol promises, checked on small made-up datasets: ``bench check`` of a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bench.dataset import PreparedDataset
from bench.errors import BenchError
from bench.protocol import Protocol, Split, open_protocol
from bench.randomness import global_generators_seeded
from bench.registry import Registry
from bench.testing.promise import ConformanceError
from bench.workspace import open_workspace

SEEDS = range(3)


def made_up(number: int, official: bool = True) -> PreparedDataset:
    """A dataset of four classes in two superclasses, 12 to 30 official training and 4 to 9 test images each, shuffled.

    ``number`` draws the counts and the order.
    """
    generator = np.random.default_rng(number)
    counts = np.stack([generator.integers(12, 31, 4), generator.integers(4, 10, 4)])
    labels = np.repeat(np.tile(np.arange(4), 2), counts.ravel())
    is_test = np.repeat([False, True], counts.sum(axis=1))
    order = generator.permutation(len(labels))
    return PreparedDataset(
        name=f"made_up_{number}",
        spec=f"made_up_{number}",
        checksum="",
        classes=("ash", "birch", "carp", "dace"),
        superclasses=("tree", "tree", "fish", "fish"),
        folder=Path(),
        images=generator.integers(0, 256, (len(labels), 8, 8, 1), dtype=np.uint8),
        labels=labels[order],
        is_test=is_test[order] if official else None,
    )


@dataclass(frozen=True)
class Case:
    """One dataset and normal class that a protocol splits."""

    protocol: Protocol
    dataset: PreparedDataset
    normal_class: str

    def split(self, seed: int = 0) -> Split:
        return self.protocol.split(self.dataset, self.normal_class, seed)

    def __str__(self) -> str:
        official = "with" if self.dataset.is_test is not None else "without"
        return f"{self.normal_class} of {self.dataset.spec} {official} an official split"


@dataclass(frozen=True)
class ProtocolCheck:
    """A promise of a protocol, and what holds a case to it."""

    promise: str
    function: Callable[[Case], None] = field(repr=False)

    @property
    def name(self) -> str:
        return self.function.__name__.lstrip("_")


@dataclass(frozen=True)
class ProtocolVerdict:
    """How a check ended: why it failed; empty where it did not."""

    check: ProtocolCheck
    reason: str = ""


def protocol_verdicts(text: str, protocols: Registry) -> Iterator[ProtocolVerdict]:
    """The verdict on each promise, over every made-up dataset that the protocol splits.

    Raises BenchError where it splits none of them.
    """
    cases = _cases(open_protocol(text, protocols))
    for each in PROTOCOL_CHECKS:
        yield ProtocolVerdict(each, _failure(each, cases))


def protocol_conformance(spec: str, *, config: Path | None = None) -> Callable[[ProtocolCheck], None]:
    """A pytest test with one case a check: ``test_mine = protocol_conformance("mine")``."""
    import pytest

    @pytest.mark.parametrize("check", PROTOCOL_CHECKS, ids=[each.name for each in PROTOCOL_CHECKS])
    def test(check: ProtocolCheck) -> None:
        if reason := _failure(check, _cases(open_workspace(config).protocol(spec))):
            pytest.fail(reason, pytrace=False)

    test.__doc__ = f"{spec} keeps the promises of a protocol."
    return test


def _cases(protocol: Protocol) -> list[Case]:
    found: list[Case] = []
    refused: list[str] = []
    for number in range(3):
        for official in (True, False):
            dataset = made_up(number, official)
            try:
                found += [Case(protocol, dataset, name) for name in protocol.normal_classes(dataset)]
            except BenchError as error:
                refused.append(str(error))
    if not found:
        raise BenchError(f"{protocol.spec} splits none of the made-up datasets: {refused[0]}")
    return found


def _failure(check: ProtocolCheck, cases: Sequence[Case]) -> str:
    for case in cases:
        try:
            check.function(case)
        except ConformanceError as failure:
            return f"{case}: {failure}"
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            return f"{case}: {type(error).__name__}: {error}"
    return ""


def _splits(case: Case) -> None:
    split = case.split()
    for part, found in (("train", split.train), ("test", split.test)):
        if found.ndim != 1 or not len(found) or not 0 <= found.min() <= found.max() < len(case.dataset.labels):
            raise ConformanceError(f"{part} holds no indices of images, (n,) from 0 to the number of images")


def _keeps_train_and_test_apart(case: Case) -> None:
    for seed in SEEDS:
        split = case.split(seed)
        if both := len(np.intersect1d(split.train, split.test)):
            raise ConformanceError(f"{both} images both train and test")
        for part, found in (("train", split.train), ("test", split.test)):
            if len(np.unique(found)) < len(found):
                raise ConformanceError(f"{part} holds {len(found) - len(np.unique(found))} images twice")


def _trains_on_normal_images(case: Case) -> None:
    normal = sorted(case.protocol.normal_labels(case.dataset, case.normal_class))
    strange = int((~np.isin(case.dataset.labels[case.split().train], normal)).sum())
    if strange:
        raise ConformanceError(f"{strange} training images are of other classes; contamination is a setting of its own")


def _is_reproducible(case: Case) -> None:
    first = case.split()
    for seed in (1, 2):
        with global_generators_seeded(seed):
            case.split(seed)
            if case.split().fingerprint != first.fingerprint:
                raise ConformanceError("the same names give another split; draw from the generator alone")


def _knows_the_seed_as_it_declares(case: Case) -> None:
    different = len({case.split(seed).fingerprint for seed in SEEDS}) > 1
    if different != case.protocol.seeded:
        said = f"seeded={case.protocol.seeded}"
        raise ConformanceError(f"declared {said}, but the seed changes {'the split' if different else 'nothing'}")


def _looks_at_no_pixel(case: Case) -> None:
    turned = replace(case, dataset=replace(case.dataset, images=255 - case.dataset.images[:]))
    if turned.split().fingerprint != case.split().fingerprint:
        raise ConformanceError("other pixels give another split; a split depends on classes and numbers alone")


def _lets_no_anomalous_label_choose_training_images(case: Case) -> None:
    normal = sorted(case.protocol.normal_labels(case.dataset, case.normal_class))
    labels = np.array(case.dataset.labels)
    others = np.flatnonzero(~np.isin(labels, normal))
    labels[others] = labels[np.random.default_rng(0).permutation(others)]
    relabelled = replace(case, dataset=replace(case.dataset, labels=labels))
    if not np.array_equal(relabelled.split().train, case.split().train):
        raise ConformanceError("which images train depends on which class an anomaly is of; take `normal` alone")


PROTOCOL_CHECKS = (
    ProtocolCheck("every class that can be normal is split into images that train and images that test", _splits),
    ProtocolCheck("no image trains and tests, and none comes twice", _keeps_train_and_test_apart),
    ProtocolCheck("only normal images train", _trains_on_normal_images),
    ProtocolCheck("the same dataset, class and seed give the same split", _is_reproducible),
    ProtocolCheck("the seed changes the split just where the protocol says so", _knows_the_seed_as_it_declares),
    ProtocolCheck("pixels do not shape a split", _looks_at_no_pixel),
    ProtocolCheck("no label of an anomaly chooses training images", _lets_no_anomalous_label_choose_training_images),
)
"""Every promise, in the order in which it is checked."""
