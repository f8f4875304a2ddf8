"""Going on with a training that was cut off, bit for bit as if it had not been.

A fit cannot be stored as it stands in the middle: it is a generator. So it is begun anew, with the same seed, up to its
training; what the training had changed by then is put back, and it goes on from there. Trainings that had ended are
not done again: their last state is put back. What training changes is *remembered* as it is made, in the order of
making, which is the same each time.

Nobody listens outside a job that keeps checkpoints; then all of this does nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor, nn

from bench.method import Epoch

T = TypeVar("T")

State = Any
"""Tensors and plain numbers, which torch stores and reads without running code."""


@runtime_checkable
class Stateful(Protocol):
    """What can be remembered, beside tensors: networks, optimisers and schedules are so by themselves."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Any, /) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Everything remembered of one training as it was when an epoch had ended."""

    epoch: Epoch
    states: Sequence[State]

    def stored(self) -> dict[str, Any]:
        """As plain values."""
        return {"epoch": dataclasses.asdict(self.epoch), "states": list(self.states)}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Snapshot:
        """What ``stored`` made plain."""
        return cls(Epoch(**stored["epoch"]), stored["states"])


class Keeper:
    """Listens to one fit, and takes snapshots of its trainings.

    ``seconds``: how long a training may go on before its state is taken again. ``snapshots``: those of an earlier run
    of the same fit, by the number of the training in it.
    """

    def __init__(
        self,
        seconds: float,
        snapshots: Mapping[int, Snapshot] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.snapshots = dict(snapshots or {})
        self.due = False
        """Whether there is a snapshot that nobody has stored."""
        self._seconds = seconds
        self._now = now
        self._since = now()
        self._things: list[Tensor | Stateful] = []
        self._trainings = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """A block in which the fit goes on, and what it makes is remembered."""
        token = _keeper.set(self)
        try:
            yield
        finally:
            _keeper.reset(token)

    def remember(self, *things: Tensor | Stateful) -> None:
        self._things += things

    def begin(self) -> Training:
        """The next training of the fit; what an earlier run of it had come to is put back."""
        training = Training(self, self._trainings)
        self._trainings += 1
        snapshot = self.snapshots.get(training.number)
        if snapshot is not None:
            for thing, state in zip(self._things, snapshot.states, strict=True):
                _put_back(thing, state)
            training.resumed = dataclasses.replace(snapshot.epoch, repeated=True)
        return training

    def take(self, number: int, epoch: Epoch) -> None:
        """Take the state if a training has ended, for what comes after it, or if it is time to."""
        is_time = self._now() - self._since >= self._seconds
        if is_time or epoch.number == epoch.total:
            self.snapshots[number] = Snapshot(epoch, [_state(thing) for thing in self._things])
        if is_time:
            self.due, self._since = True, self._now()


class Training:
    """One training of a fit, which may have several."""

    def __init__(self, keeper: Keeper | None, number: int = 0) -> None:
        self._keeper = keeper
        self.number = number
        self.resumed: Epoch | None = None
        """The epoch after which it goes on, to be handed out again; None where it begins."""

    def ended(self, epoch: Epoch) -> Epoch:
        """The epoch that has ended, for its training to hand out: what is done on it may change what is remembered."""
        if self._keeper is not None:
            self._keeper.take(self.number, epoch)
        return epoch


_keeper: ContextVar[Keeper | None] = ContextVar("keeper", default=None)


def remember(thing: T) -> T:
    """The thing itself. A checkpoint holds its state: for a tensor that training changes in place, or what has
    ``state_dict`` and ``load_state_dict``, made in a fit before or at the beginning of its training."""
    keeper = _keeper.get()
    if keeper is not None:
        if not isinstance(thing, Tensor | Stateful):
            raise TypeError(f"a tensor, or what has state_dict and load_state_dict, is remembered; not {thing!r}")
        keeper.remember(cast(Any, thing))
    return thing


def begun(*things: Stateful) -> Training:
    """A training that begins with these things, and with those that were remembered before."""
    keeper = _keeper.get()
    if keeper is None:
        return Training(None)
    keeper.remember(*things)
    return keeper.begin()


def _state(thing: Tensor | Stateful) -> State:
    """A copy of what it is now; of a network also its gradients, which some methods leave for the next step."""
    if isinstance(thing, Tensor):
        return thing.detach().clone()
    state = _copied(dict(thing.state_dict()))
    if isinstance(thing, nn.Module):
        gradients = {name: weight.grad for name, weight in thing.named_parameters() if weight.grad is not None}
        return {"state": state, "gradients": _copied(gradients)}
    return state


def _put_back(thing: Tensor | Stateful, state: State) -> None:
    if isinstance(thing, Tensor):
        with torch.no_grad():
            thing.copy_(state)
    elif isinstance(thing, nn.Module):
        thing.load_state_dict(state["state"])
        for name, weight in thing.named_parameters():
            gradient = state["gradients"].get(name)
            weight.grad = None if gradient is None else gradient.to(weight.device).clone()
    else:
        thing.load_state_dict(_copied(state))


def _copied(value: Any) -> Any:
    """Nested values with every tensor cloned, its layout in memory kept."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(each) for each in value)
    return value
