"""Rows for the example pipelines, all from installed packages; nothing is downloaded.

penguin: the irises of scikit-learn under the penguins' names (TFX's wheel has no penguins). mnist:
600 of scikit-learn's digits, 8 by 8 pixels enlarged to 28 by 28. taxi: every fifth trip of those in
TFX's wheel. Image bytes: the same digits as PNG. Regression: scikit-learn's diabetes.
Untransformed: three measures of its tumours. Each row has an id, as rows of a company have:
SpanExampleGen and SkewMonitor find them by it, and no model is given it.
"""

import csv
from pathlib import Path

import numpy as np

ROW_ID = "row_id"
# Each node's time grows with the rows; whether it works with them does not.
TAXI_EVERY, DIGITS = 5, 600
UNTRANSFORMED = ("mean_concavity", "mean_smoothness", "mean_texture")


def penguin(folder: Path) -> None:
    """Writes TFX's penguin columns as CSV."""
    from tests.helpers import stock_penguin

    stock_penguin.write_rows(folder)
    (table,) = folder.glob("*/*.csv")
    number_rows(table, table)


def taxi(folder: Path) -> None:
    """Copies every fifth of the trips that TFX brings, numbered."""
    import tfx.examples.chicago_taxi_pipeline as example

    (place,) = example.__path__
    folder.mkdir(parents=True)
    trips = Path(place) / "data" / "simple" / "data.csv"
    number_rows(trips, folder / "data.csv", every=TAXI_EVERY)


def mnist(folder: Path) -> None:
    """Writes digits as TFX's mnist pipeline reads them: 784 floats and a class."""
    images, labels = digits()
    large = np.pad(images.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    rows = [
        {"image_floats": (image.reshape(-1) / 16.0).tolist(), "image_class": [int(label)]}
        for image, label in zip(large, labels, strict=True)
    ]
    write_records(folder, rows)


def image_bytes(folder: Path) -> None:
    """Writes digits as PNG."""
    import tensorflow as tf

    images, labels = digits()
    rows = [
        {
            "image": [tf.io.encode_png((image * 15).astype(np.uint8)[..., None]).numpy()],
            "label": [int(label)],
        }
        for image, label in zip(images, labels, strict=True)
    ]
    write_records(folder, rows)


def regression(folder: Path) -> None:
    """Writes the diabetes data: ten measures, and how far the disease came in a year."""
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True).frame.rename(columns={"target": "progression"})
    folder.mkdir(parents=True)
    frame.to_csv(folder / "diabetes.csv", index_label=ROW_ID)


def untransformed(folder: Path) -> None:
    """Writes three measures of tumours, and whether each is benign."""
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "benign"})
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    folder.mkdir(parents=True)
    chosen = [*UNTRANSFORMED, "benign"]
    frame[chosen].to_csv(folder / "tumours.csv", index_label=ROW_ID)


def digits():
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images[:DIGITS], found.target[:DIGITS]


def number_rows(source: Path, target: Path, every: int = 1) -> None:
    """Writes a CSV with the number of each row in front; some rows alone, one of so many."""
    head, *rows = list(csv.reader(source.read_text().splitlines()))
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([ROW_ID, *head])
        writer.writerows([number, *row] for number, row in enumerate(rows[::every]))


def write_records(folder: Path, rows) -> None:
    """Writes tf.Examples as TFRecords, numbered."""
    import tensorflow as tf

    folder.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "rows.tfrecord")) as writer:
        for number, row in enumerate(rows):
            example = tf.train.Example()
            for name, values in {ROW_ID: [number], **row}.items():
                feature = example.features.feature[name]
                kind = {bytes: "bytes_list", float: "float_list", int: "int64_list"}
                getattr(feature, kind[type(values[0])]).value.extend(values)
            writer.write(example.SerializeToString())
