"""Runs ReferenceProfiler: Examples in, profile and sample out."""

import logging
from collections.abc import Sequence
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.errors import DataError
from tfx_loop.core.inputs import single, single_or_none, split_uris
from tfx_loop.models.guard.settings import allowing
from tfx_loop.monitoring.profile.build import build, flat_table
from tfx_loop.monitoring.profile.profile_files import StoredReference, save_reference
from tfx_loop.monitoring.profile.training_counts import training_counts
from tfx_loop.monitoring.reference_profiler.examples_reader import joined, read_split
from tfx_loop.monitoring.reference_profiler.scoring import (
    ScoredRows,
    Scorer,
    score_splits,
    with_importances,
)
from tfx_loop.monitoring.reference_profiler.settings import ReferenceProfilerSettings

_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Reads the splits, builds the profile, writes the reference's files."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Profiles the examples given; see ReferenceProfiler."""
        examples = input_dict["examples"]
        schema = _read_schema(single_or_none(input_dict, "schema"))
        settings = ReferenceProfilerSettings.from_properties(exec_properties)
        table = _read_examples(examples, settings.splits, schema)
        request = settings.request()
        scorer, scored = _scored(input_dict, settings)
        profile, sample = build(table, request, spans_of(examples), scored.scores, scored.labels)
        profile = with_importances(profile, scorer, scored, request.seed)
        counts = training_counts(flat_table(table), profile, settings.count_windows)
        output = artifact_utils.get_single_instance(output_dict["reference_profile"])
        save_reference(StoredReference(profile, counts, sample), output.uri)
        spans = ",".join(str(span) for span in profile.spans)
        set_properties(output, {"rows": profile.rows_total, "label": profile.label, "spans": spans})
        _LOG.info(
            "reference_profile rows=%d features=%d skipped=%d sample=%d spans=%s uri=%s",
            profile.rows_total,
            len(profile.features),
            len(profile.skipped),
            profile.sample.rows,
            spans,
            output.uri,
        )


def spans_of(examples: list[types.Artifact]) -> list[int]:
    """Returns the spans that the artifacts' custom property `spans` ("1,2,3") names.

    Raises:
        DataError: The property is no list of whole numbers.
    """
    spans: list[int] = []
    for artifact in examples:
        text = artifact.get_string_custom_property("spans")
        try:
            spans.extend(int(span) for span in text.split(",") if span.strip())
        except ValueError as error:
            raise DataError(
                f"Expected custom property spans like '1,2,3' on the examples, received {text!r}."
            ) from error
    return spans


def _scored(
    input_dict: Artifacts, settings: ReferenceProfilerSettings
) -> tuple[Scorer | None, ScoredRows]:
    """Returns the model and what it scored; neither where no signature is named."""
    if not settings.score_signature:
        return None, ScoredRows()
    scorer = Scorer(single(input_dict, "model").uri, settings.score_signature, settings.score_key)
    splits = split_uris(input_dict["examples"], settings.score_splits)
    rows = score_splits(splits, scorer, settings.label_key, settings.importance_rows)
    return scorer, rows


def _read_examples(examples: list[types.Artifact], splits: Sequence[str], schema: Any) -> Any:
    tables = [read_split(uri, schema) for uri in split_uris(examples, splits)]
    return joined([batch for table in tables for batch in table.to_batches()])


def _read_schema(given: types.Artifact | None) -> schema_pb2.Schema | None:
    if given is None:
        return None
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(given.uri))
