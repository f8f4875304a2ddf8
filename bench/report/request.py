"""What ``bench table`` was asked for: names of suites, of tables in bench.toml, and of datasets, to tables."""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.choice import under_every_label
from bench.config import Table as TableOfConfig
from bench.dataset import PreparedDataset
from bench.errors import BenchError, RecordUnreadable, warn
from bench.fingerprint import source_fingerprint
from bench.record import Arrays, Record
from bench.report.narrowing import EVERYTHING, NoRecords, Scope, Wanted, narrowed, require_known, scopes
from bench.report.selection import Selection, Setting, renamed, select, setting_of
from bench.report.shared import shared
from bench.report.statistics.inversion import inversion_notes, inversions
from bench.report.tables.beside import Beside, printed_over, with_published
from bench.report.tables.several import chosen_notes, map_notes, metric_tables
from bench.report.tables.table import Choice, Table, class_table, ordered, suite_table
from bench.specs import parse_spec
from bench.store import Store
from bench.terminal import echo
from bench.workspace import Workspace

REFERENCE = Path("results/reference")
"""The committed reference run, shown where there are no runs of one's own."""
INSTALLED = Path(__file__).parents[1] / "reference"
"""Its records as a wheel has them."""


def reference() -> Path:
    """The folder of the reference run: of the checkout that is the working folder, else as it was installed."""
    return REFERENCE if REFERENCE.is_dir() else INSTALLED


def find_record(prefix: str, workspace: Workspace) -> Record:
    """The record whose key starts with ``prefix``, of one's own runs or else of the reference run.

    Raises BenchError where none or several do.
    """
    own = Store(workspace.results)
    if not own.matching(prefix) and _falls_back(workspace):
        return Store(reference()).find(prefix)
    return own.find(prefix)


def results_of(record: Record, workspace: Workspace) -> Path:
    """The folder of a record that was found: that of one's own runs, or else of the reference run."""
    return workspace.results if Store(workspace.results).holds(record.job) else reference()


def read_records(workspace: Workspace, as_shown: bool = True) -> list[Record]:
    """The records in the results folder, else those of the reference run; what cannot be read is named on stderr.

    ``as_shown``: without those of jobs that compare settings, and one whose setting was chosen under the label of each
    choice; else each as it is.
    """
    labelled = under_every_label if as_shown else list
    records, unreadable = Store(workspace.results).records()
    for error in unreadable:
        warn(error)
    if records or unreadable or not _falls_back(workspace):
        return labelled(records)
    echo(f"no runs of your own in {workspace.results}; showing the reference run, {reference()}", err=True)
    return labelled(Store(reference()).records()[0])


def _falls_back(workspace: Workspace) -> bool:
    """Whether the reference run stands in where there are no records of one's own: nothing else is named."""
    return workspace.results == Path(workspace.config.results) and reference().is_dir()


def tables(
    names: Sequence[str],
    records: Sequence[Record],
    workspace: Workspace,
    metric: str | None = None,
    wanted: Wanted = EVERYTHING,
    choice: Choice = "last",
    beside: Beside = "own",
    metrics: Sequence[str] | None = None,
) -> list[Table]:
    """One table for each name: of bench.toml, of a suite or a dataset; ``all``: every one of bench.toml with records.

    Tables of bench.toml have published figures ``beside`` the reproduced ones, where the metric is the AUROC, which it
    is where none is named. Of several ``metrics``, which a table of bench.toml may name itself, there are several
    tables: see ``metric_tables``.

    Raises BenchError for a name that does not exist, or that has no records.
    """

    def found(name: str) -> list[Table]:
        chosen, order = selections(name, records, workspace, wanted)
        defined = workspace.config.table(name)
        own = defined.metrics if defined is not None and metric is None and choice == "last" else ()
        if several := metrics or own:
            return several_of(name, chosen, order, workspace, several)
        return [table_of(name, chosen, order, workspace, metric or "auroc", choice, beside)]

    made = []
    for name in names:
        if name == "all":
            for each in (*workspace.config.tables, *workspace.config.unusable):
                try:
                    made += found(each)
                except BenchError as error:
                    echo(f"table {each}: {error}", err=True)
        else:
            made += found(name)
    return made


def selections(
    name: str, records: Sequence[Record], workspace: Workspace, wanted: Wanted = EVERYTHING
) -> tuple[dict[str, Selection], list[str]]:
    """What a table, suite or dataset selects, by plain suite, and its methods in the order in which they are shown.

    Methods have the names that bench.toml's ``labels`` give them. Raises BenchError for a name that does not exist or
    whose records do not belong together, NoRecords for one without.
    """
    asked = scopes(name, workspace, wanted)
    names = workspace.config.shown(workspace.config.table(name))
    require_known(wanted, asked, records, workspace)
    found = narrowed(asked, records, workspace)
    if not found:
        raise _no_records(name, records, workspace, wanted)
    order = ordered({r.job.label for own in found.values() for r in own}, [x for scope in asked for x in scope.order])
    chosen = {
        scope.part: _selected(scope, renamed(found[scope.part], names), workspace, wanted.compared)
        for scope in asked
        if scope.part in found
    }
    return chosen, [names.get(label, label) for label in order]


def selections_and_labels(
    name: str, records: Sequence[Record], workspace: Workspace, wanted: Wanted = EVERYTHING
) -> tuple[dict[str, Selection], list[str]]:
    """What a table, suite or dataset selects of the records, and the methods that are left in it, in order.

    Raises BenchError for a name that does not exist, or for what has no records.
    """
    chosen, order = selections(name, records, workspace, wanted)
    present = {record.job.label for selection in chosen.values() for record in selection.records}
    return chosen, [label for label in order if label in present]


def under_conditions(
    name: str,
    chosen: Mapping[str, Selection],
    records: Sequence[Record],
    workspace: Workspace,
    wanted: Wanted = EVERYTHING,
) -> dict[str, list[Selection]]:
    """By plain suite, what ``selections`` chose for a name and its like under every other condition."""
    names = workspace.config.shown(workspace.config.table(name))
    asked = scopes(name, workspace, wanted)
    found: dict[str, list[Selection]] = {}
    for part, own in narrowed(asked, records, workspace).items():
        (scope,) = (each for each in asked if each.part == part)
        groups: dict[Setting, list[Record]] = defaultdict(list)
        for record in own:
            setting = setting_of(record)
            if setting.without_conditions == chosen[part].setting.without_conditions:
                groups[setting].append(record)
        found[part] = [_selected(scope, renamed(each, names), workspace, False) for each in groups.values()]
    return found


def records_of(name: str, records: Sequence[Record], workspace: Workspace, profile: str | None) -> list[Record]:
    """The records of a table, suite or dataset, whatever setting they were made in.

    Raises BenchError for a name that does not exist, NoRecords where there is none.
    """
    wanted = Wanted(profile=profile)
    asked = scopes(name, workspace, wanted)
    found = {record.job.key: record for own in narrowed(asked, records, workspace).values() for record in own}
    if not found:
        raise _no_records(name, records, workspace, wanted)
    return list(found.values())


def score_reader(workspace: Workspace) -> Callable[[Record], Arrays]:
    """Reads the scores of what ``read_records`` found: records of one's own, or else of the reference run."""
    own, others = Store(workspace.results), Store(reference())
    return lambda record: (own if own.holds(record.job) else others).scores(record)


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
    if lost:
        others = f"; so it is with {len(lost) - 1} more records of {selection.setting.dataset}" if len(lost) > 1 else ""
        warn(BenchError(f"{lost[0]}{others}"))
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
    defined = workspace.config.table(name)
    title = defined.title if defined is not None else ""
    if title and name.isdecimal():
        title = f"Table {name}. {title}"
    if len(chosen) == 1 and (defined is None or defined.columns == "class"):
        (selection,) = chosen.values()
        setting = selection.setting
        titled = f"{title} ({setting.describe()})" if title else ""
        further = f" ({', '.join(setting.limits)})" if setting.limits else ""
        table = class_table(selection, metric, order, titled, choice, title and title + further)
    else:
        table = suite_table(chosen, metric, order, title or name, choice)
    records = [record for selection in chosen.values() for record in selection.records]
    of_metric = [*chosen_notes([metric]).values(), *map_notes(records, [metric]).values()]
    table = dataclasses.replace(table, notes=[*table.notes, *of_metric])
    if metric == "auroc":
        arrays = score_reader(workspace)
        notes = [
            note if len(chosen) == 1 else note.of(part)
            for part, selection in chosen.items()
            for note in inversion_notes(inversions(selection.records, arrays))
        ]
        table = dataclasses.replace(table, notes=[*table.notes, *notes])
    if defined is None or metric != "auroc":
        return table
    return with_published(table, name, _published_names(defined, workspace), list(chosen), beside)


def several_of(
    name: str, chosen: Mapping[str, Selection], order: Sequence[str], workspace: Workspace, metrics: Sequence[str]
) -> list[Table]:
    """The tables of several metrics of what ``selections`` chose for a name. Raises BenchError for an unknown one."""
    defined = workspace.config.table(name)
    title = defined.title if defined is not None else ""
    published = _published_names(defined, workspace)
    made: list[Table] = []
    for part, selection in chosen.items():
        printed = printed_over(name, published, part, partial=selection.partial)
        titled = f"{title}, {part}" if title and len(chosen) > 1 else title
        made += metric_tables(selection, metrics, order, titled, printed)
    return made


def _published_names(defined: TableOfConfig | None, workspace: Workspace) -> dict[str, str]:
    """By label as it is shown, the name under which a table of bench.toml has a method's published figures."""
    if defined is None:
        return {}
    names = workspace.config.shown(defined)
    return {names.get(spec, spec): printed for spec, printed in defined.published.items()}


def _no_records(name: str, records: Sequence[Record], workspace: Workspace, wanted: Wanted) -> NoRecords:
    told = "".join(f" and {each}" for each in wanted.typed)
    hidden = _falls_back(workspace) and records and Store(workspace.results).holds(records[0].job)
    other = f", or see whether the reference run has some: --results {reference()}" if hidden else ""
    return NoRecords(f"no records for {name}{told} in {workspace.results}; make them with bench run{other}")


def _selected(scope: Scope, records: Sequence[Record], workspace: Workspace, compared: bool) -> Selection:
    suite = scope.suite
    usual = scope.profile or suite.profile or workspace.config.profile
    cap = workspace.config.profile_named(usual).max_train

    def prefer(setting: Setting) -> int:
        clean = not (setting.contamination or setting.corruption)
        return 4 * clean + 2 * (setting.profile == usual) + (setting.max_train == cap)

    expected = len(suite.classes) if suite.classes is not None else None
    asked = len(scope.classes) if scope.classes is not None else None
    selection = select(records, currency(workspace), prefer)
    return (shared(selection) if compared else selection).with_expected(expected, asked)
