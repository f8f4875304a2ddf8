"""The method under test: fresh instances of it, a fitted one that checks share, and a job of it in a worker."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.fingerprint import source_files
from bench.imports import imported
from bench.method import FitContext, Images, Method
from bench.randomness import global_generators_seeded
from bench.specs import Spec, Value, parse_spec
from bench.testing.images import TEST, lit
from bench.workspace import Workspace

if TYPE_CHECKING:
    from bench.execution.messages import Outcome, Task

SEED = 0
TRAIN = lit(0, 48, 1)
MIXED = np.concatenate(TEST)
"""Test images of both kinds, the normal ones first."""
JOB_SECONDS = 600.0
"""How long the job in a worker may take."""
JOB_SCORES = 200
"""Test images that it scores, about: a tenth of the digits, all of which some methods score in minutes."""


@dataclass(frozen=True)
class Fitted:
    """A method after ``fit``, what ``fit`` returned, and the scores that it then gave."""

    method: Method
    returned: Any
    scores: NDArray[Any]


def in_own_worker(task: Task) -> Outcome:
    """The outcome of a task in a worker process that is started for it and ended after it."""
    from bench.execution.slots import find_slots
    from bench.execution.supervisor import Supervisor

    (slot,) = find_slots(task.device, workers=1)
    with Supervisor(slot) as supervisor:
        return supervisor.run(task)


@dataclass
class Subject:
    """A method with the parameters that it is checked with. Whatever the method raises comes through."""

    workspace: Workspace
    spec: Spec
    profile: str
    do: Callable[[Task], Outcome] = in_own_worker
    """Does a task in a worker."""
    device: str = "cpu"
    """Where it is fitted and scored."""

    @functools.cached_property
    def parameters(self) -> Mapping[str, Value]:
        """The value of every hyperparameter."""
        fields = self.workspace.methods.fields(self.spec.name, self.given)
        return {name: self.given.get(name, field.default) for name, field in fields.items()}

    @functools.cached_property
    def given(self) -> Mapping[str, Value]:
        """The hyperparameters that the constructor is given: those that differ from their defaults."""
        return self.workspace.methods.resolve(self.spec).parameters

    def context(self, seed: int = SEED) -> FitContext:
        """What a fit gets."""
        return FitContext(seed=seed, device=self.device)

    def imports(self, name: str) -> bool:
        """Whether the plugin, or a part that it shares, imports something by its dotted name."""
        return any(name in imported(file) for file in source_files(self.workspace.methods.find(self.spec.name)))

    def new(self) -> Method:
        """An instance that nobody has fitted."""
        built: Method = self.workspace.methods.build(self.spec)
        return built

    @functools.cached_property
    def usual(self) -> Fitted:
        """An instance fitted on TRAIN and its scores of MIXED. Checks share it: it may be scored, but not refitted."""
        return self.fitted()

    def fitted(
        self, train: Images = TRAIN, test: Images = MIXED, *, seed: int = SEED, method: Method | None = None
    ) -> Fitted:
        """The method, or else a fresh instance, fitted and scored as a job does it.

        It gets copies of the images: what writes into them spoils no other check.
        """
        method = method if method is not None else self.new()
        with global_generators_seeded(seed):
            returned = method.fit(np.array(train), self.context(seed))
            return Fitted(method, returned, scores(method, test))

    def job(self) -> Outcome:
        """How a job of the method on scikit-learn's digits ends in a worker process."""
        from bench.execution.messages import Task
        from bench.jobs import Request, expand

        here = self.workspace
        with tempfile.TemporaryDirectory(prefix="bench-check-") as name:
            folder = Path(name)
            there = dataclasses.replace(here, data=folder / "data", results=folder / "results", _prepared={})
            request = Request(dataset="digits", methods=str(self.spec), classes="0", seeds="0,", profile=self.profile)
            (job,) = expand(request, there)
            data = there.dataset(parse_spec("digits")).folder
            return self.do(
                Task(
                    job,
                    data,
                    here.config.plugins.methods,
                    device=self.device,
                    timeout=JOB_SECONDS,
                    most_scored=JOB_SCORES,
                )
            )

    def explained(self, error: BaseException) -> str:
        """An exception's type and message, and the line of the plugin that it came through."""
        message = f"{type(error).__name__}: {error}".rstrip(": ")
        file = self.workspace.methods.find(self.spec.name).file
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _beside(frame.filename, file)]
        if not frames:
            return message
        return f"{message} ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})"


def open_subject(
    text: str,
    workspace: Workspace,
    profile: str,
    do: Callable[[Task], Outcome] = in_own_worker,
    device: str = "cpu",
) -> Subject:
    """The subject of a spec: its parameters over the profile's settings over the method's defaults.

    Raises BenchError for an unknown name or an unusable value, PluginUnavailable where it cannot be imported.
    """
    asked = parse_spec(text)
    workspace.methods.find(asked.name)
    settings = workspace.settings(asked.name, "digits", profile)
    spec = Spec(asked.name, {**settings, **asked.parameters})
    workspace.methods.resolve(spec)
    return Subject(workspace, spec, profile, do, device)


def scores(method: Method, images: Images) -> NDArray[Any]:
    """What the method says of a copy of the images, as an array."""
    return np.asarray(method.score(np.array(images)))


def _beside(filename: str, plugin: Path | None) -> bool:
    return plugin is not None and Path(filename).parent == plugin.parent
