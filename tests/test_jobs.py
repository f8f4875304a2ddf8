"""Jobs: what a request expands to, what a job's key follows from, and how parameters lie over one another."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from projects import BROKEN, METHOD, Project
from records import make_job

from bench.errors import BenchError, DataMissing
from bench.jobs import Job, Request, expand, grids, left_out, parse_seeds
from bench.randomness import derive_seed
from bench.workspace import Workspace

SUITES = """
profile = "paper"

[groups]
both = ["mean", "mean(steps=4)"]

[suites.zoo]
dataset = "animals"
protocol = "official_split"
methods = ["both", "ocsvm"]
seeds = 2

[suites.family]
dataset = "animals"
protocol = "sibling_subclasses"
classes = ["bee", 0]
methods = ["mean"]
seeds = [5, 3]
profile = "quick"

[suites.everything]
includes = ["zoo", "family", "zoo"]

[profiles.quick]
max_train = 6

[profiles.quick.methods.mean]
steps = 9
power = 3
sizes = [1, 2]

[profiles.quick.datasets.animals.mean]
power = 4
"""


@pytest.fixture
def zoo(project: Project) -> Workspace:
    project.write_plugins(SUITES)
    return project.workspace()


def one(workspace: Workspace, **request: Any) -> Job:
    """The only job of a request for one class."""
    (job,) = expand(Request(**{"dataset": "animals", "classes": "ape", "methods": "mean", **request}), workspace)
    return job


def labels(workspace: Workspace, **request: Any) -> list[str]:
    return list(dict.fromkeys(job.label for job in expand(Request(**request), workspace)))


def refusal(workspace: Workspace, **request: Any) -> str:
    with pytest.raises(BenchError) as caught:
        expand(Request(**request), workspace)
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------------------------
# The key


def test_the_key_of_a_job_stays_what_it_was() -> None:
    """Where this fails, every record there is would be made anew: on purpose, only with a new SCHEMA."""
    assert make_job(schema=1).key == "4bd4ba7cec807d1444822e24ccfed01b"
    assert make_job().key == "65fc3e5bf0fb778f80e0f7ad94e0f4f5"


def test_a_seed_has_32_bits_and_that_of_an_old_record_as_many_as_it_had() -> None:
    assert make_job().fit_seed == make_job(spec="ocsvm(nu=0.2)", profile="cpu").fit_seed < 2**32
    assert make_job(schema=1).fit_seed == derive_seed("fit", "ocsvm", "mnist", "official_split", "3", 0) > 2**32
    assert len({make_job(seed=seed, normal_class=name).fit_seed for seed in range(3) for name in "01"}) == 6


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Job)])
def test_the_key_follows_from_every_field_but_the_label(field: str) -> None:
    job = make_job()
    values = {"protocol_version": 2, "seed": 1, "max_train": 100, "schema": 1}
    other = dataclasses.replace(job, **{field: values.get(field, "other")})
    assert (other.key == job.key) == (field == "label")


def test_a_key_is_32_hexadecimal_digits() -> None:
    assert re.fullmatch("[0-9a-f]{32}", make_job(normal_class="ü").key)


# ---------------------------------------------------------------------------------------------------------------------
# Expansion


def test_a_suite_expands_to_every_combination_once_by_seed_then_class_then_method(zoo: Workspace) -> None:
    jobs = expand(Request(suite="zoo"), zoo)
    found = [(job.seed, job.normal_class, job.label) for job in jobs]
    methods = ["mean", "mean(steps=4)", "ocsvm"]
    assert found == [(s, c, m) for s in (0, 1) for c in ("ape", "bee", "cat") for m in methods]
    assert len({job.key for job in jobs}) == len(jobs) == 18


def test_a_suite_of_suites_expands_to_theirs_in_order_each_once(zoo: Workspace) -> None:
    parts = [expand(Request(suite=name), zoo) for name in ("zoo", "family")]
    assert expand(Request(suite="everything"), zoo) == [*parts[0], *parts[1]]
    assert expand(Request(suite="zoo, family,zoo"), zoo) == [*parts[0], *parts[1]]
    with pytest.raises(BenchError, match="no suite called 'famly'; did you mean family"):
        expand(Request(suite="zoo,famly"), zoo)


def test_a_suite_says_its_protocol_profile_classes_and_seeds(zoo: Workspace) -> None:
    jobs = expand(Request(suite="family"), zoo)
    assert [(job.seed, job.normal_class) for job in jobs] == [(5, "bee"), (5, "ape"), (3, "bee"), (3, "ape")]
    assert {(job.protocol, job.profile, job.max_train) for job in jobs} == {("sibling_subclasses", "quick", 6)}


def test_the_request_lies_over_the_suite(zoo: Workspace) -> None:
    request = Request(suite="family", methods="ocsvm", classes="cat", seeds="7,", profile="paper", precision="bf16")
    (job,) = expand(request, zoo)
    assert (job.method, job.normal_class, job.seed, job.profile) == ("ocsvm", "cat", 7, "paper")
    assert (job.max_train, job.precision) == (None, "bf16")


def test_a_training_cap_of_the_request_lies_over_the_profiles(zoo: Workspace) -> None:
    assert one(zoo, profile="quick").max_train == 6
    assert one(zoo, profile="quick", max_train=(4,)).max_train == 4


def test_every_condition_has_its_own_jobs_and_none_leaves_keys_as_they_were(zoo: Workspace) -> None:
    clean = one(zoo)
    assert clean.key == dataclasses.replace(clean, contamination=0.0, corruption="").key
    spoilt = [
        one(zoo, contamination=(0.05,)),
        one(zoo, contamination=(0.1,)),
        one(zoo, corruption=("jpeg(severity=3)",)),
        one(zoo, corruption=("jpeg(severity=3,only='normal')",)),
    ]
    assert len({job.key for job in (clean, *spoilt)}) == 5
    assert {job.fit_seed for job in spoilt} == {clean.fit_seed}
    request = Request(
        dataset="animals",
        classes="ape",
        methods="mean",
        max_train=(2, 4),
        contamination=(0.0, 0.1),
        corruption=("", "jpeg( severity=3 )"),
    )
    jobs = expand(request, zoo)
    assert len({job.key for job in jobs}) == 8
    assert (jobs[0].max_train, jobs[0].contamination, jobs[0].corruption) == (2, 0.0, "")
    assert (jobs[-1].max_train, jobs[-1].contamination, jobs[-1].corruption) == (4, 0.1, "jpeg(severity=3)")
    assert jobs[-1].title.endswith("seed 0, contamination 0.1, jpeg(severity=3)")


def test_a_suite_has_conditions_that_a_request_lies_over(project: Project) -> None:
    suite = '[suites.spoilt]\ndataset = "animals"\nmethods = ["mean"]\nseeds = 1\nprotocol = "official_split"\n'
    conditions = (
        'classes = ["ape"]\nmax_train = [2, 3]\ncontamination = [0, 0.25]\ncorruption = "contrast(severity=1)"\n'
    )
    project.write_plugins(suite + conditions)
    workspace = project.workspace()
    jobs = expand(Request(suite="spoilt"), workspace)
    assert [(job.max_train, job.contamination) for job in jobs] == [(2, 0.0), (2, 0.25), (3, 0.0), (3, 0.25)]
    assert {job.corruption for job in jobs} == {"contrast(severity=1)"}
    (job,) = expand(Request(suite="spoilt", max_train=(4,), contamination=(0.5,)), workspace)
    assert (job.max_train, job.contamination) == (4, 0.5)


def test_classes_that_are_normal_together_make_one_job_a_seed(zoo: Workspace) -> None:
    asked = {"dataset": "animals", "protocol": "official_split", "methods": "mean", "seeds": "4"}
    assert {job.normal_class for job in expand(Request(**asked, normal="cat+ape"), zoo)} == {"ape+cat"}
    drawn = [job.normal_class for job in expand(Request(**asked, normal="2"), zoo)]
    assert len(drawn) == 4
    assert all(len(set(name.split("+"))) == 2 for name in drawn)
    assert len(set(drawn)) > 1, "another seed draws other classes"
    assert drawn == [job.normal_class for job in expand(Request(**asked, normal="2"), zoo)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"contamination": (1.5,)}, "contamination 1.5 is no share of the training images; write 0.05 for 5 %"),
        ({"corruption": ("jpg(severity=1)",)}, r"no corruption called 'jpg'"),
        ({"max_train": (0,)}, "--max-train 0 leaves no training image"),
        ({"normal": "9"}, "9 normal classes cannot be drawn of"),
        ({"normal": "ape+dgo"}, "no class of animals called 'dgo'"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(zoo: Workspace, asked: dict[str, Any], said: str) -> None:
    assert re.search(said, refusal(zoo, dataset="animals", methods="mean", **asked))


def test_a_dataset_alone_means_its_own_protocol_every_class_and_one_seed(zoo: Workspace) -> None:
    jobs = expand(Request(dataset="digits", methods="mean"), zoo)
    assert [job.normal_class for job in jobs] == list("0123456789")
    assert {(job.protocol, job.seed, job.profile) for job in jobs} == {("holdout_80_20", 0, "paper")}


def test_a_job_says_what_identifies_its_data_and_its_code(zoo: Workspace) -> None:
    job = one(zoo)
    assert job.method_version == "7"
    assert re.fullmatch("[0-9a-f]{64}", job.fingerprint)
    assert re.fullmatch("[0-9a-f]{64}", job.dataset_checksum)
    assert job.protocol_version == 1


def test_all_means_the_suites_own_methods(zoo: Workspace) -> None:
    own = ["mean", "mean(steps=4)", "ocsvm"]
    assert labels(zoo, suite="zoo", methods="all") == labels(zoo, suite="zoo") == own
    assert labels(zoo, suite="zoo", methods="mean(steps=5),all") == ["mean(steps=5)", *own]


def test_a_group_stands_for_its_specs(zoo: Workspace) -> None:
    assert labels(zoo, suite="family", methods="ocsvm,both") == ["ocsvm", "mean", "mean(steps=4)"]


UNSUITED = """
[unsuited.animals]
mean = "animals have no mean"
"""


def test_a_group_leaves_out_what_does_not_suit_the_dataset_and_says_why(project: Project) -> None:
    project.write_plugins(SUITES + UNSUITED)
    zoo = project.workspace()
    assert labels(zoo, suite="zoo") == ["ocsvm"], "of the suite's own methods, the group's are left out"
    assert left_out(Request(suite="zoo"), zoo) == [
        "mean is left out on animals: animals have no mean (named by itself it runs: --methods mean)",
        "mean(steps=4) is left out on animals: animals have no mean (named by itself it runs: --methods mean(steps=4))",
    ]
    assert labels(zoo, suite="zoo", methods="both,mean") == ["mean"], "what is named by itself is run"
    assert labels(zoo, suite="family", methods="all") == ["mean"], "also by a suite"
    assert left_out(Request(suite="family"), zoo) == []
    assert refusal(zoo, dataset="animals", methods="both") == (
        "none of these methods suits animals: mean: animals have no mean; mean(steps=4): animals have no mean; "
        "name one by itself to run it"
    )


def test_methods_that_tell_turned_images_apart_are_left_out_on_digits(project: Project) -> None:
    today = project.workspace()
    turned = {"rotnet", "geom", "goad"}
    assert turned < set(today.config.groups["today"])
    (grid,) = grids(Request(suite="quickstart", methods="today,rotnet"), today)
    assert {spec.name for spec in grid.unsuited} >= turned - {"rotnet"}
    assert {spec.name for spec in grid.specs} & turned == {"rotnet"}, "which was named by itself"
    told = left_out(Request(suite="quickstart", methods="today"), today)
    assert turned <= {line.partition(" is left out on digits: ")[0] for line in told}


def test_a_method_that_is_named_twice_counts_once(zoo: Workspace) -> None:
    assert len(expand(Request(suite="family", methods="mean,both,mean( )"), zoo)) == 2 * 2 * 2


def test_specs_that_come_to_the_same_are_one_job(zoo: Workspace) -> None:
    assert labels(zoo, dataset="animals", methods="mean,mean(steps=3),mean(power=2)") == ["mean"]


@pytest.mark.parametrize("text", ["bee", "1", " 1 "])
def test_a_class_is_named_by_name_or_by_number(zoo: Workspace, text: str) -> None:
    assert one(zoo, classes=text).normal_class == "bee"


@pytest.mark.parametrize(
    ("text", "seeds"), [("1", [0]), ("3", [0, 1, 2]), ("0,5", [0, 5]), ("5,", [5]), (" 2 , 1,2", [2, 1])]
)
def test_seeds_are_a_number_of_them_or_a_list(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", ",", "a", "-1", "1.5", "0", "1,a", "²"])
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match=r"write how many|at least one seed"):
        parse_seeds(text)


# ---------------------------------------------------------------------------------------------------------------------
# Parameters and labels


def test_the_profile_for_the_dataset_lies_over_the_profile_and_the_request_over_both(zoo: Workspace) -> None:
    quick = {"profile": "quick"}
    assert one(zoo, **quick).spec == "mean(power=4.0,sizes=(1,2),steps=9)"
    assert one(zoo, methods="mean(power=5)", **quick).spec == "mean(power=5.0,sizes=(1,2),steps=9)"
    assert one(zoo, dataset="digits", classes="0", **quick).spec == "mean(power=3.0,sizes=(1,2),steps=9)"
    assert one(zoo).spec == "mean"


def test_the_label_says_what_was_asked_for_beyond_the_profile(zoo: Workspace) -> None:
    quick = {"profile": "quick"}
    assert one(zoo, **quick).label == "mean"
    assert one(zoo, methods="mean(steps=9,power=5)", **quick).label == "mean(power=5.0)"
    assert one(zoo, methods="mean(sizes=(1,2))", **quick).label == "mean"


def test_what_is_a_methods_default_is_said_where_the_profile_has_another(zoo: Workspace) -> None:
    job = one(zoo, methods="mean(steps=3)", profile="quick")
    assert job.label == "mean(steps=3)"
    assert job.spec == "mean(power=4.0,sizes=(1,2))"


@pytest.mark.parametrize("profile", ["paper", "quick"])
def test_set_is_the_same_job_as_the_spec_with_that_parameter(zoo: Workspace, profile: str) -> None:
    overridden = one(zoo, overrides=("mean.norm=l1", "mean.steps = 5"), profile=profile)
    assert overridden == one(zoo, methods="mean(norm='l1',steps=5)", profile=profile)


def test_set_lies_over_the_spec_and_reaches_that_method_alone(zoo: Workspace) -> None:
    request = {"suite": "zoo", "classes": "ape", "seeds": "1", "overrides": ("mean.steps=5",)}
    assert labels(zoo, **request) == ["mean(steps=5)", "ocsvm"]


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"suite": "zo"}, "no suite called 'zo'; did you mean zoo?"),
        ({"suite": "zoo", "methods": "meen"}, "no method called 'meen'; did you mean mean?"),
        ({"suite": "zoo", "methods": "mean(stps=1)"}, "no parameter of mean called 'stps'; did you mean steps?"),
        ({"suite": "zoo", "methods": ""}, "no method named"),
        ({"suite": "zoo", "profile": "quik"}, "no profile called 'quik'; did you mean quick?"),
        ({"suite": "zoo", "classes": "bea"}, "no class of animals called 'bea'; did you mean bee?"),
        ({"suite": "zoo", "classes": "4"}, "no class of animals called '4'; known: ape, bee, cat, dog"),
        ({"suite": "zoo", "classes": "dog"}, "class dog (3) of animals has no training images"),
        ({"suite": "zoo", "classes": "3"}, "classes that can be normal: ape (0), bee (1), cat (2)"),
        ({"suite": "zoo", "protocol": "official_split"}, "--protocol goes with --dataset"),
        ({"suite": "zoo", "dataset": "animals"}, "name either a suite"),
        ({}, "name either a suite"),
        ({"dataset": "animls"}, "no dataset called 'animls'; did you mean animals?"),
        ({"dataset": "animals", "protocol": "holdout"}, "no protocol called 'holdout'; did you mean holdout_80_20?"),
        ({"suite": "zoo", "overrides": ("means.steps=1",)}, "no method in this run called 'means'; did you mean mean?"),
        ({"suite": "family", "overrides": ("ocsvm.nu=1",)}, "no method in this run called 'ocsvm'"),
        ({"suite": "zoo", "overrides": ("mean.stps=1",)}, "no parameter of mean called 'stps'"),
        (
            {"suite": "zoo", "overrides": ("mean.steps",)},
            "cannot read --set 'mean.steps'; write method.parameter=value",
        ),
        ({"suite": "zoo", "overrides": ("steps=1",)}, "cannot read --set 'steps=1'"),
        ({"suite": "zoo", "overrides": ("mean.steps=many",)}, "mean: steps='many' is not usable"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_a_mistake_in_a_request_is_answered_with_what_would_do(
    zoo: Workspace, request_: dict[str, Any], said: str
) -> None:
    assert said in refusal(zoo, **request_)


def test_every_dataset_whose_files_are_absent_is_named_at_once(project: Project) -> None:
    project.write("bench.toml", "[suites.two]\nincludes = ['mnist', 'cifar10']\n")
    with pytest.raises(DataMissing, match=r"(?s)dataset mnist is not .*dataset cifar10 is not "):
        expand(Request(suite="two"), project.workspace())


def test_a_parameter_of_bench_toml_that_no_method_takes_is_refused(project: Project) -> None:
    project.write_plugins("[datasets.animals.mean]\nstps = 1\n")
    assert "no parameter of mean called 'stps'; did you mean steps?" in refusal(
        project.workspace(), dataset="animals", methods="mean"
    )


def test_a_table_in_place_of_a_parameter_is_refused(project: Project) -> None:
    project.write_plugins("[datasets.animals.mean.steps]\nfirst = 1\n")
    said = refusal(project.workspace(), dataset="animals", methods="mean")
    assert "mean: a parameter is a finite number" in said


def test_a_plugin_that_cannot_be_used_has_its_jobs_and_hinders_no_other(project: Project) -> None:
    project.write_plugins()
    project.write("my_methods/broken.py", BROKEN)
    project.write("my_methods/typo.py", "from __future__ import annotations\n" + METHOD.replace("int = 3", "itn = 3"))
    request = Request(dataset="animals", classes="ape", methods="mean,broken(x=1),typo(steps=2)")
    jobs = expand(request, project.workspace())
    assert [job.label for job in jobs] == ["mean", "broken(x=1)", "typo(steps=2)"]
    assert jobs[1].method_version == "unavailable"
    assert len({job.fingerprint for job in jobs}) == 3
