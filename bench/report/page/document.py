"""One page that holds it all: tables, figures, tests, failures, where it comes from, and how to make it again.

The page is a single HTML file that loads nothing from anywhere.
"""

from __future__ import annotations

import base64
import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from bench.errors import BenchError, warn
from bench.record import Record
from bench.report.claims import Claim, claims
from bench.report.figures.gallery import RANKS, Drawing, Gallery, first_class
from bench.report.figures.ranks import critical_difference
from bench.report.figures.style import COLUMN, svg
from bench.report.narrowing import EVERYTHING, NoRecords, Wanted
from bench.report.page.account import Account, account
from bench.report.request import (
    currency,
    recorded_dataset,
    results_of,
    score_reader,
    selections,
    several_of,
    table_of,
    under_conditions,
)
from bench.report.selection import Selection, renamed, setting_of
from bench.report.statistics.ranking import Ranking, blocks, rank_methods
from bench.report.tables import latex
from bench.report.tables.markup import templates
from bench.report.tables.published import of_table
from bench.report.tables.table import Table, ordered
from bench.sources import Code, Sources, strangers
from bench.version import VERSION
from bench.workspace import Workspace

Figures = Literal["none", "main", "all"]
"""Which figures to draw: none, those that show methods side by side, or also those of single runs."""


Selected = tuple[dict[str, Selection], list[str]]
"""What ``selections`` gives."""


class Picture(NamedTuple):
    """A figure in the page."""

    caption: str
    uri: str
    """The figure itself, as ``data:`` URI."""
    wide: bool
    """Whether it is wider than a paper's column."""


@dataclass(frozen=True)
class Section:
    """One table with what belongs to it."""

    name: str
    tables: Sequence[Table]
    """One, or where it shows several metrics, one of all and one for each class or kind of anomaly."""
    latex: str
    comparison: Ranking | None
    reason: str
    """Why there is no comparison."""
    overview: Sequence[Picture]
    runs: Sequence[Picture]
    """Figures of single runs."""
    left_out: Sequence[str]
    """Figures that the records do not allow, with the reason."""

    @property
    def anchor(self) -> str:
        """The section's place in the page."""
        return "section-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """What the template shows."""

    title: str
    sections: Sequence[Section]
    account: Account
    claims: Sequence[Claim]
    unshown: Sequence[str]
    """Records that are in no section, counted by what they are."""
    datasets: Sequence[str]
    methods: Sequence[str]
    profiles: Sequence[str]
    seeds: Sequence[int]
    command: str
    """What makes this page from the same records."""
    codes: Sequence[Code]
    """The plugins that are no part of the harness."""

    def html(self, tolerance: float) -> str:
        """The page as one HTML file. A claim is reproduced where it differs by no more than ``tolerance``."""
        verdicts = Counter(claim.verdict(tolerance) for claim in self.claims)
        reasons = Counter(claim.reason for claim in self.claims if claim.reason)
        template = templates().get_template("report.html")
        facts = {"verdicts": verdicts, "reasons": reasons, "tolerance": tolerance, "version": VERSION}
        return template.render(page=self, **facts)


def page(
    names: Sequence[str],
    records: Sequence[Record],
    workspace: Workspace,
    wanted: Wanted = EVERYTHING,
    figures: Figures = "main",
    command: str = "bench report",
) -> Page:
    """The page for tables, suites or datasets; where none is named, for everything that has records.

    Raises BenchError for a name that does not exist or has no records, or where there is no record at all.
    """
    selected = {name: selections(name, records, workspace, wanted) for name in names}
    drawn: set[str] = set()
    sections: list[Section] = []
    shown: dict[str, Record] = {}
    for name, (chosen, order) in (selected or contents(records, workspace, wanted)).items():
        conditions = {} if figures == "none" else under_conditions(name, chosen, records, workspace, wanted)
        sections.append(_section(name, chosen, order, conditions, workspace, figures, drawn))
        shown |= {record.job.key: record for selection in chosen.values() for record in selection.records}
    labels = workspace.config.shown()
    within = list(shown.values()) if names else renamed(records, labels)
    published = [section.name for section in sections if of_table(section.name)]
    jobs = [record.job for record in within]
    usual = workspace.config.groups.get("all", [])
    return Page(
        title="One-class anomaly detection: " + ", ".join(sorted({job.dataset for job in jobs})),
        sections=sections,
        account=account(within, currency(workspace)),
        claims=list(claims(records, workspace, published, wanted)) if published else [],
        unshown=_counted(record for record in within if record.job.key not in shown),
        datasets=sorted({job.dataset for job in jobs}),
        methods=ordered({job.label for job in jobs}, [labels.get(each, each) for each in usual]),
        profiles=sorted({job.profile for job in jobs}),
        seeds=sorted({job.seed for job in jobs}),
        command=command,
        codes=strangers(within, workspace.methods, workspace.datasets, Sources(results_of(within[0], workspace))),
    )


def contents(records: Sequence[Record], workspace: Workspace, wanted: Wanted) -> dict[str, Selected]:
    """Every table of bench.toml that has records, then suites, then datasets with records that are in none before.

    By name, what is selected of the records. A table that cannot be used is named on stderr.

    Raises BenchError where there is no record.
    """
    config = workspace.config
    suites = [name for name, suite in config.suites.items() if suite.dataset is not None]
    found: dict[str, Selected] = {}
    shown: set[str] = set()
    datasets = {record.job.dataset for record in records}
    known = [name for name in sorted(datasets) if name.partition("(")[0] in workspace.datasets.plugins]
    for name in (*config.tables, *suites, *known):
        try:
            selected = selections(name, records, workspace, wanted)
        except NoRecords:
            continue
        keys = {record.job.key for selection in selected[0].values() for record in selection.records}
        if name in config.tables or not keys <= shown:
            found[name] = selected
            shown |= keys
    for problem in config.unusable.values():
        warn(BenchError(problem))
    if not found:
        asked = f" of {', '.join(wanted.typed)}" if wanted.typed else ""
        raise BenchError(f"no records{asked} in {workspace.results}; make them with bench run")
    return found


def _section(
    name: str,
    chosen: dict[str, Selection],
    order: Sequence[str],
    conditions: Mapping[str, Sequence[Selection]],
    workspace: Workspace,
    figures: Figures,
    drawn: set[str],
) -> Section:
    defined = workspace.config.table(name)
    if defined is not None and defined.metrics:
        tables = several_of(name, chosen, order, workspace, defined.metrics)
    else:
        tables = [table_of(name, chosen, order, workspace)]
    labels = ordered({record.job.label for selection in chosen.values() for record in selection.records}, order)
    comparison, reason = _comparison(list(chosen.values()), labels)
    left_out: list[str] = []
    overview, runs = [], []
    for part, selection in chosen.items():
        if figures != "none" and part not in drawn:  # a suite's figures stand where it comes first
            drawn.add(part)
            gallery = Gallery(
                part, selection, labels, first_class(selection), score_reader(workspace), conditions[part]
            )
            overview += _pictures(gallery.methods(), left_out)
            if figures == "main" and any(record.maps for record in selection.records):
                images = _images(gallery, workspace, left_out)
                overview += _pictures([each for each in images if each.kind == "maps"], left_out)
            if figures == "all":
                runs += _pictures([*gallery.runs(), *_images(gallery, workspace, left_out)], left_out)
    if figures != "none" and comparison is not None:
        draw = partial(critical_difference, comparison)
        ranks = Drawing(RANKS, f"{name}-{RANKS}", "mean ranks and critical difference", draw)
        overview += _pictures([ranks], left_out)
    printed = "\n".join(latex.environment(table) for table in tables)
    return Section(name, tables, printed, comparison, reason, overview, runs, left_out)


def _comparison(chosen: Sequence[Selection], labels: Sequence[str]) -> tuple[Ranking | None, str]:
    """The tests between the labels that have a figure on every class, else why there are none."""
    whole = [label for label in labels if all(_has_every_class(selection, label) for selection in chosen)]
    compared = whole if len(whole) > 1 else labels
    try:
        comparison = rank_methods(blocks(chosen, compared))
    except BenchError as error:
        return None, str(error)
    if absent := [label for label in labels if label not in compared]:
        note = f"not compared, for want of a figure on every class: {', '.join(absent)}"
        comparison = dataclasses.replace(comparison, notes=[*comparison.notes, note])
    return comparison, ""


def _has_every_class(selection: Selection, label: str) -> bool:
    done = {r.job.normal_class for r in selection.records if r.status == "done" and r.job.label == label}
    return done >= set(selection.means.classes)


def _images(gallery: Gallery, workspace: Workspace, left_out: list[str]) -> list[Drawing]:
    try:
        return list(gallery.images(recorded_dataset(gallery.selection.setting, workspace)))
    except BenchError as error:
        left_out.append(f"images of {gallery.part}: {error}")
        return []


def _pictures(drawings: Iterable[Drawing], left_out: list[str]) -> list[Picture]:
    made = []
    for drawing in drawings:
        try:
            figure = drawing.draw()
        except BenchError as error:
            left_out.append(f"{drawing.caption}: {error}")
            continue
        if drawing.lacks:
            left_out.append(f"{drawing.caption}: {drawing.lacks}")
        image = base64.b64encode(svg(figure)).decode("ascii")
        made.append(Picture(drawing.caption, "data:image/svg+xml;base64," + image, figure.get_figwidth() > COLUMN))
    return made


def _counted(records: Iterable[Record]) -> list[str]:
    counted = Counter(setting_of(record).describe() for record in records)
    return [f"{count} records of {what}" for what, count in counted.most_common()]
