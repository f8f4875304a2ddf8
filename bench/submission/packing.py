"""Making a submission: a results folder with an archive of records and the code of plugins, for a repository."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.record import Record
from bench.report.export.bundle import copy_sources
from bench.report.tables.markup import templates
from bench.sources import Code, Sources, strangers
from bench.store import Store
from bench.version import VERSION
from bench.workspace import Workspace

ARCHIVE = "records.zip"


def write_submission(records: Sequence[Record], workspace: Workspace, out: Path) -> Sequence[Code]:
    """Write loose records of the workspace's results folder into a folder; it is there whole or not at all.

    Returns the code that the records were made with and that is no part of the harness. Raises BenchError where it
    cannot be written, something is there, or such code is lost.
    """
    if out.exists():
        raise BenchError(f"{out} is there already; name another folder")
    results = workspace.results
    codes = strangers(records, workspace.methods, workspace.datasets, Sources(results))
    for code in codes:
        if code.plugin is None:
            raise BenchError(
                f"the code of {code.kind} {code.name} is lost, by which {code.records} of the records were made; "
                "make them again with bench run --rerun all"
            )
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir(parents=True)
        Store(results).pack(records, temporary / ARCHIVE)
        copy_sources(codes, Sources(results), Sources(temporary))
        page = templates().overlay(autoescape=False).get_template("submission.md")
        jobs = [record.job for record in records]
        counted = Counter((job.label, job.dataset, job.protocol, job.profile) for job in jobs).items()
        facts = {"name": out.name, "folder": out.as_posix(), "version": VERSION, "codes": codes}
        text = page.render(records=records, counted=counted, **facts)
        (temporary / "README.md").write_text(text, encoding="utf-8")
        temporary.replace(out)
    except OSError as error:
        raise BenchError(f"cannot write {out}: {error}; every record is where it was") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return codes
