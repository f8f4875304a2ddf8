"""The wheel holds all of bench and nothing else, and works where there is no checkout."""

from __future__ import annotations

import importlib.util
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from cli import python_prints

ROOT = Path(__file__).parent.parent
PARTS = {"bench": "bench", "methods": "bench/methods", "datasets": "bench/datasets"}
"""Folders of the checkout, and where their files are in the wheel."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    # a copy, because a build leaves its traces beside the sources
    source, built = tmp_path_factory.mktemp("source") / "copy", tmp_path_factory.mktemp("wheel")
    source.mkdir()
    for folder in PARTS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    of_reference = "results/reference/mnist/official_split/pca"
    shutil.copytree(ROOT / of_reference, source / of_reference)
    (source / "tests").mkdir()
    (source / "tests" / "test_nothing.py").touch()
    for file in ("bench.toml", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    here = ["--no-build-isolation"] if importlib.util.find_spec("setuptools") else []
    python_prints("-m", "pip", "wheel", str(source), "--no-deps", *here, "--wheel-dir", str(built), folder=source)
    (file,) = built.glob("oneclass_bench-*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_has_every_module_and_the_default_configuration_and_no_other_top_level_name(
    wheel: zipfile.ZipFile,
) -> None:
    names = set(wheel.namelist())
    for folder, place in PARTS.items():
        found = [path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file()]
        files = {f"{place}/{path}" for path in found if "__pycache__" not in path.parts}
        assert files
        assert files <= names
    assert {"bench/bench.toml", "bench/py.typed", "bench/reference/records.zip"} <= names
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"bench"}


def test_the_unpacked_wheel_works_from_anywhere(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    wheel.extractall(site)

    def run(*arguments: str) -> str:
        return python_prints(*arguments, folder=elsewhere, PYTHONPATH=str(site))

    # the installed checkout must not answer in the copy's place
    assert Path(run("-c", "import bench; print(bench.__file__)").strip()).is_relative_to(site)
    suites = run("-m", "bench", "list", "suites")
    assert "quickstart" in suites
    methods = json.loads(run("-m", "bench", "list", "methods", "--json"))
    assert {Path(row["source"]).parents[1] for row in methods} == {site / "bench" / "methods"}
    reference = run("-m", "bench", "table", "mnist")
    assert "mnist, official_split (version 1), profile cpu" in reference
    assert "pca" in reference
    grid = "--suite quickstart --methods ocsvm --classes 0 --device cpu --results runs --data data"
    table = run("-m", "bench", "run", *grid.split())
    assert "ocsvm" in table
    assert len(list((elsewhere / "runs").glob("*/*/*/*.json"))) == 1
