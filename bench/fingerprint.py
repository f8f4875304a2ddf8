"""What a method's code is: a hash of the tokens of its file and of the shared parts that shape its numbers.

Comments, docstrings and line breaks do not count; indentation does.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

from bench.registry import Plugin

HARNESS = ("training.py", "images.py")
"""Modules of ``bench`` that shape a method's numbers."""

_BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}


def source_fingerprint(plugin: Plugin) -> str:
    """sha256 over the code of a plugin: its file, the ``_`` files beside it that it imports, and the harness's part."""
    if plugin.file is None:
        return ""
    bench = Path(__file__).parent
    files = [plugin.file, *_shared_parts(plugin.file), *(bench / name for name in HARNESS)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"\n# {file.name}\n".encode())
        try:
            digest.update(_code(file, file.stat().st_mtime_ns).encode())
        except OSError as error:  # the registry shows such a plugin as unavailable; it must not hinder others
            digest.update(f"unreadable: {type(error).__name__}".encode())
    return digest.hexdigest()


def _shared_parts(file: Path) -> list[Path]:
    """Files of the plugin's own folder that it imports, and those that they import, in order of name."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        importer = waiting.pop()
        for name in _imported(importer, _modified(importer)):
            part = file.parent / f"{name.rpartition('.')[2]}.py"
            if part.is_file() and part != file and part not in found and _belongs(name, file):
                found.add(part)
                waiting.append(part)
    return sorted(found)


@functools.lru_cache(maxsize=256)
def _imported(file: Path, modified: int) -> tuple[str, ...]:
    """Dotted names that a file imports, or from which it imports."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):  # the plugin cannot be imported either, so it shares nothing
        return ()
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names[node.module or ""] = None
            names.update(dict.fromkeys(f"{node.module or ''}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            names.update(dict.fromkeys(alias.name for alias in node.names))
    return tuple(names)


def _modified(file: Path) -> int:
    """When the file was changed last; 0 where it cannot be told."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _belongs(module: str, file: Path) -> bool:
    """Whether a dotted name means a module of the plugin's folder, and not one that only shares its last part."""
    parent = module.rpartition(".")[0].rpartition(".")[2]
    return parent in ("", file.parent.name)


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
