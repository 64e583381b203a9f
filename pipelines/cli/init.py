"""`loop init`: writes loop.toml from a SavedModel and a table of its rows, every key explained.

What can be asked of the two is asked: the output that decides, the label, the task, columns that
the model does not read. What they do not tell is a question of the command, or a line to fill in.
Names of classes are written sorted, as encoders of labels number them: correct their order where
the outputs of the model stand in another.
"""

import argparse
from pathlib import Path

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.cli import conventions

HELP = "write loop.toml from a SavedModel and a table, every key explained"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("model", metavar="MODEL", help="folder of a SavedModel")
    parser.add_argument("data", metavar="DATA", help="rows with labels: Parquet, CSV or TFRecord")
    parser.add_argument("--serving", required=True, metavar="URL", help="address of the server")
    parser.add_argument(
        "--name",
        dest="served_name",  # `name` is the command's own.
        default="",
        metavar="NAME",
        help="name that it is served under (default: that of the model's folder)",
    )
    parser.add_argument(
        "--pipeline",
        default="training.training",
        metavar="PATH",
        help="import path of your training function (default: %(default)s)",
    )
    conventions.add_label(
        parser, "the label column (default: the one that the model does not read)"
    )
    parser.add_argument(
        "--task", default="", help="what the model answers (default: by the labels)"
    )
    parser.add_argument("--score", default="", help="the output that decides, of several")
    parser.add_argument(
        "--out",
        type=conventions.file_to_write,
        default=conventions.FileToWrite("loop.toml"),
        metavar="FILE",
        help="where to write it (default: loop.toml)",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    conventions.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the file; raises ConfigError where model and rows leave something open."""
    if Path(args.out).exists() and not args.force:
        raise ConfigError(f"Expected a new file at {args.out}, found one. Replace it with --force.")
    conventions.quiet_libraries()
    from tfx_loop.pipelines.loop_file import settings_of
    from tfx_loop.pipelines.loop_init import asked_of, class_order, loop_text

    found = asked_of(
        Path(args.model), args.data, label=args.label, task=args.task, score=args.score
    )
    folder = Path(args.model).resolve()
    # An exported model lies in the folder of its version.
    name = args.served_name or (folder.parent if folder.name.isdigit() else folder).name
    text = loop_text(found, name=name, serving=args.serving, pipeline=args.pipeline)
    # What is to be written is read first: a file that commands refuse must not be left behind.
    settings = settings_of(text, args.out)
    conventions.write_file(args.out, text, "--out")
    told = [
        f"{args.out}: {settings.name}, label {settings.label}, task {settings.task}. Write your "
        "training function, check the file, then run `loop step`."
    ]
    if order := class_order(found.task):
        told.append(f"{order} Correct task where the model's are others.")
    if found.unfed:
        told.append(f"{args.data} lacks what the model reads: {', '.join(found.unfed)}.")
    content = {"file": args.out, "name": settings.name, "lacking_columns": list(found.unfed)}
    content["class_order"] = class_order(found.task)
    conventions.answer(args, lambda: content, lambda: ["\n".join(told)])
    return conventions.SUCCESS
