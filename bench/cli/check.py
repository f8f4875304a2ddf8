"""``bench check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.workspace import Workspace


def check(
    spec: Annotated[str, typer.Argument(help="A method's spec, e.g. \"my_method(epochs=2)\", or a protocol's.")],
    names: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="NAME", help="One check, with those that it needs; repeatable. Default: all."),
    ] = None,
    profile: Annotated[str, typer.Option(help="Set of parameters; those of the spec win.")] = "check",
    device: Annotated[str, typer.Option(help="Where it is tried: cpu, cuda or cuda:N.")] = "cpu",
    config: options.Config = None,
) -> None:
    """Check that a method, or a protocol, keeps its promises: one line a check. Exit code 1: some failed."""
    from collections import Counter

    from bench.specs import parse_spec
    from bench.workspace import open_workspace

    workspace = open_workspace(config)
    name = parse_spec(spec).name
    if name in workspace.protocols.plugins and name not in workspace.methods.plugins:
        _check_protocol(spec, workspace)
        return

    from bench.execution.slots import find_slots
    from bench.testing.subject import open_subject
    from bench.testing.suite import Suite, ordered

    ordered(names or ())  # an unknown name is told before anything is imported
    find_slots(device, workers=1)  # a device that is not there is told at once
    subject = open_subject(spec, workspace, profile, device=device)
    endings: Counter[str] = Counter()
    for verdict in Suite(subject).verdicts(names or ()):
        endings[verdict.ending] += 1
        reason = f": {verdict.reason}" if verdict.reason else ""
        echo(f"{verdict.ending:14}  {verdict.check.name}{reason}")
    echo(f"{subject.spec}: " + ", ".join(f"{number} {ending}" for ending, number in endings.items()))
    if endings["FAILED"]:
        raise typer.Exit(1)


def _check_protocol(spec: str, workspace: Workspace) -> None:
    from bench.testing.splits import protocol_verdicts

    failed = 0
    for verdict in protocol_verdicts(spec, workspace.protocols):
        failed += bool(verdict.reason)
        reason = f": {verdict.reason}" if verdict.reason else ""
        echo(f"{'FAILED' if verdict.reason else 'ok':14}  {verdict.check.name}{reason}")
    if failed:
        raise typer.Exit(1)
