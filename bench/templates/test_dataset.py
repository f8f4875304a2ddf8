"""my_dataset can be read, and every class of it can be the normal one."""

from pathlib import Path

from bench.specs import Spec
from bench.workspace import open_workspace


def test_my_dataset(tmp_path: Path) -> None:
    workspace = open_workspace(data=tmp_path)
    spec = Spec("my_dataset")
    dataset = workspace.dataset(spec)
    assert len(dataset.classes) > 1
    split_by = workspace.protocol(workspace.source(spec).default_protocol(workspace.data))
    assert split_by.normal_classes(dataset) == list(dataset.classes)
    for normal_class in dataset.classes:
        split = split_by.split(dataset, normal_class, seed=0)
        assert set(dataset.labels[split.train]) == {dataset.label(normal_class)}
        assert set(split.test_labels) == {0, 1}
