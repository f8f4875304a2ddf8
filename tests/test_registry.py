"""Finding plugins: what is found where, what is said of those that cannot be used, and how parameters are checked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from projects import BROKEN, METHOD, Project

from bench.errors import BenchError, PluginUnavailable
from bench.registry import Registry
from bench.specs import Spec

TOUCH = "from pathlib import Path\nPath(__file__).with_suffix('.imported').touch()\n"


def registry_with(project: Project, plugins: Mapping[str, str]) -> Registry:
    """The methods of the project and of a folder with these files."""
    for name, text in plugins.items():
        project.write(f"my_methods/{name}", text)
    return Registry("method", [project.root / "my_methods"])


@pytest.fixture
def mean(project: Project) -> Registry:
    return registry_with(project, {"mean.py": METHOD})


# ---------------------------------------------------------------------------------------------------------------------
# Where plugins come from


def test_the_files_of_the_project_are_methods_and_its_shared_parts_are_not() -> None:
    names = Registry("method").names()
    assert {"ocsvm", "shared_ae"} <= set(names)
    assert not [name for name in names if name.startswith("_")]


def test_a_file_dropped_into_a_folder_is_a_method_by_the_files_name(mean: Registry) -> None:
    assert "mean" in mean.names()
    assert mean.find("mean").summary == "Distance to the mean training image."
    built = mean.build(Spec("mean", {"power": 3.0}))
    assert (built.power, built.steps, built.version) == (3.0, 3, "7")


def test_a_method_imports_a_shared_part_beside_it_by_a_relative_import(project: Project) -> None:
    plugin = METHOD.replace("from bench.method", "from ._shared import SIX\nfrom bench.method").replace("= 3", "= SIX")
    registry = registry_with(project, {"mean.py": plugin, "_shared.py": "SIX = 6\n"})
    assert registry.build(Spec("mean")).steps == 6


def test_two_folders_may_have_shared_parts_of_one_name(project: Project) -> None:
    plugin = METHOD.replace("from bench.method", "from ._shared import STEPS\nfrom bench.method").replace(
        "= 3", "= STEPS"
    )
    for number in (1, 2):
        project.write(f"{number}/mean{number}.py", plugin)
        project.write(f"{number}/_shared.py", f"STEPS = {number}\n")
    registry = Registry("method", [project.root / "1", project.root / "2"])
    assert [registry.build(Spec(name)).steps for name in ("mean1", "mean2")] == [1, 2]


def test_an_installed_package_brings_a_method_by_its_entry_point(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("site/bench_vendor/detector.py", METHOD)
    project.write("site/bench_vendor/__init__.py", "")
    project.write(
        "site/bench_vendor-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: bench-vendor\nVersion: 1.0\n"
    )
    project.write(
        "site/bench_vendor-1.0.dist-info/entry_points.txt",
        "[bench.methods]\nvendor_mean = bench_vendor.detector\nvendor_gone = bench_vendor.gone\n",
    )
    monkeypatch.syspath_prepend(str(project.root / "site"))
    registry = Registry("method")
    assert registry.find("vendor_mean").source == "entry point bench_vendor.detector of bench-vendor"
    assert registry.build(Spec("vendor_mean")).version == "7"
    with pytest.raises(PluginUnavailable, match=r"vendor_gone is unavailable .*bench_vendor\.gone is not installed"):
        registry.load("vendor_gone")
    assert "vendor_mean" not in Registry("dataset").names()


def test_two_methods_of_one_name_are_an_error_that_names_both_files(project: Project) -> None:
    own = project.write("my_methods/ocsvm.py", METHOD)
    with pytest.raises(BenchError, match="two methods are called 'ocsvm'") as caught:
        Registry("method", [own.parent])
    assert str(own) in str(caught.value)
    assert str(Registry("method").find("ocsvm").file) in str(caught.value)


def test_a_plugin_folder_that_does_not_exist_is_an_error_that_names_it(project: Project) -> None:
    with pytest.raises(BenchError, match=r"nowhere does not exist \(bench.toml: plugins.methods\)"):
        Registry("method", [project.root / "nowhere"])


def test_an_unknown_name_is_answered_with_the_nearest(mean: Registry) -> None:
    with pytest.raises(BenchError, match=r"no method called 'meen'; did you mean mean\?"):
        mean.find("meen")
    with pytest.raises(BenchError, match=r"no method called 'xyzzy'; known: .*ocsvm.*bench list methods"):
        mean.load("xyzzy")


def test_the_lock_file_of_an_editor_is_no_plugin(project: Project) -> None:
    registry = registry_with(project, {"mean.py": METHOD})
    (project.root / "my_methods/.#mean.py").symlink_to("user@host.1234")
    assert Registry("method", [project.root / "my_methods"]).names() == registry.names()


# ---------------------------------------------------------------------------------------------------------------------
# Plugins that cannot be used


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BROKEN, "SyntaxError: .*, line 1"),
        (TOUCH + "import no_such_library.part\n", "needs no_such_library, which cannot be imported"),
        (TOUCH + "from no_such_library import x\n", "needs no_such_library, which cannot be imported"),
    ],
)
def test_a_plugin_that_cannot_be_read_is_listed_with_its_reason_and_never_imported(
    project: Project, text: str, reason: str
) -> None:
    registry = registry_with(project, {"bad.py": text, "mean.py": METHOD})
    assert "bad" in registry.names()
    with pytest.raises(PluginUnavailable, match=f"method bad is unavailable .*bad.py.*{reason}"):
        registry.load("bad")
    assert not (project.root / "my_methods/bad.imported").exists()
    assert registry.build(Spec("mean")).version == "7"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('no licence')\n", "RuntimeError: no licence"),
        ("def f():\n    return 1\nf().x\n", "AttributeError"),
        ("from bench.method import method\n@method(version='1')\nclass A:\n    pass\n", "TypeError: @method is for"),
        ("x = 1\n", "must declare exactly one class with @method; found none"),
        (METHOD + METHOD.replace("class Mean", "class Other"), "exactly one class with @method; found Mean, Other"),
    ],
)
def test_a_plugin_that_fails_when_imported_says_why_and_breaks_no_other(
    project: Project, text: str, reason: str
) -> None:
    registry = registry_with(project, {"bad.py": text, "mean.py": METHOD})
    with pytest.raises(PluginUnavailable, match=reason):
        registry.load("bad")
    assert registry.build(Spec("mean")).version == "7"


def test_a_plugin_whose_annotations_name_nothing_says_so(project: Project) -> None:
    text = "from __future__ import annotations\n" + METHOD.replace("steps: int", "steps: Integer")
    with pytest.raises(PluginUnavailable, match="annotations cannot be read: name 'Integer' is not defined"):
        registry_with(project, {"bad.py": text}).resolve(Spec("bad"))


def test_a_class_that_is_only_imported_is_not_the_files_own(project: Project) -> None:
    registry = registry_with(
        project,
        {"mean.py": METHOD, "more.py": METHOD.replace("class Mean(Method)", "class More(Mean)").replace(
            "import numpy as np", "import numpy as np\nfrom .mean import Mean")},
    )  # fmt: skip
    assert registry.load("more").__name__ == "More"


def test_looking_around_imports_no_plugin(project: Project) -> None:
    registry = registry_with(project, {"mean.py": TOUCH + METHOD})
    registry.names()
    assert not (project.root / "my_methods/mean.imported").exists()
    registry.load("mean")
    assert (project.root / "my_methods/mean.imported").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list", "methods"], ["list", "suites"]])
def test_help_and_listings_import_nothing_heavy(project: Project, arguments: list[str]) -> None:
    script = (
        "import sys, json\nfrom bench.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(json.dumps(list(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, cwd=project.root
    )
    assert done.stdout
    heavy = {"torch", "torchvision", "pandas", "numpy", "scipy", "sklearn", "pyod", "anomalib", "matplotlib", "joblib"}
    assert not heavy & set(json.loads(done.stderr))


# ---------------------------------------------------------------------------------------------------------------------
# Parameters


def test_parameters_equal_to_their_defaults_drop_out_of_the_spec(mean: Registry) -> None:
    given = {"power": 2, "steps": 4, "norm": "l2", "centred": True, "sizes": [8, 16]}
    assert str(mean.resolve(Spec("mean", given))) == "mean(steps=4)"


def test_an_int_is_fine_for_a_float_and_becomes_one(mean: Registry) -> None:
    value = mean.resolve(Spec("mean", {"power": 3})).parameters["power"]
    assert (value, type(value)) == (3.0, float)


def test_a_list_is_fine_for_a_tuple(mean: Registry) -> None:
    assert mean.build(Spec("mean", {"sizes": [1, 2, 3]})).sizes == (1, 2, 3)


@pytest.mark.parametrize(
    "parameters",
    [
        {"steps": True},
        {"steps": 2.0},
        {"steps": "3"},
        {"steps": None},
        {"power": "2"},
        {"power": True},
        {"centred": 1},
        {"norm": "l3"},
        {"norm": 1},
        {"sizes": 8},
        {"sizes": ("a",)},
    ],
    ids=repr,
)
def test_a_value_of_the_wrong_type_is_refused_by_name(mean: Registry, parameters: dict[str, Any]) -> None:
    ((key, value),) = parameters.items()
    with pytest.raises(BenchError, match=f"mean: {key}=") as caught:
        mean.resolve(Spec("mean", parameters))
    assert f"{value!r} is not usable" in str(caught.value)


def test_a_choice_is_refused_with_the_choices(mean: Registry) -> None:
    with pytest.raises(BenchError, match="'l1' or 'l2'"):
        mean.resolve(Spec("mean", {"norm": "l3"}))


def test_an_unknown_parameter_is_answered_with_the_nearest(mean: Registry) -> None:
    with pytest.raises(BenchError, match=r"no parameter of mean called 'stps'; did you mean steps\?.*mean\(stps=1\)"):
        mean.resolve(Spec("mean", {"stps": 1}))


def test_a_parameter_without_default_must_be_given(project: Project) -> None:
    registry = registry_with(project, {"mean.py": METHOD.replace("steps: int = 3", "steps: int")})
    with pytest.raises(BenchError, match=r"mean needs steps; write mean\(steps=…\)"):
        registry.build(Spec("mean"))
    assert registry.build(Spec("mean", {"steps": 1})).steps == 1


def test_every_plugin_of_the_project_can_be_loaded() -> None:
    methods, datasets = Registry("method"), Registry("dataset")
    assert {name for name in methods.names() if Path(str(methods.find(name).file)).parent.name == "controls"}
    for registry in (methods, datasets):
        for name in registry.names():
            if not registry.find(name).problem:
                assert registry.load(name).__doc__


def test_a_class_that_is_only_a_dataclass_is_not_declared(project: Project) -> None:
    plugin = "from dataclasses import dataclass\n" + METHOD.replace('@method(version="7")', "@dataclass(kw_only=True)")
    assert "@dataclass" in plugin
    with pytest.raises(PluginUnavailable, match="exactly one class with @method; found none"):
        registry_with(project, {"mean.py": plugin}).load("mean")


def test_a_default_factory_is_a_default(project: Project) -> None:
    plugin = METHOD.replace("from bench.method", "from dataclasses import field\nfrom bench.method").replace(
        "= 3", "= field(default_factory=lambda: 3)"
    )
    registry = registry_with(project, {"mean.py": plugin})
    assert registry.build(Spec("mean")).steps == 3
    assert str(registry.resolve(Spec("mean", {"steps": 3}))) == "mean"


# ---------------------------------------------------------------------------------------------------------------------
# Parameters that depend on others

ADAPTER = """
from dataclasses import MISSING

from bench.method import Method, method


@method(version="1")
class Adapter(Method):
    model: str
    size: int = 1

    def __init__(self, *, model, size=1, **parameters):
        self.model, self.size, self.parameters = model, size, parameters

    @classmethod
    def further_parameters(cls, given):
        return {"a": {"power": 2.0, "object": len}, "b": {"power": MISSING}}[given["model"]]

    def hyperparameters(self):
        return {**super().hyperparameters(), **self.parameters}

    def fit(self, images, context):
        return self

    def score(self, images):
        return images.mean(axis=(1, 2, 3))
"""


def test_a_method_may_have_parameters_further_to_its_fields(project: Project) -> None:
    registry = registry_with(project, {"adapter.py": ADAPTER})
    assert str(registry.resolve(Spec("adapter", {"model": "a", "power": 2.0, "size": 1}))) == "adapter(model='a')"
    built = registry.build(Spec("adapter", {"model": "a", "power": 3.0, "size": 2}))
    assert built.hyperparameters() == {"model": "a", "size": 2, "power": 3.0}
    assert list(registry.fields("adapter", {"model": "b"})) == ["model", "size", "power"]


def test_further_parameters_are_checked_by_name_and_for_being_there(project: Project) -> None:
    registry = registry_with(project, {"adapter.py": ADAPTER})
    with pytest.raises(
        BenchError, match=r"no parameter of adapter\(model='a'\) called 'powr'; did you mean power\?.*powr=1"
    ):
        registry.resolve(Spec("adapter", {"model": "a", "powr": 1}))
    with pytest.raises(BenchError, match=r"adapter needs power; write adapter\(power=…\)"):
        registry.resolve(Spec("adapter", {"model": "b"}))


def test_a_method_tells_its_hyperparameters(mean: Registry) -> None:
    told = mean.build(Spec("mean", {"steps": 5})).hyperparameters()
    assert told == {"power": 2.0, "steps": 5, "norm": "l2", "centred": True, "sizes": (8, 16)}
