"""Which records a name means: of the suites behind it, those methods, classes and seeds that are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.config import Suite
from bench.corruption import parse_corruption
from bench.errors import BenchError, unknown
from bench.jobs import parse_seeds
from bench.record import Record
from bench.report.selection import class_named
from bench.specs import parse_spec, parse_specs
from bench.workspace import Workspace


class NoRecords(BenchError):
    """What was asked for exists, but there is no record of it."""


@dataclass(frozen=True)
class Wanted:
    """What a command is asked to show, as it was typed; None: what the table of bench.toml says, or the suite."""

    methods: str | None = None
    classes: str | None = None
    seeds: str | None = None
    profile: str | None = None
    compared: bool = True
    """Whether methods stand side by side, on the classes and seeds that they share; else each on all that it has."""

    @property
    def typed(self) -> list[str]:
        """What was typed, each with what it narrows: ``profile cpu``."""
        texts = {what: getattr(self, what) for what in ("profile", "methods", "classes", "seeds")}
        return [f"{what} {text}" for what, text in texts.items() if text]


EVERYTHING = Wanted()


@dataclass(frozen=True)
class Scope:
    """A plain suite and what is asked for of it."""

    part: str
    suite: Suite
    order: Sequence[str]
    """Labels in the order in which they are shown; there may be more."""
    labels: frozenset[str] | None
    """None: any."""
    without: frozenset[str]
    classes: Sequence[str] | None
    """By name or number."""
    seeds: frozenset[int] | None
    profile: str | None


def scopes(name: str, workspace: Workspace, wanted: Wanted = EVERYTHING) -> list[Scope]:
    """The plain suites behind a table, a suite or a dataset, each with what is asked for of it.

    What was typed goes before what a table of bench.toml says. Raises BenchError for a name that does not exist, and
    for a table that cannot be used.
    """
    defined = workspace.config.table(name)
    parts = [part for suite in (defined.suites if defined else [name]) for part in _parts(suite, workspace)]
    classes, seeds = (defined.classes, defined.seeds) if defined else (None, None)
    if wanted.classes is not None:
        classes = [each.strip() for each in wanted.classes.split(",") if each.strip()]
    if wanted.seeds is not None:
        seeds = parse_seeds(wanted.seeds)
    found = []
    for part, suite in parts:
        own = defined.methods if defined and defined.methods is not None else suite.methods
        asked = None if wanted.methods is None else [str(spec) for spec in parse_specs(wanted.methods)]
        texts = own if asked is None else [text for each in asked for text in (own if each == "all" else [each])]
        order = _specs(texts, workspace)
        found.append(
            Scope(
                part=part,
                suite=suite,
                order=order,
                labels=None if asked is None and own == ["all"] else frozenset(order),
                without=frozenset(_specs(defined.without, workspace) if defined and asked is None else ()),
                classes=None if classes is None else [str(each) for each in classes],
                seeds=None if seeds is None else frozenset(range(seeds) if isinstance(seeds, int) else seeds),
                profile=wanted.profile or (defined.profile if defined else None),
            )
        )
    return found


def narrowed(scopes: Sequence[Scope], records: Iterable[Record], workspace: Workspace) -> dict[str, list[Record]]:
    """By plain suite, the records that are asked for; suites without any are not there."""
    every = list(records)
    return {scope.part: own for scope in scopes if (own := _asked(scope, _whole(scope, every, workspace)))}


def require_known(wanted: Wanted, scopes: Sequence[Scope], records: Iterable[Record], workspace: Workspace) -> None:
    """Raise NoRecords for a method or class that was typed and has no record, where its suites have some."""
    if wanted.methods is None and wanted.classes is None:
        return
    every = list(records)
    whole = [record for scope in scopes for record in _whole(scope, every, workspace)]
    if not whole:
        return
    labels = {record.job.label for record in whole}
    for spec in parse_specs(wanted.methods) if wanted.methods is not None else ():
        if str(spec) not in (*labels, *workspace.config.groups, "all"):
            raise NoRecords(str(unknown("method with records", str(spec), labels)))
    for text in scopes[0].classes or () if wanted.classes is not None else ():
        if class_named(whole, text) is None:
            known = {record.job.normal_class for record in whole}
            raise NoRecords(str(unknown("class with records", text, known)))


def _parts(name: str, workspace: Workspace) -> list[tuple[str, Suite]]:
    """The plain suites behind a name: a suite's parts, or a dataset that was run by itself."""
    config = workspace.config
    if name in config.suites:
        return config.parts(name)
    if name.partition("(")[0] in workspace.datasets.plugins:
        return [(name, Suite(dataset=name))]
    raise unknown("table, suite or dataset", name, [*config.tables, *config.suites, *workspace.datasets.plugins, "all"])


def _specs(texts: Sequence[str], workspace: Workspace) -> list[str]:
    """Specs in place of the groups among them."""
    groups = workspace.config.groups
    return [str(parse_spec(spec)) for text in texts for spec in groups.get(text, [text])]


def _whole(scope: Scope, records: Sequence[Record], workspace: Workspace) -> list[Record]:
    """The records of a suite, of every method."""
    suite = scope.suite
    assert suite.dataset is not None
    dataset = str(workspace.datasets.resolve(parse_spec(suite.dataset)))
    protocol = suite.protocol and str(workspace.protocols.resolve(parse_spec(suite.protocol)))
    own = [
        record
        for record in records
        if record.job.dataset == dataset
        and protocol in (None, record.job.protocol)
        and scope.profile in (None, record.job.profile)
        and _under(suite, record)
    ]
    return own if suite.classes is None else _of_classes(own, map(str, suite.classes))


def _under(suite: Suite, record: Record) -> bool:
    """Whether a record is of a condition that its suite names; of a suite that names none, every record is."""
    shares = suite.contamination if isinstance(suite.contamination, list) else [suite.contamination]
    texts = suite.corruption if isinstance(suite.corruption, list) else [suite.corruption]
    corruptions = [text and str(parse_corruption(text)) for text in texts]
    if not any(shares) and not any(corruptions):
        return True
    return record.job.contamination in shares and record.job.corruption in corruptions


def _asked(scope: Scope, whole: Sequence[Record]) -> list[Record]:
    own = list(whole) if scope.classes is None else _of_classes(whole, scope.classes)
    return [
        record
        for record in own
        if (scope.labels is None or record.job.label in scope.labels)
        and record.job.label not in scope.without
        and (scope.seeds is None or record.job.seed in scope.seeds)
    ]


def _of_classes(records: Sequence[Record], classes: Iterable[str]) -> list[Record]:
    named = {class_named(records, text) for text in classes}
    return [record for record in records if record.job.normal_class in named]
