"""AUROC under conditions: which records make a curve, and what is drawn of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from projects import Project, invoked
from records import make_record

from bench.cli.figures import figures
from bench.errors import BenchError
from bench.report.figures.conditions import Axis, auroc_by_condition, curves
from bench.report.selection import Selection, select
from bench.store import Store


def under(auroc: float, classes: str = "01", **facts: Any) -> Selection:
    """A selection of one method on some classes under a condition."""
    return select([make_record(auroc=auroc, normal_class=name, **facts) for name in classes], lambda _: True)


def close(points: Sequence[tuple[float, float]], wanted: Sequence[tuple[float, float]]) -> bool:
    return bool(np.shape(points) == np.shape(wanted) and np.allclose(points, wanted))


def test_a_curve_has_the_values_of_one_condition_while_the_others_stay() -> None:
    selections = [
        under(0.9, max_train=100),
        under(0.8, max_train=100, contamination=0.05),
        under(0.7, max_train=100, contamination=0.1),
        under(0.6, max_train=50, contamination=0.1),
    ]
    (curve,) = curves(selections, "contamination")
    assert close(curve.points, [(0, 0.9), (5, 0.8), (10, 0.7)])
    (curve,) = curves(selections, "images")
    assert close(curve.points, [(50, 0.6), (100, 0.7)])
    assert curves(selections, "severity") == []


def test_each_kind_of_corruption_begins_where_images_are_clean() -> None:
    selections = [
        under(0.9),
        under(0.8, corruption="jpeg(severity=3)"),
        under(0.5, corruption="jpeg(severity=5)"),
        under(0.3, corruption="jpeg(only='normal',severity=5)"),
    ]
    found = {curve.kind: curve.points for curve in curves(selections, "severity")}
    assert close(found["jpeg"], [(0, 0.9), (3, 0.8), (5, 0.5)])
    assert close(found["jpeg, normal images only"], [(0, 0.9), (5, 0.3)])


def test_points_are_means_over_the_classes_that_all_conditions_have() -> None:
    clean = select(
        [make_record(auroc=value, normal_class=name) for name, value in (("0", 0.9), ("1", 0.5))], lambda _: True
    )
    (curve,) = curves([clean, under(0.8, classes="0", contamination=0.1)], "contamination")
    assert close(curve.points, [(0, 0.9), (10, 0.8)])


@pytest.mark.parametrize("axis", ["contamination", "severity", "images"])
def test_a_single_value_makes_no_figure(axis: Axis) -> None:
    with pytest.raises(BenchError, match=f"no method has records under two values of this condition .{axis}."):
        auroc_by_condition([under(0.9, max_train=100)], axis)


def test_the_command_draws_a_panel_for_each_kind(project: Project, tmp_path: Path) -> None:
    store = Store(project.root / "results/runs")
    for corruption in ("", "jpeg(severity=5)", "contrast(severity=5)"):
        for name in ("0", "1"):
            job = {"dataset": "digits", "protocol": "holdout_80_20", "profile": "cpu", "normal_class": name}
            store.put(make_record(auroc=0.9 - len(corruption) / 100, corruption=corruption, **job), None)
    printed = invoked(figures)("quickstart", "--only", "severity", "--out", str(tmp_path)).stdout.split()
    assert [Path(line).name for line in printed] == ["quickstart-severity.pdf", "quickstart-severity.png"]
    (drawn,) = [
        auroc_by_condition(
            [under(0.9), under(0.8, corruption="jpeg(severity=3)"), under(0.7, corruption="contrast(severity=3)")],
            "severity",
        )
    ]
    assert [axes.get_title() for axes in drawn.axes] == ["jpeg", "contrast"]
