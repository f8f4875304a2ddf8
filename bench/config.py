"""bench.toml as typed models. The project's own file is the default; the working folder's and ``--config`` lie over it.

Tables merge key by key; anything else (a number, a list) replaces what lay below.
"""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    ValidationError,
)

from bench.config_files import absolute, layer_files, merged, read_toml
from bench.errors import BenchError, unknown
from bench.specs import Value, parse_spec

Parameters = dict[str, Any]
"""Parameter values of one method by name."""


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Suite(Model):
    """A named grid of jobs, or (``includes``) the union of other suites."""

    summary: str = ""
    includes: list[str] = []
    dataset: str | None = None
    protocol: str | None = None
    classes: list[str | int] | None = None
    """Normal classes by name or number; all that the protocol allows where this is left out."""
    normal: PositiveInt | list[str | int] | None = None
    """Instead: classes that are normal together, or how many of them, which the seed draws."""
    max_train: PositiveInt | list[PositiveInt] | None = None
    """Training images at most; None: the profile's."""
    contamination: float | list[float] = 0.0
    """Share of the training images that are anomalies."""
    corruption: str | list[str] = ""
    """Of the test images, as ``gaussian_noise(severity=3)``."""
    methods: list[str] = ["all"]
    seeds: PositiveInt | list[int] = 3
    profile: str | None = None


class Profile(Model):
    """A named set of parameter overrides; the settings of one dataset lie over those of all."""

    summary: str = ""
    max_train: PositiveInt | None = None
    min_steps: NonNegativeInt = 0
    """Training steps that every method with a hyperparameter of this name takes at least."""
    methods: dict[str, Parameters] = {}
    datasets: dict[str, dict[str, Parameters]] = {}


class Table(Model):
    """A table of the reports: its suites, and whether columns are normal classes or the means of suites."""

    title: str = ""
    suites: list[str]
    columns: Literal["class", "suite"] = "class"
    metrics: list[str] = []
    """Instead: these figures of each method, of the whole and of each class or kind of anomaly, a table each."""
    methods: list[str] | None = None
    """Specs or groups to show; None: those of the suites."""
    without: list[str] = []
    """Specs that are not shown."""
    classes: list[str | int] | None = None
    """Normal classes to show, by name or number; None: those of the suites."""
    seeds: PositiveInt | list[int] | None = None
    """How many or which; None: all that the methods share."""
    profile: str | None = None
    """The profile of the records to show; None: the suite's, else the usual one."""
    published: dict[str, str] = {}
    """By spec, the name under which the method's figures were published."""
    labels: dict[str, str] = {}
    """By spec, the name that this table shows; it goes before that of ``[labels]``."""


class Plugins(Model):
    """Extra folders of plugins, relative to the bench.toml that names them."""

    methods: list[str] = []
    datasets: list[str] = []
    protocols: list[str] = []
    criteria: list[str] = []


class Config(Model):
    """Everything that bench.toml says."""

    data: str | None = None
    results: str = "results/runs"
    profile: str = "paper"
    timeout: PositiveFloat = 7200.0
    """Seconds that a job may take where neither its method nor the command line says otherwise."""
    memory: PositiveFloat | None = None
    """GB of main memory that a job's worker may hold, likewise; None: no limit."""
    checkpoint: NonNegativeFloat = 10.0
    """Minutes after which a training's state is kept, for the same job to go on from; 0: never."""
    groups: dict[str, list[str]] = {}
    plugins: Plugins = Plugins()
    suites: dict[str, Suite] = {}
    profiles: dict[str, Profile] = {}
    datasets: dict[str, dict[str, Parameters]] = Field(default={})
    """Parameters of methods on one dataset, whatever the profile."""
    unsuited: dict[str, dict[str, str]] = {}
    """By dataset, methods that have nothing to learn from it, each with the reason: a group leaves them out there."""
    labels: dict[str, Any] = {}
    """By spec, the name that reports show. ``shown`` checks them."""
    tables: dict[str, Table] = {}
    """Those that can be used."""
    _unusable: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def unusable(self) -> Mapping[str, str]:
        """By name, what is wrong with tables that cannot be used. They stop nothing that does not ask for them."""
        return self._unusable

    def table(self, name: str) -> Table | None:
        """The table of that name; None where there is none. Raises BenchError for one that cannot be used."""
        if name in self._unusable:
            raise BenchError(self._unusable[name])
        return self.tables.get(name)

    def shown(self, table: Table | None = None) -> dict[str, str]:
        """By spec, the name that reports show: those of the table before those of ``[labels]``.

        Raises BenchError for what is no spec or no name, and for two specs of one name.
        """
        names: dict[str, str] = {}
        for text, name in {**self.labels, **(table.labels if table else {})}.items():
            if not isinstance(name, str) or not name.strip():
                raise BenchError(f"bench.toml: labels: the name of {text} is a text in quotes, not {name!r}")
            try:
                names[str(parse_spec(text))] = name
            except BenchError as error:
                raise BenchError(f"bench.toml: labels: {error}") from None
        for name, count in Counter(names.values()).items():
            if count > 1:
                specs = " and ".join(spec for spec, own in names.items() if own == name)
                raise BenchError(f"bench.toml: labels: {specs} have one name, {name!r}; give each its own")
        return names

    def suite(self, name: str) -> Suite:
        """The suite of that name. Raises BenchError with the nearest names where there is none."""
        if name not in self.suites:
            raise unknown("suite", name, self.suites, "bench list suites shows all")
        return self.suites[name]

    def parts(self, name: str) -> list[tuple[str, Suite]]:
        """The plain suites that a suite, or several with commas between them, consist of, in order, each once.

        A suite consists of itself, or of those that it includes.
        """
        found: dict[str, Suite] = {}
        for each in [name] if name in self.suites else name.split(","):
            for part, suite in self._walk(each.strip(), ()):
                found.setdefault(part, suite)
        return list(found.items())

    def profile_named(self, name: str) -> Profile:
        """The profile of that name. Raises BenchError with the nearest names where there is none."""
        if name not in self.profiles:
            raise unknown("profile", name, self.profiles, "bench list profiles shows all")
        return self.profiles[name]

    def parameters(self, method: str, dataset: str, profile: str) -> dict[str, Value]:
        """What bench.toml sets for a method: for the dataset, in the profile, in the profile for the dataset."""
        chosen = self.profile_named(profile)
        layers = (
            self.datasets.get(dataset, {}).get(method, {}),
            chosen.methods.get(method, {}),
            chosen.datasets.get(dataset, {}).get(method, {}),
        )
        return {key: value for layer in layers for key, value in layer.items()}

    def _walk(self, name: str, above: tuple[str, ...]) -> Iterator[tuple[str, Suite]]:
        suite = self.suite(name)
        if name in above:
            raise BenchError(f"bench.toml: suites include each other in a circle: {' → '.join([*above, name])}")
        if not suite.includes and suite.dataset is None:
            raise BenchError(f"bench.toml: suite {name!r} needs a dataset, or other suites to include")
        if suite.dataset is not None:
            yield name, suite
        for part in suite.includes:
            yield from self._walk(part, (*above, name))


def load_config(file: Path | None = None) -> Config:
    """The default bench.toml, the working folder's, and ``file``, laid over one another.

    Raises BenchError that names the file and line of an unknown key or an unusable value; but for tables of the
    reports, which are ``Config.unusable`` then.
    """
    unusable: dict[str, str] = {}
    whole = merged(_read(layer, unusable) for layer in layer_files(file))
    tables = whole.pop("tables", {})
    bare = [name for name, table in tables.items() if name not in unusable and "suites" not in table]
    unusable |= {name: f'bench.toml: tables.{name} names no suites; write  suites = ["mnist"]' for name in bare}
    config = Config(**whole, tables={name: table for name, table in tables.items() if name not in unusable})
    config._unusable = unusable
    return config


def merged_config(file: Path | None = None) -> dict[str, Any]:
    """What the layers say together, as a bench.toml would, tables that cannot be used included."""
    return merged(_read(layer, {}) for layer in layer_files(file))


def data_folder(option: Path | None, config: Config) -> Path:
    """Where datasets lie: the option, else $BENCH_DATA, else bench.toml, else the user's cache folder."""
    if option is not None:
        return option.expanduser().resolve()
    named = os.environ.get("BENCH_DATA") or config.data
    if named:
        return Path(named).expanduser().resolve()
    import platformdirs

    return platformdirs.user_cache_path("oneclass-bench") / "data"


def _read(file: Path, unusable: dict[str, str]) -> dict[str, Any]:
    """What a file says. What is wrong in a table of the reports goes to ``unusable``, by the table's name."""
    text, raw = read_toml(file)
    wrong: list[str] = []
    try:
        Config.model_validate(raw)
    except ValidationError as error:
        for problem in error.errors():
            match problem["loc"]:
                case ("tables", str(name), *_):
                    if problem["type"] != "missing":  # another layer may have it
                        told = _explain(file, text, problem)
                        unusable[name] = f"{unusable[name]}\n{told}" if name in unusable else told
                case _:
                    wrong.append(_explain(file, text, problem))
    if wrong:
        raise BenchError("\n".join(wrong))
    raw["plugins"] = {kind: absolute(file, folders) for kind, folders in raw.get("plugins", {}).items()}
    if "data" in raw:
        (raw["data"],) = absolute(file, [raw["data"]])
    return raw


def _explain(file: Path, text: str, problem: Any) -> str:
    path = [str(part) for part in problem["loc"]]
    where = f"{file}, line {line_of(text, path)}: {'.'.join(path)}"
    if problem["type"] != "extra_forbidden":
        return f"{where}: {problem['msg']} (got {problem['input']!r})"
    valid = _valid_keys(path[:-1])
    near = difflib.get_close_matches(path[-1], valid, n=1, cutoff=0.5)
    listed = f"did you mean {near[0]}?" if near else f"known: {', '.join(valid)}"
    return f"{where}: unknown key {path[-1]!r}; {listed}"


def _valid_keys(path: Sequence[str]) -> list[str]:
    """The keys of the table at a path: those of Config, or of the model that the table's entries are."""
    if not path:
        return sorted(Config.model_fields)
    model: dict[str, type[Model]] = {"suites": Suite, "profiles": Profile, "tables": Table, "plugins": Plugins}
    return sorted(model[path[0]].model_fields) if path[0] in model else []


def line_of(text: str, path: Sequence[str]) -> int:
    """The line of a key in a TOML text, from 1: the deepest table header or assignment that matches the path."""
    best, depth, table = 1, 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if header := re.fullmatch(r"\[\[?([^\[\],]+)\]\]?\s*(#.*)?", stripped):
            here = table = _keys(header[1])
        elif "=" in stripped and not stripped.startswith("#"):
            here = [*table, *_keys(stripped.partition("=")[0])]
        else:
            continue
        if len(here) > depth and here == list(path[: len(here)]):
            best, depth = number, len(here)
    return best


def _keys(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]
