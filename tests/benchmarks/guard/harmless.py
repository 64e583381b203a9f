"""Models that people have, through the guard: which of them it would refuse.

`python -m tests.benchmarks.guard.harmless`

All of keras.applications that build without a network, of tf_keras and of Keras 3, as .h5 and as
.keras; the smallest of each family as a SavedModel, too. Beside them the SavedModels that TFX's
wheel brings along for its tests, and the pairs of the Edge TPU's compiler where they are there.
"""

import argparse
import importlib
import importlib.util
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from tests.helpers.edgetpu_pairs import FOLDER as PAIRS
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard.guard import scan
from tfx_loop.models.guard.hdf5 import Hdf5Reader
from tfx_loop.presentation.terminal import TextTable, show

SAVED_MODEL = "SavedModel"
FORMS = (".h5", ".keras", SAVED_MODEL)
KERASES = ("tf_keras", "keras")
# The smallest of each family, as tracing a SavedModel takes minutes for the larger ones.
FAMILIES = (
    "ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2",
    "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "RegNetX002",
    "RegNetY002", "ResNet50", "ResNet50V2", "ResNetRS50", "VGG16", "Xception",
)  # fmt: skip
_HEADINGS = ("models", "form", "scanned", "refused", "which")


def applications(library: Any) -> list[str]:
    """Returns the names of the models of a Keras."""
    found = vars(library.applications)
    return sorted(name for name in found if name[0].isupper() and callable(found[name]))


def of_keras(
    library_name: str, forms: Collection[str], reader: Hdf5Reader, first: str = ""
) -> Iterator[tuple[str, str, bool]]:
    """Yields model, form and whether it was refused, for the models of one Keras from a name on."""
    library = importlib.import_module(library_name)
    for name in applications(library):
        if name < first:
            continue
        writers = _writers(library_name, name in FAMILIES)
        if not writers.keys() & set(forms):
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = getattr(library.applications, name)(weights=None)
            for form in writers.keys() & set(forms):
                path = Path(folder) / (form if form == SAVED_MODEL else f"m{form}")
                write = writers[form]
                write(model, path)
                findings = scan(path, reader=reader).findings
                yield name, form, bool(findings)
                for finding in findings[:1]:
                    print(f"{library_name} {name} {form}: {finding.sentence}", file=sys.stderr)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        library.backend.clear_session()
        print(f"{library_name} {name}", file=sys.stderr)


def _writers(library: str, saved_model: bool) -> dict[str, Callable[[Any, Path], Any]]:
    forms: dict[str, Callable[[Any, Path], Any]] = {
        ".h5": lambda model, path: model.save(path),
        ".keras": lambda model, path: model.save(path),
    }
    if saved_model:
        # Keras 3 exports; tf_keras' own form has layers and their training beside signatures.
        keras_2 = library == "tf_keras"
        forms[SAVED_MODEL] = lambda model, path: (
            model.save(path, save_format="tf") if keras_2 else model.export(path, verbose=False)
        )
    return forms


def of_tfx(_: Hdf5Reader) -> Iterator[tuple[str, str, bool]]:
    """Yields the SavedModels in TFX's wheel."""
    root = Path(str(importlib.util.find_spec("tfx").origin)).parent  # type: ignore[union-attr]
    for file in sorted(root.rglob("saved_model.pb")):
        found = scan(ModelFile(file.parent, Format.SAVED_MODEL)).findings
        yield str(file.parent.relative_to(root)), SAVED_MODEL, bool(found)


def of_pairs(_: Hdf5Reader) -> Iterator[tuple[str, str, bool]]:
    """Yields the models before and behind the Edge TPU's compiler."""
    for file in sorted(PAIRS.glob("*.tflite")):
        yield file.name, ".tflite", bool(scan(file).findings)


def main() -> int:
    """Prints a row a source and form; returns 1 where something was refused."""
    parser = argparse.ArgumentParser(prog="bench-guard-harmless", description=__doc__)
    parser.add_argument("--keras", choices=KERASES, nargs="*", default=KERASES)
    parser.add_argument("--form", choices=FORMS, nargs="*", default=FORMS)
    parser.add_argument("--first", default="", metavar="NAME", help="go on with this application")
    args = parser.parse_args()
    with Hdf5Reader() as reader:
        sources: dict[str, Iterator[tuple[str, str, bool]]] = {
            "TFX's wheel": of_tfx(reader),
            "Edge TPU pairs": of_pairs(reader),
            **{
                f"{name}.applications": of_keras(name, args.form, reader, args.first)
                for name in args.keras
            },
        }
        rows = [row for title, found in sources.items() for row in _rows(title, list(found))]
    show(TextTable(rows=rows, headings=_HEADINGS, numbers=_HEADINGS[2:4]))
    return int(any(row[3] != "0" for row in rows))


def _rows(title: str, found: list[tuple[str, str, bool]]) -> Iterator[list[str]]:
    scanned = Counter(form for _, form, _ in found)
    for form, count in scanned.items():
        refused = [name for name, each, bad in found if each == form and bad]
        yield [title, form, str(count), str(len(refused)), ", ".join(refused)]


if __name__ == "__main__":
    sys.exit(main())
