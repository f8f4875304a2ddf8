"""Jobs: one (method spec, dataset, protocol, normal class, seed) each, and the expansion of a suite into them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from bench.config import Suite
from bench.corruption import parse_corruption
from bench.dataset import PreparedDataset
from bench.errors import BenchError, DataMissing, PluginUnavailable, unknown
from bench.fingerprint import source_fingerprint
from bench.protocol import AND, Protocol, Split
from bench.randomness import derive_seed
from bench.specs import Spec, Value, parse_spec, parse_specs, parse_value
from bench.tuning import parse_tuning
from bench.workspace import Workspace

V = TypeVar("V")

SCHEMA = 2
"""Version of the key and the record. An older record keeps its own, from which its key follows and its seed.

1: seeds of 63 bits. 2: of 32.
"""


@dataclass(frozen=True)
class Job:
    """One measurement. Two jobs with the same key give the same scores on the same machine."""

    method: str
    label: str
    """The spec as tables show it: what the user asked for beyond the profile's settings."""
    spec: str
    """The spec with everything that differs from the method's defaults, the profile's settings included."""
    method_version: str
    fingerprint: str
    """Hash of the code that shapes the method's numbers."""
    dataset: str
    dataset_checksum: str
    protocol: str
    protocol_version: int
    normal_class: str
    seed: int
    profile: str
    max_train: int | None = None
    precision: str = "fp32"
    schema: int = SCHEMA
    contamination: float = 0.0
    """Share of the training images that are anomalies."""
    corruption: str = ""
    """What is done to the test images, as ``jpeg(severity=3)``; empty: nothing."""
    tuning: str = ""
    """How the training images are divided to compare settings on them, as ``held_out(repeat=1,share=0.2)``; empty: the
    job is tested. Such a job sees no test image and has no AUROC."""

    @functools.cached_property
    def key(self) -> str:
        """32 hexadecimal digits: sha256 of everything that shapes the scores, and of the profile's name.

        The profile counts so that a record belongs to one profile. Library versions and hardware do not count; they
        are the record's provenance. The label does not: it follows from the spec and the profile.
        """
        facts = {name: getattr(self, name) for name in _KEY_FIELDS}
        facts |= {name: value for name in _CONDITIONS if (value := getattr(self, name))}
        return hashlib.sha256(_CANONICAL.encode(facts).encode()).hexdigest()[:32]

    @functools.cached_property
    def fit_key(self) -> str:
        """The key of the same job with its test images as they are: jobs with the same one fit the same detector."""
        return dataclasses.replace(self, corruption="").key if self.corruption else self.key

    @property
    def fit_seed(self) -> int:
        """The seed of the method's randomness: the same for every setting of it, another for each class and seed."""
        dataset, _, _ = self.dataset.partition("(")
        repeat = parse_tuning(self.tuning).repeat if self.tuning else 0
        further = (repeat,) if repeat else ()
        seed = derive_seed("fit", self.method, dataset, self.protocol, self.normal_class, self.seed, *further)
        return seed if self.schema == 1 else seed % 2**32

    @property
    def title(self) -> str:
        """The job in a few words, for progress and errors."""
        contaminated = f", contamination {self.contamination:g}" if self.contamination else ""
        corrupted = f", {self.corruption}" if self.corruption else ""
        tuned = f", {self.tuning}" if self.tuning else ""
        conditions = contaminated + corrupted + tuned
        return f"{self.label} on {self.dataset}, class {self.normal_class}, seed {self.seed}{conditions}"

    def split(self, dataset: PreparedDataset, protocol: Protocol) -> Split:
        """Which images train and which test; of a job that compares settings, training images both.

        Raises BenchError where the dataset does not allow it.
        """
        asked = (dataset, self.normal_class, self.seed, self.max_train, self.contamination)
        if not self.tuning:
            return protocol.split(*asked)
        return parse_tuning(self.tuning).split(protocol.training(*asked), dataset.name)


_CONDITIONS = ("contamination", "corruption", "tuning")
"""Fields that count where they are set: keys of jobs without them are as they were before these fields."""
_KEY_FIELDS = tuple(field.name for field in dataclasses.fields(Job) if field.name not in ("label", *_CONDITIONS))
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True)
class Request:
    """What a user asks to be run or shown: a suite, or a dataset, narrowed and overridden."""

    suite: str | None = None
    dataset: str | None = None
    protocol: str | None = None
    methods: str | None = None
    classes: str | None = None
    seeds: str | None = None
    profile: str | None = None
    max_train: Sequence[int] = ()
    precision: str = "fp32"
    overrides: Sequence[str] = field(default_factory=tuple)
    """``method.parameter=value`` each."""
    contamination: Sequence[float] = ()
    corruption: Sequence[str] = ()
    normal: str | None = None
    """Classes that are normal together, ``cat+dog``, or how many, which the seed draws."""


class Condition(NamedTuple):
    """How many images train, and what is done to those that train and test."""

    max_train: int | None
    contamination: float
    corruption: str


@dataclass(frozen=True)
class Grid:
    """One plain suite with its names resolved: what its jobs have in common, and their axes."""

    suite: str
    dataset: PreparedDataset
    protocol: Protocol
    classes: Sequence[str]
    specs: Sequence[Spec]
    drawn: int
    """How many classes are normal together, drawn by the seed among ``classes``; 0: each by itself."""
    seeds: Sequence[int]
    profile: str
    conditions: Sequence[Condition]
    unsuited: Mapping[Spec, str]
    """Methods of the asked groups that bench.toml says have nothing to learn from the dataset, each with the reason."""

    def normal_classes(self, seed: int) -> Sequence[str]:
        """What is normal in the jobs of a seed."""
        if not self.drawn:
            return self.classes
        drawing = random.Random(derive_seed("normal", self.dataset.name, self.drawn, seed))
        return [self.protocol.named(self.dataset, AND.join(drawing.sample(list(self.classes), self.drawn)))]


def expand(request: Request, workspace: Workspace) -> list[Job]:
    """Every job of a request, each once: by suite, then seed, class and method, so that early results span classes.

    Raises BenchError for a name that does not exist, DataMissing naming every dataset whose files are absent.
    """
    jobs: dict[str, Job] = {}
    overrides = _overrides(request.overrides)
    used: set[str] = set()
    for grid in grids(request, workspace):
        used |= {spec.name for spec in grid.specs}
        open_jobs = [_open_job(grid, spec, overrides.get(spec.name, {}), request, workspace) for spec in grid.specs]
        for condition, seed in itertools.product(grid.conditions, grid.seeds):
            for normal_class in grid.normal_classes(seed):
                for open_job in open_jobs:
                    job = open_job(normal_class=normal_class, seed=seed, **condition._asdict())
                    jobs.setdefault(job.key, job)
    if stray := sorted(set(overrides) - used):
        raise unknown("method in this run", stray[0], used, "from --set")
    return list(jobs.values())


def left_out(request: Request, workspace: Workspace) -> list[str]:
    """What to tell of each method that a group leaves out on a dataset: which, why, and how to run it all the same."""
    return [
        f"{spec} is left out on {grid.dataset.name}: {reason} (named by itself it runs: --methods {spec})"
        for grid in grids(request, workspace)
        for spec, reason in grid.unsuited.items()
    ]


def grids(request: Request, workspace: Workspace) -> list[Grid]:
    """The plain suites of a request, with every name checked and every dataset prepared."""
    parts = _parts(request, workspace)
    absent = []
    found = []
    for name, suite in parts:
        try:
            found.append(_grid(name, suite, request, workspace))
        except DataMissing as error:
            absent.append(str(error))
    if absent:
        raise DataMissing("\n\n".join(dict.fromkeys(absent)))
    return found


def parse_seeds(text: str) -> list[int]:
    """``3`` is the seeds 0, 1, 2; ``0,5`` or ``5,`` are those very seeds."""
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    if not pieces or not all(piece.isdecimal() for piece in pieces):
        raise BenchError(f"cannot read seeds {text!r}; write how many (3) or which (0,1,2; one seed alone: 5,)")
    if "," not in text:
        if int(text) < 1:
            raise BenchError("--seeds 0 asks for no seed; write how many (3) or which (0,1,2)")
        return list(range(int(text)))
    return list(dict.fromkeys(int(piece) for piece in pieces))


def _parts(request: Request, workspace: Workspace) -> list[tuple[str, Suite]]:
    if (request.suite is None) == (request.dataset is None):
        raise BenchError("name either a suite (--suite quickstart) or a dataset (--dataset digits)")
    if request.suite is not None:
        if request.protocol is not None:
            raise BenchError("--protocol goes with --dataset; a suite has its own protocol")
        return workspace.config.parts(request.suite)
    assert request.dataset is not None
    spec = workspace.datasets.resolve(parse_spec(request.dataset))
    return [(str(spec), Suite(dataset=str(spec), protocol=request.protocol, seeds=1))]


def _grid(name: str, suite: Suite, request: Request, workspace: Workspace) -> Grid:
    config = workspace.config
    assert suite.dataset is not None
    spec = parse_spec(suite.dataset)
    profile = request.profile or suite.profile or config.profile
    settings = config.profile_named(profile)
    specs = _methods(suite, request, workspace)
    for asked in specs:
        workspace.methods.find(asked.name)
    unsuited = _unsuited(specs, suite, request, workspace)
    if specs and len(unsuited) == len(specs):
        reasons = "; ".join(f"{method}: {reason}" for method, reason in unsuited.items())
        raise BenchError(f"none of these methods suits {spec.name}: {reasons}; name one by itself to run it")
    dataset = workspace.dataset(spec)
    chosen = workspace.protocol(suite.protocol or workspace.source(spec).default_protocol(workspace.data))
    usable = chosen.normal_classes(dataset)
    wanted = request.classes.split(",") if request.classes is not None else suite.classes
    together = _together(suite, request)
    if isinstance(together, str):
        wanted = [together]
    classes = usable if wanted is None else [chosen.named(dataset, str(each).strip()) for each in wanted]
    drawn = together if isinstance(together, int) else 0
    if drawn and not 0 < drawn < len(classes):
        raise BenchError(f"{drawn} normal classes cannot be drawn of {len(classes)}; at least one has to be abnormal")
    return Grid(
        suite=name,
        dataset=dataset,
        protocol=chosen,
        classes=classes,
        specs=[each for each in specs if each not in unsuited],
        drawn=drawn,
        seeds=_seeds(suite, request),
        profile=profile,
        conditions=_conditions(suite, request, settings.max_train),
        unsuited=unsuited,
    )


def _together(suite: Suite, request: Request) -> str | int | None:
    """The classes that are normal together, joined, or how many are drawn; None: each class by itself."""
    if request.classes is not None and request.normal is None:
        return None
    asked = request.normal if request.normal is not None else suite.normal
    if isinstance(asked, list):
        return AND.join(map(str, asked))
    return int(asked) if isinstance(asked, str) and asked.isdecimal() else asked


def _conditions(suite: Suite, request: Request, usual: int | None) -> list[Condition]:
    """Every training size with every contamination and every corruption: the request's, else the suite's."""

    def chosen(asked: Sequence[V], own: V | Sequence[V]) -> Sequence[V]:
        return asked or (own if isinstance(own, list) else [own])  # type: ignore[list-item]

    sizes = chosen(request.max_train, usual if suite.max_train is None else suite.max_train)
    shares = chosen(request.contamination, suite.contamination)
    for size in sizes:
        if size is not None and size < 1:
            raise BenchError(f"--max-train {size} leaves no training image; write 1 or more")
    for share in shares:
        if not 0 <= share < 1:
            raise BenchError(f"contamination {share:g} is no share of the training images; write 0.05 for 5 %")
    corruptions = [text and str(parse_corruption(text)) for text in chosen(request.corruption, suite.corruption)]
    return list(itertools.starmap(Condition, itertools.product(sizes, shares, corruptions)))


def _methods(suite: Suite, request: Request, workspace: Workspace) -> list[Spec]:
    """The asked methods; ``all`` means the suite's own, and in bench.toml the group of that name."""
    asked = parse_specs(request.methods) if request.methods is not None else [Spec("all")]
    if not asked:
        raise BenchError("no method named; try --methods all, and bench list methods")
    own = [spec for text in suite.methods for spec in _group(parse_spec(text), workspace)]
    specs = [s for spec in asked for s in (own if str(spec) == "all" else _group(spec, workspace))]
    return list(dict.fromkeys(specs))


def _unsuited(specs: Iterable[Spec], suite: Suite, request: Request, workspace: Workspace) -> dict[Spec, str]:
    """Those of the methods that came by a group and do not suit the dataset, each with the reason."""
    assert suite.dataset is not None
    reasons = workspace.config.unsuited.get(parse_spec(suite.dataset).name, {})
    asked = ["all"] if request.methods is None else list(map(str, parse_specs(request.methods)))
    texts = [text for each in asked for text in (suite.methods if each == "all" else [each])]
    by_itself = {parse_spec(text) for text in texts if text not in workspace.config.groups}
    return {each: reasons[each.name] for each in specs if each.name in reasons and each not in by_itself}


def _group(spec: Spec, workspace: Workspace) -> Iterator[Spec]:
    if spec.name in workspace.config.groups and not spec.parameters:
        yield from (parse_spec(text) for text in workspace.config.groups[spec.name])
    else:
        yield spec


def _seeds(suite: Suite, request: Request) -> list[int]:
    if request.seeds is not None:
        return parse_seeds(request.seeds)
    return list(suite.seeds) if isinstance(suite.seeds, list) else list(range(suite.seeds))


def _overrides(texts: Sequence[str]) -> dict[str, dict[str, Value]]:
    found: dict[str, dict[str, Value]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        method, dot, parameter = name.strip().partition(".")
        if not (equals and dot and method and parameter):
            raise BenchError(f"cannot read --set {text!r}; write method.parameter=value, e.g. --set shared_ae.epochs=5")
        found.setdefault(method, {})[parameter] = parse_value(value)
    return found


def _open_job(
    grid: Grid, spec: Spec, overrides: Mapping[str, Value], request: Request, workspace: Workspace
) -> Callable[..., Job]:
    """The jobs of a spec on a grid, with ``normal_class``, ``seed`` and the condition still open.

    A plugin that cannot be imported has a job too, which will fail with the reason and hinder no other.
    """
    methods = workspace.methods
    settings = workspace.settings(spec.name, grid.dataset.name, grid.profile)
    asked = {**spec.parameters, **overrides}
    try:
        version = methods.load(spec.name).version
        resolved = methods.resolve(Spec(spec.name, {**settings, **asked}))
        defaults = {name: field.default for name, field in methods.fields(spec.name, resolved.parameters).items()}
        usual = {**defaults, **Spec(spec.name, settings).parameters}  # a Spec, for lists from TOML to be tuples
        final = {**defaults, **resolved.parameters}
        label = Spec(spec.name, {name: final[name] for name in asked if final[name] != usual[name]})
    except PluginUnavailable:
        version, label, resolved = "unavailable", Spec(spec.name, asked), Spec(spec.name, {**settings, **asked})
    return functools.partial(
        Job,
        method=spec.name,
        label=str(label),
        spec=str(resolved),
        method_version=version,
        fingerprint=source_fingerprint(methods.find(spec.name)),
        dataset=grid.dataset.spec,
        dataset_checksum=grid.dataset.checksum,
        protocol=grid.protocol.spec,
        protocol_version=grid.protocol.version,
        profile=grid.profile,
        precision=request.precision,
    )
