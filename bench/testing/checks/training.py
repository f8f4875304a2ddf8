"""What training promises: weights move, seeds decide, and epochs, a second fit and a saved copy leave no trace."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.method import EpochMethod, Method
from bench.randomness import global_generators_seeded
from bench.testing.checks.contract import fits_and_scores
from bench.testing.checks.scores import scores_are_finite, scores_repeat
from bench.testing.images import lit
from bench.testing.promise import ConformanceError, NotApplicable, check, require_same
from bench.testing.subject import MIXED, SEED, TRAIN, Subject, scores

if TYPE_CHECKING:
    from torch import Tensor


@check(fits_and_scores)
def weights_move(subject: Subject) -> None:
    """Training moves every parameter tensor of every torch module that the method holds."""
    method = subject.new()
    first: dict[str, Tensor] = {}
    scorable = 0
    with global_generators_seeded(SEED):
        for epoch in _epochs(subject, method):
            scorable += epoch.scorable
            if scorable == 1 and not first:
                first = {name: weight.detach().clone() for name, weight in _weights(method).items()}
    if not _weights(method):
        raise NotApplicable("it holds no torch module with parameters to train")
    if scorable < 2:
        raise NotApplicable("it has fewer than two epochs after which it can score; give it two by the spec")
    last = _weights(method)
    if still := [name for name, weight in first.items() if name in last and bool((weight == last[name]).all())]:
        raise ConformanceError(
            f"{len(still)} of {len(first)} parameter tensors are the same after the last epoch as after the first: "
            f"{_listed(still)}; give them to an optimiser that steps, and a loss that reaches them, or freeze them: "
            "requires_grad_(False)"
        )


@check(scores_repeat)
def same_seed_same_scores(subject: Subject) -> None:
    """Two instances that are fitted with the same seed give the same scores, bit for bit."""
    import torch

    usual = subject.usual.scores
    random.random(), np.random.random(3), torch.rand(3)  # noqa: NPY002 - what a job before this one may have drawn
    again = subject.fitted().scores
    if not np.array_equal(usual, again):
        raise ConformanceError(
            f"{(usual != again).sum()} of {len(usual)} scores differ after a second fit with the same seed; let all "
            "random numbers derive from context.seed, and keep nothing in class attributes or module globals"
        )


@check(scores_are_finite)
def another_seed_other_scores(subject: Subject) -> None:
    """Another seed gives other scores, where the method trains in epochs."""
    if not isinstance(subject.usual.method, EpochMethod):
        raise NotApplicable("it is no EpochMethod, so it may well be deterministic")
    if np.array_equal(subject.usual.scores, subject.fitted(seed=SEED + 1).scores):
        raise ConformanceError(
            "the seeds 0 and 1 give the same scores; initial weights and batches must derive from context.seed, "
            "or runs with several seeds measure one thing several times"
        )


@check(same_seed_same_scores)
def scoring_between_epochs_changes_nothing(subject: Subject) -> None:
    """The method can be scored after every scorable epoch, and goes on training as if it had not been."""
    method = subject.new()
    if not isinstance(method, EpochMethod):
        raise NotApplicable("it is no EpochMethod")
    with global_generators_seeded(SEED):
        for epoch in _epochs(subject, method):
            if epoch.scorable:
                scores(method, MIXED)
    require_same(
        scores(method, MIXED),
        subject.usual.scores,
        "when the method is scored after every epoch too, as --trace does; put networks back into training mode at the "
        "start of every epoch, as bench.training.train does",
    )


@check(same_seed_same_scores)
def refit_is_fresh(subject: Subject) -> None:
    """A method that is fitted a second time is as a fresh one fitted on the second images."""
    method = subject.fitted(lit(1, len(TRAIN), 2)).method
    require_same(
        subject.fitted(method=method).scores,
        subject.usual.scores,
        "when the method was fitted on others before; let fit set all that it uses anew",
    )


@check(scores_repeat)
def saved_and_loaded_scores_alike(subject: Subject) -> None:
    """What save wrote, load reads into a new object that gives the same scores."""
    method = subject.usual.method
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        method.save(Path(folder))
        loaded = type(method).load(Path(folder))
    advice = "when the method is saved and loaded; write all that fit set"
    try:
        found = scores(loaded, MIXED)
    except Exception as error:
        raise ConformanceError(f"score raises {subject.explained(error)} {advice}") from error
    require_same(found, subject.usual.scores, advice)


def _epochs(subject: Subject, method: Method) -> Any:
    if not isinstance(method, EpochMethod):
        raise NotApplicable("it is no EpochMethod, so there are no epochs to look between")
    return method.fit_epochs(np.array(TRAIN), subject.context())


def _weights(method: Method) -> dict[str, Tensor]:
    """The parameters to train of the torch modules that the method holds, by name."""
    from torch import nn

    modules = {name: value for name, value in vars(method).items() if isinstance(value, nn.Module)}
    return {
        f"{name}.{part}": weight
        for name, module in modules.items()
        for part, weight in module.named_parameters()
        if weight.requires_grad
    }


def _listed(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
