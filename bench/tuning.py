"""Training images alone, some of them held out: what settings are compared on before any of them is tested."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from dataclasses import dataclass

import numpy as np

from bench.errors import BenchError, unknown
from bench.protocol import Indices, Split
from bench.randomness import derive_seed
from bench.specs import Spec, parse_spec

NAME = "held_out"


@dataclass(frozen=True)
class HeldOut:
    """How a job's training images are divided: a ``share`` is held out, the others train.

    ``repeat`` counts fits of one setting, which differ in the seed of the method's randomness; they hold out the same
    images. With ``bootstrap`` they differ in their training images too, drawn with replacement from those that train.
    """

    share: float = 0.2
    repeat: int = 0
    bootstrap: bool = False

    def __str__(self) -> str:
        parameters = dataclasses.asdict(self)
        return str(Spec(NAME, {name: value for name, value in parameters.items() if name != "bootstrap" or value}))

    def split(self, train: Indices, dataset: str) -> Split:
        """A split of training images (n,) alone: its ``test`` are those held out, which have no label but 0.

        Raises BenchError where there are too few.
        """
        if len(train) < 2:
            raise BenchError(f"{len(train)} training images of {dataset} cannot be divided: none would be held out")
        drawn = derive_seed("held out", dataset, hashlib.sha256(train.tobytes()).hexdigest())
        order = np.random.default_rng(drawn).permutation(len(train))
        count = min(max(1, round(self.share * len(train))), len(train) - 1)
        held_out, kept = np.sort(train[order[:count]]), np.sort(train[order[count:]])
        if self.bootstrap:
            kept = np.sort(np.random.default_rng([drawn, self.repeat]).choice(kept, len(kept)))
        return Split(kept, held_out, np.zeros(count, np.uint8))


@functools.cache
def parse_tuning(text: str) -> HeldOut:
    """What a text such as ``held_out(repeat=1,share=0.2)`` means. Raises BenchError where it means nothing."""
    spec = parse_spec(text)
    known = [field.name for field in dataclasses.fields(HeldOut)]
    if spec.name != NAME or not spec.parameters.keys() <= set(known):
        raise unknown("way to hold out images", text, [f"{NAME}({name}=…)" for name in known])
    found = HeldOut(**spec.parameters)  # type: ignore[arg-type]  # checked next
    if not (isinstance(found.share, float) and 0 < found.share < 1 and isinstance(found.repeat, int)):
        raise BenchError(f"{text}: share lies between 0 and 1, as 0.2, and repeat is a whole number")
    return found
