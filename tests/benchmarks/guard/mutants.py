"""Mutated model files through the guard: how each ends, how long it takes, how much memory."""

import os
import random
import resource
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tfx_loop.core.errors import LoopError
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard.guard import scan
from tfx_loop.models.guard.hdf5 import Hdf5Reader

# What stands where lengths, offsets and numbers of fields do.
_EXTREMES = (b"\xff" * 8, bytes(8), b"\x7f" * 8, b"\xff\xff\xff\x7f", b"\x80" * 4, b"\x01")
_FLIPS = (1, 1, 2, 4, 16, 64)


@dataclass
class Tally:
    """What came of the mutants of one form.

    Attributes:
        outcomes: How many were passed, refused or damaged, and each crash by its class.
        slowest: Longest time of one, in seconds.
        most_cpu: Most time of the processor that one took, children included, in seconds.
        memory_mb: Largest memory of the process so far, in MiB.
        crashes: The first mutants that raised anything but a LoopError, by what they raised.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    most_cpu: float = 0.0
    memory_mb: float = 0.0
    crashes: dict[str, bytes] = field(default_factory=dict)


def mutants(content: bytes, rng: random.Random) -> Iterator[bytes]:
    """Yields changed copies of a file, without end."""
    while True:
        changed = bytearray(content)
        for _ in range(rng.choice(_FLIPS)):
            at = rng.randrange(len(changed))
            kind = rng.random()
            if kind < 0.4:
                changed[at] = rng.randrange(256)
            elif kind < 0.6:
                changed[at] ^= 1 << rng.randrange(8)
            elif kind < 0.8:
                extreme = rng.choice(_EXTREMES)
                changed[at : at + len(extreme)] = extreme
            elif kind < 0.9:
                source = rng.randrange(len(changed))
                changed[at : at + 16] = changed[source : source + 16]
            else:
                source = rng.randrange(len(changed))
                changed[at:at] = changed[source : source + rng.randrange(64)]
        if rng.random() < 0.1:
            changed = changed[: rng.randrange(1, len(changed))]
        yield bytes(changed)


def run(form: str, sources: list[Path], count: int, seed: int, folder: Path) -> Tally:
    """Returns what came of mutants of some files of one form.

    Args:
        form: `zip`, `hdf5`, `protobuf` or `flatbuffer`.
        sources: Whole files to change.
        count: How many mutants.
        seed: Of the changes.
        folder: Where they are written.
    """
    rng, tally = random.Random(seed), Tally()
    streams = [mutants(source.read_bytes(), rng) for source in sources]
    place = _PLACES[form](folder)
    with Hdf5Reader() as reader:
        for number in range(count):
            content = next(streams[number % len(streams)])
            place.path.mkdir(parents=True, exist_ok=True) if form == "protobuf" else None
            file = place.path / "saved_model.pb" if form == "protobuf" else place.path
            file.write_bytes(content)
            started, used = time.monotonic(), _cpu_seconds()
            outcome = _outcome(place, reader)
            tally.slowest = max(tally.slowest, time.monotonic() - started)
            tally.most_cpu = max(tally.most_cpu, _cpu_seconds() - used)
            tally.outcomes[outcome] += 1
            if outcome.startswith("crash"):
                tally.crashes.setdefault(outcome, content)
    # Of this process; the HDF5 reader's child is limited by the guard itself.
    tally.memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return tally


def _cpu_seconds() -> float:
    """Returns what this process and its children took: a busy machine does not lengthen that."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = 0.0
    told = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    for pid in told.split():
        # proc(5): utime and stime are the 14th and 15th field; the second, in brackets, is a name.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        living += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + ended.ru_utime + ended.ru_stime + living


_PLACES: dict[str, Callable[[Path], ModelFile]] = {
    "zip": lambda folder: ModelFile(folder / "m.keras", Format.KERAS),
    "hdf5": lambda folder: ModelFile(folder / "m.h5", Format.H5),
    "protobuf": lambda folder: ModelFile(folder / "m", Format.SAVED_MODEL),
    "flatbuffer": lambda folder: ModelFile(folder / "m.tflite", Format.TFLITE),
}


def _outcome(file: ModelFile, reader: Hdf5Reader) -> str:
    try:
        return "refused" if scan(file, reader=reader).findings else "passed"
    except LoopError:
        return "damaged"
    except Exception as error:
        return f"crash {type(error).__name__}"


def run_task(task: tuple[str, int], sources: dict[str, list[Path]], count: int, out: Path) -> Tally:
    """Runs the mutants of one form and seed."""
    form, seed = task
    with tempfile.TemporaryDirectory() as folder:
        tally = run(form, sources[form], count, seed, Path(folder))
    for name, content in tally.crashes.items():
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{form}-{seed}-{name.replace(' ', '-')}").write_bytes(content)
    return tally


def make_sources(folder: Path) -> dict[str, list[Path]]:
    """Returns small whole files by form, made here."""
    import tensorflow as tf
    import tf_keras as keras

    from tfx_loop.models.write import save_saved_model

    keras.utils.set_random_seed(0)
    taken = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, activation="relu")(taken)
    model = keras.Model(taken, keras.layers.Dense(1)(tf.math.add(hidden, 1.0)))
    model.save(folder / "a.h5")
    model.save(folder / "a.keras")
    # The same content compressed, so that mutants meet the decompressor too.
    with (
        zipfile.ZipFile(folder / "a.keras") as stored,
        zipfile.ZipFile(folder / "b.keras", "w", zipfile.ZIP_DEFLATED) as deflated,
    ):
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    save_saved_model(model, str(folder / "saved_model"), examples=True)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(folder / "saved_model"), signature_keys=["serving_columns"]
    )
    (folder / "a.tflite").write_bytes(converter.convert())
    return {
        "zip": [folder / "a.keras", folder / "b.keras"],
        "hdf5": [folder / "a.h5"],
        "protobuf": [folder / "saved_model" / "saved_model.pb"],
        "flatbuffer": [folder / "a.tflite"],
    }
