"""bench.toml: how its files lie over one another, and what is said of mistakes in them."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest
from projects import Project
from splits import PROTOCOLS
from typer.testing import CliRunner

from bench.cli import app
from bench.config import Config, data_folder, load_config
from bench.datasets.cifar100 import CLASSES
from bench.errors import BenchError
from bench.specs import Spec, parse_spec
from bench.workspace import Workspace


def refusal(file: Path) -> str:
    """What is said of a file that cannot be used."""
    with pytest.raises(BenchError) as caught:
        load_config(file)
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------------------------
# Layers


def test_the_working_folders_file_lies_over_the_default_key_by_key(project: Project) -> None:
    default = load_config()
    project.write("bench.toml", "timeout = 5\n[profiles.cpu.methods.shared_ae]\nepochs = 3\n")
    config = load_config()
    assert config.timeout == 5
    assert config.profiles["cpu"].methods["shared_ae"] == {**default.profiles["cpu"].methods["shared_ae"], "epochs": 3}
    assert config.profiles["cpu"].max_train == default.profiles["cpu"].max_train
    assert config.suites == default.suites
    assert config.results == default.results


def test_the_file_of_the_option_lies_over_the_working_folders(project: Project) -> None:
    project.write("bench.toml", "timeout = 5\nresults = 'here'\n")
    config = load_config(project.write("other.toml", "timeout = 6\n"))
    assert (config.timeout, config.results) == (6, "here")


def test_a_list_replaces_the_list_below(project: Project) -> None:
    project.write("bench.toml", "[suites.quickstart]\nmethods = ['ocsvm']\nclasses = [1]\n")
    project.write("other.toml", "[suites.quickstart]\nclasses = [2, 'three']\n")
    suite = load_config(project.root / "other.toml").suite("quickstart")
    assert (suite.methods, suite.classes, suite.dataset) == (["ocsvm"], [2, "three"], "digits")


def test_a_new_suite_stands_beside_those_of_the_default(project: Project) -> None:
    project.write("bench.toml", "[suites.mine]\ndataset = 'digits'\n")
    assert {"mine", "quickstart"} <= set(load_config().suites)


def test_a_config_file_that_does_not_exist_is_an_error_that_names_it(project: Project) -> None:
    assert "nowhere.toml does not exist" in refusal(project.root / "nowhere.toml")


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("# first\nreslts = 'x'\n", 2, "reslts: unknown key 'reslts'; did you mean results?"),
        ("[suites.a]\n\ndatset = 'x'\n", 3, "suites.a.datset: unknown key 'datset'; did you mean dataset?"),
        ("[suites.b]\ndataset = 'x'\n[suites.a]\ndatset = 'x'\n", 4, "did you mean dataset?"),
        ("suites.a.datset = 'x'\n", 1, "did you mean dataset?"),
        ("[profiles.a]\nmax_trian = 1\n", 2, "unknown key 'max_trian'; did you mean max_train?"),
        ("[plugins]\nmethod = []\n", 2, "unknown key 'method'; did you mean methods?"),
        ("[suits.a]\ndataset = 'x'\n", 1, "unknown key 'suits'; did you mean suites?"),
        ("[suites.a]\nxyzzy = 1\n", 2, "known: classes, contamination, corruption, dataset, includes, max_train"),
        ("timeout = 'soon'\n", 1, "timeout: "),
        ("timeout = -1\n", 1, "timeout: Input should be greater than 0 (got -1)"),
        ("[suites.a]\nmethods = 'ocsvm'\n", 2, "suites.a.methods: Input should be a valid list (got 'ocsvm')"),
        ("[profiles.a]\nmax_train = 0\n", 2, "(got 0)"),
        ("[profiles.a.methods]\nocsvm = 1\n", 2, "profiles.a.methods.ocsvm: "),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line_and_what_would_do(
    project: Project, text: str, line: int, said: str
) -> None:
    file = project.write("my.toml", text)
    message = refusal(file)
    assert message.startswith(f"{file}, line {line}: ")
    assert said in message


def test_every_mistake_of_a_file_is_named_at_once(project: Project) -> None:
    message = refusal(project.write("my.toml", "reslts = 'x'\ntimeot = 3\n"))
    assert "line 1: reslts" in message
    assert "line 2: timeot" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[tables.x]\nsuites = []\ntitel = 'x'\n",
            "my.toml, line 3: tables.x.titel: unknown key 'titel'; did you mean ti",
        ),
        ("[tables.x]\nsuites = []\ncolumns = 'clas'\n", "my.toml, line 3: tables.x.columns: .*'class' or 'suite'"),
        (
            "[tables.x]\nsuites = []\nseeds = 'x'\nclasses = 1\n",
            "line 4: tables.x.classes.*(?s:.*)line 3: tables.x.seeds",
        ),
        ("[tables.x]\ntitle = 'x'\n", "tables.x names no suites; write  suites = "),
        ("[tables]\nx = 1\n", "my.toml, line 2: tables.x: Input should be a valid dictionary"),
    ],
)
def test_a_mistake_in_a_table_of_the_reports_stops_those_alone_who_ask_for_it(
    project: Project, text: str, said: str
) -> None:
    config = load_config(project.write("my.toml", text))
    assert "x" not in config.tables
    assert set("12345") < config.tables.keys()
    with pytest.raises(BenchError, match=said):
        config.table("x")
    assert config.table("2") is config.tables["2"]
    assert config.table("nowhere") is None


def test_a_layer_may_change_one_key_of_a_table_below(project: Project) -> None:
    config = load_config(project.write("my.toml", "[tables.2]\nseeds = [0]\n"))
    table = config.table("2")
    assert table is not None
    assert (table.seeds, table.suites) == ([0], ["mnist"])
    assert not config.unusable


def test_listings_and_the_doctor_name_the_tables_that_cannot_be_used(project: Project) -> None:
    project.write("bench.toml", "[tables.x]\nsuites = []\ntitel = 'x'\n[labels]\n'a b' = 'c'\n")
    runner = CliRunner()
    listed = runner.invoke(app, ["list", "tables"]).stdout.splitlines()
    assert any(line.startswith("x ") and "UNAVAILABLE: " in line and "did you mean title" in line for line in listed)
    assert any(
        line.startswith("2 ") and line.endswith("AUROC on MNIST by normal class, official split") for line in listed
    )
    ended = runner.invoke(app, ["doctor"])
    assert ended.exit_code == 1
    assert "line 3: tables.x.titel: unknown key 'titel'" in ended.stdout
    assert "bench.toml: labels: cannot read 'a b'" in ended.stdout
    assert "2 things are broken" in ended.stderr


def test_a_mistake_in_the_working_folders_file_is_named_there(project: Project) -> None:
    file = project.write("bench.toml", "reslts = 'x'\n")
    with pytest.raises(BenchError, match=f"^{file}, line 1: "):
        load_config()


@pytest.mark.parametrize("content", [b"results = \n", b"results = '\xff'\n", b"a = 1\na = 2\n"])
def test_a_file_that_is_no_toml_is_named(project: Project, content: bytes) -> None:
    file = project.root / "my.toml"
    file.write_bytes(content)
    assert refusal(file).startswith(f"{file}: ")


def test_suites_that_include_each_other_are_refused_with_the_circle(project: Project) -> None:
    project.write(
        "bench.toml", "[suites.a]\nincludes = ['b']\n[suites.b]\nincludes = ['c']\n[suites.c]\nincludes = ['a']\n"
    )
    with pytest.raises(BenchError, match="include each other in a circle: a → b → c → a"):
        load_config().parts("a")


def test_a_suite_that_is_included_twice_counts_once(project: Project) -> None:
    project.write(
        "bench.toml",
        "[suites.a]\nincludes = ['b', 'quickstart', 'b']\n[suites.b]\nincludes = ['quickstart', 'mnist']\n",
    )
    assert [name for name, _ in load_config().parts("a")] == ["quickstart", "mnist"]


def test_a_suite_without_dataset_and_includes_is_refused(project: Project) -> None:
    project.write("bench.toml", "[suites.a]\nseeds = 1\n")
    with pytest.raises(BenchError, match="suite 'a' needs a dataset, or other suites to include"):
        load_config().parts("a")


def test_unknown_suites_and_profiles_are_answered_with_the_nearest(project: Project) -> None:
    config = load_config()
    with pytest.raises(BenchError, match=r"no suite called 'quikstart'; did you mean quickstart\?"):
        config.parts("quikstart")
    with pytest.raises(BenchError, match=r"no profile called 'cpus'; did you mean cpu\?"):
        config.profile_named("cpus")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            "profiles.cpu.methods.ocsv",
            "no method called 'ocsv'; did you mean ocsvm? (bench.toml: profiles.cpu.methods)",
        ),
        ("profiles.cpu.datasets.digts.ocsvm", "no dataset called 'digts'; did you mean digits?"),
        ("profiles.cpu.datasets.digits.ocsv", "(bench.toml: profiles.cpu.datasets.digits)"),
        ("datasets.digts.ocsvm", "no dataset called 'digts'; did you mean digits? (bench.toml: datasets)"),
        ("datasets.digits.ocsv", "no method called 'ocsv'; did you mean ocsvm? (bench.toml: datasets.digits)"),
    ],
)
def test_parameters_of_what_does_not_exist_are_refused(project: Project, table: str, said: str) -> None:
    project.write("bench.toml", f"[{table}]\nnu = 0.1\n")
    with pytest.raises(BenchError) as caught:
        project.workspace()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "method", "said"),
    [
        ("digts", "ocsvm", "no dataset called 'digts'; did you mean digits? (bench.toml: unsuited)"),
        ("digits", "ocsv", "no method called 'ocsv'; did you mean ocsvm? (bench.toml: unsuited.digits)"),
    ],
)
def test_what_is_unsuited_and_does_not_exist_is_refused(project: Project, dataset: str, method: str, said: str) -> None:
    project.write("bench.toml", f'[unsuited.{dataset}]\n{method} = "a reason"\n')
    with pytest.raises(BenchError) as caught:
        project.workspace()
    assert said in str(caught.value)


# ---------------------------------------------------------------------------------------------------------------------
# Folders


def test_plugin_folders_are_relative_to_the_file_that_names_them(project: Project) -> None:
    project.write_plugins()
    file = project.root / "my_methods/mean.py"
    project.write("deep/er/my.toml", "[plugins]\nmethods = ['../../my_methods']\n")
    config = load_config(project.root / "deep/er/my.toml")
    assert [Path(folder) for folder in config.plugins.methods] == [file.parent]
    assert project.workspace().methods.find("mean").file == file


def test_the_data_folder_is_the_options_then_the_environments_then_the_files_then_the_users_cache(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = platformdirs.user_cache_path("oneclass-bench") / "data"
    assert data_folder(None, load_config()) == cache
    config = load_config(project.write("deep/my.toml", "data = 'mine'\n"))
    assert data_folder(None, config) == project.root / "deep/mine"
    monkeypatch.setenv("BENCH_DATA", str(project.root / "environment"))
    assert data_folder(None, config) == project.root / "environment"
    assert data_folder(Path("option"), config) == project.root / "option"
    monkeypatch.setenv("BENCH_DATA", "")
    assert data_folder(None, config) == project.root / "deep/mine"


# ---------------------------------------------------------------------------------------------------------------------
# Parameters


def test_parameters_of_a_profile_lie_over_the_datasets_and_those_for_a_dataset_over_the_profiles(
    project: Project,
) -> None:
    project.write(
        "bench.toml",
        """
        [datasets.digits.m]
        a = "dataset"
        b = "dataset"
        c = "dataset"
        [profiles.p.methods.m]
        b = "profile"
        c = "profile"
        [profiles.p.datasets.digits.m]
        c = "both"
        [profiles.q]
        """,
    )
    config = load_config()
    assert config.parameters("m", "digits", "p") == {"a": "dataset", "b": "profile", "c": "both"}
    assert config.parameters("m", "digits", "q") == {"a": "dataset", "b": "dataset", "c": "dataset"}
    assert config.parameters("m", "mnist", "p") == {"b": "profile", "c": "profile"}
    assert config.parameters("other", "digits", "p") == {}


def test_a_profiles_steps_reach_every_method_that_can_take_them_unless_its_own_table_says_otherwise(
    project: Project,
) -> None:
    project.write(
        "bench.toml",
        "[profiles.p]\nmin_steps = 70\n[profiles.p.methods.vae]\nmin_steps = 9\n[profiles.q.methods.vae]\nwidth = 4",
    )
    workspace = project.workspace()
    assert workspace.settings("autoencoder", "mnist", "p") == {"min_steps": 70}
    assert workspace.settings("vae", "mnist", "p") == {"min_steps": 9}
    assert workspace.settings("mean_image", "mnist", "p") == workspace.settings("pyod", "mnist", "p") == {}
    assert workspace.settings("vae", "mnist", "q") == {"width": 4}
    project.write("bench.toml", "[profiles.cpu]\nmin_steps = 0")
    assert "min_steps" not in project.workspace().settings("vae", "mnist", "cpu")
    project.write("methods/broken.py", "import nowhere")
    project.write("bench.toml", "[profiles.p]\nmin_steps = 70\n[plugins]\nmethods = ['methods']")
    assert project.workspace().settings("broken", "mnist", "p") == {}


# ---------------------------------------------------------------------------------------------------------------------
# The file that the project ships


@pytest.fixture
def shipped(project: Project) -> Workspace:
    return project.workspace()


def parameter_tables(config: Config) -> list[tuple[str, dict[str, object]]]:
    profiles = config.profiles.values()
    by_dataset = [*config.datasets.values(), *(table for profile in profiles for table in profile.datasets.values())]
    tables = [*by_dataset, *(profile.methods for profile in profiles)]
    return [item for table in tables for item in table.items()]


def test_the_shipped_suites_name_datasets_protocols_methods_and_profiles_that_exist(shipped: Workspace) -> None:
    assert {"quickstart", "mnist", "cifar10", "paper"} <= shipped.config.suites.keys()
    for name in shipped.config.suites:
        for _, suite in shipped.config.parts(name):
            shipped.datasets.resolve(parse_spec(str(suite.dataset)))
            assert PROTOCOLS.resolve(parse_spec(suite.protocol))
            assert (suite.profile or shipped.config.profile) in shipped.config.profiles
            for text in suite.methods:
                for spec in shipped.config.groups.get(text, [text]):
                    shipped.methods.resolve(parse_spec(spec))


def test_the_shipped_parameters_are_parameters_of_their_methods(shipped: Workspace) -> None:
    tables = parameter_tables(shipped.config)
    assert tables
    for method, parameters in tables:
        shipped.methods.resolve(Spec(method, parameters))  # type: ignore[arg-type]


def test_the_shipped_tables_are_made_of_suites(shipped: Workspace) -> None:
    assert set("12345") <= shipped.config.tables.keys()
    for table in shipped.config.tables.values():
        assert table.suites
        assert set(table.suites) <= shipped.config.suites.keys()
        assert set(table.methods or ()) <= {*shipped.methods.plugins, *shipped.config.groups}


def test_the_shipped_classes_are_classes_of_their_datasets(shipped: Workspace) -> None:
    suites = shipped.config.suites
    assert set(suites["cifar100"].classes or ()) < set(CLASSES)
    objects = suites["coil100"].classes or []
    assert len(set(objects)) == 30
    assert set(objects) < {f"obj{number}" for number in range(1, 101)}
