"""A record: what one job left behind, and its JSON, which is checked whole whenever it is read."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Required, get_args

import numpy as np
import pydantic_core
from numpy.typing import NDArray
from pydantic import ConfigDict, FiniteFloat, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from bench.device import Kind, kind
from bench.jobs import SCHEMA, Job

Status = Literal["done", "failed", "diverged", "timeout", "oom", "killed", "skipped"]
"""How a job ended. Only ``done`` has scores."""
STATUSES = get_args(Status)

FITTED_FOR = "fitted_for"
"""Name, in a record's provenance, of the key of the job that its detector was fitted for, where that is another one."""

Arrays = Mapping[str, NDArray[Any]]
"""``scores`` (n,) float, ``labels`` (n,) 0 normal or 1 anomalous, ``indices`` (n,) into the dataset's images.

Of a packed record the ``scores`` are whole numbers, their ranks.

Where the method makes images anew, also those of a few test images: ``reconstructed`` (k, height, width, channels)
uint8, and ``reconstructed_indices`` (k,) into the dataset's images.

Where the dataset has masks and the method maps, also the ``maps`` (m, height, width) of a few test images, float16 and
shares of the largest value of all, and ``map_indices`` (m,) into the dataset's images.
"""


def ranked(arrays: Arrays) -> bool:
    """Whether the scores are but their ranks, as an archive keeps them."""
    return bool(np.issubdtype(arrays["scores"].dtype, np.integer))


def require_one_length(arrays: Arrays) -> None:
    """Raise ValueError where there are not as many scores as labels and indices; KeyError where one is absent."""
    if len({len(arrays[name]) for name in ("scores", "labels", "indices")}) != 1:
        raise ValueError("scores, labels and indices are not of one length")


@dataclass(frozen=True)
class Record:
    """What one job left behind."""

    job: Job
    status: Status
    split: dict[str, Any] = field(default_factory=dict)
    """``fingerprint``, the dataset's number of the normal class (``normal_label``), how many classes can be normal
    (``normal_classes``), and the number of ``train``, ``test`` and ``anomalous`` images."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Figures after the last epoch: ``auroc``, ``average_precision``, ``fpr_at_95_tpr``; where anomalies have kinds or
    masks also ``f1_max``, and those of ``bench.localisation`` where the method has score maps."""
    by_kind: dict[str, dict[str, float]] = field(default_factory=dict)
    """By kind of anomaly, where there are several, the metrics of its test images and all normal ones."""
    criteria: dict[str, float] = field(default_factory=dict)
    """Of a job that compares settings, in place of metrics: by the spec of a criterion, its figure of the detector."""
    choices: list[dict[str, Any]] = field(default_factory=list)
    """Where its setting was chosen without labels, each choice that came to it (``bench.choice``): ``of`` which spec,
    ``by`` which criterion and whether its ``better`` figures are lower or higher, ``among`` which settings with the
    figures of their fits, and how the training images were divided (``tuning``)."""
    maps: dict[str, Any] = field(default_factory=dict)
    """Of score maps that were measured: their ``height`` and ``width``; whether they are the ``residual`` that the
    harness takes; ``agreement``, Spearman's correlation of the images' scores with the means of their maps; ``blur``,
    the harness's, as a share of the side; the ``largest`` value; the share of it that is ``usual``: 99 % of the pixels
    of training images lie below; ``sha256`` of the file with the maps of all test images, where they were kept."""
    cost: dict[str, Any] = field(default_factory=dict)
    """``fit_seconds``, ``score_seconds``, ``images_per_second`` (scored), ``map_seconds`` (of all test images),
    ``parameters`` (trained), ``steps`` (of training), ``peak_memory_bytes`` that tensors held of a GPU, or else the
    process, and ``reserved_memory_bytes`` that torch had reserved of a GPU."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Every hyperparameter with its value."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """Mean losses of each epoch and, where it was traced, the test AUROC after it; if the networks have batch
    normalisation, also that where each batch of test images is normalised by itself: batches of one kind after every
    epoch (``auroc_by_sorted_batch``, of a few thousand images), batches by lot after the last (``auroc_by_batch``).
    """
    traced: bool = False
    """Whether the test AUROC was recorded after each epoch and for each candidate: what an oracle chooses from."""
    oracle_candidates: list[dict[str, Any]] = field(default_factory=list)
    """The method's candidates for hyperparameters that its authors chose by labels: ``parameters`` and ``auroc``."""
    ledger: dict[str, list[str]] = field(default_factory=dict)
    """What was used beyond normal training images: ``used`` by this job, ``published`` by the method's published
    figures."""
    error: dict[str, Any] | None = None
    """``type``, ``message``, ``traceback`` and ``log`` (the last output) of a job that did not end well."""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """Earlier starts of the job that ended badly and were repeated."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Code, libraries, hardware, command and times."""
    scores_sha256: str | None = None
    """Checksum of the file with the scores."""

    @property
    def oracle(self) -> float | None:
        """The best test AUROC over epochs and candidates, which only the test labels can choose; None if not traced."""
        if not self.traced or "auroc" not in self.metrics:
            return None
        traced = [epoch["auroc"] for epoch in self.epochs if "auroc" in epoch]
        return max([self.metrics["auroc"], *traced, *(each["auroc"] for each in self.oracle_candidates)])

    @property
    def by_batch(self) -> float | None:
        """The AUROC where test batches are normalised by themselves; None where it was not taken."""
        last: float | None = self.epochs[-1].get("auroc_by_batch") if self.epochs else None
        return last

    @property
    def by_sorted_batch(self) -> list[float]:
        """The AUROC after each epoch where test batches of one kind are normalised by themselves; empty: not taken."""
        return [epoch["auroc_by_sorted_batch"] for epoch in self.epochs if "auroc_by_sorted_batch" in epoch]

    @property
    def seconds(self) -> float:
        """What the method took to fit and to score once; 0 where the record does not tell."""
        return self.cost.get("fit_seconds", 0.0) + self.cost.get("score_seconds", 0.0)

    @property
    def own_seconds(self) -> float:
        """What of these this job took: without fitting where it shared the fit of another one."""
        return self.cost.get("score_seconds", 0.0) if FITTED_FOR in self.provenance else self.seconds

    @property
    def device(self) -> Kind:
        """What it was computed on: ``cpu`` or ``cuda``."""
        return kind(self.provenance.get("device", "cpu"))

    @property
    def reason(self) -> str:
        """Why the job did not end well, in one line."""
        if self.error is None:
            return ""
        name, message = self.error.get("type", ""), self.error.get("message", "").partition("\n")[0]
        return f"{name}: {message}" if name else message

    def to_json(self) -> str:
        """The record as JSON text. Raises ValueError for figures that JSON cannot hold."""
        facts = {name: value for name, value in dataclasses.asdict(self).items() if value or name not in _LATER}
        facts["job"] = {name: value for name, value in facts["job"].items() if value or name not in _LATER}
        written = {"schema": facts["job"].pop("schema"), "key": self.job.key, **facts}
        text = json.dumps(written, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        # bytes of no encoding, as names of files may hold, come as lone surrogates, which UTF-8 has no room for
        return _SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text)

    @classmethod
    def from_json(cls, text: bytes) -> Record:
        """The record in a JSON text. Raises ValueError where it is none, or of a schema that is not known."""
        try:
            job = _file().validate_json(text, strict=True)["job"]
        except ValidationError as error:
            if (mended := _ESCAPED_SURROGATE.sub(rb"\\\1", text)) != text:
                return cls.from_json(mended)
            raise ValueError(_explained(error)) from None
        # as it was written, in its own order, which validating does not keep
        try:
            facts: dict[str, Any] = pydantic_core.from_json(text, cache_strings="keys", allow_inf_nan=False)
        except ValueError as error:  # Infinity, which is no JSON, where anything may stand
            raise ValueError(f"no JSON: {error}") from None
        schema, key = facts.pop("schema"), facts.pop("key")
        record = cls(**{**facts, "job": dataclasses.replace(job, schema=schema)})
        if record.job.key != key:
            raise ValueError(f"its key {key!r} does not follow from its job")
        has_figures = bool(record.job.tuning) or "auroc" in record.metrics
        if record.status == "done" and not (has_figures and "fingerprint" in record.split):
            raise ValueError("not a record: it is done, but has no figures or no split")
        return record


# ---------------------------------------------------------------------------------------------------------------------
# What a file has to hold

Number = int | FiniteFloat

_open = with_config(ConfigDict(extra="allow"))
"""A section that later versions may add to."""


@_open
class _Split(TypedDict, total=False):
    fingerprint: str
    normal_label: int
    normal_classes: int
    train: int
    test: int
    anomalous: int


@_open
class _Cost(TypedDict, total=False):
    fit_seconds: FiniteFloat
    score_seconds: FiniteFloat
    images_per_second: FiniteFloat
    map_seconds: FiniteFloat
    parameters: Number | None
    steps: Number
    peak_memory_bytes: Number
    reserved_memory_bytes: Number


@_open
class _Epoch(TypedDict, total=False):
    epoch: Required[int]
    losses: dict[str, float | None]
    """None: it was no finite number."""
    auroc: FiniteFloat
    auroc_by_batch: FiniteFloat
    auroc_by_sorted_batch: FiniteFloat


@_open
class _Maps(TypedDict, total=False):
    height: int
    width: int
    residual: bool
    blur: FiniteFloat
    agreement: FiniteFloat | None
    largest: FiniteFloat
    usual: FiniteFloat
    sha256: str


class _Candidate(TypedDict):
    parameters: dict[str, Any]
    auroc: FiniteFloat


@_open
class _Choice(TypedDict):
    of: str
    by: str
    better: Literal["lower", "higher"]
    among: dict[str, list[FiniteFloat]]
    tuning: str


@_open
class _Failure(TypedDict, total=False):
    status: str
    type: str
    message: str
    traceback: str
    log: str


@_open
class _Provenance(TypedDict, total=False):
    bench: str
    python: str
    libraries: dict[str, str]
    platform: str
    cpu: str
    cores: int | None
    git_commit: str | None
    git_dirty: bool | None
    slot: str
    device: str
    gpu: str
    expected_seconds: FiniteFloat | None
    command: list[str]
    started: str
    ended: str


@with_config(ConfigDict(extra="forbid", cache_strings="keys"))
class _File(TypedDict, total=False):
    schema: Required[Literal[1, 2]]
    key: Required[str]
    job: Required[Job]
    status: Required[Status]
    split: _Split
    metrics: dict[str, FiniteFloat]
    by_kind: dict[str, dict[str, FiniteFloat]]
    criteria: dict[str, FiniteFloat]
    choices: list[_Choice]
    maps: _Maps
    cost: _Cost
    parameters: dict[str, Any]
    epochs: list[_Epoch]
    traced: bool
    oracle_candidates: list[_Candidate]
    ledger: dict[str, list[str]]
    error: _Failure | None
    attempts: list[_Failure]
    provenance: _Provenance
    scores_sha256: str | None


@functools.cache
def _file() -> TypeAdapter[_File]:
    return TypeAdapter(_File)


_LATER = ("by_kind", "maps", "criteria", "choices", "tuning")
"""Fields, of the job too, that came after records were first written; one without them is written as it was then."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(rb"(?<!\\)(\\u[dD][89a-fA-F])")


def _explained(error: ValidationError) -> str:
    """The first thing that is wrong, and how many others are."""
    first, *others = error.errors(include_url=False)
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return f"no JSON: {first['msg']}"
    if where == "schema" and first["type"] == "literal_error":
        return f"schema {first['input']!r} is not known to this version, which writes {SCHEMA}; upgrade bench"
    more = f" (and {len(others)} more)" if others else ""
    return f"not a record: {where + ': ' if where else ''}{first['msg']}{more}"
