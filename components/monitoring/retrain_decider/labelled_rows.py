"""Labelled predictions as the decision reads them: plain names, oldest first, each row once."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tfx_loop.contracts.task import BINARY, ModelTask
from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.logged_examples import examples_of
from tfx_loop.data.prediction_log.record import FEATURE_PREFIX, STATUS_OK
from tfx_loop.data.prediction_log.window_files import ROWS_FILE
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.models.task_labels import encoded_labels
from tfx_loop.monitoring.profile.logged_features import parsed_log, plain_rows
from tfx_loop.monitoring.retrain_decider.thinning import share_of_rows

TIME = "event_time_ms"
# The envelope's columns beside plain features; no feature has such a name.
SCORE, VERSION, DRAWN, PLACE = "(score)", "(version)", "(drawn)", "(place)"


@dataclass(frozen=True, kw_only=True)
class LabelledLog:
    """The answered, labelled rows of some logs.

    Attributes:
        rows: One row an answer, features and label under their plain names, oldest first. Beside
            them stand TIME, SCORE (where the log has the answer), VERSION (the version that
            answered), DRAWN (whether a draw of a share of all rows takes the row) and PLACE.
        tables: The logs as they lie on disk, one after the other; PLACE is a row's place in them.
    """

    rows: pd.DataFrame
    tables: tuple[Any, ...]

    def examples(self, rows: pd.DataFrame) -> list[bytes]:
        """Returns the features of some of the rows as serialised tf.Examples."""
        places, found, start = rows[PLACE].to_numpy(), dict[int, bytes](), 0
        for table in self.tables:
            here = places[(places >= start) & (places < start + len(table))]
            # From the table and not from pandas, which makes floats of whole numbers with gaps.
            made = examples_of(table.take(pa.array(here - start)))
            found |= dict(zip(here.tolist(), made, strict=True))
            start += len(table)
        return [found[place] for place in places.tolist()]


def read_labelled_log(
    uris: Sequence[str],
    label: str,
    score: str,
    fraction: float,
    parse_fn: str = "",
    task: ModelTask = BINARY,
) -> LabelledLog:
    """Reads labelled logs.

    Args:
        uris: PredictionLog artifacts with labels.
        label: What the label is called among the features.
        score: Column of the model's answer; empty for none.
        fraction: Share of the rows that `DRAWN` takes.
        parse_fn: Import path of the function that makes the profiled features of the log's; empty
            for none.
        task: What the labels are; a label that it does not know is NaN.

    Raises:
        ConfigError: There is no such function.
        DataError: The logs have no times or no labels, or labels of another kind, or the function
            fails.
    """
    tables = tuple(open_table(os.path.join(uri, ROWS_FILE)).read() for uri in uris)
    parts = [plain_rows(parsed_log(table, parse_fn)).to_pandas() for table in tables]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    rows[PLACE] = np.arange(len(rows))
    for column in (TIME, "label"):
        if column not in rows.columns:
            raise DataError(
                f"Expected the column {column!r} in the labelled log, received "
                f"{sorted(rows.columns)}. Join labels with LabelJoiner first."
            )
    rows["label"] = _encoded(tables, task)
    labelled = np.concatenate([_has_label(table) for table in tables])
    rows = rows[labelled]
    if "status" in rows.columns:
        rows = rows[rows["status"] == STATUS_OK]
    # A request that a client sent twice, or that two segments hold, is one row.
    keys = [name for name in ("request_id", "instance_index") if name in rows.columns]
    if keys:
        rows = rows.drop_duplicates(subset=keys)
    # The order of rows decides the halves, so it must not hang on how the log was written.
    rows = rows.sort_values([TIME, *keys], kind="stable").reset_index(drop=True)
    plain = {
        name: name.removeprefix(FEATURE_PREFIX)
        for name in rows.columns
        if name.startswith(FEATURE_PREFIX)
    }
    named = rows[[TIME, PLACE, *plain]].rename(columns=plain)
    named[label] = rows["label"]
    beside = {score: SCORE, "model_version": VERSION}
    for column, name in beside.items():
        if column in rows.columns:
            named[name] = rows[column]
    # By the row's key, so that the draw does not hang on the order of the log.
    named[DRAWN] = share_of_rows(rows[keys or [TIME, *plain]], fraction)
    return LabelledLog(rows=named, tables=tables)


def _encoded(tables: Sequence[Any], task: ModelTask) -> Any:
    return np.concatenate([encoded_labels(table.column("label"), task) for table in tables])


def _has_label(table: Any) -> Any:
    column = table.column("label")
    known = np.asarray(column.is_valid())
    # pandas and CSV write a missing number as NaN, which Arrow counts as a value.
    if pa.types.is_floating(column.type):
        known &= ~np.isnan(column.to_numpy())
    return known
