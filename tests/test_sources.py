"""Kept sources: the code of strangers' plugins beside the records, whole, once, and of use without the original."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from projects import DATASET, METHOD, Project
from records import make_record

from bench.errors import BenchError
from bench.fingerprint import source_fingerprint
from bench.registry import KEPT, Plugin, Registry, kept_plugin
from bench.report.export.bundle import requirements
from bench.sources import DATASET_SOURCE, Sources, libraries, strangers
from bench.specs import Spec


def importing_steps(module: str) -> str:
    """A method whose default number of steps is another module's."""
    imported = METHOD.replace("from bench.method", f"from {module} import STEPS\nfrom bench.method")
    return imported.replace("= 3", "= STEPS")


@pytest.fixture
def sources(project: Project) -> Sources:
    return Sources(project.root / "results")


def folder_plugin(project: Project) -> Plugin:
    """A method in a folder, with a shared part in a folder below."""
    project.write("my_methods/mean.py", importing_steps("._parts.steps"))
    project.write("my_methods/_parts/__init__.py", "")
    project.write("my_methods/_parts/steps.py", "STEPS = 6\n")
    project.write("my_methods/other.py", METHOD)
    return Registry("method", [project.root / "my_methods"]).find("mean")


def package_plugin(project: Project, monkeypatch: pytest.MonkeyPatch, steps: int = 6) -> Plugin:
    """A method of an installed package, which imports its own parts by their full names, as its package does."""
    project.write("site/vendor/mean.py", importing_steps("vendor.parts"))
    project.write("site/vendor/__init__.py", "from vendor.about import NAME\n")
    project.write("site/vendor/about.py", "NAME = 'vendor'\n")
    project.write("site/vendor/parts.py", f"STEPS = {steps}\n")
    project.write("site/vendor-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: vendor\nVersion: 1.0\n")
    project.write("site/vendor-1.0.dist-info/entry_points.txt", "[bench.methods]\nvendor_mean = vendor.mean\n")
    monkeypatch.syspath_prepend(str(project.root / "site"))
    return Registry("method").find("vendor_mean")


@pytest.fixture(autouse=True)
def python_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What loading a kept copy changes in this process."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    for name in ("vendor", "vendor.mean", "vendor.parts", "vendor.about", "helper"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_a_plugin_of_a_folder_is_kept_with_its_parts_and_comes_out_with_its_fingerprint(
    project: Project, sources: Sources
) -> None:
    fingerprint = sources.keep(folder_plugin(project))
    shutil.rmtree(project.root / "my_methods")
    place = sources.place(fingerprint)
    assert sorted(path.relative_to(place).as_posix() for path in place.rglob("*.*")) == [
        "code/my_methods/_parts/__init__.py",
        "code/my_methods/_parts/steps.py",
        "code/my_methods/mean.py",
        KEPT,
    ]
    kept = sources.find(fingerprint)
    assert kept is not None
    assert (kept.name, kept.kind, kept.problem) == ("mean", "method", "")
    assert source_fingerprint(kept) == fingerprint
    assert Registry("method", [place]).build(Spec("mean")).steps == 6
    assert libraries(place).keys() == {"numpy"}
    assert not list(place.rglob("*.pyc"))


def test_a_kept_copy_goes_before_the_plugin_that_is_there_and_of_two_the_last(
    project: Project, sources: Sources
) -> None:
    first = sources.keep(folder_plugin(project))
    project.write("my_methods/_parts/steps.py", "STEPS = 7\n")
    os.utime(project.root / "my_methods/_parts/steps.py", (1, 1))
    second = sources.keep(Registry("method", [project.root / "my_methods"]).find("mean"))
    assert first != second
    folders = [sources.place(first), project.root / "my_methods"]
    assert Registry("method", folders).build(Spec("mean")).steps == 6
    assert Registry("method", folders).find("other").code is None
    assert Registry("method", [*folders, sources.place(second)]).build(Spec("mean")).steps == 7
    assert "mean" not in Registry("dataset", [sources.place(first)]).plugins


def test_a_plugin_of_a_package_is_kept_and_used_though_another_version_is_installed(
    project: Project, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = sources.keep(package_plugin(project, monkeypatch))
    place = sources.place(fingerprint)
    assert (place / "code/vendor/about.py").is_file(), "what importing the package runs"
    installed = package_plugin(project, monkeypatch, steps=99)
    assert Registry("method").build(Spec("vendor_mean")).steps == 99
    assert source_fingerprint(installed) != fingerprint
    assert source_fingerprint(kept_plugin(place)) == fingerprint
    assert Registry("method", [place]).build(Spec("vendor_mean")).steps == 6
    shutil.rmtree(project.root / "site")
    assert Registry("method", [place]).build(Spec("vendor_mean")).steps == 6
    assert source_fingerprint(kept_plugin(place)) == fingerprint


def test_code_that_no_installer_put_there_is_kept_too(
    project: Project, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("elsewhere/helper.py", "STEPS = 8\n")
    monkeypatch.syspath_prepend(str(project.root / "elsewhere"))
    project.write("my_methods/mean.py", importing_steps("helper"))
    fingerprint = sources.keep(Registry("method", [project.root / "my_methods"]).find("mean"))
    sys.path.remove(str(project.root / "elsewhere"))
    kept = kept_plugin(sources.place(fingerprint))
    assert kept.problem == ""
    assert source_fingerprint(kept) == fingerprint
    assert Registry("method", [sources.place(fingerprint)]).build(Spec("mean")).steps == 8


def test_a_source_is_kept_once_and_the_harness_never(project: Project, sources: Sources) -> None:
    plugin = folder_plugin(project)
    place = sources.place(sources.keep(plugin))
    told = (place / KEPT).stat()
    assert sources.keep(plugin) == place.name
    assert (place / KEPT).stat() == told
    assert sources.keep(Registry("method").find("ocsvm")) == ""
    assert [folder.name for folder in sources.folder.iterdir()] == [place.name]
    assert sources.find("") is None
    assert sources.find("0" * 64) is None


def test_a_folder_that_tells_of_no_plugin_is_named(project: Project, sources: Sources) -> None:
    place = sources.place(sources.keep(folder_plugin(project)))
    for text in ("{", "[]", json.dumps({"kind": "method"})):
        (place / KEPT).write_text(text)
        with pytest.raises(BenchError, match=f"{KEPT} tells of no plugin: .*restore or remove the folder"):
            kept_plugin(place)


def test_leftovers_are_old_folders_that_no_record_needs(project: Project, sources: Sources) -> None:
    needed = sources.keep(folder_plugin(project))
    half = sources.folder / ".x.tmp"
    half.mkdir()
    later = half.stat().st_mtime + 1
    assert sources.leftovers({needed}, later) == [half]
    assert sources.leftovers(set(), later) == [half, sources.place(needed)]
    assert sources.leftovers(set(), half.stat().st_mtime - 100) == []


def test_of_records_it_is_told_whose_code_is_kept_here_or_lost(project: Project, sources: Sources) -> None:
    project.write_plugins()
    workspace = project.workspace()
    today = source_fingerprint(workspace.methods.find("mean"))
    here = make_record(method="mean", fingerprint=today, ended="2")
    lost = [make_record(method="mean", fingerprint="0" * 64, ended="1"), make_record(method="gone", ended="0")]
    ours = make_record(method="ocsvm", fingerprint="of another commit")
    of_dataset = sources.keep(workspace.datasets.find("animals"))
    animals = dataclasses.replace(make_record(dataset="animals"), provenance={DATASET_SOURCE: of_dataset, "ended": "3"})
    told = strangers([here, *lost, ours, animals], workspace.methods, workspace.datasets, sources)
    assert [(code.name, code.fingerprint, code.records) for code in told] == [
        ("gone", "f" * 64, 1),
        ("mean", "0" * 64, 1),
        ("mean", today, 1),
        ("animals", of_dataset, 1),
    ]
    assert [code.plugin and code.plugin.code is not None for code in told] == [None, None, False, True]
    assert (sources.place(of_dataset) / "code/my_datasets/animals.py").read_text().strip() == DATASET.strip()


def test_requirements_are_the_usual_versions_and_name_the_others() -> None:
    def made_with(**versions: str) -> object:
        named = {name.replace("_", "-"): version for name, version in versions.items()}
        return dataclasses.replace(make_record(), provenance={"libraries": named})

    records = [made_with(torch="2.4.0+cpu", scikit_learn="1.5")] * 2 + [made_with(torch="2.5.1", scikit_learn="1.5")]
    assert requirements(records, [{"timm": "1.0", "torch": "2.6"}]) == (  # type: ignore[arg-type]
        "scikit-learn==1.5\ntimm==1.0\ntorch==2.4.0  # made with 2.4.0+cpu; 1 records with 2.5.1\n"
    )
    assert requirements([make_record()]) == ""


def test_a_path_of_a_kept_copy_may_lie_anywhere(project: Project, sources: Sources) -> None:
    fingerprint = sources.keep(folder_plugin(project))
    moved = project.root / "deep" / "er" / fingerprint
    shutil.copytree(sources.place(fingerprint), moved)
    shutil.rmtree(Path(sources.folder))
    assert source_fingerprint(kept_plugin(moved)) == fingerprint
