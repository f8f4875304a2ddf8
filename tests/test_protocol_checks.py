"""``bench check`` of a protocol: the project's own keep every promise, and each check catches one that does not."""

from __future__ import annotations

import pytest
from projects import Project, invoked
from splits import PROTOCOLS

from bench.cli.check import check
from bench.errors import BenchError
from bench.testing.splits import PROTOCOL_CHECKS, protocol_verdicts

HEAD = """
'''Broken on purpose.'''

import numpy as np

from bench.protocol import Protocol, protocol

CALLS = []


@protocol(version=1, seeded={seeded})
class Broken(Protocol):
    def divide(self, dataset, normal, generator):
        own, others = np.flatnonzero(normal), np.flatnonzero(~normal)
        half = len(own) // 2
        CALLS.append(1)
"""

BROKEN = {
    "splits": (False, "return own[:half], np.append(own[half:], len(normal) + 5 + 0 * others[0])"),
    "keeps_train_and_test_apart": (False, "return own[: half + 1], np.concatenate([own[half:], others])"),
    "trains_on_normal_images": (False, "return np.append(own[:half], others[0]), np.append(own[half:], others[1:])"),
    "is_reproducible": (
        True,
        "own = np.random.default_rng(len(CALLS)).permutation(own); "
        "return np.sort(own[:half]), np.append(own[half:], others)",
    ),
    "knows_the_seed_as_it_declares": (True, "return own[:half], np.append(own[half:], others)"),
    "looks_at_no_pixel": (
        False,
        "own = own[np.argsort(dataset.images[own].mean(axis=(1, 2, 3)), kind='stable')]; "
        "return np.sort(own[:half]), np.append(own[half:], others)",
    ),
    "lets_no_anomalous_label_choose_training_images": (
        False,
        "half += int(dataset.labels[others[: len(others) // 2]].sum()) % 7 - 3; "
        "return own[:half], np.append(own[half:], others)",
    ),
}
"""By the check that catches it: whether it says that it knows the seed, and its last lines."""


@pytest.mark.parametrize("spec", [*PROTOCOLS.names(), "rest_vs_one(images='official')"])
def test_the_projects_own_protocols_keep_every_promise(spec: str) -> None:
    assert [verdict.reason for verdict in protocol_verdicts(spec, PROTOCOLS)] == [""] * len(PROTOCOL_CHECKS)


def test_each_check_has_a_broken_protocol() -> None:
    assert list(BROKEN) == [each.name for each in PROTOCOL_CHECKS]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_protocol_is_caught_by_the_check_of_that_name(project: Project, name: str) -> None:
    seeded, end = BROKEN[name]
    project.write("mine/broken.py", HEAD.format(seeded=seeded))
    file = project.root / "mine/broken.py"
    file.write_text(file.read_text() + f"        {end}\n")
    project.write("bench.toml", '[plugins]\nprotocols = ["mine"]\n')
    failed = {
        verdict.check.name: verdict.reason
        for verdict in protocol_verdicts("broken", project.workspace().protocols)
        if verdict.reason
    }
    assert name in failed
    assert "made_up" in failed[name]


def test_a_protocol_that_splits_nothing_made_up_is_told_so(project: Project) -> None:
    project.write(
        "mine/picky.py",
        """
        '''Takes but what nobody has.'''

        from bench.errors import BenchError
        from bench.protocol import Protocol, protocol


        @protocol(version=1)
        class Picky(Protocol):
            def require(self, dataset):
                raise BenchError(f"{dataset.spec} has no depth")

            def divide(self, dataset, normal, generator):
                raise AssertionError
        """,
    )
    project.write("bench.toml", '[plugins]\nprotocols = ["mine"]\n')
    with pytest.raises(BenchError, match="picky splits none of the made-up datasets: made_up_0 has no depth"):
        list(protocol_verdicts("picky", project.workspace().protocols))


def test_the_command_says_a_line_for_each_promise() -> None:
    printed = invoked(check)("rest_vs_one").stdout.splitlines()
    assert [line.split()[0] for line in printed] == ["ok"] * len(PROTOCOL_CHECKS)
