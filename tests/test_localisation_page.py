"""docs/localisation.md: its example is what runs here, and its figures are what each definition gives on it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from aupro_definitions import Definition, ader, anomalib_2_2, mvtec, pyramidflow
from pages import DOCS, blocks

from bench.localisation import localised

PAGE = (DOCS / "localisation.md").read_text(encoding="utf-8")
DEFINITIONS: dict[str, Definition] = {
    "MVTec": mvtec, "anomalib up to 2.2": anomalib_2_2, "ADer": ader, "PyramidFlow": pyramidflow,
}  # fmt: skip


@pytest.fixture(scope="module")
def example() -> dict[str, np.ndarray]:
    """What the page's code leaves behind: a map and its mask."""
    names: dict[str, np.ndarray] = {}
    exec("\n".join(text for language, text in blocks(PAGE) if language == "python"), names)
    return names


@pytest.mark.parametrize("name", list(DEFINITIONS))
def test_a_definition_gives_the_figure_of_its_row(name: str, example: dict[str, np.ndarray]) -> None:
    row = re.search(rf"^\| {re.escape(name)} \| ([\d.]+) \|", PAGE, re.MULTILINE)
    assert row is not None
    assert DEFINITIONS[name](example["scores"], example["mask"], 0.3) == pytest.approx(float(row[1]), abs=5e-4)


def test_ours_is_mvtecs(example: dict[str, np.ndarray]) -> None:
    found = localised([example["scores"]], [example["mask"]])["aupro_30"]
    assert found == pytest.approx(mvtec(example["scores"], example["mask"], 0.3), abs=1e-9)
