"""``bench stats``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import options
from bench.errors import BenchError
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.report.selection import Selection
    from bench.report.statistics.intervals import ClassFigures, Difference, Interval
    from bench.report.statistics.ranking import Ranking


def stats(
    name: options.Selected,
    metric: options.Metric = "auroc",
    methods: options.Methods = None,
    classes: options.Classes = None,
    seeds: options.Seeds = None,
    by_class: Annotated[
        bool,
        typer.Option("--by-class", help="Instead, each class: AUROC with 95 % interval; two methods: a paired test."),
    ] = False,
    profile: options.Profile = None,
    as_json: options.Json = False,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Tell whether methods differ: Friedman, Nemenyi and Wilcoxon–Holm over dataset × class; or class by class."""
    from bench.report.narrowing import Wanted
    from bench.report.request import read_records, score_reader, selections_and_labels, with_scores
    from bench.report.statistics.intervals import class_figures
    from bench.report.statistics.ranking import blocks, rank_methods
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    wanted = Wanted(methods, classes, seeds, profile)
    chosen, labels = selections_and_labels(name, read_records(workspace), workspace, wanted)
    notes = [f"{part}: {note}" for part, selection in chosen.items() for note in selection.notes]
    if not by_class:
        comparison = rank_methods(blocks(chosen.values(), labels, metric))
        facts, text = _comparison_facts(comparison), _comparison_text(comparison, chosen)
        notes += comparison.notes
    elif metric != "auroc":
        raise BenchError("only the AUROC has intervals here, so --by-class goes with --metric auroc alone")
    else:
        arrays = score_reader(workspace)
        chosen = {part: with_scores(selection, arrays) for part, selection in chosen.items()}
        figures = {part: class_figures(selection, labels, arrays) for part, selection in chosen.items()}
        facts, text = _class_facts(figures), _class_text(figures, chosen, labels)
        notes += _class_notes(figures)
    if as_json:
        echo(json.dumps({"name": name, "metric": metric, **facts, "notes": notes}, indent=1, ensure_ascii=False))
    else:
        echo("\n".join([text, *notes]))


def _comparison_facts(comparison: Ranking) -> dict[str, Any]:
    blocks = comparison.blocks
    rows = zip(blocks.frame.index, blocks.seeds, blocks.frame.to_dict("records"), strict=True)
    return {
        "alpha": comparison.alpha,
        "blocks": [
            {"dataset": dataset, "protocol": protocol, "normal_class": name, "seeds": seeds, "means": means}
            for (dataset, protocol, name), seeds, means in rows
        ],
        "dropped": blocks.dropped,
        "mean_ranks": comparison.ranks.to_dict(),
        "friedman": None
        if comparison.friedman is None
        else {"statistic": comparison.friedman, "p": comparison.friedman_p},
        "critical_difference": comparison.critical_difference,
        "cliques": comparison.cliques,
        "pairs": [pair._asdict() for pair in comparison.pairs],
    }


def _comparison_text(comparison: Ranking, selections: Mapping[str, Selection]) -> str:
    from bench.report.statistics.ranking import shown_difference, shown_p

    blocks = comparison.blocks
    lines = [f"{part}: {selection.setting.describe()}" for part, selection in selections.items()]
    fewest, most = min(blocks.seeds), max(blocks.seeds)
    seeds = f"{most} seed{'s' * (most > 1)}" if fewest == most else f"{fewest} to {most} seeds"
    lines.append(f"{len(blocks.frame)} blocks (dataset × protocol × class), each a mean over {seeds}")
    means = blocks.frame.mean().to_dict()
    ranks = [(str(label), f"{rank:.2f}", f"{means[label]:.3f}") for label, rank in comparison.ranks.items()]
    parts = ["\n".join(lines), _typeset(["method", "mean rank", f"mean {blocks.metric}"], ranks)]
    if comparison.friedman is not None and comparison.friedman_p is not None:
        told = "; ".join(", ".join(clique) for clique in comparison.cliques) or "none"
        parts.append(
            f"Friedman: χ² = {comparison.friedman:.2f}, {len(ranks) - 1} degrees of freedom, "
            f"p = {comparison.friedman_p:.2g}\n"
            f"Nemenyi: mean ranks more than {comparison.critical_difference:.2f} apart differ "
            f"(α = {comparison.alpha:g}); not told apart: {told}"
        )
    rows = [
        (
            pair.first,
            pair.second,
            shown_difference(pair),
            shown_p(pair.wilcoxon_holm),
            "–" if pair.nemenyi is None else shown_p(pair.nemenyi),
        )
        for pair in comparison.pairs
    ]
    parts.append(_typeset(["method", "against", "difference [95 %]", "p Wilcoxon–Holm", "p Nemenyi"], rows, 2))
    return "\n\n".join(parts) + "\n"


def _class_facts(figures: Mapping[str, Sequence[ClassFigures]]) -> dict[str, Any]:
    return {"classes": [{"suite": part, **dataclasses.asdict(each)} for part, own in figures.items() for each in own]}


def _class_text(
    figures: Mapping[str, Sequence[ClassFigures]], selections: Mapping[str, Selection], labels: Sequence[str]
) -> str:
    paired = len(labels) == 2
    header = ["class", "seeds", *labels, *(["first − second", "p"] if paired else [])]
    parts = []
    for part, own in figures.items():
        rows = []
        for each in own:
            row = [each.normal_class, str(len(each.seeds)), *(_interval(each.intervals.get(label)) for label in labels)]
            rows.append([*row, *_difference(each.difference)] if paired else row)
        parts.append(f"{part}: {selections[part].setting.describe()}\n\n{_typeset(header, rows)}\n")
    return "\n".join(parts)


def _class_notes(figures: Mapping[str, Sequence[ClassFigures]]) -> list[str]:
    every = [each for own in figures.values() for each in own]
    notes = []
    if any(len(each.seeds) > 1 for each in every):
        notes.append("95 % intervals over seeds: what other test images and training again would change")
    if any(len(each.seeds) == 1 for each in every):
        notes.append(
            "95 % intervals of one seed: what other test images would change, for this one training; training again "
            "may change more, so there is no p. Two seeds or more have one"
        )
    if any(interval.auroc in (0, 1) for each in every for interval in each.intervals.values()):
        notes.append("an AUROC of 1 or 0 shows no spread, so its interval is the widest that any scores could need")
    if any(each.difference and each.difference.p is not None for each in every):
        notes.append(
            "p is not corrected for the number of classes; "
            "classes of one dataset are not independent: they share their images"
        )
    return notes


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval.auroc:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _difference(found: Difference | None) -> tuple[str, str]:
    from bench.report.statistics.ranking import shown_p

    if found is None:
        return "–", "–"
    p = "–" if found.p is None else shown_p(found.p)
    return f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]", p


def _typeset(header: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """Rows of text as a table; the first ``names`` columns hold names, the others figures."""
    from tabulate import tabulate

    align = ["left"] * names + ["right"] * (len(header) - names)
    return tabulate(rows, headers=header, tablefmt="simple", disable_numparse=True, colalign=align)
