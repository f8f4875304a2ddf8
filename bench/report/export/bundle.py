"""A bundle: records with all that others need to look at them and to make them again, in a folder or a zip file."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from bench.errors import BenchError
from bench.record import Record
from bench.registry import PLURALS, Kind
from bench.report.tables.markup import templates
from bench.sources import SOURCES, Code, Sources, libraries, strangers
from bench.store import Store
from bench.version import VERSION
from bench.workspace import Workspace

RECORDS = "records"
"""The results folder of a bundle."""


def write_bundle(
    records: Sequence[Record], workspace: Workspace, results: Path, config: Mapping[str, Any], page: str, out: Path
) -> Sequence[Code]:
    """Write records of a results folder, the merged ``config`` and the report's ``page`` to a folder, or a zip file.

    The bundle is there whole or not at all. Returns the code that the records were made with and that is no part of
    the harness. Raises BenchError where it cannot be written, or something is there.
    """
    if out.exists():
        raise BenchError(f"{out} is there already; name another folder or zip file")
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.tmp")
    folder = temporary / out.stem
    codes = strangers(records, workspace.methods, workspace.datasets, Sources(results))
    try:
        folder.mkdir(parents=True)
        _copy_records(records, Store(results), folder / RECORDS)
        copy_sources(codes, Sources(results), Sources(folder / RECORDS))
        _write_texts(records, codes, config, page, folder)
        if out.suffix == ".zip":
            shutil.make_archive(str(temporary / "bundle"), "zip", temporary, out.stem)
            (temporary / "bundle.zip").replace(out)
        else:
            folder.replace(out)
        return codes
    except OSError as error:
        raise BenchError(f"cannot write the bundle {out}: {error}; every record is where it was") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def requirements(records: Sequence[Record], further: Sequence[Mapping[str, str]] = ()) -> str:
    """A requirements file: the libraries that records were made with, and ``further`` ones, each in its usual version.

    A version's local part, as in 2.4.0+cpu, is told beside it: no index has it by default.
    """
    versions: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        for name, version in record.provenance.get("libraries", {}).items():
            versions[name][version] += 1
    for each in further:
        for name, version in each.items():
            versions.setdefault(name, Counter([version]))
    lines = []
    for name, counted in sorted(versions.items()):
        (usual, _), *others = counted.most_common()
        told = [f"made with {usual}"] if "+" in usual else []
        told += [f"{count} records with {version}" for version, count in others]
        lines.append(f"{name}=={usual.partition('+')[0]}" + (f"  # {'; '.join(told)}" if told else ""))
    return "\n".join([*lines, ""])


def _copy_records(records: Sequence[Record], store: Store, to: Path) -> None:
    for file in dict.fromkeys(file for record in records for file in store.files(record)):
        copy = to / file.relative_to(store.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def copy_sources(codes: Sequence[Code], kept: Sources, to: Sources) -> None:
    """Keep in ``to`` the code that is kept elsewhere, or is that of today's plugins."""
    for code in codes:
        if kept.find(code.fingerprint):
            shutil.copytree(kept.place(code.fingerprint), to.place(code.fingerprint))
        elif code.plugin is not None:
            to.keep(code.plugin)


def _write_texts(
    records: Sequence[Record], codes: Sequence[Code], config: Mapping[str, Any], page: str, folder: Path
) -> None:
    import tomli_w

    from bench.report.page.account import account

    sources = Sources(folder / RECORDS)
    kept = [code for code in codes if sources.find(code.fingerprint)]
    newest = {(code.kind, code.name): f"{RECORDS}/{SOURCES}/{code.fingerprint}" for code in kept}
    plugins = {PLURALS[kind]: [place for (of, _), place in newest.items() if of == kind] for kind in get_args(Kind)}
    bundled = {**config, "results": RECORDS, "plugins": plugins}
    bundled.pop("data", None)
    texts = {
        "bench.toml": tomli_w.dumps(bundled),
        "requirements.txt": requirements(records, [libraries(sources.place(code.fingerprint)) for code in kept]),
        "report.html": page,
        "README.md": templates()
        .overlay(autoescape=False)
        .get_template("bundle.md")
        .render(
            records=records,
            example=next((record.job.key[:12] for record in records if record.status == "done"), "KEY"),
            account=account(records, lambda record: True),
            datasets=sorted({(record.job.dataset, record.job.dataset_checksum) for record in records}),
            codes=codes,
            version=VERSION,
        ),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
