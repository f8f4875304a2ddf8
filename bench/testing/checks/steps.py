"""A training step on a GPU, as far as a machine without one can tell: where it computes, what it waits for, and whether
it may be replayed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench.graphs import RECORDERS, WARM_UP
from bench.method import EpochMethod, FitContext, Method
from bench.randomness import global_generators_seeded
from bench.testing.checks.training import same_seed_same_scores
from bench.testing.images import lit
from bench.testing.promise import ConformanceError, NotApplicable, check, require_same
from bench.testing.subject import MIXED, SEED, Subject, scores
from bench.testing.tape import Tape, reads

UNTOLD = 48
"""Images of a step where no hyperparameter called ``batch_size`` tells them."""


@check(same_seed_same_scores)
def steps_ask_the_host_nothing(subject: Subject) -> None:
    """A training step reads no value back to the host, which would wait for it."""
    few, many = (_Waits.counted(subject, images, "cpu") for images in _one_step_and_two(subject))
    if (more := many.count - few.count) > 0:
        raise ConformanceError(
            f"twice the training images make the host wait {more} times more often ({', '.join(sorted(many.names))}); "
            "keep item(), tolist(), if and Python's numbers out of the step, and boolean masks: torch.where does it"
        )


@check(same_seed_same_scores)
def steps_stay_on_their_device(subject: Subject) -> None:
    """Training computes where the context says, without tensors from elsewhere."""
    try:
        few, many = (_Waits.counted(subject, images, "meta") for images in _one_step_and_two(subject))
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise ConformanceError(
            f"training on a device that holds no numbers (meta) raises {subject.explained(error)}; make tensors with "
            "device=x.device, and move networks and what belongs to them to context.device"
        ) from error
    if (more := many.copies - few.copies) > 0:
        raise ConformanceError(f"twice the training images copy {more} tensors more to the host; leave them there")


@check(same_seed_same_scores)
def replayed_steps_are_the_same(subject: Subject) -> None:
    """A step that is declared capturable does the same to every batch, so that a graph of it may be replayed."""
    wanted, _ = _trained(subject, graphs=False)
    with _recorder(subject.device):
        found, replayed = _trained(subject, graphs=True)
    if not replayed:
        raise NotApplicable("its step is not declared capturable, or it has too few of them")
    require_same(
        scores(found, MIXED),
        scores(wanted, MIXED),
        "when its steps are replayed as a graph; change in place what outlasts a step, count and decide on the device, "
        "or leave capturable out",
    )


def _trained(subject: Subject, *, graphs: bool) -> tuple[Method, bool]:
    """The method after a fit, and whether its steps were replayed."""
    method = _with_steps(subject)
    context = FitContext(seed=SEED, device=subject.device, graphs=graphs)
    with global_generators_seeded(SEED):
        replayed = [epoch.captured for epoch in method.fit_epochs(_images((WARM_UP + 1) * _step(subject)), context)]
    return method, any(replayed)


@contextmanager
def _recorder(device: str) -> Iterator[None]:
    """A block in which steps are recorded on the CPU too."""
    if device != "cpu":
        yield
        return
    RECORDERS["cpu"] = Tape
    try:
        yield
    finally:
        del RECORDERS["cpu"]


class _Waits(TorchDispatchMode):
    """Counts what a GPU's host would wait for, and on meta answers with some number."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.copies = 0
        self.names: set[str] = set()

    @classmethod
    def counted(cls, subject: Subject, images: int, device: str) -> _Waits:
        method = _with_steps(subject)
        with global_generators_seeded(SEED), cls() as waits:
            for _ in method.fit_epochs(_images(images), FitContext(seed=SEED, device=device)):
                pass
        return waits

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        named = named or {}
        on_meta = bool(arguments) and isinstance(arguments[0], Tensor) and arguments[0].is_meta
        if reads(function, arguments):
            self.count += 1
            self.names.add(function.name())
            if on_meta and function.name() == "aten::_local_scalar_dense":
                return 0.5
        if on_meta and function.name() == "aten::_to_copy" and torch.device(named.get("device", "meta")).type == "cpu":
            self.copies += 1
            return torch.zeros(arguments[0].shape, dtype=named.get("dtype") or arguments[0].dtype)
        return function(*arguments, **named)


def _step(subject: Subject) -> int:
    """Training images of which an epoch makes one step; it takes long to count what many do, and two tell as much."""
    size = subject.parameters.get("batch_size")
    return size if isinstance(size, int) else UNTOLD


def _one_step_and_two(subject: Subject) -> tuple[int, int]:
    return _step(subject), 2 * _step(subject)


def _images(number: int) -> Any:
    return np.array(lit(0, number, 3))


def _with_steps(subject: Subject) -> EpochMethod:
    """A fresh instance, if it trains in the harness's loop."""
    method = subject.new()
    if not (isinstance(method, EpochMethod) and subject.imports("bench.training.train")):
        raise NotApplicable("it does not train in bench.training.train")
    return method
