"""A detector in the process that computes: made from its plugin, fitted epoch by epoch, its scores checked."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from bench import device
from bench.errors import BenchError, unknown
from bench.fingerprint import source_fingerprint
from bench.method import Epoch, EpochMethod, FitContext, Images, Method, Precision, Scores
from bench.registry import Registry
from bench.specs import parse_spec

if TYPE_CHECKING:
    from bench.checkpoints import Keeper


class Diverged(Exception):
    """A loss or a score is not a finite number."""


def plugin_class(spec: str, fingerprint: str, plugin_folders: Sequence[str], place: str) -> type[Method]:
    """The class of a method, all that it needs imported. Raises BenchError where its code has another fingerprint."""
    registry, name = _registry(tuple(plugin_folders)), parse_spec(spec).name
    if _loaded(registry, name, device.kind(place)) != fingerprint:
        raise BenchError(f"the code of {name} changed since this run began; repeat the command")
    loaded: type[Method] = registry.load(name)
    return loaded


def built(spec: str, fingerprint: str, plugin_folders: Sequence[str], place: str) -> Method:
    """An instance with the parameters of the spec. Raises BenchError where its code has another fingerprint."""
    plugin_class(spec, fingerprint, plugin_folders, place)
    made: Method = _registry(tuple(plugin_folders)).build(parse_spec(spec))
    return made


@functools.lru_cache(maxsize=4)
def _registry(plugin_folders: tuple[str, ...]) -> Registry:
    return Registry("method", [Path(folder) for folder in plugin_folders])


@functools.lru_cache(maxsize=64)
def _loaded(registry: Registry, name: str, kind: device.Kind) -> str:
    """The fingerprint of the code as this process imported it, which may not be what the file holds by now.

    What a method imports on first use is imported too: the first job of a worker must not seem slower than the next.
    """
    cls = registry.load(name)
    fingerprint = source_fingerprint(registry.find(name))
    registry.preload(name)
    if issubclass(cls, EpochMethod):
        from bench.training import warm_up

        warm_up(kind)
    return fingerprint


def precision_named(name: str) -> Precision:
    """The precision of that name. Raises BenchError where there is none."""
    if name not in get_args(Precision):
        raise unknown("precision", name, get_args(Precision))
    return cast(Precision, name)


def fitted(
    detector: Method, images: Images, context: FitContext, clock: Clock, keeper: Keeper | None = None
) -> Iterator[Epoch]:
    """Fit the detector, yielding its epochs; what the harness does between epochs is not on the method's clock.

    ``keeper``: of what the training changes. Where it brings what an earlier run had come to, it goes on from there.
    """
    if not isinstance(detector, EpochMethod):
        detector.fit(images, context)
        return
    training = detector.fit_epochs(images, context)
    while True:
        with keeper.listening() if keeper is not None else contextlib.nullcontext():
            epoch = next(training, None)
        if epoch is None:
            return
        clock.pause()
        if not epoch.repeated:
            yield epoch
        clock.resume()


def noted(epoch: Epoch, epochs: list[dict[str, Any]], report: Callable[[Epoch], None]) -> None:
    """Put an epoch among those of the record, and report it. Raises Diverged where a loss is not finite."""
    epochs.append({"epoch": epoch.number, "losses": dict(epoch.losses)})
    report(epoch)
    if not epoch.finite:
        losses = ", ".join(f"{name} {loss}" for name, loss in epoch.losses.items())
        epochs[-1]["losses"] = dict.fromkeys(epoch.losses)  # JSON knows no NaN
        raise Diverged(f"a loss is not finite after epoch {epoch.number}: {losses}")


def scores_of(detector: Method, images: Images) -> Scores:
    """The detector's scores. Raises TypeError where they are none, Diverged where one is not finite."""
    return checked(detector.score(images), len(images))


def checked(returned: Scores, count: int) -> Scores:
    """What a method returned as scores of so many images. Raises as ``scores_of`` does."""
    scores = np.asarray(returned)
    if scores.shape != (count,) or not np.issubdtype(scores.dtype, np.floating):
        raise TypeError(f"score returned {scores.dtype} {scores.shape}; expected floats of shape ({count},)")
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise Diverged(f"{bad} of {len(scores)} scores are not finite")
    return scores


class Clock:
    """Seconds of computing: waits for the device, and can be paused."""

    def __init__(self, place: str) -> None:
        self._device = place
        self._spent = 0.0
        self._since: float | None = self._now()

    def pause(self) -> None:
        if self._since is not None:
            self._spent += self._now() - self._since
            self._since = None

    def resume(self) -> None:
        self._since = self._now()

    @property
    def spent(self) -> float:
        """Seconds since the last lap, up to the last pause."""
        return self._spent

    def lap(self) -> float:
        """Seconds since the last lap, pauses left out; the clock runs on."""
        self.pause()
        spent, self._spent = self._spent, 0.0
        self.resume()
        return spent

    def _now(self) -> float:
        device.synchronise(self._device)
        return time.perf_counter()
