"""What the methods of a selection have in common: the classes and seeds on which one can be held against another."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from bench.report.notes import Note
from bench.report.selection import Means, Selection

HINT = Note("--methods, --classes and --seeds choose what is compared", "")

MOST = 12
"""Names that a note lists; of more it tells how many."""

Seeds = Mapping[str, Mapping[str, frozenset[int]]]
"""By class and method, the seeds of its records."""


def shared(selection: Selection) -> Selection:
    """The selection with the records alone on which its methods can be compared; notes say what that leaves out.

    Of each class remain the seeds that all methods have which have the class. Means are over the classes that every
    method has, of the seeds that are left of each of these. A record that failed is there like any other, so that it is
    shown; but a method of which nothing ended well takes nothing from the others.
    """
    measured = {record.job.label for record in selection.records if record.status == "done"}
    measured = measured or {record.job.label for record in selection.records}
    seeds = _seeds(selection, measured)
    kept = {name: frozenset.intersection(*own.values()) for name, own in seeds.items()}
    classes = [name for name in selection.classes if kept.get(name) and seeds[name].keys() == measured]
    means = Means(classes, sorted(frozenset.intersection(*(kept[name] for name in classes)) if classes else ()))
    apart = [r for r in selection.records if r.job.seed not in kept.get(r.job.normal_class, (r.job.seed,))]
    left = {record.job.key for record in apart}
    left_out = [*_cell_notes(seeds, len(apart)), *_mean_notes(selection.classes, seeds, kept, means)]
    return dataclasses.replace(
        selection,
        records=[record for record in selection.records if record.job.key not in left],
        apart=(*selection.apart, *apart),
        shared=means,
        partial=selection.partial or len(classes) < len(selection.classes),
        notes=(*selection.notes, *left_out, *([HINT] if left_out else ())),
    )


def _seeds(selection: Selection, labels: Iterable[str]) -> Seeds:
    found: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    wanted = set(labels)
    for record in selection.records:
        if record.job.label in wanted:
            found[record.job.normal_class][record.job.label].add(record.job.seed)
    return {
        name: {label: frozenset(own) for label, own in found[name].items()}
        for name in selection.classes
        if name in found
    }


def _cell_notes(seeds: Seeds, left_out: int) -> list[Note]:
    """What is in no cell: records of seeds that another method does not have of the class."""
    if not left_out:
        return []
    lacking: dict[str, dict[tuple[int, ...], list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, by_label in seeds.items():
        every = frozenset.union(*by_label.values())
        for label, own in by_label.items():
            if every - own:
                lacking[label][tuple(sorted(every - own))].append(name)
    who = _who(
        {
            label: ", ".join(
                f"{_listed('seed', list(each))} of {_listed('class', names)}" for each, names in own.items()
            )
            for label, own in lacking.items()
        }
    )
    count = f"{left_out} records" if left_out > 1 else "1 record"
    return [Note(f"left out: {count} of seeds that not every method has of the class; {who}", "")]


def _mean_notes(classes: Sequence[str], seeds: Seeds, kept: Mapping[str, frozenset[int]], means: Means) -> list[Note]:
    """What means are not over."""
    if len(classes) < 2:
        return []
    labels = sorted({label for by_label in seeds.values() for label in by_label})
    absent = {label: [name for name in classes if label not in seeds.get(name, {})] for label in labels}
    who = _who({label: _listed("class", names) for label, names in absent.items() if names})
    if not means.classes:
        why = who or "of no class do they have a seed in common"
        return [Note(f"no means: there is no class that every method has; {why}", "no means")]
    if not means.seeds:
        return [Note("no means: there is no seed of which every class is there", "no means")]
    notes = []
    if len(means.classes) < len(classes):
        over = f"means are over {_listed('class', means.classes)}, which every method has"
        notes.append(Note(f"{over}; {who or 'of the others they share no seed'}", over))
    if any(kept[name] - set(means.seeds) for name in means.classes):
        notes.append(Note(f"means are of {_listed('seed', means.seeds)}, which every class has"))
    return notes


def _who(lacking: Mapping[str, str]) -> str:
    """Who lacks what: ``pca and knn lack class 3; vae lacks seed 1 of class 8``."""
    together: dict[str, list[str]] = defaultdict(list)
    for label, what in sorted(lacking.items()):
        together[what].append(label)
    return "; ".join(
        f"{_joined(labels) if len(labels) <= MOST else f'{len(labels)} methods'} lack{'s' * (len(labels) == 1)} {what}"
        for what, labels in together.items()
    )


def _listed(kind: str, names: Sequence[object]) -> str:
    """``class 3``, ``classes 3, 5 and 8``, or how many where they are many."""
    plural = {"class": "classes", "seed": "seeds"}[kind]
    if len(names) > MOST:
        return f"{len(names)} {plural}"
    return f"{kind if len(names) == 1 else plural} {_joined(list(map(str, names)))}"


def _joined(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
