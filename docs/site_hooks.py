"""What the site has besides docs/*.md: pages of the repository's root, reference made from the code, the leaderboard.

The pages are written for the repository, where links lead to files. Here each link is led to the page that the file is
in the site; one to a folder, or to a file that is not in the site, keeps its text alone. A link to nothing is an error.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = {"README.md": "index.md", "CHANGELOG.md": "CHANGELOG.md", "CONTRIBUTING.md": "CONTRIBUTING.md"}
"""Pages of the root, and what they are called in the site."""
RESULTS = ("results/README.md", "results/*.txt", "results/report.html", "results/**/*.png", "CITATION.cff")
PYTHON = ("bench.api.running", "bench.api.results", "bench.api.evaluation", "bench.api.model")
CONTRACTS = ("bench.method", "bench.dataset", "bench.protocol", "bench.images", "bench.metrics", "bench.localisation")
LEADERBOARD = """# Leaderboard

Every method in every setting that has committed records, [ranked, filtered and sorted](leaderboard/index.html). Each
figure leads to its records, the command that makes them again, and the ledger of what was used.
[How to submit](submissions.md) yours.
"""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")

_kept = tempfile.TemporaryDirectory()


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are no files of docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for pattern in RESULTS:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    files.append(File.generated(config, "reference/commands.md", content="\n".join(_commands())))
    files.append(File.generated(config, "reference/python.md", content="\n".join(_python())))
    files.append(File.generated(config, "leaderboard.md", content=LEADERBOARD))
    for path in _leaderboard():
        place = f"leaderboard/{path.relative_to(_kept.name).as_posix()}"
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links within the repository to pages of the site."""
    place = page.file.src_uri
    source = {site: name for name, site in PAGES.items()}.get(place) or (
        place if (ROOT / place).is_file() else f"docs/{place}"
    )

    def led(found: re.Match[str]) -> str:
        image, text, target = found.groups()
        path, _, anchor = target.partition("#")
        if not path or ":" in path or place in ("leaderboard.md",) or place.startswith("reference/"):
            return found[0]
        whole = os.path.normpath(PurePosixPath(source).parent / path)
        if not (ROOT / whole).exists():
            raise PluginError(f"{source} links to {target}, which is not there")
        there = PAGES.get(whole) or whole.removeprefix("docs/")
        if files.get_file_from_path(there) is None:
            return text
        relative = os.path.relpath(there, PurePosixPath(place).parent)
        return f"{image}[{text}]({relative}{'#' + anchor if anchor else ''})"

    blocks = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(led, part) for part in blocks)


def _commands() -> Iterator[str]:
    """Every command with its help, as ``bench COMMAND --help`` prints it."""
    import click
    from typer.main import get_command

    from bench.cli import app

    yield "# Commands\n\nWhat `bench COMMAND --help` prints.\n"
    group = get_command(app)
    context = click.Context(group, info_name="bench", max_content_width=100, terminal_width=100)

    def told(command: Any, context: Any) -> Iterator[str]:
        if command.hidden:
            return
        if within := getattr(command, "commands", None):
            for name, each in sorted(within.items()):
                yield from told(each, type(context)(each, info_name=name, parent=context, terminal_width=100))
            return
        yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"

    yield from told(group, context)


def _python() -> Iterator[str]:
    yield "# Python\n\nWhat `import bench` offers, and the contracts of plugins: [In Python](../python.md) shows it.\n"
    for module in (*PYTHON, *CONTRACTS):
        yield f"::: {module}\n"


def _leaderboard() -> list[Path]:
    """The pages of the leaderboard of all committed records."""
    from bench.report.leaderboard.entries import boards
    from bench.report.leaderboard.site import write_site
    from bench.report.request import currency
    from bench.workspace import open_workspace

    with contextlib.chdir(ROOT):  # records are called as they are in the repository
        workspace = open_workspace()
        folders = sorted(folder for folder in Path("results").iterdir() if folder.is_dir() and folder.name != "runs")
        made, unreadable = boards(folders, workspace.config, currency(workspace))
        if unreadable:
            raise PluginError(str(unreadable[0]))
        write_site(made, Path(_kept.name), os.environ.get("BENCH_RECORDS_AT", ""))
    return sorted(Path(_kept.name).rglob("*.html"))
