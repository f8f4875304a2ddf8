"""What ``bench table`` was asked for: names of suites, of tables in bench.toml, and of datasets, to tables."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from bench.config import Suite
from bench.dataset import PreparedDataset
from bench.errors import BenchError, RecordUnreadable, unknown, warn
from bench.fingerprint import source_fingerprint
from bench.record import Arrays, Record
from bench.report.selection import Selection, Setting, select
from bench.report.tables.beside import Beside, with_published
from bench.report.tables.table import Choice, Table, class_table, ordered, suite_table
from bench.specs import parse_spec, parse_specs
from bench.store import Store
from bench.terminal import echo
from bench.workspace import Workspace

REFERENCE = Path("results/reference")
"""The committed reference run, shown where there are no runs of one's own."""


class NoRecords(BenchError):
    """What was asked for exists, but there is no record of it."""


def find_record(prefix: str, workspace: Workspace) -> Record:
    """The record whose key starts with ``prefix``, of one's own runs or else of the reference run.

    Raises BenchError where none or several do.
    """
    own = Store(workspace.results)
    if not own.matching(prefix) and _falls_back(workspace):
        return Store(REFERENCE).find(prefix)
    return own.find(prefix)


def results_of(record: Record, workspace: Workspace) -> Path:
    """The folder of a record that was found: that of one's own runs, or else of the reference run."""
    return workspace.results if Store(workspace.results).holds(record.job) else REFERENCE


def read_records(workspace: Workspace) -> list[Record]:
    """The records in the results folder, else those of the reference run; what cannot be read is named on stderr."""
    records, unreadable = Store(workspace.results).records()
    for error in unreadable:
        warn(error)
    if records or unreadable or not _falls_back(workspace):
        return records
    echo(f"no runs of your own in {workspace.results}; showing the reference run, {REFERENCE}", err=True)
    return Store(REFERENCE).records()[0]


def _falls_back(workspace: Workspace) -> bool:
    """Whether the reference run stands in where there are no records of one's own: nothing else is named."""
    return workspace.results == Path(workspace.config.results) and REFERENCE.is_dir()


def tables(
    names: Sequence[str],
    records: Sequence[Record],
    workspace: Workspace,
    metric: str,
    profile: str | None,
    choice: Choice = "last",
    beside: Beside = "own",
) -> list[Table]:
    """One table for each name: of bench.toml, of a suite or a dataset; ``all``: every one of bench.toml with records.

    Tables of bench.toml have published figures ``beside`` the reproduced ones, where the metric is the AUROC.

    Raises BenchError for a name that does not exist, or that has no records.
    """

    def table(name: str) -> Table:
        chosen, order = selections(name, records, workspace, profile)
        return table_of(name, chosen, order, workspace, metric, choice, beside)

    made = []
    for name in names:
        if name == "all":
            for each in workspace.config.tables:
                try:
                    made.append(table(each))
                except BenchError as error:
                    echo(f"table {each}: {error}", err=True)
        else:
            made.append(table(name))
    return made


def selections(
    name: str, records: Sequence[Record], workspace: Workspace, profile: str | None
) -> tuple[dict[str, Selection], list[str]]:
    """What a table, suite or dataset selects, by plain suite, and the suites' order of methods.

    Raises BenchError for a name that does not exist or whose records do not belong together, NoRecords for one without.
    """
    defined = workspace.config.tables.get(name)
    parts = _suites(name, workspace)
    if defined and defined.without:
        left_out = {str(parse_spec(text)) for text in defined.without}
        records = [record for record in records if record.job.label not in left_out]
    found = {part: (suite, _matching(suite, records, workspace, profile)) for part, suite in parts}
    chosen = {part: _selected(suite, own, workspace, profile) for part, (suite, own) in found.items() if own}
    if not chosen:
        raise _no_records(name, workspace, profile)
    return chosen, [text for _, suite in parts for text in _order(suite, workspace)]


def selections_and_labels(
    name: str, methods: str | None, workspace: Workspace, profile: str | None
) -> tuple[dict[str, Selection], list[str]]:
    """What a table, suite or dataset selects of the records, and the labels to show: those named, else all in order.

    Raises BenchError for a name that does not exist, or for what has no records.
    """
    chosen, order = selections(name, read_records(workspace), workspace, profile)
    present = {record.job.label for selection in chosen.values() for record in selection.records}
    return chosen, ordered(present, order) if methods is None else _named(methods, present, workspace)


def _named(methods: str, present: Collection[str], workspace: Workspace) -> list[str]:
    """The labels that ``--methods`` names, its groups resolved."""
    groups = workspace.config.groups
    labels = [str(parse_spec(text)) for spec in parse_specs(methods) for text in groups.get(str(spec), [str(spec)])]
    for label in labels:
        if label not in present:
            raise unknown("method with records", label, present)
    return list(dict.fromkeys(labels))


def records_of(name: str, records: Sequence[Record], workspace: Workspace, profile: str | None) -> list[Record]:
    """The records of a table, suite or dataset, whatever setting they were made in.

    Raises BenchError for a name that does not exist, NoRecords where there is none.
    """
    matching = (_matching(suite, records, workspace, profile) for _, suite in _suites(name, workspace))
    found = {record.job.key: record for own in matching for record in own}
    if not found:
        raise _no_records(name, workspace, profile)
    return list(found.values())


def score_reader(workspace: Workspace) -> Callable[[Record], Arrays]:
    """Reads the scores of what ``read_records`` found: records of one's own, or else of the reference run."""
    own, reference = Store(workspace.results), Store(REFERENCE)
    return lambda record: (own if own.holds(record.job) else reference).scores(record)


def recorded_dataset(setting: Setting, workspace: Workspace) -> PreparedDataset:
    """The dataset that the records of a setting were made on.

    Raises DataMissing where it is not at hand, BenchError where its content is another by now.
    """
    dataset = workspace.dataset(parse_spec(setting.dataset))
    if dataset.checksum != setting.dataset_checksum:
        raise BenchError(
            f"{setting.dataset} is not what it was when the records were made (another checksum); "
            "name the folder with the data of then with --data, or make records of today's with bench run"
        )
    return dataset


def with_scores(selection: Selection, arrays: Callable[[Record], Arrays]) -> Selection:
    """The selection without the records whose scores cannot be read, which are named on stderr.

    Raises BenchError where none is left.
    """
    kept: list[Record] = []
    lost: list[RecordUnreadable] = []
    for record in selection.records:
        try:
            arrays(record) if record.status == "done" else None
        except RecordUnreadable as error:
            lost.append(error)
        else:
            kept.append(record)
    if lost and not any(record.status == "done" for record in kept):
        raise BenchError(f"none of {len(lost)} records of {selection.setting.dataset} has scores: {lost[0]}")
    for reason in lost:
        warn(reason)
    return dataclasses.replace(selection, records=kept) if lost else selection


def currency(workspace: Workspace) -> Callable[[Record], bool]:
    """A test of whether today's code of a record's method is the code that made it."""

    @functools.cache
    def fingerprint(method: str) -> str | None:
        plugin = workspace.methods.plugins.get(method)
        return source_fingerprint(plugin) if plugin else None

    return lambda record: fingerprint(record.job.method) == record.job.fingerprint


def table_of(
    name: str,
    chosen: Mapping[str, Selection],
    order: Sequence[str],
    workspace: Workspace,
    metric: str = "auroc",
    choice: Choice = "last",
    beside: Beside = "own",
) -> Table:
    """The table of what ``selections`` chose for a name, with the order that it gave. The rest is as for ``tables``."""
    defined = workspace.config.tables.get(name)
    title = defined.title if defined is not None else ""
    if title and name.isdecimal():
        title = f"Table {name}. {title}"
    if len(chosen) == 1 and (defined is None or defined.columns == "class"):
        (selection,) = chosen.values()
        titled = f"{title} ({selection.setting.describe()})" if title else ""
        table = class_table(selection, metric, order, titled, choice)
    else:
        table = suite_table(chosen, metric, order, title or name, choice)
    if defined is None or metric != "auroc":
        return table
    return with_published(table, name, defined.published, list(chosen), beside)


def _no_records(name: str, workspace: Workspace, profile: str | None) -> NoRecords:
    asked = f" and profile {profile}" if profile else ""
    return NoRecords(f"no records for {name}{asked} in {workspace.results}; make them with bench run")


def _suites(name: str, workspace: Workspace) -> list[tuple[str, Suite]]:
    """The plain suites behind a table, a suite or a dataset, with the methods that a table names."""
    defined = workspace.config.tables.get(name)
    parts = [part for suite in (defined.suites if defined else [name]) for part in _parts(suite, workspace)]
    if defined and defined.methods is not None:
        return [(part, suite.model_copy(update={"methods": defined.methods})) for part, suite in parts]
    return parts


def _parts(name: str, workspace: Workspace) -> list[tuple[str, Suite]]:
    """The plain suites behind a name: a suite's parts, or a dataset that was run by itself."""
    config = workspace.config
    if name in config.suites:
        return config.parts(name)
    if name.partition("(")[0] in workspace.datasets.plugins:
        return [(name, Suite(dataset=name))]
    raise unknown("table, suite or dataset", name, [*config.tables, *config.suites, *workspace.datasets.plugins, "all"])


def _matching(suite: Suite, records: Sequence[Record], workspace: Workspace, profile: str | None) -> list[Record]:
    assert suite.dataset is not None
    dataset = str(workspace.datasets.resolve(parse_spec(suite.dataset)))
    classes = {str(name) for name in suite.classes} if suite.classes is not None else None
    own = set(_order(suite, workspace)) if suite.methods != ["all"] else None
    return [
        record
        for record in records
        if record.job.dataset == dataset
        and suite.protocol in (None, record.job.protocol)
        and (profile is None or record.job.profile == profile)
        and (own is None or record.job.label in own)
        and (
            classes is None or not classes.isdisjoint({record.job.normal_class, str(record.split.get("normal_label"))})
        )
    ]


def _selected(suite: Suite, records: Sequence[Record], workspace: Workspace, profile: str | None) -> Selection:
    usual = profile or suite.profile or workspace.config.profile
    cap = workspace.config.profile_named(usual).max_train

    def prefer(setting: Setting) -> int:
        return 2 * (setting.profile == usual) + (setting.max_train == cap)

    expected = len(suite.classes) if suite.classes is not None else None
    return select(records, currency(workspace), prefer).with_expected(expected)


def _order(suite: Suite, workspace: Workspace) -> list[str]:
    groups = workspace.config.groups
    return [str(parse_spec(spec)) for text in suite.methods for spec in groups.get(text, [text])]
