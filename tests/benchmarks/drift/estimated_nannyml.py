"""NannyML's own CBPE on the same windows.

It runs in an environment of its own, .tools/nannyml, whose interpreter calls this file with the
folder of the tables; nothing of tfx-loop is imported there. Its PAPE is not in the free package.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

DAY_ZERO = "2020-01-01"
_REFERENCE_CHUNKS = 10


def estimated_by_nannyml(held_out, windows, folder: Path, python: Path) -> list[float]:
    """Returns the AUC that CBPE at its defaults estimates, one a window.

    Args:
        held_out: Scores and labels of the rows that it may learn from.
        windows: Scores of each window.
        folder: For the tables in between.
        python: Interpreter of the environment that has NannyML.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scores, labels = held_out
    # A day is a chunk of it: ten for the held-out rows, then one a window.
    days = np.arange(len(scores)) * _REFERENCE_CHUNKS // len(scores)
    _table(scores, days).assign(label=labels).to_parquet(folder / "reference.parquet")
    numbers = np.repeat(np.arange(len(windows)), [len(window) for window in windows])
    table = _table(np.concatenate(windows), numbers + _REFERENCE_CHUNKS)
    table.to_parquet(folder / "windows.parquet")
    subprocess.run(
        [str(python), __file__, str(folder)],
        env={**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "PYTHONPATH": ""},
        capture_output=True,
        check=True,
        timeout=1_200,
    )
    return json.loads((folder / "auc.json").read_text())


def environment() -> Path:
    """Returns the interpreter of .tools/nannyml, made on the first call.

    Raises:
        NotFetchedError: NannyML cannot be installed here.
    """
    from tests.benchmarks.drift.packaged import NANNYML, TOOLS, run_uv

    home = TOOLS / f"nannyml-{NANNYML.version}"
    python, done = home / "bin" / "python", home / "done"
    if not done.exists():
        run_uv("venv", "--quiet", "--clear", "--python", sys.executable, str(home))
        wanted = f"{NANNYML.name}=={NANNYML.version}"
        run_uv("pip", "install", "--quiet", "--python", str(python), wanted)
        done.touch()
    return python


def _table(scores, days) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "score": np.asarray(scores, float),
            "answer": (np.asarray(scores) > 0.5).astype(int),
            "time": pd.Timestamp(DAY_ZERO) + pd.to_timedelta(days, "D"),
        }
    )


def _in_its_environment(folder: Path) -> None:
    import nannyml

    estimator = nannyml.CBPE(
        metrics=["roc_auc"],
        y_pred_proba="score",
        y_pred="answer",
        y_true="label",
        timestamp_column_name="time",
        problem_type="classification_binary",
        chunk_period="D",
    )
    estimator.fit(pd.read_parquet(folder / "reference.parquet"))
    found = estimator.estimate(pd.read_parquet(folder / "windows.parquet"))
    values = found.filter(period="analysis").to_df()[("roc_auc", "value")]
    (folder / "auc.json").write_text(json.dumps([float(value) for value in values]))


if __name__ == "__main__":
    _in_its_environment(Path(sys.argv[1]))
