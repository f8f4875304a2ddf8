"""Running the checks: what each came to, which are left out because another failed, and the entry for pytest."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.errors import unknown
from bench.randomness import derive_seed, global_generators_seeded
from bench.testing.checks import CHECKS
from bench.testing.promise import Check, ConformanceError, NotApplicable
from bench.testing.subject import Subject, open_subject
from bench.workspace import open_workspace

Ending = Literal["ok", "FAILED", "not applicable", "skipped"]


@dataclass(frozen=True)
class Verdict:
    """How a check ended, and why where it is not ok."""

    check: Check
    ending: Ending
    reason: str = ""


@dataclass
class Suite:
    """The checks of one subject. Each is run once, and those that it needs before it."""

    subject: Subject
    _verdicts: dict[str, Verdict] = field(default_factory=dict)

    def verdict(self, check: Check) -> Verdict:
        """How the check ends; skipped where one that it needs did not end well."""
        if check.name not in self._verdicts:
            missing = [each.name for each in check.needs if self.verdict(each).ending in ("FAILED", "skipped")]
            self._verdicts[check.name] = (
                Verdict(check, "skipped", f"needs {', '.join(missing)}") if missing else _verdict(check, self.subject)
            )
        return self._verdicts[check.name]

    def verdicts(self, names: Sequence[str] = ()) -> Iterator[Verdict]:
        """The verdicts on the named checks and those that they need, on all where none is named, as each ends."""
        for check in ordered(names):
            yield self.verdict(check)


def ordered(names: Sequence[str] = ()) -> list[Check]:
    """The named checks and those that they need, which come first; all where none is named.

    Raises BenchError for a name that no check has.
    """
    wanted: set[str] = set()

    def want(check: Check) -> None:
        wanted.add(check.name)
        for each in check.needs:
            want(each)

    for name in names or CHECKS:
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
        want(CHECKS[name])
    return [check for check in CHECKS.values() if check.name in wanted]


def conformance(spec: str, *, profile: str = "check", config: Path | None = None) -> Callable[[Check], None]:
    """A pytest test with one case a check, for the tests of a plugin: ``test_mine = conformance("mine(epochs=2)")``.

    ``config`` is a bench.toml to lay over the default one, which may name the plugin's folder.
    """
    import pytest

    @functools.cache
    def suite() -> Suite:
        return Suite(open_subject(spec, open_workspace(config), profile))

    @pytest.mark.parametrize("check", list(CHECKS.values()), ids=list(CHECKS))
    def test(check: Check) -> None:
        verdict = suite().verdict(check)
        if verdict.ending == "FAILED":
            pytest.fail(verdict.reason, pytrace=False)
        if verdict.ending != "ok":
            pytest.skip(verdict.reason)

    test.__doc__ = f"{spec} keeps the promises of a method."
    return test


def _verdict(check: Check, subject: Subject) -> Verdict:
    # a seed that no method takes for its own: setting that again would change nothing, and so be overlooked
    seed = derive_seed("conformance", check.name)
    try:
        with global_generators_seeded(seed), _one_thread(), contextlib.redirect_stdout(sys.stderr):
            check(subject)
    except NotApplicable as reason:
        return Verdict(check, "not applicable", str(reason))
    except ConformanceError as failure:
        return Verdict(check, "FAILED", str(failure))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything, or leave
        return Verdict(check, "FAILED", subject.explained(error))
    return Verdict(check, "ok")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """As in a slot."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
