"""What criteria without labels are worth: their correlation with test AUROCs, and the regret of choosing by them.

    python benchmarks/choosing.py run SUITE --results DIR      every setting fitted on training images, and tested
    python benchmarks/choosing.py tell --results DIR [--out DIR]

``run`` takes a suite of choosing.toml beside this file, and goes on where it stopped; its records are those of ``bench
run`` in DIR and of ``bench tune`` in DIR/tuning, both of which ``bench pack`` packs. ``tell`` reads these alone: two
Markdown tables on stdout, and with ``--out`` a figure of regrets. Criteria are looked at on development classes; the
other classes are for what is claimed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from bench.choice import under_every_label
from bench.criterion import Criterion
from bench.errors import warn
from bench.execution import run as execution
from bench.execution.judgement import usable
from bench.execution.opening import open_executor
from bench.execution.session import execute
from bench.execution.tuning import Way, cases_of, compare
from bench.jobs import Request, expand
from bench.report.statistics.worth import METHODS, Mean, Trial, Worth, trials, worth
from bench.store import TUNING, Store
from bench.workspace import Workspace, open_workspace

CONFIG = Path(__file__).with_suffix(".toml")
DEVELOPMENT = {
    "mnist": {"5", "6", "7", "8", "9"},
    "fashion_mnist": {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"},
    "cifar10": {"airplane", "automobile", "bird", "cat", "deer"},
    "digits": {"0"},
}
"""Classes that criteria were looked at on, by data set; of others none: all are held out."""

TOGETHER = "all of them together"
"""By the mean place that they give."""
SETTINGS = "settings"


def run(workspace: Workspace, suite: str, way: Way, workers: int | None, device: str) -> None:
    """Fit every setting of a suite as criteria need it, then test it."""
    jobs = expand(Request(suite), workspace)
    with open_executor(device=device, workers=workers) as places:
        options = execution.Options()
        title = f"{suite}: fits on training images"
        fitted = compare(title, cases_of(jobs), way, usable(workspace), workspace, places, options).result
        if fitted.signal:
            raise SystemExit(128 + fitted.signal)  # else Ctrl-C would begin the tests
        planned = execution.plan(jobs, workspace, places.device)
        execute(f"{suite}: tests", planned, workspace, places, options)


def told(workspace: Workspace) -> tuple[list[Criterion], list[Trial]]:
    """The criteria, and the choices that the records of a results folder allow to replay."""
    store, aside = Store(workspace.results), Store(workspace.results / TUNING)
    (tests, unread), (fits, unread_fits) = store.records(), aside.records()
    for error in (*unread, *unread_fits):
        warn(error)
    criteria = usable(workspace)
    return criteria, trials(under_every_label(tests), fits, criteria, lambda record: aside.scores(record)["scores"])


def ways(criteria: Sequence[Criterion]) -> dict[str, Sequence[Criterion]]:
    """Each criterion alone, and all of them."""
    return {**{each.spec: [each] for each in criteria}, TOGETHER: criteria}


def is_development(trial: Trial) -> bool:
    """Whether criteria were looked at on its class."""
    return trial.normal_class in DEVELOPMENT.get(trial.dataset.partition("(")[0], ())


def with_default(found: Sequence[Trial]) -> tuple[list[Trial], str]:
    """Choices among methods, of which the default is the one that is best on development classes; and its label.

    Methods that were not tried on all of these are left out.
    """
    development = [trial for trial in found if is_development(trial)]
    everywhere = set.intersection(*(set(trial.candidates) for trial in development)) if development else set()
    means = {label: fmean(trial.candidates[label].auroc for trial in development) for label in sorted(everywhere)}
    best = max(means, key=lambda label: means[label], default="")
    marked = [
        replace(trial, candidates={k: replace(c, is_default=k == best) for k, c in trial.candidates.items()})
        for trial in found
    ]
    return marked, best


def shown(mean: Mean | None, interval: bool = False) -> str:
    if mean is None:
        return "–"
    told = f" [{mean.low:+.3f}, {mean.high:+.3f}]" if interval and mean.low is not None else ""
    sign = "+" if interval else ""
    return f"{mean.value:{sign}.3f}{told}".replace("-", "−")


def worths(found: Sequence[Trial], criteria: Sequence[Criterion]) -> dict[str, Worth]:
    """What each way of choosing is worth over some choices, without those that say nothing of any."""
    return {name: own for name, way in ways(criteria).items() if (own := worth(found, way)) is not None}


def table(found: Sequence[Trial], criteria: Sequence[Criterion], default: str) -> str:
    """A row for each way of choosing: means over classes, intervals over the held-out ones, which are 95 %."""
    from tabulate import tabulate

    development = [trial for trial in found if is_development(trial)]
    held_out = [trial for trial in found if not is_development(trial)]
    datasets = list(dict.fromkeys(trial.dataset for trial in held_out))
    parts = [development, held_out, *([trial for trial in held_out if trial.dataset == each] for each in datasets)]
    columns = [worths(part, criteria) for part in parts]
    rows = [
        [
            name,
            shown(own.correlation),
            *(shown(column[name].regret if name in column else None) for column in columns),
            shown(own.against_default, interval=True),
            shown(own.against_random, interval=True),
        ]
        for name, own in columns[1].items()
    ]
    for name, of in ((default, "default"), ("a draw by lot", "random")):
        # of all together, who say something of every class
        regrets = [getattr(column[TOGETHER], of) if TOGETHER in column else None for column in columns]
        if any(regrets):
            rows.append([f"*{name}*", "–", *map(shown, regrets), "–", "–"])
    head = ["chosen by", "correlation", "regret, development", "regret, held out", *datasets, "− default's", "− by lot"]
    return str(tabulate(rows, head, tablefmt="pipe", disable_numparse=True))


def draw(parts: Mapping[str, Sequence[Trial]], criteria: Sequence[Criterion], folder: Path) -> list[Path]:
    """The regret of each way of choosing on held-out classes, with its interval; lines: the default, a draw by lot."""
    from matplotlib.lines import Line2D

    from bench.report.figures.style import PAGE, PALETTE, STYLE, save, with_legend

    @STYLE
    def drawn() -> list[Path]:
        names = ["the criterion's choice", "the default", "a draw by lot"]
        figure, legend = with_legend(PAGE, 0.6 * len(parts) + 0.17 * len(parts) * (len(criteria) + 1), names, columns=3)
        for axes, (among, found) in zip(figure.subplots(len(parts), squeeze=False)[:, 0], parts.items(), strict=True):
            known = worths([trial for trial in found if not is_development(trial)], criteria)
            for row, each in enumerate(known.values()):
                low, high = each.regret.low, each.regret.high
                error = None if low is None or high is None else [[each.regret.value - low], [high - each.regret.value]]
                axes.errorbar(each.regret.value, row, xerr=error, fmt="o", color=PALETTE[0])
                for place, mean in ((1, each.default), (2, each.random)):
                    if mean is not None:
                        axes.plot([mean.value] * 2, [row - 0.4, row + 0.4], color=PALETTE[place], linewidth=1.5)
            axes.set_yticks(range(len(known)), list(known))
            axes.invert_yaxis()
            axes.set_xlabel(f"regret in test AUROC, choosing among {among}")
        legend([Line2D([], [], color=PALETTE[i], marker="o" if i == 0 else "") for i in range(len(names))])
        return save(figure, folder, "regret-by-criterion")

    paths: list[Path] = drawn()
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running, telling = commands.add_parser("run"), commands.add_parser("tell")
    running.add_argument("suite")
    running.add_argument("--repeats", type=int, default=3)
    running.add_argument("--held-out", type=float, default=0.2)
    running.add_argument("--bootstrap", action="store_true", help="each fit on a sample of its own")
    running.add_argument("--workers", type=int)
    running.add_argument("--device", default="cpu")
    telling.add_argument("--among", choices=[SETTINGS, METHODS], help="one of the two tables")
    telling.add_argument("--out", type=Path)
    for each in (running, telling):
        each.add_argument("--results", type=Path, required=True)
        each.add_argument("--data", type=Path)
        each.add_argument("--config", type=Path, default=CONFIG)
    asked = parser.parse_args()
    workspace = open_workspace(asked.config, asked.data, asked.results)
    if asked.command == "run":
        run(workspace, asked.suite, Way(asked.repeats, asked.held_out, asked.bootstrap), asked.workers, asked.device)
        return
    criteria, found = told(workspace)
    methods, best = with_default([trial for trial in found if trial.among == METHODS])
    defaults = {SETTINGS: "the default setting", METHODS: f"always {best}"}
    parts = {SETTINGS: [trial for trial in found if trial.among != METHODS], METHODS: methods}
    for among, own in parts.items():
        if asked.among in (None, among):
            print(f"Choosing among {among}:\n\n{table(own, criteria, defaults[among])}\n")
    for path in draw(parts, criteria, asked.out) if asked.out else ():
        print(path)


if __name__ == "__main__":
    main()
