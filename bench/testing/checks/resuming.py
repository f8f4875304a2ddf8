"""What a checkpoint promises: a training that was cut off goes on as if it had not been."""

from __future__ import annotations

import io
import math
from itertools import islice

import numpy as np
import torch

from bench.checkpoints import Keeper, Snapshot
from bench.method import Epoch, EpochMethod, Method
from bench.randomness import global_generators_seeded
from bench.testing.checks.training import same_seed_same_scores
from bench.testing.promise import NotApplicable, check, require_same
from bench.testing.subject import MIXED, SEED, TRAIN, Subject, scores


@check(same_seed_same_scores)
def goes_on_from_a_checkpoint(subject: Subject) -> None:
    """A training that was cut off after its first epoch, or its last but one, goes on to the same scores."""
    method = subject.new()
    if not (isinstance(method, EpochMethod) and method.resumable):
        raise NotApplicable("it is not declared resumable, so no checkpoint of it is kept")
    total = len(_epochs(subject, method, Keeper(math.inf)))
    for last in dict.fromkeys((1, total - 1)):
        kept = Keeper(0.0)
        _epochs(subject, subject.new(), kept, last)
        resumed = subject.new()
        with global_generators_seeded(SEED):
            _epochs(subject, resumed, Keeper(math.inf, _written_and_read(kept)))
            found = scores(resumed, MIXED)
        require_same(
            found,
            subject.usual.scores,
            f"when the training was cut off after epoch {last} of {total} and went on from a checkpoint; give all that "
            "training changes to bench.checkpoints.remember, or leave resumable out",
        )


def _epochs(subject: Subject, method: Method, keeper: Keeper, most: int | None = None) -> list[Epoch]:
    """The first epochs of a fit that a keeper listens to, or all of them."""
    assert isinstance(method, EpochMethod)
    with global_generators_seeded(SEED), keeper.listening():
        return list(islice(method.fit_epochs(np.array(TRAIN), subject.context()), most))


def _written_and_read(keeper: Keeper) -> dict[int, Snapshot]:
    """Its snapshots as a file brings them."""
    file = io.BytesIO()
    torch.save({number: snapshot.stored() for number, snapshot in keeper.snapshots.items()}, file)
    file.seek(0)
    return {number: Snapshot.read(each) for number, each in torch.load(file, weights_only=True).items()}
