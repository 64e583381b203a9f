"""`loop compile`: a TFX pipeline as the file that Kubeflow Pipelines or Vertex AI runs.

The rules of the service are checked here, each with a sentence, where the service would tell them
in the middle of a run or not at all. Exit code 0 says that the file was written, 3 that a rule is
not kept and nothing was written.
"""

import argparse
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_loop.pipelines.cli import conventions

if TYPE_CHECKING:
    from tfx_loop.pipelines.runners.remote.compiling import CompiledPipeline
    from tfx_loop.presentation.terminal import TextTable

HELP = "a pipeline as the file that Kubeflow Pipelines or Vertex AI runs, its rules checked"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "pipeline",
        metavar="MODULE:FUNCTION",
        help="the function that returns the TFX pipeline",
    )
    parser.add_argument("--target", choices=("vertex", "kubeflow"), required=True, help="service")
    parser.add_argument(
        "--image",
        required=True,
        metavar="REPOSITORY@sha256:DIGEST",
        help="image of all nodes, which holds tfx-loop and your own packages",
    )
    conventions.add_assignments(parser, "--set", "an argument of the function")
    parser.add_argument(
        "--mount",
        action="append",
        default=[],
        metavar="FOLDER",
        help="absolute folder that every container has; repeatable",
    )
    parser.add_argument(
        "--nodes",
        type=Path,
        metavar="FILE.toml",
        help="what single nodes are given: processors, memory, accelerators, secrets, cache",
    )
    parser.add_argument(
        "--stage",
        action="store_true",
        help="copy local folders that Importers name to the pipeline root, named by their content",
    )
    parser.add_argument(
        "--out",
        type=_yaml_file,
        default="pipeline.yaml",
        metavar="FILE.yaml",
        help="file to write (default: pipeline.yaml)",
    )
    conventions.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compiles, checks and writes; returns 3 where a rule is not kept, else 0."""
    from tfx_loop.core.errors import ConfigError, first_line
    from tfx_loop.core.import_path import user_function
    from tfx_loop.pipelines.runners.remote.node_settings import read_node_settings
    from tfx_loop.pipelines.runners.remote.targets import Target

    try:
        from tfx_loop.pipelines.runners.remote.compiling import (
            CompileSettings,
            compile_pipeline,
            write_spec,
        )
    except ImportError as error:
        raise ConfigError(
            f"Expected TFX with its Kubeflow compiler, received: {first_line(error)}. Install "
            "tfx-loop[kubeflow]."
        ) from error
    # Before the pipeline is made, which takes TFX a quarter of a minute.
    nodes = read_node_settings(args.nodes) if args.nodes else {}
    # As `python -m` does: people compile the pipeline of the folder that they are in.
    sys.path.insert(0, os.getcwd())
    conventions.quiet_libraries()
    with conventions.others_print_elsewhere(args):
        made = user_function(args.pipeline, "MODULE:FUNCTION")
        pipeline = _returned(made, args.pipeline, dict(args.set))
    settings = CompileSettings(
        target=Target(args.target),
        image=args.image,
        mounts=tuple(args.mount),
        stage=args.stage,
        nodes=nodes,
    )
    compiled = compile_pipeline(pipeline, settings)
    if not compiled.breaches:
        write_spec(compiled, Path(args.out))
    conventions.answer(args, lambda: _content(args, compiled), lambda: _parts(args, compiled))
    return conventions.ATTENTION if compiled.breaches else conventions.SUCCESS


def _returned(made: Callable[..., Any], path: str, given: Mapping[str, Any]) -> Any:
    """Returns what the user's function returns; raises ConfigError for what it raises."""
    from tfx_loop.core.errors import ConfigError, LoopError, first_line

    try:
        inspect.signature(made).bind(**given)
    except TypeError as error:
        raise ConfigError(
            f"Expected arguments of {path}{inspect.signature(made)}, received --set "
            f"{', '.join(given) or 'none'}: {first_line(error)}"
        ) from error
    try:
        return made(**given)
    except LoopError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"Expected {path} to return a pipeline, received {type(error).__name__} from "
            f"{os.path.basename(last.filename)} line {last.lineno}: {first_line(error)} Correct "
            "the function or its --set."
        ) from error


def _yaml_file(text: str) -> conventions.FileToWrite:
    # Clients read the format off the name; told before the minute that TFX takes to compile.
    if not text.endswith(".yaml"):
        raise argparse.ArgumentTypeError(f"expected a name that ends in .yaml, received {text!r}")
    return conventions.file_to_write(text)


def _content(args: argparse.Namespace, compiled: "CompiledPipeline") -> dict[str, Any]:
    return {
        "pipeline": compiled.name,
        "target": args.target,
        "root": compiled.root,
        "nodes": compiled.nodes,
        "file": "" if compiled.breaches else str(args.out),
        "staged": dict(compiled.staged),
        "breaches": [dict(vars(breach)) for breach in compiled.breaches],
    }


def _parts(args: argparse.Namespace, compiled: "CompiledPipeline") -> "list[str | TextTable]":
    from tfx_loop.presentation.terminal import TextTable

    staged = [f"Copied {folder} to {uri}." for folder, uri in compiled.staged.items()]
    if not compiled.breaches:
        told = f"{compiled.name}: {compiled.nodes} nodes, for {args.target}, in {args.out}."
        return [*staged, told, f"Submit it with the pipeline root {compiled.root}."]
    rows = [(one.rule, one.place or "pipeline", one.found) for one in compiled.breaches]
    remedies = dict.fromkeys(f"{one.rule}: {one.remedy}." for one in compiled.breaches)
    return [
        TextTable(rows=rows, headings=("rule", "where", "what stands there")),
        "\n".join(remedies),
        f"Nothing was written: {compiled.name} would not run on {args.target}.",
    ]
