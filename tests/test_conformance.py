"""The conformance suite: each check finds the fault that it is for and no other, and the shipped methods pass."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bench.config import load_config
from bench.errors import BenchError
from bench.execution.messages import Outcome, Task
from bench.execution.slots import find_slots
from bench.execution.supervisor import Supervisor
from bench.testing import conformance
from bench.testing.checks import CHECKS
from bench.testing.subject import open_subject
from bench.testing.suite import Suite, Verdict, ordered
from bench.workspace import Workspace, open_workspace

PLUGINS = Path(__file__).parent / "conformance_plugins"
FAULTS = {
    "constructor_makes_a_history": "constructor_only_stores",
    "constructor_rounds": "constructor_only_stores",
    "score_misses_an_attribute": "fits_and_scores",
    "fit_returns_nothing": "fit_returns_the_method",
    "hyperparameter_is_clipped": "hyperparameters_stay",
    "noise_is_cut_in_place": "images_stay",
    "images_are_inverted_through_torch": "images_stay",
    "torch_is_seeded": "global_generators_stay",
    "scores_are_a_column": "scores_are_an_array_of_floats",
    "scores_are_whole_numbers": "scores_are_an_array_of_floats",
    "blank_images_divide_by_zero": "scores_are_finite",
    "score_decides": "scores_are_distinct",
    "larger_means_more_normal": "anomalies_score_higher",
    "learns_nothing": "anomalies_score_higher",
    "score_draws_noise": "scores_repeat",
    "reconstructions_are_floats": "reconstructions_are_images",
    "reconstructions_are_left_out_where_bad": "reconstructions_are_images",
    "reconstructing_starts_training": "reconstructions_are_images",
    "scores_are_squeezed": "one_image_alone",
    "scores_are_smoothed": "order_does_not_matter",
    "scores_fill_zero_to_one": "companions_do_not_matter",
    "sum_is_over_the_number_of_images": "number_of_images_does_not_matter",
    "optimiser_never_steps": "weights_move",
    "decoder_is_forgotten": "weights_move",
    "sample_is_unseeded": "same_seed_same_scores",
    "seed_is_fixed": "another_seed_other_scores",
    "training_mode_is_set_once": "scoring_between_epochs_changes_nothing",
    "start_is_warm": "refit_is_fresh",
    "holds_a_lambda": "saved_and_loaded_scores_alike",
    "scale_is_not_saved": "saved_and_loaded_scores_alike",
    "maps_are_rows": "maps_are_finite",
    "maps_of_blank_images_divide_by_zero": "maps_are_finite",
    "mapping_starts_training": "maps_are_finite",
    "maps_fill_zero_to_one": "maps_are_of_their_own_image",
    "scale_of_maps_is_not_saved": "saved_and_loaded_maps_alike",
    "maps_are_upside_down": "maps_show_a_painted_square",
    "losses_are_not_remembered": "goes_on_from_a_checkpoint",
    "kinds_are_blended": "normalised_as_in_training",
    "loss_is_read_every_step": "steps_ask_the_host_nothing",
    "weights_are_made_on_the_host": "steps_stay_on_their_device",
    "steps_are_counted_in_python": "replayed_steps_are_the_same",
    "one_channel_is_expected": "images_in_colour",
    "sides_are_halved": "images_of_odd_sizes",
    "neighbours_outnumber_images": "few_training_images",
    "faster_score_checks_nothing": "errors_are_clear",
    "helper_is_of_this_process": "works_in_a_worker",
}
"""Broken plugins, each with the check that names its fault."""
SOUND = ("keeps_every_promise", "keeps_every_promise_in_epochs", "keeps_every_promise_in_steps")
OF_EPOCHS = {"weights_move", "another_seed_other_scores", "scoring_between_epochs_changes_nothing"}
OF_STEPS = {
    "steps_ask_the_host_nothing",
    "steps_stay_on_their_device",
    "replayed_steps_are_the_same",
    "goes_on_from_a_checkpoint",
}
"""Promises of methods that train in epochs, and of those that do it in the harness's loop."""
NETWORKS = ("autoencoder", "shared_ae", "deep_svdd", "vae", "ganomaly", "skip_ganomaly")
CONTROLS = ("ocsvm", "mean_image", "pca", "knn")
MOST = len(CHECKS)
OF_MAPS = {
    "maps_are_finite",
    "maps_are_of_their_own_image",
    "saved_and_loaded_maps_alike",
    "maps_show_a_painted_square",
}
RECONSTRUCTING = ("autoencoder", "shared_ae", "vae", "ganomaly", "skip_ganomaly", "pca")
MAPPED = (*RECONSTRUCTING, "mean_image", "deep_svdd")

Check = Callable[[str], dict[str, Verdict]]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench.toml that names the folder of the broken plugins."""
    file = tmp_path_factory.mktemp("config") / "bench.toml"
    file.write_text(f"[plugins]\nmethods = [{str(PLUGINS)!r}]\n")
    return file


@pytest.fixture(scope="module")
def workspace(config: Path) -> Workspace:
    return open_workspace(config)


@pytest.fixture(scope="module")
def worker() -> Iterator[Callable[[Task], Outcome]]:
    """One worker for all jobs of this module: starting it is what takes long."""
    (slot,) = find_slots("cpu", workers=1)
    with Supervisor(slot) as supervisor:
        yield supervisor.run


@pytest.fixture
def checked(workspace: Workspace, worker: Callable[[Task], Outcome]) -> Check:
    """Every check's verdict on a spec."""

    def verdicts(spec: str) -> dict[str, Verdict]:
        suite = Suite(open_subject(spec, workspace, "check", worker))
        return {verdict.check.name: verdict for verdict in suite.verdicts()}

    return verdicts


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that this process alone can import."""
    module = ModuleType("beside_the_notebook")
    module.cleaned = lambda images: images  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "beside_the_notebook", module)


def failed(verdicts: dict[str, Verdict]) -> dict[str, str]:
    return {name: verdict.reason for name, verdict in verdicts.items() if verdict.ending == "FAILED"}


# ---------------------------------------------------------------------------------------------------------------------
# What the checks find


@pytest.mark.usefixtures("helper")
@pytest.mark.parametrize(("spec", "fault"), FAULTS.items(), ids=FAULTS)
def test_the_check_that_names_the_fault_fails_and_no_other(spec: str, fault: str, checked: Check) -> None:
    verdicts = checked(spec)
    found = failed(verdicts)
    assert list(found) == [fault], found
    assert found[fault]
    for name, verdict in verdicts.items():
        if verdict.ending == "skipped":
            assert fault in {check.name for check in ordered([name])}, f"{name} does not need {fault}"


@pytest.mark.parametrize("spec", SOUND)
def test_a_plugin_without_a_fault_passes(spec: str, checked: Check) -> None:
    verdicts = checked(spec)
    others = {name for name, verdict in verdicts.items() if verdict.ending != "ok"}
    reconstructs = spec == "keeps_every_promise"
    wanted = set() if reconstructs else {"reconstructions_are_images", *OF_MAPS}
    wanted |= OF_EPOCHS if spec == "keeps_every_promise" else set()
    wanted |= OF_STEPS if spec != "keeps_every_promise_in_steps" else set()
    wanted |= {"normalised_as_in_training"}
    assert others == wanted


def test_every_check_has_a_plugin_that_fails_it_and_every_plugin_is_tried() -> None:
    assert set(FAULTS.values()) == set(CHECKS)
    files = {file.stem for file in PLUGINS.glob("[!_]*.py")}
    assert files == {*FAULTS, *SOUND}


@pytest.mark.slow
@pytest.mark.parametrize("spec", load_config().groups["rivals"])
def test_the_rivals_pass(spec: str, checked: Check) -> None:
    verdicts = checked(spec)
    assert not failed(verdicts)
    assert sum(verdict.ending == "ok" for verdict in verdicts.values()) >= MOST - (13 if spec == "kde" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("spec", load_config().groups["today"])
def test_todays_methods_pass(spec: str, checked: Check) -> None:
    """None reconstructs; those on frozen features hold nothing to train any more, and most have no map."""
    verdicts = checked(spec)
    assert not failed(verdicts)
    assert sum(verdict.ending == "ok" for verdict in verdicts.values()) >= MOST - 7


HEAVY = ("shared_ae", "ganomaly", "skip_ganomaly")
"""Methods whose checks take minutes."""


@pytest.mark.parametrize(
    "spec",
    [pytest.param(each, marks=pytest.mark.slow) if each in HEAVY else each for each in (*NETWORKS, *CONTROLS)],
)
def test_the_shipped_methods_pass(spec: str, checked: Check) -> None:
    verdicts = checked(spec)
    assert not failed(verdicts)
    not_applicable = sum(verdict.ending == "not applicable" for verdict in verdicts.values())
    inapplicable = 0 if spec in NETWORKS else len(OF_EPOCHS | OF_STEPS | {"normalised_as_in_training"})
    assert not_applicable == inapplicable + (spec not in RECONSTRUCTING) + len(OF_MAPS) * (spec not in MAPPED)


def test_batch_statistics_of_the_test_images_as_the_authors_of_ganomaly_use_them_are_found(
    workspace: Workspace,
) -> None:
    suite = Suite(open_subject("ganomaly(score_in_train_mode=True,epochs=1)", workspace, "check"))
    assert list(failed({v.check.name: v for v in suite.verdicts(["companions_do_not_matter"])})) == [
        "order_does_not_matter"
    ]


@pytest.mark.slow
def test_the_shared_autoencoder_of_version_2_is_found_to_be_scored_with_a_blend(workspace: Workspace) -> None:
    """Its running statistics were those of three kinds of image in one encoder; version 3 takes each kind's own."""
    for spec, found in (("shared_ae(adversary='printed',statistics='blend',alpha=10.0)", 1), ("shared_ae", 0)):
        suite = Suite(open_subject(spec, workspace, "check"))
        reasons = failed({v.check.name: v for v in suite.verdicts(["normalised_as_in_training"])})
        assert list(reasons) == ["normalised_as_in_training"] * found, reasons


# ---------------------------------------------------------------------------------------------------------------------
# What a plugin's author reads


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("constructor_makes_a_history", ["also holds history"]),
        ("constructor_rounds", ["patch=7 was given", "holds 6"]),
        ("score_misses_an_attribute", ["AttributeError", "no attribute 'mean'", "(_base.py, line", "in score)"]),
        ("hyperparameter_is_clipped", ["most 100 → 48"]),
        ("noise_is_cut_in_place", ["fit does not take read-only", "noise_is_cut_in_place.py, line", "np.array("]),
        ("torch_is_seeded", ["fit seeds or draws", "of torch;", "torch.Generator"]),
        ("scores_are_a_column", ["(100, 1)", "shape (100,)"]),
        ("blank_images_divide_by_zero", ["3 of the 3 scores of images of one colour"]),
        ("larger_means_more_normal", ["AUROC 0.00 and 0.00", "turn the sign round"]),
        ("learns_nothing", ["AUROC 1.00 and 0.00", "[profiles.check.methods.learns_nothing]"]),
        ("decoder_is_forgotten", ["2 of 4 parameter tensors", "network.1.weight, network.1.bias"]),
        ("reconstructions_are_floats", ["what reconstruct returned: images are", "got float32 (100, 8, 8, 1)"]),
        ("reconstructions_are_left_out_where_bad", ["reconstruct returned 50 images for 100; return one for each"]),
        ("reconstructing_starts_training", ["after the method was asked for reconstructions"]),
        ("maps_are_rows", ["score_map returned float32 (103, 64) for 103 images; return floats of shape (103,"]),
        ("maps_of_blank_images_divide_by_zero", ["3 of the 103 maps that score_map returned hold numbers"]),
        ("maps_are_upside_down", ["inside a painted square and", "let rows be the height"]),
        ("loss_is_read_every_step", ["make the host wait 8 times more often", "_local_scalar_dense"]),
        ("weights_are_made_on_the_host", ["weights_are_made_on_the_host.py, line", "device=x.device"]),
        ("steps_are_counted_in_python", ["when its steps are replayed as a graph", "or leave capturable out"]),
        ("one_channel_is_expected", ["ValueError: cannot reshape", "one_channel_is_expected.py, line"]),
        ("faster_score_checks_nothing", ["score of images of floats is not refused", "score before fit raises Attr"]),
    ],
)  # fmt: skip
def test_a_failure_says_what_was_seen_and_what_to_change(spec: str, said: list[str], workspace: Workspace) -> None:
    suite = Suite(open_subject(spec, workspace, "check"))
    (reason,) = failed({v.check.name: v for v in suite.verdicts([FAULTS[spec]])}).values()
    for part in said:
        assert part in reason


def test_a_job_s_failure_in_a_worker_is_told(
    workspace: Workspace, helper: None, worker: Callable[[Task], Outcome]
) -> None:
    suite = Suite(open_subject("helper_is_of_this_process", workspace, "check", worker))
    verdict = suite.verdict(CHECKS["works_in_a_worker"])
    assert "ended as failed in a worker process: ModuleNotFoundError: No module named 'beside_the_not" in verdict.reason


def test_a_check_has_a_promise_and_comes_after_those_that_it_needs() -> None:
    names = list(CHECKS)
    for check in CHECKS.values():
        assert check.promise.endswith(".")
        assert all(names.index(needed.name) < names.index(check.name) for needed in check.needs)


def test_chosen_checks_are_run_with_those_that_they_need() -> None:
    assert [check.name for check in ordered(["fit_returns_the_method"])] == [
        "fits_and_scores",
        "fit_returns_the_method",
    ]
    with pytest.raises(BenchError, match="no check called 'weight_moves'; did you mean weights_move"):
        ordered(["weight_moves"])


def test_parameters_of_the_spec_win_over_the_profile_s_and_these_over_the_defaults(workspace: Workspace) -> None:
    subject = open_subject("vae(epochs=3)", workspace, "check")
    assert (subject.parameters["epochs"], subject.parameters["width"], subject.parameters["beta"]) == (3, 4, 1.0)


# ---------------------------------------------------------------------------------------------------------------------
# The entry for pytest, with a worker of its own

test_mean_image = conformance("mean_image")


def test_a_failed_check_fails_its_case_and_those_that_need_it_are_skipped(config: Path) -> None:
    test = conformance("scores_are_a_column", config=config)
    test(CHECKS["fits_and_scores"])
    with pytest.raises(pytest.fail.Exception, match=r"return an array of floats of shape \(100,\)"):
        test(CHECKS["scores_are_an_array_of_floats"])
    with pytest.raises(pytest.skip.Exception, match="needs scores_are_finite"):
        test(CHECKS["images_in_colour"])
    with pytest.raises(pytest.skip.Exception, match="it is no EpochMethod"):
        test(CHECKS["weights_move"])
