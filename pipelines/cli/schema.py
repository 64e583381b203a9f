"""`loop schema`: the schema that a file's rows keep to, as TFDV writes and reads it.

Correct it and keep it: `loop monitor --schema FILE` holds later files to it, and so do DriftMonitor
and TFX's ExampleValidator.
"""

import argparse

from tfx_loop.pipelines.cli import conventions

HELP = "the TFDV schema of a file, to hold later files to"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="Parquet, CSV or TFRecord")
    parser.add_argument(
        "--out",
        type=conventions.file_to_write,
        metavar="FILE",
        help="schema.pbtxt to write (default: print it)",
    )
    conventions.add_label(parser, "there in training and not in serving: not asked for there")
    conventions.add_ignore(parser)
    conventions.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Infers the schema and writes it."""
    from google.protobuf import json_format

    from tfx_loop.data.schema_inference import infer_schema, to_text
    from tfx_loop.data.tables.table_file import open_table

    found = infer_schema(open_table(args.file), args.label, args.ignore)
    text = to_text(found)
    if args.out:
        conventions.write_file(args.out, text, "--out")
    told = f"{args.out}: {len(found.feature)} features of {args.file}." if args.out else text
    conventions.answer(args, lambda: json_format.MessageToDict(found), lambda: [told.rstrip()])
    return conventions.SUCCESS
