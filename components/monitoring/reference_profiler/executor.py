"""Runs ReferenceProfiler: Examples in, profile and sample out."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.errors import DataError
from tfx_loop.core.inputs import single, single_or_none, split_uris
from tfx_loop.core.redaction import check_known
from tfx_loop.models.guard.settings import allowing
from tfx_loop.models.rows.parse_fn import parsed_table
from tfx_loop.monitoring.drift.dependence_warning import group_warning
from tfx_loop.monitoring.profile.build import build, flat_table
from tfx_loop.monitoring.profile.derived_columns import unchunked
from tfx_loop.monitoring.profile.profile_files import StoredReference, save_reference
from tfx_loop.monitoring.profile.redacted import public_rows
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.training_counts import training_counts
from tfx_loop.monitoring.reference_profiler.examples_reader import joined, read_split
from tfx_loop.monitoring.reference_profiler.promise import (
    ScoredRows,
    scores_that_came_true,
    task_of,
    with_one_label_a_row,
    with_promise,
)
from tfx_loop.monitoring.reference_profiler.scoring import (
    Scorer,
    score_splits,
    with_importances,
)
from tfx_loop.monitoring.reference_profiler.settings import (
    NONE,
    REDACTED,
    ReferenceProfilerSettings,
)

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
        if settings.parse_fn:
            # One value a row where no row has several, as the log has it that DriftMonitor reads.
            label = settings.request().label_column
            table = parsed_table(flat_table(table), settings.parse_fn, (label, "span"))
        check_known(settings.redact, table.column_names)
        request = settings.request()
        scorer, scored = _scored(input_dict, settings)
        if scorer is not None:
            settings = replace(settings, score_key=scorer.output)
            request = settings.request()
        task = task_of(settings.task, scored)
        label = request.label_column
        table = with_one_label_a_row(table, label, task)
        # The order counts: the scores' bins come with the profile, and the promised loss is told by
        # bin.
        came_true = scores_that_came_true(scored, task)
        profile, sample = build(table, request, spans_of(examples), scored.scores, came_true)
        trained = table.column(label) if label else None
        profile = with_promise(profile, scored, trained, task)
        profile = with_importances(profile, scorer, scored, request.seed)
        # Last of all: nothing that was computed before is to miss the rows that are redacted.
        profile, sample = _as_kept(profile, sample, settings)
        rows = flat_table(table)
        counts = training_counts(rows, profile, settings.count_windows, settings.roles)
        columns = {name: unchunked(rows.column(name)) for name in rows.column_names}
        warning = group_warning(columns, profile.features, settings.roles, "the role `group`")
        if warning:
            _LOG.warning("reference_profile %s", warning)
        output = artifact_utils.get_single_instance(output_dict["reference_profile"])
        reference = StoredReference(profile, counts, sample)
        save_reference(reference, output.uri, settings.redaction())
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


def _as_kept(
    profile: FrozenProfile, sample: Any, settings: ReferenceProfilerSettings
) -> tuple[FrozenProfile, Any]:
    """Returns the profile with what nobody is to show of it, and what the sample is to hold."""
    about = profile.sample
    if settings.training_sample == NONE:
        sample, about = sample.slice(0, 0), replace(about, rows=0, fraction=0.0)
    if settings.training_sample == REDACTED:
        sample = public_rows(sample, settings.redaction())
        about = replace(about, redacted=True)
    redacted = tuple(sorted(settings.redact)) or None
    return replace(profile, sample=about, redacted=redacted), sample


def _scored(
    input_dict: Artifacts, settings: ReferenceProfilerSettings
) -> tuple[Scorer | None, ScoredRows]:
    """Returns the model and what it scored; neither where no signature is named."""
    if not settings.score_signature:
        return None, ScoredRows()
    scorer = Scorer(single(input_dict, "model").uri, settings.score_signature, settings.score_key)
    splits = split_uris(input_dict["examples"], settings.score_splits)
    rows = score_splits(splits, scorer, settings.request().label_column, settings.importance_rows)
    return scorer, rows


def _read_examples(examples: list[types.Artifact], splits: Sequence[str], schema: Any) -> Any:
    tables = [read_split(uri, schema) for uri in split_uris(examples, splits)]
    return joined([batch for table in tables for batch in table.to_batches()])


def _read_schema(given: types.Artifact | None) -> schema_pb2.Schema | None:
    if given is None:
        return None
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(given.uri))
