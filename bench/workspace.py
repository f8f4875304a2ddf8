"""What a command works on: the configuration, the plugins it knows, the data folder and the results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from bench.config import Config, Plugins, data_folder, load_config
from bench.criterion import Criterion, open_criterion
from bench.dataset import Dataset, PreparedDataset
from bench.errors import PluginUnavailable, unknown
from bench.prepared import prepare
from bench.protocol import Protocol, open_protocol
from bench.registry import Registry
from bench.specs import Spec, Value


@dataclass
class Workspace:
    """Configuration, registries and folders. Datasets are prepared when first asked for, then kept."""

    config: Config
    data: Path
    results: Path
    methods: Registry
    datasets: Registry
    protocols: Registry
    criteria: Registry
    _prepared: dict[str, PreparedDataset] = field(default_factory=dict)

    def dataset(self, spec: Spec) -> PreparedDataset:
        """The prepared dataset of a spec, converted on first use. Raises DataMissing where its files are not there."""
        resolved = self.datasets.resolve(spec)
        text = str(resolved)
        if text not in self._prepared:
            self._prepared[text] = prepare(self.source(resolved), resolved.name, text, self.data)
        return self._prepared[text]

    def hold(self, prepared: PreparedDataset) -> None:
        """Have a prepared dataset at hand under its spec, which no plugin has read."""
        self._prepared[prepared.spec] = prepared

    def settings(self, method: str, dataset: str, profile: str) -> dict[str, Value]:
        """What bench.toml sets for a method: in its own tables, and the profile's ``min_steps`` where it has such a
        hyperparameter."""
        settings = self.config.parameters(method, dataset, profile)
        steps = self.config.profile_named(profile).min_steps
        try:
            declared = fields(self.methods.load(method))
        except PluginUnavailable:
            return settings
        counts = steps > 0 and any(each.name == "min_steps" for each in declared)
        return {"min_steps": steps, **settings} if counts else settings

    def protocol(self, text: str) -> Protocol:
        """The protocol of a spec. Raises BenchError with the nearest names where there is none."""
        return open_protocol(text, self.protocols)

    def criterion(self, text: str) -> Criterion:
        """The criterion of a spec. Raises BenchError with the nearest names where there is none."""
        return open_criterion(text, self.criteria)

    def with_plugins(self, methods: Sequence[Path] = (), datasets: Sequence[Path] = ()) -> Workspace:
        """The workspace with further folders of plugins. A kept copy goes before what else has its name."""
        named = self.config.plugins
        plugins = Plugins(
            methods=[*named.methods, *map(str, methods)],
            datasets=[*named.datasets, *map(str, datasets)],
            protocols=named.protocols,
            criteria=named.criteria,
        )
        config = self.config.model_copy(update={"plugins": plugins})
        return Workspace(config, self.data, self.results, *_registries(config))

    def source(self, spec: Spec) -> Dataset:
        """The dataset plugin of a spec, which reads and fetches the original files."""
        built: Dataset = self.datasets.build(spec)
        return built


def open_workspace(config_file: Path | None = None, data: Path | None = None, results: Path | None = None) -> Workspace:
    """The workspace for a command's options. Nothing is read but bench.toml and the plugins' source."""
    config = load_config(config_file)
    chosen = results if results is not None else Path(config.results)
    workspace = Workspace(config, data_folder(data, config), chosen, *_registries(config))
    _check_names(workspace)
    return workspace


def _registries(config: Config) -> tuple[Registry, Registry, Registry, Registry]:
    """Of methods, of datasets, of protocols and of criteria."""
    named = config.plugins
    return (
        Registry("method", list(map(Path, named.methods))),
        Registry("dataset", list(map(Path, named.datasets))),
        Registry("protocol", list(map(Path, named.protocols))),
        Registry("criterion", list(map(Path, named.criteria))),
    )


def _check_names(workspace: Workspace) -> None:
    """Raise BenchError for a table of bench.toml, of parameters or reasons, whose method or dataset does not exist."""
    config = workspace.config
    by_dataset: dict[str, Mapping[str, Mapping[str, object]]] = {
        "datasets": config.datasets,
        "unsuited": config.unsuited,
    }
    by_method: dict[str, Mapping[str, object]] = {}
    for name, profile in config.profiles.items():
        by_dataset[f"profiles.{name}.datasets"] = profile.datasets
        by_method[f"profiles.{name}.methods"] = profile.methods
    for where, tables in by_dataset.items():
        for dataset, methods in tables.items():
            if dataset not in workspace.datasets.plugins:
                raise unknown("dataset", dataset, workspace.datasets.plugins, f"bench.toml: {where}")
            by_method[f"{where}.{dataset}"] = methods
    for where, methods in by_method.items():
        for method in methods:
            if method not in workspace.methods.plugins:
                raise unknown("method", method, workspace.methods.plugins, f"bench.toml: {where}")
