"""The fingerprint of a method's code: what is only written otherwise does not count, what computes otherwise does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.fingerprint import WITHOUT_NUMBERS, _harness, source_fingerprint
from bench.imports import closure
from bench.registry import Plugin, Registry

SOURCE = '''"""Mean image."""
from bench.method import Method, method

from ._shared import scale


@method(version="1")
class Mean(Method):
    """Distance to the mean."""

    power: float = 2.0

    def fit(self, images, context):
        self.mean = scale(images).mean(axis=0)
        if self.power > 1:
            self.mean += 1
            self.mean += 2
        self.label = f"power {self.power}"
        return self

    def score(self, images):
        return abs(images - self.mean)
'''
SHARED = "def scale(images):\n    return images / 255\n"


def fingerprint(folder: Path, files: Mapping[str, str | bytes]) -> str:
    """The fingerprint of ``mean`` in a folder ``<folder>/plugins`` with these files."""
    plugins = folder / "plugins"
    for name, text in files.items():
        file = plugins / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    return source_fingerprint(Registry("method", [plugins]).find("mean"))


def changed(old: str, new: str) -> str:
    assert old in SOURCE
    return SOURCE.replace(old, new)


@pytest.fixture
def original(tmp_path: Path) -> str:
    return fingerprint(tmp_path / "original", {"mean.py": SOURCE, "_shared.py": SHARED})


@pytest.mark.parametrize(
    "source",
    [
        "# a licence\n" + SOURCE,
        changed("self.mean += 2\n", "self.mean += 2  # why\n"),
        changed("        return self\n", "        # why\n        return self\n"),
        changed("        return self\n", "\n        return self\n"),
        changed("    def score", "\n\n    def score"),
        changed('"""Mean image."""', '"""Another text,\nover two lines."""'),
        changed('    """Distance to the mean."""\n', ""),
        changed("scale(images).mean(axis=0)", "scale(\n            images\n        ).mean(\n            axis=0)"),
        changed("        self.mean = scale", "        self.mean = \\\n            scale"),
        changed("abs(images - self.mean)", "abs( images-self.mean )"),
        SOURCE.replace("\n", "\r\n"),
    ],
    ids=[
        "comment above",
        "comment beside",
        "comment line",
        "blank line",
        "blank lines",
        "docstring",
        "no docstring",
        "line breaks in parentheses",
        "continued line",
        "blanks",
        "line ends",
    ],
)
def test_what_is_only_written_otherwise_keeps_the_fingerprint(tmp_path: Path, original: str, source: str) -> None:
    assert source != SOURCE
    assert fingerprint(tmp_path, {"mean.py": source, "_shared.py": SHARED}) == original


@pytest.mark.parametrize(
    "source",
    [
        changed("            self.mean += 2\n", "        self.mean += 2\n"),
        changed("2.0", "2.5"),
        changed("images - self.mean", "images + self.mean"),
        changed("self.mean += 1", "self.mean -= 1"),
        changed('f"power', 'f"Power'),
        changed("{self.power}", "{self.mean}"),
        changed("axis=0", "axis=1"),
        changed('version="1"', 'version="2"'),
        changed("            self.mean += 1\n            self.mean += 2\n", "            self.mean += 3\n"),
        changed("abs(images - self.mean)", "abs(images - self.mean), 0"),
    ],
    ids=[
        "indentation",
        "literal",
        "operator",
        "augmented operator",
        "f-string text",
        "f-string value",
        "keyword",
        "decorator",
        "statement",
        "expression",
    ],
)
def test_what_computes_otherwise_changes_the_fingerprint(tmp_path: Path, original: str, source: str) -> None:
    assert fingerprint(tmp_path, {"mean.py": source, "_shared.py": SHARED}) != original


def test_a_change_in_a_shared_part_counts(tmp_path: Path, original: str) -> None:
    other = SHARED.replace("255", "127.5")
    assert fingerprint(tmp_path, {"mean.py": SOURCE, "_shared.py": other}) != original


def test_a_change_in_a_shared_parts_shared_part_counts(tmp_path: Path) -> None:
    shared = "from . import _deeper\n" + SHARED
    one, other = (
        fingerprint(tmp_path / n, {"mean.py": SOURCE, "_shared.py": shared, "_deeper.py": f"LIMIT = {n}\n"})
        for n in ("1", "2")
    )
    assert one != other


def test_a_file_that_is_not_imported_does_not_count(tmp_path: Path, original: str) -> None:
    files = {"mean.py": SOURCE, "_shared.py": SHARED, "_other.py": "x = 1\n", "second.py": "x = 1\n"}
    assert fingerprint(tmp_path, files) == original


def test_a_module_of_another_folder_that_shares_the_last_name_does_not_count(tmp_path: Path) -> None:
    source = "from elsewhere.inner import _alike\nimport elsewhere._alike\n" + SOURCE
    one, other = (
        fingerprint(tmp_path / n, {"mean.py": source, "_shared.py": SHARED, "_alike.py": f"x = {n}\n"})
        for n in ("1", "2")
    )
    assert one == other


@pytest.mark.parametrize(
    "imports",
    ["from ._alike import x\n", "from . import _alike\n", "from plugins import _alike\n", "import plugins._alike\n"],
)
def test_every_way_to_import_a_shared_part_counts(tmp_path: Path, imports: str) -> None:
    one, other = (
        fingerprint(tmp_path / n, {"mean.py": imports + SOURCE, "_shared.py": SHARED, "_alike.py": f"x = {n}\n"})
        for n in ("1", "2")
    )
    assert one != other


@pytest.mark.parametrize(
    "broken",
    [SOURCE + "def (:\n", SOURCE + "x = (\n", SOURCE + "  x = 1\n", SOURCE.encode() + b"x = '\xff'\n"],
    ids=["syntax", "open parenthesis", "indentation", "encoding"],
)
def test_a_file_that_cannot_be_read_as_code_has_a_fingerprint_that_follows_its_bytes(
    tmp_path: Path, original: str, broken: str | bytes
) -> None:
    raw = broken if isinstance(broken, bytes) else broken.encode()
    one, other = (
        fingerprint(tmp_path / name, {"mean.py": source, "_shared.py": SHARED})
        for name, source in (("1", raw), ("2", raw.replace(b"2.0", b"2.5")))
    )
    assert len({original, one, other}) == 3


def test_a_plugin_that_is_not_there_any_more_still_has_a_fingerprint(tmp_path: Path, original: str) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/mean.py").symlink_to(tmp_path / "nowhere")
    found = source_fingerprint(Registry("method", [tmp_path / "plugins"]).find("mean"))
    assert len(found) == 64
    assert found != original


def test_two_methods_with_different_code_have_different_fingerprints() -> None:
    registry = Registry("method")
    prints = [source_fingerprint(registry.find(name)) for name in registry.names()]
    assert len(set(prints)) == len(prints) > 1


# ---------------------------------------------------------------------------------------------------------------------
# What a method imports, and nothing else


def package(folder: Path, files: Mapping[str, str]) -> str:
    """The fingerprint of the plugin ``lab.detectors.mean`` of a package of its own."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    file = folder / "lab/detectors/mean.py"
    return source_fingerprint(Plugin("method", "mean", "lab.detectors.mean", file, "entry point"))


@pytest.mark.parametrize(
    "imports",
    [
        "from lab.layers import x\n",
        "from lab import layers\n",
        "import lab.layers\n",
        "from .. import layers\n",
        "from ..layers import x\n",
        "def late():\n    from lab import layers\n",
    ],
)
def test_shared_parts_count_wherever_they_lie_in_the_plugins_package(tmp_path: Path, imports: str) -> None:
    def with_layers(n: int, where: str = "lab/layers.py") -> str:
        return package(tmp_path / str(n), {"lab/detectors/mean.py": imports, where: f"x = {n}\n"})

    assert with_layers(1) != with_layers(2)
    assert with_layers(3, "lab/detectors/layers.py") == with_layers(4, "lab/detectors/layers.py")


def test_what_is_imported_for_type_checking_alone_does_not_count(tmp_path: Path) -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lab import layers\n"
    one, other = (
        package(tmp_path / n, {"lab/detectors/mean.py": source, "lab/layers.py": f"x = {n}\n"}) for n in ("1", "2")
    )
    assert one == other


def test_code_that_no_installer_put_there_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin in a folder of its own may import its author's checkout, which no version number tells apart."""
    (tmp_path / "checkout").mkdir()
    (tmp_path / "libraries/site-packages").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "checkout")
    monkeypatch.syspath_prepend(tmp_path / "libraries/site-packages")
    source = "import my_own_nets.layers\nimport my_installed_nets\n" + SOURCE
    found = []
    for n in (1, 2, 3):
        (tmp_path / "checkout/my_own_nets").mkdir(exist_ok=True)
        (tmp_path / "checkout/my_own_nets/layers.py").write_text(f"x = {min(n, 2)}\n")
        (tmp_path / "libraries/site-packages/my_installed_nets.py").write_text(f"x = {n}\n")
        found.append(fingerprint(tmp_path / str(n), {"mean.py": source, "_shared.py": SHARED}))
    assert found[0] != found[1] == found[2]


def imports_of(name: str) -> list[str]:
    plugin = Registry("method").find(name)
    assert plugin.file is not None
    return [file.name for file in closure(plugin.file, plugin.module, _harness(), WITHOUT_NUMBERS)]


def test_a_method_that_trains_nothing_is_not_of_the_training_loop() -> None:
    assert imports_of("ocsvm") == ["images.py", "randomness.py"]
    assert imports_of("mean_image") == ["images.py"]
    assert {"training.py", "images.py", "_dcgan.py", "_image_network.py"} <= set(imports_of("shared_ae"))


def test_what_declares_and_checks_is_in_no_key() -> None:
    everything = {file for name in Registry("method").names() for file in imports_of(name)}
    assert everything & {"method.py", "errors.py", "specs.py", "registry.py", "store.py", "device.py"} == set()
