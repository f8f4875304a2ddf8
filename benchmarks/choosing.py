"""What criteria without labels are worth: their correlation with test AUROCs, and the regret of choosing by them.

    python benchmarks/choosing.py run SUITE --results DIR      every setting fitted on training images, and tested
    python benchmarks/choosing.py tell --results DIR [--out DIR]

``run`` takes a suite of choosing.toml beside this file, and goes on where it stopped; its records are those of ``bench
run`` in DIR and of ``bench tune`` in DIR/tuning, both of which ``bench pack`` packs. ``tell`` reads these alone: a
Markdown table on stdout, and with ``--out`` a figure of regrets. Criteria are looked at on development classes; the
other classes are for what is claimed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

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

Key = tuple[str, str, str]
"""Data set, which of its classes, and among what: settings or methods."""


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


def parts(found: Sequence[Trial]) -> Iterator[tuple[Key, list[Trial]]]:
    """The trials by data set, by development and held-out classes, and by whether methods or settings are chosen."""
    groups: dict[Key, list[Trial]] = {}
    for trial in found:
        chosen_on = DEVELOPMENT.get(trial.dataset.partition("(")[0], set())
        part = "development" if trial.normal_class in chosen_on else "held out"
        among = METHODS if trial.among == METHODS else "settings"
        groups.setdefault((trial.dataset, part, among), []).append(trial)
    yield from sorted(groups.items())


def shown(mean: Mean | None) -> str:
    if mean is None:
        return "–"
    interval = "" if mean.low is None else f" ({mean.low:.3f} to {mean.high:.3f})"
    return f"{mean.value:.3f}{interval}".replace("-", "−")


def table(worths: Mapping[Key, Mapping[str, Worth]]) -> str:
    """A row for each criterion and part: means over classes with 95 % intervals over them."""
    from tabulate import tabulate

    rows = [
        [
            *key,
            criterion,
            each.choices,
            shown(each.correlation),
            shown(each.regret),
            shown(each.default),
            shown(each.random),
            shown(each.against_default),
            shown(each.against_random),
        ]
        for key, own in worths.items()
        for criterion, each in own.items()
    ]
    head = ["data set", "classes", "among", "criterion", "choices", "correlation", "regret", "default's", "by lot"]
    return str(tabulate(rows, [*head, "− default's", "− by lot"], tablefmt="pipe", disable_numparse=True))


def draw(worths: Mapping[Key, Mapping[str, Worth]], folder: Path) -> list[Path]:
    """The regret of each criterion with its interval, a panel a part; lines are the default's, and a draw's by lot."""
    from matplotlib.lines import Line2D

    from bench.report.figures.style import PAGE, PALETTE, STYLE, save, with_legend

    @STYLE
    def drawn() -> list[Path]:
        most = max(len(own) for own in worths.values())
        names = ["the criterion's choice", "the default", "a draw by lot"]
        figure, legend = with_legend(PAGE, len(worths) * (0.5 + 0.17 * most), names, columns=3)
        for axes, (key, own) in zip(figure.subplots(len(worths), squeeze=False)[:, 0], worths.items(), strict=True):
            for row, each in enumerate(own.values()):
                low, high = each.regret.low, each.regret.high
                error = None if low is None or high is None else [[each.regret.value - low], [high - each.regret.value]]
                axes.errorbar(each.regret.value, row, xerr=error, fmt="o", color=PALETTE[0])
                for place, mean in ((1, each.default), (2, each.random)):
                    if mean is not None:
                        axes.plot([mean.value] * 2, [row - 0.4, row + 0.4], color=PALETTE[place], linewidth=1.5)
            axes.set_yticks(range(len(own)), list(own))
            axes.invert_yaxis()
            axes.set_xlabel(f"regret in test AUROC: {', '.join(key)}")
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
    worths = {
        key: {each.spec: known for each in criteria if (known := worth(own, each)) is not None}
        for key, own in parts(found)
    }
    print(table(worths))
    for path in draw(worths, asked.out) if asked.out else ():
        print(path)


if __name__ == "__main__":
    main()
