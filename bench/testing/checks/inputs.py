"""What goes in: images of all kinds, wrong ones, and a job in a worker process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.testing.checks.contract import fits_and_scores
from bench.testing.checks.scores import reconstructions_are_images, scores_are_finite
from bench.testing.images import lit
from bench.testing.promise import ConformanceError, check, require_scores
from bench.testing.subject import MIXED, TRAIN, Subject

LOG_LINES = 5
"""How much of a worker's output a failure shows."""


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
    fitted, context = subject.usual.method, subject.context()
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


@check(scores_are_finite, reconstructions_are_images)
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


def _unclear(attempt: Callable[[], Any]) -> str:
    """What is wrong about how a wrong call ends; empty where it is refused as it should be."""
    try:
        attempt()
    except (BenchError, TypeError, ValueError) as error:
        return "" if str(error) else f"raises {type(error).__name__} without a message"
    except Exception as error:  # noqa: BLE001 - the one thing to find out is which
        return f"raises {type(error).__name__}: {error}"
    return "is not refused"
