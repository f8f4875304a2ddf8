"""``[labels]``: the names that reports show of specs, everywhere but in keys and in what commands take."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from projects import Project
from records import QUICKSTART, make_record, put_quickstart
from typer.testing import CliRunner

from bench.cli import app
from bench.config import Table, load_config
from bench.errors import BenchError
from bench.report.selection import renamed
from bench.store import Store

LABELS = np.repeat([0, 1], [40, 60]).astype(np.uint8)
TOML = """
    [labels]
    "pca(components=0.9)" = "principal components"
    knn = "nearest neighbour"

    [tables.mine]
    suites = ["quickstart"]
    methods = ["knn", "pca(components=0.9)"]
    labels = { knn = "k-NN" }
    """


@pytest.fixture
def project_with_names(project: Project) -> Project:
    project.write("bench.toml", TOML)
    store = Store(project.root / "results/runs")
    methods = {"knn": {}, "pca": {"label": "pca(components=0.9)"}, "mean_image": {}}
    put_quickstart(store, LABELS, methods, classes=8)
    store.put(make_record(method="knn", normal_class="9", status="failed", **QUICKSTART))
    return project


def said(*words: str) -> str:
    ended = CliRunner().invoke(app, list(words))
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended.output


def columns(table: str) -> list[str]:
    return re.split(r" {2,}", table.splitlines()[2])


def test_every_report_shows_the_names_and_takes_the_specs(project_with_names: Project) -> None:
    table = said("table", "quickstart", "--methods", "pca(components=0.9),knn,mean_image")
    assert columns(table) == ["class", "principal components", "nearest neighbour", "mean_image"]
    for words in (
        ("stats", "quickstart"),
        ("stats", "quickstart", "--by-class", "--methods", "knn,pca(components=0.9)"),
        ("table", "quickstart", "--format", "latex"),
        ("table", "quickstart", "--format", "csv"),
    ):
        text = said(*words)
        assert "principal components" in text
        assert "components=0.9" not in text
    files = said("figures", "quickstart", "--out", "drawn").split()
    assert any("principal-components-0-seed0" in file for file in files)
    assert not any("0.9" in file for file in files)
    said("report", "--figures", "none")
    page = Path("report.html").read_text(encoding="utf-8")
    assert "principal components" in page
    assert "components=0.9" not in page


def test_a_tables_own_names_go_before_the_others(project_with_names: Project) -> None:
    assert columns(said("table", "mine")) == ["class", "k-NN", "principal components"]


def test_an_export_keeps_the_spec_and_adds_the_name(project_with_names: Project) -> None:
    said("export", "records.csv")
    rows = pd.read_csv("records.csv")
    pairs = set(zip(rows["label"], rows["shown"], strict=True))
    assert ("pca(components=0.9)", "principal components") in pairs
    assert ("mean_image", "mean_image") in pairs


def test_published_figures_stand_beside_the_name(project: Project) -> None:
    project.write("bench.toml", '[labels]\nshared_ae = "full model"\n')
    Store(project.root / "results/runs").put(make_record(method="shared_ae", normal_class="0", normal_label=0))
    assert "Δ full model" in said("table", "2")
    verified = CliRunner().invoke(app, ["verify", "2"]).stdout
    assert "full model" in verified
    assert "shared_ae" not in verified


def test_a_runs_final_table_shows_the_names(project: Project, digits_data: Path) -> None:
    project.write("bench.toml", '[labels]\nmean_image = "the mean"\n')
    words = ("run", "--suite", "quickstart", "--methods", "mean_image", "--classes", "0", "--device", "cpu", "--quiet")
    assert "the mean" in said(*words, "--data", str(digits_data))
    (record,) = Store(project.root / "results/runs").records()[0]
    assert record.job.label == "mean_image"


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ("'a b' = 'x'", "bench.toml: labels: cannot read 'a b' as a list of specs"),
        ("knn = 3", "bench.toml: labels: the name of knn is a text in quotes, not 3"),
        ("knn = ' '", "the name of knn is a text in quotes"),
        ("knn = 'x'\npca = 'x'", "bench.toml: labels: knn and pca have one name, 'x'"),
    ],
)
def test_what_is_no_spec_or_no_name_is_refused(project: Project, toml: str, why: str) -> None:
    config = load_config(project.write("my.toml", f"[labels]\n{toml}\n"))
    with pytest.raises(BenchError, match=why):
        config.shown()


def test_a_wrong_name_is_said_before_a_run_and_hinders_no_listing(project: Project, digits_data: Path) -> None:
    project.write("bench.toml", "[labels]\nknn = 3\n")
    assert CliRunner().invoke(app, ["list", "suites"]).exit_code == 0
    ended = CliRunner().invoke(app, ["run", "--suite", "quickstart", "--methods", "knn", "--data", str(digits_data)])
    assert "the name of knn is a text in quotes" in str(ended.exception)
    assert not (project.root / "results").exists()


def test_a_name_that_another_method_has_by_itself_is_refused() -> None:
    records = [make_record(method="knn"), make_record(method="pca")]
    with pytest.raises(BenchError, match="knn and pca would both be shown as 'pca'; change"):
        renamed(records, {"knn": "pca"})
    assert renamed(records, {"vae": "pca"}) == records


def test_a_spec_may_be_written_in_any_way(project: Project) -> None:
    config = load_config(project.write("my.toml", "[labels]\n\"shared_ae( variant='x', alpha=3.0 )\" = 'y'\n"))
    assert config.shown() == {"shared_ae(alpha=3.0,variant='x')": "y"}
    assert config.shown(Table(suites=[], labels={"shared_ae(alpha=3.0,variant='x')": "z"})) == {
        "shared_ae(alpha=3.0,variant='x')": "z"
    }
