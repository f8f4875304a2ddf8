"""Records to look at from Python: chosen, as data frames, tables, tests and figures."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.api import words
from bench.api.shown import ShownStats, ShownTable
from bench.api.words import Classes, File, Names
from bench.errors import BenchError, unknown
from bench.record import Arrays, Record
from bench.report.export.frame import frame
from bench.report.narrowing import Wanted
from bench.report.request import (
    currency,
    read_records,
    score_reader,
    selections,
    table_of,
    under_conditions,
    with_scores,
)
from bench.report.selection import Selection, Setting, select, setting_of
from bench.report.tables.beside import Beside
from bench.report.tables.table import Choice, Table, class_table, ordered, suite_table
from bench.specs import parse_spec
from bench.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True, repr=False)
class Results:
    """Records of jobs. What is chosen of them is Results again; a notebook shows their table."""

    records: Sequence[Record]
    workspace: Workspace = field(compare=False)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @property
    def failed(self) -> list[Record]:
        """The records of jobs that did not end well; each has its ``reason``."""
        return [record for record in self.records if record.status != "done"]

    def filter(
        self,
        *,
        method: Names | None = None,
        dataset: Names | None = None,
        normal_class: Classes | None = None,
        seed: int | Sequence[int] | None = None,
        profile: Names | None = None,
    ) -> Results:
        """The records of one of each, or of one of several: ``filter(method=["ocsvm", "knn"], normal_class=8)``.

        A method is a spec as tables show it; a dataset may be named without its parameters. Raises BenchError for what
        no record has.
        """
        asked: dict[str, tuple[Classes | None, Callable[[Record], set[str]]]] = {
            "method": (method, lambda record: {record.job.label}),
            "dataset": (dataset, lambda record: {record.job.dataset, record.job.dataset.partition("(")[0]}),
            "class": (normal_class, lambda record: {record.job.normal_class, str(record.split.get("normal_label"))}),
            "seed": (seed, lambda record: {str(record.job.seed)}),
            "profile": (profile, lambda record: {record.job.profile}),
        }
        kept = list(self.records)
        for what, (given, names) in asked.items():
            if given is None:
                continue
            wanted = {str(parse_spec(str(each))) if what == "method" else str(each) for each in words.several(given)}
            known = {name for record in self.records for name in names(record)}
            for absent in sorted(wanted - known):
                raise unknown(f"{what} with records", absent, known)
            kept = [record for record in kept if wanted & names(record)]
        return dataclasses.replace(self, records=kept)

    def frame(self) -> DataFrame:
        """A row for each record: the key, the job's fields, the status and reason, then ``split.*``, ``metrics.*``,
        ``cost.*``, ``parameters.*``, ``ledger.*`` and ``provenance.*``."""
        return frame(self.records)

    def scores(self, key: str | Record) -> Arrays:
        """What a record keeps of each test image: ``scores`` (n,), larger = more anomalous, ``labels`` (n,), 1 =
        anomalous, and ``indices`` (n,) into the dataset's images.

        The record itself, or the beginning of its key. Raises BenchError where none or several have such a key,
        RecordUnreadable where there are no scores.
        """
        return score_reader(self.workspace)(self._record(key) if isinstance(key, str) else key)

    def table(
        self,
        name: str | None = None,
        *,
        metric: str = "auroc",
        selection: Choice = "last",
        published: Beside = "own",
        profile: str | None = None,
    ) -> ShownTable:
        """A table of bench.toml, a suite or a dataset, as ``bench table`` prints it; without a name, of all there is.

        Raises BenchError for a name that does not exist or has no records.
        """
        if name is None:
            return ShownTable(self._overview(metric, selection, profile))
        chosen, order = selections(name, self.records, self.workspace, Wanted(profile=profile))
        return ShownTable(table_of(name, chosen, order, self.workspace, metric, selection, published))

    def stats(
        self,
        name: str | None = None,
        *,
        methods: Names | None = None,
        metric: str = "auroc",
        profile: str | None = None,
    ) -> ShownStats:
        """Whether methods differ over the blocks of dataset × protocol × class, as ``bench stats`` tells.

        Raises BenchError for fewer than two methods or six blocks.
        """
        from bench.report.statistics.ranking import blocks, rank_methods

        chosen, labels = self._selected(name, methods, profile)
        return ShownStats(rank_methods(blocks(chosen.values(), labels, metric)))

    def intervals(
        self, name: str | None = None, *, methods: Names | None = None, profile: str | None = None
    ) -> DataFrame:
        """Each AUROC with its 95 % interval, as ``bench stats --by-class`` tells: a row for each suite, class and
        method."""
        from pandas import DataFrame

        from bench.report.statistics.intervals import class_figures

        chosen, labels = self._selected(name, methods, profile)
        arrays = score_reader(self.workspace)
        figures = {part: class_figures(with_scores(own, arrays), labels, arrays) for part, own in chosen.items()}
        return DataFrame(
            {"suite": part, "class": each.normal_class, "method": label, **dataclasses.asdict(interval)}
            for part, own in figures.items()
            for each in own
            for label, interval in each.intervals.items()
        )

    def figure(
        self,
        kind: str,
        name: str | None = None,
        *,
        normal_class: str | int | None = None,
        methods: Names | None = None,
        profile: str | None = None,
    ) -> Figure:
        """A figure of ``bench figures``, as matplotlib's Figure, by its kind, as ``--only`` takes it there.

        Curves, histograms and images are of ``normal_class``, else of the first; what shows a single run needs one
        method to be named. Raises BenchError for a kind that does not exist, or that the records do not allow.
        """
        from bench.api.drawing import drawn

        chosen, labels = self._selected(name, methods, profile)
        wanted = None if normal_class is None else str(normal_class)
        asked = Wanted(methods=words.names(methods), profile=profile)
        conditions = {} if name is None else under_conditions(name, chosen, self.records, self.workspace, asked)
        return drawn(kind, chosen, conditions, labels, wanted, self.workspace)

    def __repr__(self) -> str:
        methods = list(dict.fromkeys(record.job.label for record in self.records))
        settings = dict.fromkeys(setting_of(record).describe() for record in self.records)
        statuses = Counter(record.status for record in self.records)
        counted = ", ".join(f"{number} {status}" for status, number in statuses.most_common())
        head = f"{len(self.records)} records ({counted or 'none'})" + (f" of {', '.join(methods)}" if methods else "")
        return "\n".join([head, *settings])

    def _repr_html_(self) -> str:
        from html import escape

        head = f"<p>{'<br>'.join(map(escape, repr(self).splitlines()))}</p>"
        try:
            return head + self.table()._repr_html_() if self.records else head
        except BenchError as error:  # of records that cannot stand together there is no table, which says why
            return f"{head}<p>{escape(str(error))}</p>"

    def _record(self, key: str) -> Record:
        found = [record for record in self.records if record.job.key.startswith(key)]
        if len(found) != 1:
            listed = "".join(f"\n  {record.job.key}  {record.job.title}" for record in found[:10])
            raise BenchError(
                f"{len(found) or 'no'} records have a key starting with {key!r}; frame() lists them{listed}"
            )
        return found[0]

    def _selected(
        self, name: str | None, methods: Names | None, profile: str | None
    ) -> tuple[dict[str, Selection], list[str]]:
        """By suite, what is shown, and the labels in order."""
        if name is None:
            chosen = self.filter(method=methods)._by_setting(profile)
            order = [str(each) for each in words.several(methods)] if methods is not None else []
        else:
            wanted = Wanted(methods=words.names(methods), profile=profile)
            chosen, order = selections(name, self.records, self.workspace, wanted)
        present = {record.job.label for selection in chosen.values() for record in selection.records}
        return chosen, ordered(present, order or [record.job.label for record in self.records])

    def _by_setting(self, profile: str | None) -> dict[str, Selection]:
        """What is there, by dataset where that tells the settings apart, else by the whole setting."""
        groups: dict[Setting, list[Record]] = defaultdict(list)
        for record in self.records:
            if profile in (None, record.job.profile):
                groups[setting_of(record)].append(record)
        if not groups:
            raise BenchError("there are no records to show" + (f" of profile {profile}" if profile else ""))
        datasets = Counter(setting.dataset for setting in groups)
        is_current = currency(self.workspace)
        return {
            setting.dataset if datasets[setting.dataset] == 1 else setting.describe(): select(own, is_current)
            for setting, own in sorted(groups.items(), key=str)
        }

    def _overview(self, metric: str, choice: Choice, profile: str | None) -> Table:
        chosen = {part: own.with_expected(None) for part, own in self._by_setting(profile).items()}
        order = [record.job.label for record in self.records]
        if len(chosen) == 1:
            (selection,) = chosen.values()
            return class_table(selection, metric, order, choice=choice)
        return suite_table(chosen, metric, order, choice=choice)


def load(folder: File | None = None, *, data: File | None = None, config: File | None = None) -> Results:
    """The records of a results folder: that of ``bench run``, else the committed reference run, where none is named.

    What cannot be read is named on stderr. Raises BenchError for a folder without records.
    """
    workspace = open_workspace(words.path(config), words.path(data), words.path(folder))
    records = read_records(workspace)
    if not records:
        raise BenchError(f"no records in {workspace.results}; make them with bench.run, or name another folder")
    return Results(records, workspace)
