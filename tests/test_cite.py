"""``bench cite``: BibTeX of what was used."""

from __future__ import annotations

import re

import pytest
from projects import Project
from records import make_record
from splits import PROTOCOLS
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import BenchError
from bench.report.export.references import Cited, _keywords, _ours, references
from bench.store import Store
from bench.workspace import open_workspace

WITHOUT = {"method mean_image", "method tiled", "dataset folder"}
"""A control of two lines, a way to cut images, and everybody's own images: nobody's paper."""


def cited(*words: str) -> tuple[list[str], str]:
    """The keys of what is printed, and what is said on stderr."""
    ended = CliRunner().invoke(app, ["cite", *words])
    if isinstance(ended.exception, BenchError):
        raise ended.exception
    assert ended.exit_code == 0
    return re.findall(r"^@\w+\{(\w+),$", ended.stdout, re.MULTILINE), ended.stderr


def test_everything_of_the_house_has_a_reference_and_every_reference_is_of_something(project: Project) -> None:
    workspace = open_workspace()
    own = [
        *(
            f"{registry.kind} {name}"
            for registry in (workspace.methods, workspace.datasets)
            for name in registry.names()
        ),
        *(f"protocol {name}" for name in PROTOCOLS.names()),
    ]
    known = {each for entry in _ours().values() for each in _keywords(entry)}
    assert set(own) - known == WITHOUT
    assert known - set(own) == {f"table {number}" for number in range(1, 6)}


@pytest.mark.parametrize("key", list(_ours()))
def test_an_entry_is_whole(key: str) -> None:
    entry = _ours()[key]
    assert entry.count("{") == entry.count("}")
    fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE))
    assert {"author", "title", "year", "keywords"} <= fields.keys()
    assert len(fields) == len(entry.splitlines()) - 2, "a line each"
    assert re.fullmatch(r"(19|20)\d\d", fields["year"])
    assert re.fullmatch(rf"[a-z]+{fields['year']}[a-z]+", key)


def test_a_suites_methods_dataset_and_protocol_are_cited_each_once(project: Project) -> None:
    store = Store(project.root / "results/runs")
    for method in ("knn", "ocsvm", "mean_image"):
        store.put(make_record(method=method))
    keys, told = cited("--suite", "mnist")
    assert set(keys) == {
        "ramaswamy2000efficient", "schoelkopf2001estimating", "zhao2019pyod", "lecun1998gradient", "ruff2018deep",
        "perera2019ocgan",
    }  # fmt: skip
    assert len(keys) == len(set(keys))
    assert "no reference for method mean_image" in told
    assert "keywords" not in CliRunner().invoke(app, ["cite", "--suite", "mnist"]).stdout
    assert set(cited("--suite", "mnist", "--methods", "knn")[0]) == {
        "ramaswamy2000efficient", "lecun1998gradient", "ruff2018deep", "perera2019ocgan",
    }  # fmt: skip


def test_a_table_with_published_figures_cites_whose_they_are(project: Project) -> None:
    Store(project.root / "results/runs").put(make_record(method="knn"))
    assert "jia2022shared" in cited("--suite", "2")[0]
    assert "jia2022shared" not in cited("--suite", "mnist")[0]


def test_without_records_it_is_what_the_suite_names(project: Project) -> None:
    keys, _ = cited("--suite", "cifar100")
    assert {"krizhevsky2009learning", "jia2022shared", "akcay2019ganomaly"} < set(keys)
    assert "knn" not in keys
    assert "oord2016pixel" in cited("--suite", "cifar100", "--methods", "pixelcnn")[0]


def test_what_does_not_exist_is_answered_with_the_nearest(project: Project) -> None:
    with pytest.raises(BenchError, match="did you mean mnist"):
        cited("--suite", "mnst")
    with pytest.raises(BenchError, match=r"no method called 'ocsv'; did you mean ocsvm\?"):
        cited("--suite", "mnist", "--methods", "ocsv")


def test_a_strangers_plugin_brings_its_own(project: Project) -> None:
    project.write_plugins('[suites.mine]\ndataset = "animals"\nprotocol = "official_split"\nmethods = ["mean"]\n')
    keys, told = cited("--suite", "mine")
    assert set(keys) == {"ruff2018deep", "perera2019ocgan"}
    assert "no reference for method mean, dataset animals; a plugin brings its own in a file beside it" in told
    project.write(
        "my_methods/mean.bib", "% mine\n@misc{me2025,\n  title = {Mean}\n}\n\n@misc{me2026, title = {More}}\n"
    )
    project.write("my_datasets/animals.bib", "@misc{me2025,\n  title = {Mean}\n}\n")
    keys, told = cited("--suite", "mine")
    assert keys[0] == "me2025"
    assert "title = {More}" in CliRunner().invoke(app, ["cite", "--suite", "mine"]).stdout
    assert not told.count("no reference")
    project.write("my_methods/mean.bib", "to be written\n")
    with pytest.raises(BenchError, match=r"mean\.bib holds no BibTeX; write an entry that begins with @"):
        cited("--suite", "mine")


def test_a_method_that_has_gone_is_named(project: Project) -> None:
    Store(project.root / "results/runs").put(make_record(method="long_gone"))
    assert "no reference for method long_gone" in cited("--suite", "mnist")[1]
    assert references([Cited("method", "long_gone")]).without == [Cited("method", "long_gone")]
