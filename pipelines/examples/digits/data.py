"""The 1,797 images of handwritten digits that scikit-learn carries, as spans of Parquet.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI (1998), CC BY 4.0.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_digits

from tfx_loop.data.span_example_gen.spans import format_spans

IMAGE, LABEL, KEY = "image", "digit", "image_id"
SIDE = 8
CLASSES = 10
SPANS = (1,)
# Each pixel counts the dark ones among the 4 x 4 of the scan that it stands for.
_BRIGHTEST = 16.0


def write_spans(folder: Path) -> str:
    """Writes the images as one span of Parquet and returns the spans, as SpanExampleGen reads them.

    Columns: `image_id` str, `image` list of 64 float32 in [0, 1] (8 rows of 8), `digit` int64.
    """
    digits = load_digits()
    images = (digits.data / _BRIGHTEST).astype(np.float32)
    table = pa.table(
        {
            KEY: [f"digit-{row:04d}" for row in range(len(images))],
            IMAGE: pa.array(list(images), pa.list_(pa.float32())),
            LABEL: pa.array(digits.target, pa.int64()),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "span-01.parquet")
    return format_spans(SPANS)
