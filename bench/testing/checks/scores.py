"""What scores are: finite, distinct, higher for anomalies, and a matter of the image and the fitted model alone."""

from __future__ import annotations

import numpy as np

from bench.metrics import auroc
from bench.testing.checks.contract import fits_and_scores
from bench.testing.images import LABELS, TEST, lit
from bench.testing.promise import ConformanceError, NotApplicable, check, require_same, require_scores
from bench.testing.subject import MIXED, SEED, Subject, scores

ENOUGH_AUROC = 0.7
"""What a method has to reach on the easy set, whichever half is normal; one that has not learnt is at 0.5 or below."""
ENOUGH_IMAGES = 256
"""Normal images for that."""


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
def reconstructions_are_images(subject: Subject) -> None:
    """Reconstructions, where there are any, are uint8 images, one for each image, and making them changes no score."""
    fitted = subject.fitted()
    # what @method lets through is images of some size, one for each
    if fitted.method.reconstruct(np.array(MIXED)) is None:
        raise NotApplicable("it reconstructs nothing")
    require_same(
        scores(fitted.method, MIXED),
        fitted.scores,
        "after the method was asked for reconstructions; let reconstruct change nothing, and put networks in "
        "evaluation mode",
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
