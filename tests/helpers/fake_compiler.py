"""Executables that behave as `edgetpu_compiler` may: the binary itself cannot run here."""

import sys
import textwrap
from pathlib import Path

VERSION = "16.0.384591198"
_HEAD = f"""#!{sys.executable}
import os, shutil, signal, subprocess, sys, time
arguments = sys.argv[1:]
VERSION = "Edge TPU Compiler version {VERSION}"
if arguments == ["--version"]:
    print(VERSION)
    sys.exit(0)
out = arguments[arguments.index("--out_dir") + 1]
models = [a for a in arguments if a.endswith(".tflite")]
def output_of(model):
    return os.path.join(out, os.path.basename(model)[:-len(".tflite")] + "_edgetpu.tflite")
def say(model, mapped, left, log=sys.stdout):
    print("Input model:", model, file=log)
    print("Output model:", output_of(model), file=log)
    print("Number of Edge TPU subgraphs:", int(mapped > 0), file=log)
    print("Total number of operations:", mapped + left, file=log)
    if left:
        print("Number of operations that will run on Edge TPU:", mapped, file=log)
        print("Number of operations that will run on CPU:", left, file=log)
    print("\\nOperator                       Count      Status\\n", file=log)
    if mapped:
        print("CONV_2D   ", mapped, "   Mapped to Edge TPU", file=log)
    if left:
        print("PACK   ", left, "   Operation version not supported", file=log)
print(VERSION, flush=True)
"""


def write_compiler(path: Path, body: str) -> Path:
    """Writes an executable that answers --version and then does what `body` says.

    `body` is Python; it knows `arguments`, `models`, `out`, `output_of(model)` and
    `say(model, mapped, left)`, which prints the log of one model.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_HEAD + textwrap.dedent(body))
    path.chmod(0o755)
    return path


def copying(twin: Path, mapped: int = 3, left: int = 0) -> str:
    """Returns the body of a compiler whose output is a file that the real one made."""
    return f"""
    print("Started a compilation timeout timer of 180 seconds.")
    print("\\nModel compiled successfully in 7 ms.\\n")
    for model in models:
        shutil.copyfile({str(twin)!r}, output_of(model))
        say(model, {mapped}, {left})
    print("Compilation child process completed within timeout period.")
    print("Compilation succeeded! ")
    """
