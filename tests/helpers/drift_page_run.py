"""Reports of a small world, made by the real code: four windows, the last two of them odd."""

import numpy as np
import pyarrow as pa
from counted_rows import counted_window

from tfx_loop.contracts.window_quality import RealisedQuality
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.window_report import monitor, with_parts
from tfx_loop.monitoring.profile.build import ProfileRequest, build

SCORE = "output.probability"
SETTINGS = DriftSettings(score_output=SCORE, psi_floor=0.02)
COLOURS = ("red", "green", "blue", "<b>bold</b>")


def rows(count, seed, shift=0.0, reds=0.25):
    """Rows of three features, the model's score and the label."""
    random = np.random.default_rng(seed)
    weight = random.normal(shift, 1.0, count)
    colour = random.choice(COLOURS, count, p=[reds, 0.25, 0.7 - reds, 0.05])
    scores = 1 / (1 + np.exp(-(weight - 0.5)))
    return {
        "weight": weight,
        "colour": colour,
        "age": random.integers(18, 80, count),
        SCORE: scores,
        "label": (random.random(count) < scores).astype(float),
    }


def reference_profile(labels=True):
    """The profile of 4,000 training rows and 4,000 held-out scores."""
    trained, held = rows(4_000, 1), rows(4_000, 2)
    features = {name: trained[name] for name in ("weight", "colour", "age")}
    return build(
        pa.table(features),
        ProfileRequest(score="probability"),
        scores=pa.array(held[SCORE]),
        score_labels=pa.array(held["label"]) if labels else None,
    )[0]


def report_of(profile, name, found, previous=None, realised=None, settings=SETTINGS):
    """Returns the report of one window."""
    columns = {key: values for key, values in found.items() if key != "label"}
    window = counted_window(
        profile, columns, name, model="toys", versions={7: len(found[SCORE])}, failed=3
    )
    return with_parts(
        monitor(profile, window, settings, previous),
        profile,
        window.profile,
        settings,
        previous,
        realised,
    )


def reports(profile):
    """Returns four chained reports: as before, as before, drifted, broken."""
    worlds = (
        ("w1", rows(3_000, 11)),
        ("w2", rows(3_000, 12)),
        ("w3", rows(3_000, 13, shift=0.8, reds=0.5)),
        ("w4", {**rows(3_000, 14, shift=0.8), "age": np.full(3_000, 33)}),
    )
    made, realised = [], None
    for name, found in worlds:
        made.append(report_of(profile, name, found, made[-1] if made else None, realised))
        realised = RealisedQuality(
            window=name,
            labelled_rows=2_900,
            metrics={"auc": 0.74, "accuracy": 0.7},
            slices={"colour=red": {"auc": 0.71}},
            coverage=0.966,
            delay_hours={"p50": 20.0, "max": 90.0},
            evidence=1.5,
        )
    return made
