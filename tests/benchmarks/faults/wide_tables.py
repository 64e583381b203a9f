"""Images and texts that come with packages, for models that take more than a table's columns."""

import ast
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_PATCH = 24
_MOST = 6_000
# Words of a sentence at least; shorter ones are headings and parameters.
_FEWEST_WORDS = 6
# Two packages whose docstrings are told apart, both of numbers and data.
_WRITERS = ("pandas", "scipy")


@dataclass(frozen=True)
class WideTable:
    """Rows of images or texts.

    Attributes:
        model_features: What models are trained on, of shape (rows, numbers).
        column: What FaultDetector sees, of shape (rows, …).
        labels: Of shape (rows,): classes from 0.
        classes: How many.
    """

    model_features: npt.NDArray[np.float64]
    column: npt.NDArray[Any]
    labels: npt.NDArray[np.float64]
    classes: int


def _patches() -> WideTable:
    """Squares of two photographs in colour: of which are they?"""
    from sklearn.datasets import load_sample_images

    images, labels = [], []
    for label, photograph in enumerate(load_sample_images().images):
        high, wide = (size // _PATCH for size in photograph.shape[:2])
        cut = photograph[: high * _PATCH, : wide * _PATCH]
        squares = cut.reshape(high, _PATCH, wide, _PATCH, 3).swapaxes(1, 2)
        squares = squares.reshape(-1, _PATCH, _PATCH, 3)
        images.append(squares)
        labels.append(np.full(len(squares), label))
    column = np.concatenate(images).astype(np.float64) / 255
    # Brightness alone tells little of a square whose mean is taken off.
    column -= column.mean(axis=(1, 2), keepdims=True)
    flat = column[:, ::2, ::2].reshape(len(column), -1)
    return WideTable(flat, column, np.concatenate(labels).astype(np.float64), 2)


def _docstrings() -> WideTable:
    """Sentences of docstrings: of which package are they?"""
    from sklearn.feature_extraction.text import HashingVectorizer

    random = np.random.default_rng(0)
    texts: list[str] = []
    labels: list[int] = []
    for label, package in enumerate(_WRITERS):
        found = sorted({*_sentences(package)})
        kept = random.permutation(len(found))[: _MOST // 2]
        texts += [found[place] for place in kept]
        labels += [label] * len(kept)
    hashed = HashingVectorizer(n_features=512, alternate_sign=False).transform(texts).toarray()
    return WideTable(hashed, np.array(texts, dtype=object), np.array(labels, dtype=np.float64), 2)


def _sentences(package: str) -> Iterator[str]:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    for path in sorted(Path(found.origin).parent.rglob("*.py"))[:800]:
        if "tests" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_text())
        except (SyntaxError, UnicodeDecodeError):
            continue
        kinds = (ast.FunctionDef, ast.ClassDef)
        for node in ast.walk(tree):
            if isinstance(node, kinds) and (said := ast.get_docstring(node)):
                first = said.split("\n\n")[0].replace("\n", " ")
                # Its own name would tell.
                if package not in first.lower() and len(first.split()) >= _FEWEST_WORDS:
                    yield first.lower()


_READERS: dict[str, Callable[[], WideTable]] = {"patches": _patches, "docstrings": _docstrings}
WIDE_NAMES = tuple(_READERS)


def read_wide(name: str) -> WideTable:
    """Returns a table by its name."""
    return _READERS[name]()
