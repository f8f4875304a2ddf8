"""The adapters in real runs: models of other libraries beside each other, and one that misses its weights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli import Bench


@pytest.mark.slow
def test_a_model_without_its_weights_has_a_record_that_says_so_and_the_others_end_well(
    bench: Bench, tmp_path: Path
) -> None:
    bench.environment |= {"HF_HOME": str(tmp_path / "hf"), "TORCH_HOME": str(tmp_path / "torch")}
    methods = "pyod(model='KNN'),anomalib(model='Padim'),pyod(model='VAE',epoch_num=2),pyod(model='SUOD')"

    ended = bench("run", "--suite", "quickstart", "--classes", "0", "--methods", methods)

    assert ended.returncode == 1, ended.stderr
    assert bench.record("pyod(model='KNN')").parameters["n_neighbors"] == 5
    assert bench.record("pyod(model='KNN')").metrics["auroc"] > 0.9
    assert bench.record("pyod(epoch_num=2,model='VAE')").status == "done"
    padim = bench.record("anomalib(model='Padim')")
    assert padim.status == "failed"
    assert padim.error is not None
    assert re.search(r"Padim needs weights that are not on this machine", padim.error["message"])
    assert "SUOD needs combo" in str(bench.record("pyod(model='SUOD')").error)
    assert list(bench.folder.glob("[!pr]*")) == []  # nothing but plugins.toml and results


def test_adapters_are_listed_with_what_they_are(bench: Bench) -> None:
    listed = bench("list", "methods").stdout
    assert re.search(r"^pyod +Any detector of pyod on pixels", listed, re.MULTILINE)
    assert re.search(r"^anomalib +Any image model of anomalib", listed, re.MULTILINE)


def test_a_misspelt_parameter_stops_the_run_before_it_begins(bench: Bench) -> None:
    ended = bench.digits("pyod(model='KNN',n_neighbours=3)", "0")
    assert ended.returncode == 2
    assert "did you mean n_neighbors?" in ended.stderr
