"""The checks: what every method promises, one function each.

A check raises ConformanceError with what was seen and what to change, or NotApplicable. Whatever else comes out of the
method counts as a failure of that check.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import BenchError
from bench.method import EpochMethod, FitContext, Images, Method
from bench.metrics import auroc
from bench.randomness import global_generators_seeded
from bench.testing.images import LABELS, TEST, lit
from bench.testing.promise import CHECKS, ConformanceError, NotApplicable, check, require_same, require_scores
from bench.testing.subject import MIXED, SEED, TRAIN, Subject, scores

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CHECKS"]  # whoever has them from here has them all

ENOUGH_AUROC = 0.7
"""What a method has to reach on the easy set, whichever half is normal; one that has not learnt is at 0.5 or below."""
ENOUGH_IMAGES = 256
"""Normal images for that."""
LOG_LINES = 5
"""How much of a worker's output a failure shows."""


# ---------------------------------------------------------------------------------------------------------------------
# fit and score, and what they leave alone


@check()
def constructor_only_stores(subject: Subject) -> None:
    """A new instance holds its hyperparameters as they were given, and nothing else."""
    method = subject.new()
    held, own = vars(method), {field.name for field in fields(method)}  # type: ignore[arg-type]  # @method makes it one
    # an adapter may keep together what it takes beside its fields
    further = {name: value for name, value in subject.given.items() if name not in own}
    kept = [further] if subject.parameters.keys() > own else []
    if more := sorted(name for name, value in held.items() if name not in own and value not in kept):
        raise ConformanceError(
            f"a new instance also holds {', '.join(more)}; leave it to fit to set what is no parameter"
        )
    for name in own:
        if name not in held or held[name] != subject.parameters[name]:
            found = repr(held[name]) if name in held else "nothing"
            raise ConformanceError(
                f"{name}={subject.parameters[name]!r} was given, but a new instance holds {found}; derive other values "
                "from it in fit"
            )


@check()
def fits_and_scores(subject: Subject) -> None:
    """fit and score end without an error on small grey images."""
    _ = subject.usual


@check(fits_and_scores)
def fit_returns_the_method(subject: Subject) -> None:
    """fit returns the method itself."""
    if subject.usual.returned is not subject.usual.method:
        raise ConformanceError(f"fit returned {_shown(subject.usual.returned)}; end it with: return self")


@check(fits_and_scores)
def hyperparameters_stay(subject: Subject) -> None:
    """fit and score leave the hyperparameters as they were given."""
    before, after = subject.new().hyperparameters(), subject.usual.method.hyperparameters()
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        shown = ", ".join(f"{name} {before[name]!r} → {after[name]!r}" for name in changed)
        raise ConformanceError(f"after fit and score: {shown}; keep what is derived from it under another name")


@check(fits_and_scores)
def images_stay(subject: Subject) -> None:
    """fit and score leave the images as they are, and take read-only ones."""
    method, context = subject.new(), FitContext(seed=SEED)
    actions: dict[str, Callable[[Images], Any]] = {
        "fit": lambda images: method.fit(images, context),
        "score": method.score,
    }
    for action, act in actions.items():
        images = np.array(TRAIN)
        images.flags.writeable = False
        try:
            act(images)
        except Exception as error:
            raise ConformanceError(
                f"{action} does not take read-only images: {subject.explained(error)}; work on a copy: np.array(images)"
            ) from error
        if not np.array_equal(images, TRAIN):
            raise ConformanceError(f"{action} changed the images that it was given; work on a copy: np.array(images)")


@check(fits_and_scores)
def global_generators_stay(subject: Subject) -> None:
    """fit and score leave the global random generators of Python, NumPy and torch as they were."""
    method = subject.new()
    actions: dict[str, Callable[[], Any]] = {
        "fit": lambda: method.fit(np.array(TRAIN), FitContext(seed=SEED)),
        "score": lambda: scores(method, MIXED),
    }
    for action, act in actions.items():
        before = _generators()
        act()
        after = _generators()
        if touched := [name for name in before if before[name] != after[name]]:
            raise ConformanceError(
                f"{action} seeds or draws from the global generator of {', '.join(touched)}; use one of your own "
                "(numpy.random.default_rng(context.seed), torch.Generator), or wrap what cannot: "
                "bench.training.seeded(context), bench.randomness.global_generators_seeded(context.seed)"
            )


# ---------------------------------------------------------------------------------------------------------------------
# Scores


@check(fits_and_scores)
def scores_are_an_array_of_floats(subject: Subject) -> None:
    """score returns one number of a floating type for each image, shape (n,)."""
    require_scores(subject.usual.scores, len(MIXED), finite=False)


@check(scores_are_an_array_of_floats)
def scores_are_finite(subject: Subject) -> None:
    """Every score is a finite number, that of a blank image too."""
    blank = np.stack([np.full(MIXED.shape[1:], level, np.uint8) for level in (0, 128, 255)])
    require_scores(subject.usual.scores, len(MIXED))
    require_scores(scores(subject.usual.method, blank), len(blank), " of images of one colour (0, 128, 255)")


@check(scores_are_finite)
def scores_are_distinct(subject: Subject) -> None:
    """Distinct images mostly have distinct scores."""
    distinct = len(np.unique(subject.usual.scores))
    if distinct <= len(MIXED) / 2:
        raise ConformanceError(
            f"{len(MIXED)} images have {distinct} different scores; return the distance or likelihood itself, "
            "not a decision (predict) or a rounded value"
        )


@check(scores_are_distinct)
def anomalies_score_higher(subject: Subject) -> None:
    """On an easy set, anomalous images score higher than normal ones, whichever of its two halves is normal."""
    reached = []
    for normal in (0, 1):
        test = np.concatenate([TEST[normal], TEST[1 - normal]])
        reached.append(auroc(LABELS, subject.fitted(lit(normal, ENOUGH_IMAGES, normal), test).scores))
    if min(reached) <= ENOUGH_AUROC:
        advice = (
            "larger must mean more anomalous: turn the sign round"
            if max(reached) < 0.5
            else "one half turned upside down is like the other, so what has not learnt ranks the same one first in "
            f"both cases; train longer, by the spec or by [profiles.{subject.profile}.methods.{subject.spec.name}] in "
            "bench.toml"
        )
        shown = " and ".join(f"{figure:.2f}" for figure in reached)
        raise ConformanceError(f"AUROC {shown}, asked is more than {ENOUGH_AUROC} for both; {advice}")


# ---------------------------------------------------------------------------------------------------------------------
# A score depends on its image and the fitted model alone


@check(scores_are_finite)
def scores_repeat(subject: Subject) -> None:
    """Scoring the same images again gives the same scores."""
    again = scores(subject.usual.method, MIXED)
    require_same(
        again,
        subject.usual.scores,
        "when they are scored a second time; draw no random numbers in score, and put networks in evaluation mode",
    )


@check(scores_repeat)
def one_image_alone(subject: Subject) -> None:
    """One image alone can be scored."""
    require_scores(scores(subject.usual.method, MIXED[:1]), 1, " of one image alone")


@check(scores_repeat)
def order_does_not_matter(subject: Subject) -> None:
    """An image's score does not depend on its place among the images."""
    order = np.random.default_rng(SEED).permutation(len(MIXED))
    require_same(
        scores(subject.usual.method, MIXED[order]),
        subject.usual.scores[order],
        "when they come in another order; use neither an image's place nor its neighbours or batch",
    )


@check(order_does_not_matter)
def companions_do_not_matter(subject: Subject) -> None:
    """An image's score does not depend on the other images of the call."""
    normal, anomalous = TEST
    others = np.concatenate([normal, 255 - anomalous])
    require_same(
        scores(subject.usual.method, others)[: len(normal)],
        subject.usual.scores[: len(normal)],
        "when the other images of the call are others; take extremes, means and batch statistics from training images",
    )


@check(companions_do_not_matter, one_image_alone)
def number_of_images_does_not_matter(subject: Subject) -> None:
    """An image's score does not depend on how many images are scored at a time."""
    method, usual = subject.usual.method, subject.usual.scores
    few = np.arange(0, len(MIXED), 4)
    one_by_one = np.concatenate([scores(method, MIXED[i : i + 1]) for i in few])
    require_same(one_by_one, usual[few], "when each is scored alone; let nothing depend on len(images)")
    sevens = np.concatenate([scores(method, MIXED[i : i + 7]) for i in range(0, len(MIXED), 7)])
    require_same(sevens, usual, "when they are scored seven at a time; let nothing depend on len(images)")


# ---------------------------------------------------------------------------------------------------------------------
# Training


@check(fits_and_scores)
def weights_move(subject: Subject) -> None:
    """Training moves every parameter tensor of every torch module that the method holds."""
    method = subject.new()
    first: dict[str, Tensor] = {}
    scorable = 0
    with global_generators_seeded(SEED):
        for epoch in _epochs(method):
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
        for epoch in _epochs(method):
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


# ---------------------------------------------------------------------------------------------------------------------
# Images of all kinds


@check(scores_are_finite)
def images_in_colour(subject: Subject) -> None:
    """Images of three channels can be fitted and scored."""
    test = lit(0, 20, 3, channels=3)
    require_scores(subject.fitted(lit(0, 48, 2, channels=3), test).scores, len(test), " of images in colour")


@check(scores_are_finite)
def images_of_odd_sizes(subject: Subject) -> None:
    """Images of 13×17 pixels can be fitted and scored."""
    test = lit(0, 20, 3, height=13, width=17)
    found = subject.fitted(lit(0, 48, 2, height=13, width=17), test).scores
    require_scores(found, len(test), " of images of 13×17 pixels")


@check(scores_are_finite)
def few_training_images(subject: Subject) -> None:
    """Three training images are enough to fit and score, if not to learn much."""
    require_scores(subject.fitted(TRAIN[:3]).scores, len(MIXED), " after a fit on three images")


@check(fits_and_scores)
def errors_are_clear(subject: Subject) -> None:
    """fit and score refuse what are no images, and score what was not fitted, with an error that says so."""
    fitted, context = subject.usual.method, FitContext(seed=SEED)
    missing = TRAIN.astype(np.float32)
    missing[0, 0, 0, 0] = np.nan
    wrong = {
        "images with NaN": missing,
        "images of floats": TRAIN.astype(np.float32),
        "an array of 3 dimensions": TRAIN[..., 0],
        "images of 2 channels": np.repeat(TRAIN, 2, axis=3),
        "no images": TRAIN[:0],
    }
    attempts: list[tuple[str, Callable[[], Any]]] = []
    for what, images in wrong.items():
        attempts.append((f"fit on {what}", lambda images=images: subject.new().fit(images, context)))  # type: ignore[misc]
        attempts.append((f"score of {what}", lambda images=images: fitted.score(images)))  # type: ignore[misc]
    larger = lit(0, 5, 3, height=10, width=10)
    attempts.append(("score of images of another size than fitted on", lambda: fitted.score(larger)))
    attempts.append(("score before fit", lambda: subject.new().score(np.array(TRAIN))))
    if unclear := [f"{what} {ending}" for what, attempt in attempts if (ending := _unclear(attempt))]:
        raise ConformanceError(
            f"{'; '.join(unclear)}; leave these to @method, whose fit and score refuse them, or raise a BenchError "
            "that says what was expected"
        )


@check(scores_are_finite)
def works_in_a_worker(subject: Subject) -> None:
    """A job of the method ends well in a worker process."""
    outcome = subject.job()
    if outcome.status == "done":
        return
    error = outcome.error or {}
    reason = ": ".join(str(error[part]) for part in ("type", "message") if error.get(part))
    log = "\n".join(str(error.get("log", "")).rstrip().splitlines()[-LOG_LINES:])
    raise ConformanceError(
        f"a job on digits ended as {outcome.status} in a worker process: {reason}; a worker imports the plugin anew, "
        "and sees installed packages and the plugin's folder, not the working folder" + (f"\n{log}" if log else "")
    )


# ---------------------------------------------------------------------------------------------------------------------
# What several checks share


def _epochs(method: Method) -> Any:
    if not isinstance(method, EpochMethod):
        raise NotApplicable("it is no EpochMethod, so there are no epochs to look between")
    return method.fit_epochs(np.array(TRAIN), FitContext(seed=SEED))


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


def _generators() -> dict[str, Any]:
    import torch

    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    numpy_state = (name, np.asarray(keys).tobytes(), *rest)
    return {"Python": random.getstate(), "NumPy": numpy_state, "torch": torch.get_rng_state().numpy().tobytes()}


def _unclear(attempt: Callable[[], Any]) -> str:
    """What is wrong about how a wrong call ends; empty where it is refused as it should be."""
    try:
        attempt()
    except (BenchError, TypeError, ValueError) as error:
        return "" if str(error) else f"raises {type(error).__name__} without a message"
    except Exception as error:  # noqa: BLE001 - the one thing to find out is which
        return f"raises {type(error).__name__}: {error}"
    return "is not refused"


def _shown(value: Any) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"


def _listed(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
