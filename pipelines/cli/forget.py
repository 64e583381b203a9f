"""`loop forget`: a person's rows out of logs and samples, and which models were trained on them.

Looks through all segments of prediction logs, encrypted ones too, and all Parquet files below the
folders and addresses of buckets named; links are followed. What was removed is recorded without the
values: when, of which column, how many rows of which files. Models do not forget with their files:
those that were trained on them are listed.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log.erasure_record import RECORD_FILE, add_line, record_beside
from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.presentation.terminal import TextTable

if TYPE_CHECKING:
    from tfx_loop.core.key_file import SecretKey
    from tfx_loop.data.prediction_log.erasure import ErasedFile
    from tfx_loop.data.prediction_log.erasure_subject import Subject
    from tfx_loop.data.prediction_log.row_files import OtherForm, RowFile
    from tfx_loop.pipelines.lineage.trained_on import DescendantModel

HELP = "remove a person's rows from logs and samples; say which models were trained on them"
_REQUEST_ID = "request_id"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "folders",
        nargs="+",
        metavar="PATH",
        help="prediction log, label folder, spans, pipeline root, or a file; s3:// and gs:// too",
    )
    parser.add_argument(
        "--request-id",
        action="append",
        default=[],
        metavar="ID",
        help="rows of this request; repeatable",
    )
    parser.add_argument(
        "--column", default="", metavar="NAME", help="with --value: rows by what is in them"
    )
    parser.add_argument(
        "--value", action="append", default=[], metavar="TEXT", help="of --column; repeatable"
    )
    parser.add_argument(
        "--log-key", default="", metavar="FILE", help="keys of encrypted logs (the servers' file)"
    )
    parser.add_argument(
        "--record",
        type=conventions.file_to_write,
        metavar="FILE",
        help="gets a line before the removal and one after it "
        f"(default: {RECORD_FILE} in the first PATH, which then has to be a folder here)",
    )
    parser.add_argument(
        "--metadata", metavar="STORE", help=f"{metadata.STORE_HELP}; names the models"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed")
    conventions.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Removes the rows; returns 0, also where there were none; 3 with files not searched."""
    from tfx_loop.core.key_file import read_keys
    from tfx_loop.data.prediction_log import row_files
    from tfx_loop.data.prediction_log.erasure import erase, erase_labels
    from tfx_loop.data.prediction_log.erasure_subject import Subject

    if bool(args.request_id) == bool(args.column) or bool(args.column) != bool(args.value):
        raise ConfigError(
            "Expected --request-id, or --column with --value, received "
            f"{'both' if args.request_id and args.column else 'neither or a part'}."
        )
    # Before anything is removed: the store is one, and all folders can be read.
    store = metadata.open_readonly(args.metadata) if args.metadata else None
    keys = read_keys(args.log_key)
    record = args.record or (None if args.dry_run else record_beside(args.folders[0]))
    below = row_files.files_below_all(args.folders)
    files = row_files.with_rows(below)
    unsearched = _unsearched(args, below, files)
    column = args.column or _REQUEST_ID
    subject = Subject(column, frozenset(args.value or args.request_id))
    found = {file: erase(file, subject, keys, dry_run=True) for file in files}
    theirs = {file: one for file, one in found.items() if one}
    if args.column and files and not theirs:
        _check_column(subject, files, keys)
    # Labels have no features: of these they have the row's id and its place in the request.
    rows = frozenset(row for one in theirs.values() for row in one.identities)
    others = [file for file in files if rows and file not in theirs]
    labels = {f: one for f in others if (one := erase_labels(f, rows, dry_run=True))}
    erased = [*theirs.values(), *labels.values()]
    models = None if store is None else _models(store, [file.path for file in erased])
    content = {
        "column": column,
        "dry_run": args.dry_run,
        "files_searched": len(files),
        "files": [{"path": file.path, "rows": file.rows} for file in erased],
        "not_searched": sorted(str(file) for file, _ in unsearched),
        "models": None if models is None else [vars(model) for model in models],
    }
    if erased and not args.dry_run:
        # Written twice: a removal that is broken off has been recorded all the same.
        _record(record, content, "erasing_at_ms")
        done = [erase(file, subject, keys) for file in theirs]
        done += [erase_labels(file, rows) for file in labels]
        erased = [one for one in done if one]
        content["files"] = [{"path": file.path, "rows": file.rows} for file in erased]
        _record(record, content, "erased_at_ms")
    conventions.answer(args, lambda: content, lambda: _parts(content, erased, unsearched, models))
    return conventions.ATTENTION if unsearched else conventions.SUCCESS


def _check_column(subject: "Subject", files: "list[RowFile]", keys: "Sequence[SecretKey]") -> None:
    from tfx_loop.data.prediction_log.erasure import has_column

    if not any(has_column(file, subject, keys) for file in files):
        raise ConfigError(
            f"Expected a column or feature {subject.column!r} in one of {len(files):,} files, "
            "found it in none. Check --column."
        )


def _models(store: Any, files: list[str]) -> "tuple[DescendantModel, ...]":
    from tfx_loop.pipelines.lineage.trained_on import models_trained_on

    return models_trained_on(store, files)


def _unsearched(
    args: argparse.Namespace, below: "list[RowFile]", searched: "list[RowFile]"
) -> "list[tuple[RowFile, OtherForm]]":
    """Returns files that may hold rows in other forms; raises ConfigError for one named itself."""
    from tfx_loop.data.prediction_log.row_files import other_form

    for file in below:
        if str(file) in args.folders and file not in searched:
            raise ConfigError(
                f"Expected a segment of a prediction log, Parquet or a folder, received {file}, "
                "which is not searched. Remove the rows with a tool for such files."
            )
    own = {Path(name).name for name in (RECORD_FILE, args.record, args.metadata) if name}
    forms = [(file, other_form(file)) for file in below if file.name not in own]
    return [(file, form) for file, form in forms if form is not None and file not in searched]


def _record(path: str | None, content: dict[str, Any], when: str) -> None:
    """Adds a line without values to the record of what was removed."""
    assert path is not None
    told = {name: content[name] for name in ("column", "files", "models")}
    add_line(path, {when: int(time.time() * 1000), **told})


def _parts(
    content: dict[str, Any],
    erased: "list[ErasedFile]",
    unsearched: "list[tuple[RowFile, OtherForm]]",
    models: "tuple[DescendantModel, ...] | None",
) -> list[str | TextTable]:
    rows = sum(file.rows for file in erased)
    verb = "would be removed" if content["dry_run"] else "removed"
    told = f"{rows:,} rows {verb} from {len(erased)} of {content['files_searched']:,} files."
    parts: list[str | TextTable] = [told]
    if erased:
        shown = [(file.path, f"{file.rows:,}") for file in erased]
        parts.append(TextTable(headings=("file", "rows"), rows=shown, numbers=("rows",)))
    if unsearched:
        parts += _of_other_forms(unsearched)
    if models is None:
        parts.append("Name --metadata to see which models were trained on these files.")
    elif models:
        named = [(m.uri, m.run_id, ", ".join(m.versions) or "never served") for m in models]
        parts.append("Trained on these files; train them again without the rows:")
        parts.append(TextTable(headings=("model", "run", "served as"), rows=named, numbers=()))
    else:
        parts.append("No model in the store was trained on these files.")
    return parts


def _of_other_forms(unsearched: "list[tuple[RowFile, OtherForm]]") -> list[str | TextTable]:
    """Returns what is told of files that were not searched: by form, as they may be hundreds."""
    count = len(unsearched)
    told = f"Not searched: {count:,} files that may hold rows in other forms (exit status 3; --json"
    rows = []
    for form in dict.fromkeys(form for _, form in unsearched):
        files = sorted(str(file) for file, of in unsearched if of is form)
        rows.append((form.form, f"{len(files):,}", files[0], form.remedy))
    headings = ("form", "files", "such as", "what to do")
    return [f"{told} names all).", TextTable(headings=headings, rows=rows, numbers=("files",))]
