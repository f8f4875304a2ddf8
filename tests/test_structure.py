"""The house keeps its structure: imports go one way and never round, and no module outgrows its room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bench

ROOT = Path(bench.__file__).parent
MODULES = {
    ".".join(("bench", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in sorted(ROOT.rglob("*.py"))
    if not {"methods", "datasets"} & set(file.relative_to(ROOT).parts[:1])
}

FLOORS = (
    ("bench.cli", "bench.api", "bench.__main__"),
    ("bench.execution", "bench.report", "bench.testing", "bench.submission"),
    ("bench.workspace", "bench.jobs", "bench.config", "bench.store", "bench.archive"),
    (
        "bench.protocols",
        "bench.protocol",
        "bench.criteria",
        "bench.criterion",
        "bench.registry",
        "bench.metrics",
        "bench.fingerprint",
    ),
    ("bench.method", "bench.dataset"),
)
"""CONTRIBUTING.md's storeys, from the top: a module imports its own and those below."""

ROOMS = (
    "notes",
    "selection",
    "shared",
    "statistics",
    "tables",
    "figures",
    "narrowing",
    "request",
    "page",
    "leaderboard",
)
"""Of the report: each imports those before it."""


def imported(file: Path, *, deferred: bool) -> Iterator[str]:
    """The modules of the harness that a file imports at its top, or those too that its functions import."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if deferred else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bench"):
            parts = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (part if part in MODULES else node.module for part in parts)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)


def floor(module: str) -> int | None:
    for number, names in enumerate(FLOORS):
        if any(module == name or module.startswith(f"{name}.") for name in names):
            return number
    return None


def test_nothing_imports_what_imports_it() -> None:
    graph = {name: set(imported(file, deferred=False)) - {name} for name, file in MODULES.items()}
    TopologicalSorter(graph).prepare()  # CycleError names the circle


@pytest.mark.parametrize("module", [name for name in MODULES if floor(name) is not None])
def test_a_module_imports_no_storey_above_its_own(module: str) -> None:
    own = floor(module)
    assert own is not None
    above = [
        other
        for other in imported(MODULES[module], deferred=True)
        if (number := floor(other)) is not None and number < own
    ]
    assert not above


def test_rooms_of_the_report_import_those_before_them() -> None:
    def room(module: str) -> int | None:
        parts = module.split(".")
        return ROOMS.index(parts[2]) if parts[:2] == ["bench", "report"] and parts[2:3] and parts[2] in ROOMS else None

    wrong = [
        (name, other)
        for name, file in MODULES.items()
        if (own := room(name)) is not None
        for other in imported(file, deferred=True)
        if (number := room(other)) is not None and number > own
    ]
    assert not wrong


def test_no_plugin_is_imported_by_name() -> None:
    plugins = ("bench.methods.", "bench.datasets.")
    named = [
        (name, node.module)
        for name, file in MODULES.items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(plugins)
    ]
    assert not named


@pytest.mark.parametrize("module", list(MODULES))
def test_no_module_has_more_than_four_hundred_lines(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400
