"""What a method's code is: a hash of the tokens of its file and of all that it imports and that shapes its numbers.

Comments, docstrings and line breaks do not count; indentation does.
"""

from __future__ import annotations

import functools
import hashlib
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

from bench.imports import Roots, closure, modules
from bench.registry import EXTRA, Plugin, package_folders

WITHOUT_NUMBERS = (
    "bench",
    "bench.methods",
    "bench.datasets",
    "bench.method",
    "bench.errors",
    "bench.specs",
    "bench.device",
    "bench.graphs",
    "bench.maps",
    "bench.checkpoints",
)
"""Modules of the harness that methods import and that shape no score: they declare, check, say where to compute, or
where in an image a score comes from."""

_BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}


def source_fingerprint(plugin: Plugin) -> str:
    """sha256 over the code of a plugin: its file, and those of the harness and of shared parts that it imports.

    Installed libraries do not count: their versions are a record's provenance.
    """
    digest = hashlib.sha256()
    files = source_files(plugin)
    for file in files:
        digest.update(f"\n# {file.name}\n".encode())
        try:
            digest.update(_code(file, file.stat().st_mtime_ns).encode())
        except OSError as error:  # the registry shows such a plugin as unavailable; it must not hinder others
            digest.update(f"unreadable: {type(error).__name__}".encode())
    return digest.hexdigest() if files else ""


def source_files(plugin: Plugin) -> list[Path]:
    """A plugin's file, and those of the harness and of shared parts that it imports; none for one that has no file."""
    if plugin.file is None:
        return []
    return [plugin.file, *closure(plugin.file, plugin.module, _roots(plugin), WITHOUT_NUMBERS)]


def own_files(plugin: Plugin) -> dict[Path, str]:
    """Those of a plugin's files that are no part of the harness, with their dotted names, and what importing them runs.

    None for a plugin of the harness, and for one that has no file.
    """
    if plugin.file is None or _is_harness(plugin.module):
        return {}
    run = {plugin.file: plugin.module, **_packages_around(plugin.file, plugin.module)}
    found = [modules(file, name, _roots(plugin), WITHOUT_NUMBERS) for file, name in run.items()]
    return {file: name for each in (run, *found) for file, name in each.items() if not _is_harness(name)}


def _packages_around(file: Path, module: str) -> dict[Path, str]:
    """The files of the packages that a module lies in, which run before it, with their dotted names."""
    packages = module.split(".")[:-1] if not module.startswith(EXTRA) else []  # those of folders are made up
    above = zip(reversed(packages), file.parents, strict=False)
    names = [".".join(packages[: len(packages) - depth]) for depth in range(len(packages))]
    inits = [folder / "__init__.py" for _, folder in above]
    return {init: name for init, name in zip(inits, names, strict=True) if init.is_file()}


def _is_harness(module: str) -> bool:
    return module.partition(".")[0] == "bench"


def _roots(plugin: Plugin) -> Roots:
    """Where code lies that is followed: the harness, and of a kept copy all that is kept with it."""
    beside = {entry.stem: [entry] for entry in plugin.code.iterdir()} if plugin.code else {}
    return {**_harness(), **beside}


@functools.cache
def _harness() -> dict[str, list[Path]]:
    """Where the harness lies, and its plugins, which in a checkout do not lie in it."""
    plugins = {f"bench.{kind}": package_folders(f"bench.{kind}") for kind in ("methods", "datasets")}
    return {"bench": [Path(__file__).parent], **plugins}


@functools.lru_cache(maxsize=256)
def _code(file: Path, modified: int) -> str:
    source = file.read_bytes()
    try:
        return "\n".join(_statements(source))
    except (SyntaxError, tokenize.TokenError, UnicodeDecodeError):  # a broken plugin still has an identity
        return hashlib.sha256(source).hexdigest()


def _statements(source: bytes) -> Iterator[str]:
    """The tokens of each logical line, joined by blanks; a line that is only a string is a docstring and left out."""
    lines = source.decode().splitlines(keepends=True)
    depth, line, kinds = 0, [], []
    fstring, begun = 0, (0, 0)
    fstring_start = getattr(tokenize, "FSTRING_START", -1)
    fstring_end = getattr(tokenize, "FSTRING_END", -1)
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == fstring_start:
            fstring += 1
            begun = token.start if fstring == 1 else begun
        elif token.type == fstring_end:
            fstring -= 1
            if not fstring:  # Python 3.12 cuts an f-string into pieces; one token, as before, keeps the hash
                line.append(_between(lines, begun, token.end))
                kinds.append(tokenize.STRING)
        elif fstring or token.type in _BLANK:
            continue
        elif token.type == tokenize.INDENT:
            depth += 1
        elif token.type == tokenize.DEDENT:
            depth -= 1
        elif token.type == tokenize.NEWLINE:
            if any(kind != tokenize.STRING for kind in kinds):
                yield f"{depth} {' '.join(line)}"
            line, kinds = [], []
        else:
            line.append(token.string)
            kinds.append(token.type)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    inner = lines[start[0] : end[0] - 1]
    return lines[start[0] - 1][start[1] :] + "".join(inner) + lines[end[0] - 1][: end[1]]
