"""Files of pretrained weights: found, checked, loaded, and named by what they hold."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from projects import Project
from safetensors.torch import save_file
from torch import nn
from torchvision.models import squeezenet1_1

from bench.errors import BenchError
from bench.registry import Registry
from bench.specs import parse_spec
from bench.weights import FILES, Weights, backbone

NETWORK = "squeezenet1_1"
METHOD = '''
"""Mean of the features of a network of torchvision's."""

import numpy as np
import torch

from bench.method import Method, method
from bench.weights import Weights, backbone


@method(version="1")
class Features(Method):
    weights: Weights = ""

    def fit(self, images, context):
        self.network = backbone("squeezenet1_1", self.weights)
        self.mean = self._features(images).mean(axis=0)
        return self

    def score(self, images):
        return np.abs(self._features(images) - self.mean).mean(axis=1)

    @torch.no_grad()
    def _features(self, images):
        x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).expand(-1, 3, -1, -1).float() / 255
        x = torch.nn.functional.interpolate(x, size=32)
        return torch.cat([self.network(one[None]) for one in x]).numpy()
'''


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch, and no file that was named before."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(FILES, "")
    return tmp_path / "cache" / "hub" / "checkpoints"


def seeded(seed: int = 0) -> nn.Module:
    """The real architecture with weights drawn by a seed."""
    torch.manual_seed(seed)
    return squeezenet1_1(weights=None)


def canonical(project: Project, file: Path) -> str:
    """What a spec says of a file."""
    registry = Registry("method", [project.write("mine/features.py", METHOD).parent])
    value = registry.resolve(parse_spec(f"features(weights={str(file)!r})")).parameters["weights"]
    assert isinstance(value, str)
    return value


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_is_named_by_its_content_and_loaded(project: Project, suffix: str) -> None:
    network = seeded()
    file = project.root / f"own{suffix}"
    (torch.save if suffix == ".pth" else save_file)(network.state_dict(), file)  # type: ignore[operator]
    named = canonical(project, file)
    assert named == f"own{suffix}#{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
    loaded = backbone(NETWORK, named)
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(loaded(x), network.eval()(x))
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert canonical(project, Path(named)) == named, "as a record has it"


def test_the_name_does_not_tell_where_the_file_is_and_other_content_is_another_name(project: Project) -> None:
    names = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        file = project.write(f"{place}/own.pth", "")
        torch.save(seeded(seed).state_dict(), file)
        names.append(canonical(project, file))
    assert names[0] == names[1] != names[2]


def test_a_file_that_is_gone_or_was_changed_is_named(project: Project) -> None:
    with pytest.raises(BenchError, match="there is no such file"):
        canonical(project, project.root / "nowhere.pth")
    file = project.root / "own.pth"
    torch.save(seeded().state_dict(), file)
    named = canonical(project, file)
    torch.save(seeded(1).state_dict(), file)
    with pytest.raises(BenchError, match=rf"own.pth with the checksum {named[-16:]}.*{FILES}"):
        backbone(NETWORK, named)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("own.pth", b"no weights", "cannot be read"),
        ("own.pth", {"a": torch.ones(1)}, "not those of"),
        ("own.pth", [1], "no state dict"),
        ("own.safetensors", b"no weights", "cannot be read"),
        ("own.safetensors", {"a": torch.ones(1)}, "not those of"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(project: Project, file: str, content: object, said: str) -> None:
    path = project.root / file
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".safetensors":
        assert isinstance(content, dict)
        save_file(content, path)
    else:
        torch.save(content, path)
    with pytest.raises(BenchError, match=said):
        backbone(NETWORK, canonical(project, path))


def test_code_in_a_file_is_not_run(project: Project) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(project.root / "harm"),)

    file = project.root / "own.pth"
    torch.save({"a": Harmful()}, file)
    with pytest.raises(BenchError, match="cannot be read"):
        backbone(NETWORK, canonical(project, file))
    assert not (project.root / "harm").exists()


def test_without_a_file_torchvisions_own_are_taken_from_the_cache_and_else_it_says_how_to_fetch_them(
    elsewhere: Path,
) -> None:
    with pytest.raises(BenchError, match=r"squeezenet1_1-b8a52dc0.pth, sha256 b8a52dc0.*\n.*\npython -c .*get_model"):
        backbone(NETWORK, "")
    elsewhere.mkdir(parents=True)
    torch.save(seeded().state_dict(), elsewhere / "squeezenet1_1-b8a52dc0.pth")
    with pytest.raises(BenchError, match="damaged: their sha256 does not begin with b8a52dc0"):
        backbone(NETWORK, "")


@pytest.mark.slow
def test_jobs_with_a_file_of_weights_run_in_workers_and_their_records_tell_which(project: Project) -> None:
    from cli import Bench

    file = project.root / "own.safetensors"
    save_file(seeded().state_dict(), file)
    folder = project.write("mine/features.py", METHOD).parent
    bench = Bench(project.root / "work", project.root / "data", [folder])
    ended = bench.digits(f"features(weights={str(file)!r})", "0", "--max-train", "20")
    assert ended.returncode == 0, ended.stderr
    (record,) = bench.records()
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    assert record.parameters == {"weights": f"own.safetensors#{checksum}"}
    assert checksum in record.job.spec
    assert str(project.root) not in record.job.spec + record.job.label
    again = bench("reproduce", record.job.key)
    assert FILES in again.stdout + again.stderr
    bench.environment[FILES] = str(file)
    assert "bit for bit" in bench("reproduce", record.job.key).stdout


def test_the_type_is_text_for_whoever_reads_a_listing() -> None:
    from bench.registry import Field

    assert Field(Weights, "").described == "str"
