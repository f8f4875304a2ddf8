"""Whether a method learns one of scikit-learn's digits: its AUROC against others, after each of several trainings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.datasets.digits import Digits
from bench.method import Epoch, FitContext, Images, Method
from bench.metrics import auroc

TRAIN, OTHERS = 128, 200


class OneDigit(NamedTuple):
    """Images of a digit that train; further ones of it and of the others that test, and which of these are others."""

    train: Images
    test: Images
    labels: NDArray[np.uint8]


def one_digit(number: int) -> OneDigit:
    """The digit as the normal class."""
    content = Digits().read(Path())
    normal, others = (content.images[(content.labels == number) == side] for side in (True, False))
    labels = np.repeat(np.array([0, 1], dtype=np.uint8), [len(normal) - TRAIN, OTHERS])
    return OneDigit(normal[:TRAIN], np.concatenate([normal[TRAIN:], others[:OTHERS]]), labels)


def learnt(number: int, build: Callable[[int], Method], lengths: Iterable[int]) -> tuple[list[float], list[Epoch]]:
    """The AUROC of the method that is built for each number of epochs and fitted; the epochs of the last of them."""
    digit = one_digit(number)
    figures, told = [], list[Epoch]()
    for epochs in lengths:
        told = []
        method = build(epochs).fit(digit.train, FitContext(seed=0, on_epoch=told.append))
        figures.append(auroc(digit.labels, method.score(digit.test)))
    return figures, told
