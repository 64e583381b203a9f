"""Features that hold much a row, made few: down-scaled images, and texts as topics of words."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.monitoring.reference_models.row_losses import FloatArray

# As a small image has; trees look at every column.
MOST_NUMBERS = 256
# 16 by 16 is MOST_NUMBERS: digits, garments and faces are still told apart at that size.
_SIDE = 16
_TOPICS = 16
# The most frequent words; rarer ones stand in too few rows to learn of.
_WORDS = 2**12
# A column of sentences: mostly told apart, and of several words.
_DISTINCT, _WORDS_A_ROW = 0.5, 3.0


def shrunk(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns rows of at most MOST_NUMBERS numbers, of shape (rows, numbers).

    An image, of shape (rows, height, width) with channels or without, or a flattened square one,
    is down-scaled to 16 by 16 grey means; anything else to means of neighbours.
    """
    rows = len(values)
    flat = values.reshape(rows, -1)
    if flat.shape[1] <= MOST_NUMBERS or values.dtype.kind not in "fiub":
        return flat
    image = _as_image(values.astype(np.float64))
    if image is None:
        parts = np.array_split(flat.astype(np.float64), MOST_NUMBERS, axis=1)
        return np.stack([part.mean(axis=1) for part in parts], axis=1)
    bands = np.array_split(image, min(_SIDE, image.shape[1]), axis=1)
    lines = np.stack([band.mean(axis=1) for band in bands], axis=1)
    cells = np.array_split(lines, min(_SIDE, lines.shape[2]), axis=2)
    return np.asarray(np.stack([cell.mean(axis=2) for cell in cells], axis=2).reshape(rows, -1))


def _as_image(values: FloatArray) -> FloatArray | None:
    """Returns grey images of shape (rows, height, width); None where the shape tells none."""
    rows = len(values)
    if values.ndim >= 3:
        return np.asarray(values.reshape(*values.shape[:3], -1).mean(axis=3))
    # Grey first: 3 * 64 numbers make no square, but 3 * 48 (144) make one of each.
    for channels in (1, 3):
        side = int(np.sqrt(values.shape[1] / channels))
        if side * side * channels == values.shape[1]:
            return np.asarray(values.reshape(rows, side, side, channels).mean(axis=3))
    return None


def is_text(texts: npt.NDArray[Any]) -> bool:
    """Says whether a column holds sentences rather than categories."""
    # Enough to see whether values repeat; all rows of a large table would cost seconds a column.
    looked = texts[:1_000]
    if not len(looked) or len(np.unique(looked)) < _DISTINCT * len(looked):
        return False
    return float(np.mean([len(str(text).split()) for text in looked])) >= _WORDS_A_ROW


def topics(members: npt.NDArray[Any], others: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Returns texts as their weights in topics learnt on the members, of shape (rows, topics).

    Words weigh by how rare they are, and a singular value decomposition makes topics of them:
    latent semantic analysis (Deerwester et al. 1990).
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(max_features=_WORDS, sublinear_tf=True, analyzer=str.split)
    counted = words.fit_transform(members)
    # The decomposition needs fewer topics than words and rows.
    count = min(_TOPICS, counted.shape[1] - 1, counted.shape[0] - 1)
    if count < 1:
        return np.zeros((len(members), 1)), np.zeros((len(others), 1))
    decomposed = TruncatedSVD(count, random_state=0).fit(counted)
    return decomposed.transform(counted), decomposed.transform(words.transform(others))
