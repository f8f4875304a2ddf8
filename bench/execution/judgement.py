"""What criteria say of a detector that was fitted on a part of the training images. No label and no test image is here:
what a criterion can reach is made of the images of a split that has training images alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.criterion import Criterion, DetectorCriterion, Fitted, open_criterion, remembering, require_elsewhere
from bench.dataset import PreparedDataset
from bench.errors import BenchError
from bench.execution.detector import scores_of
from bench.execution.messages import Source, Task
from bench.fingerprint import source_fingerprint
from bench.method import Images, Method
from bench.pictures import brought_to
from bench.prepared import open_prepared
from bench.protocol import Split
from bench.randomness import derive_seed
from bench.record import Record
from bench.registry import Registry
from bench.specs import parse_spec
from bench.workspace import Workspace

CODE = "criteria"
"""Name, in a record's provenance, of the code of each criterion that was asked, by its spec."""
MOST = 500
"""Images of another data set, at most."""


class Judgement(NamedTuple):
    """The figures of a detector by the specs of criteria, without those that do not apply; the code of all of them."""

    figures: dict[str, float]
    code: dict[str, str]


def judged(detector: Method, dataset: PreparedDataset, split: Split, task: Task, losses: Iterable[Any]) -> Judgement:
    """What the criteria of a task say of a detector that was fitted on ``split.train`` of training images.

    Raises BenchError where one returns no number; what else it raises comes through.
    """
    train = dataset.images[split.train]
    seed = derive_seed("judged", split.fingerprint)
    fitted = Fitted(
        train=train,
        held_out=dataset.images[split.test],
        score=remembering(lambda images: scores_of(detector, images)),
        losses=[dict(each) for each in losses],
        others={text: _others(source, train, seed) for text, source in task.others.items()},
        seed=seed,
    )
    registry = _registry(tuple(task.criterion_folders))
    found: dict[str, float] = {}
    for spec in task.criteria:
        criterion = open_criterion(spec, registry)
        require_elsewhere(criterion, task.job.dataset)
        if isinstance(criterion, DetectorCriterion) and (figure := criterion.figure(fitted)) is not None:
            if not math.isfinite(figure):
                raise BenchError(f"criterion {spec} returned {figure}; where it says nothing it returns None")
            found[spec] = float(figure)
    return Judgement(found, code_of(task.criteria, registry))


def code_of(criteria: Sequence[str], registry: Registry) -> dict[str, str]:
    """By spec, a hash of the code of each criterion."""
    return {spec: source_fingerprint(registry.find(parse_spec(spec).name))[:16] for spec in criteria}


def lacks(record: Record, code: Mapping[str, str]) -> bool:
    """Whether a record has not been asked for figures of all these criteria, by this code of theirs."""
    known = record.provenance.get(CODE, {})
    return any(known.get(spec) != current for spec, current in code.items())


def sources_of(criteria: Sequence[str], workspace: Workspace) -> dict[str, Source]:
    """Where the other data sets lie that criteria take images of, by their specs."""
    asked = [text for spec in criteria for text in workspace.criterion(spec).datasets()]
    prepared = {text: workspace.dataset(parse_spec(text)) for text in dict.fromkeys(asked)}
    return {text: Source(each.folder, each.size) for text, each in prepared.items()}


def usable(workspace: Workspace) -> list[Criterion]:
    """Every criterion that can be used as it is, without a parameter."""
    found = []
    for name in workspace.criteria.names():
        try:
            found.append(workspace.criterion(name))
        except BenchError:  # it cannot be imported, or needs a parameter: it serves where it is asked for by its spec
            continue
    return found


def _others(source: Source, like: Images, seed: int) -> Images:
    images = open_prepared(source.folder, source.size).images
    drawn = np.random.default_rng(derive_seed(seed, "others")).permutation(len(images))[:MOST]
    return brought_to(images[np.sort(drawn)], *like.shape[1:])


@functools.lru_cache(maxsize=4)
def _registry(folders: tuple[str, ...]) -> Registry:
    return Registry("criterion", [Path(folder) for folder in folders])
