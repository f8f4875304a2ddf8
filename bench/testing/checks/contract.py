"""``fit`` and ``score``, and what they leave alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from bench.method import Images
from bench.testing.promise import ConformanceError, check
from bench.testing.subject import MIXED, TRAIN, Subject, scores


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
    method, context = subject.new(), subject.context()
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
        "fit": lambda: method.fit(np.array(TRAIN), subject.context()),
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


def _generators() -> dict[str, Any]:
    import torch

    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    numpy_state = (name, np.asarray(keys).tobytes(), *rest)
    return {"Python": random.getstate(), "NumPy": numpy_state, "torch": torch.get_rng_state().numpy().tobytes()}


def _shown(value: Any) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"
