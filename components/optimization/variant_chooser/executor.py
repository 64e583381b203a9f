"""Runs VariantChooser: variants and their reports in, the chosen one and the reasons out."""

import logging
import os
import tempfile
from pathlib import Path

from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from tfx_loop.contracts.model_properties import BlessingProperties, ModelProperties, is_blessed
from tfx_loop.contracts.optimization_report import (
    OPTIMIZATION_REPORT,
    ModelFacts,
    OptimizationProperties,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
)
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.errors import ModelUnsafe
from tfx_loop.core.inputs import single, single_or_none
from tfx_loop.core.storage import is_remote, write_bytes
from tfx_loop.models.fetching import local_folder
from tfx_loop.models.guard.settings import allowing
from tfx_loop.optimization.reporting.sizes import size_of
from tfx_loop.optimization.variant_chooser.choice import (
    ChoiceTarget,
    VariantCandidate,
    choose,
    report_of,
)
from tfx_loop.optimization.variant_chooser.settings import VariantChooserSettings
from tfx_loop.optimization.variant_chooser.timing import latencies

_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of VariantChooser."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Copies the best variant to the output, with its blessing and the reasons."""
        settings = VariantChooserSettings.from_properties(exec_properties)
        names, target = settings.names, settings.target
        models = {
            name: single(input_dict, f"model_{number}")
            for number, name in enumerate(names, start=1)
        }
        facts: dict[str, ModelFacts] = {}
        candidates = []
        with Worker() as worker, tempfile.TemporaryDirectory(dir=worker.folder) as scratch:
            folders = {
                name: local_folder(model.uri, Path(scratch) / name)
                for name, model in models.items()
            }
            timed = {}
            if target is ChoiceTarget.FASTEST:
                timed = latencies({name: str(path) for name, path in folders.items()}, worker)
            for number, name in enumerate(names, start=1):
                report = _report(single_or_none(input_dict, f"report_{number}"))
                facts[name] = _facts(folders[name], name, report)
                blessing = single_or_none(input_dict, f"blessing_{number}")
                candidates.append(
                    VariantCandidate(
                        name=name,
                        size_bytes=facts[name].size.raw_bytes,
                        latency_ms=timed.get(name),
                        blessed=is_blessed(blessing) if blessing else None,
                        kept=_kept(report),
                    )
                )
        choice = choose(candidates, target)
        # Something is always passed on, for the next node needs a model; its blessing says no.
        chosen = choice.chosen or names[0]
        # Lineage goes on from here to the variant that was evaluated.
        properties = ModelProperties(
            variant=models[chosen].get_string_custom_property("variant") or chosen,
            chosen_from=chosen,
            chosen_input=f"model_{names.index(chosen) + 1}",
        )
        _pass_on(models[chosen], properties, output_dict)
        passed, is_variant = choice.chosen is not None, chosen != names[0]
        # A variant whose parent was not evaluated leaves no baseline behind.
        trained = models[names[0]] if candidates[0].blessed or not is_variant else None
        blessing = BlessingProperties(
            blessed=passed,
            variant_blessed=passed if is_variant else None,
            current_model=models[chosen].uri,
            # The next baseline is the model that a variant was made from: see BlessingProperties.
            current_model_id=trained.id if trained else None,
            variant_model_id=models[chosen].id if is_variant else None,
        )
        _bless(artifact_utils.get_single_instance(output_dict["model_blessing"]), passed, blessing)
        result = artifact_utils.get_single_instance(output_dict["optimization_report"])
        report = report_of(choice, candidates, facts, target)
        OPTIMIZATION_REPORT.write(report, result.uri)
        facts_of_choice = OptimizationProperties(
            verdict=report.verdict.value, variant=chosen, size_bytes=facts[chosen].size.raw_bytes
        )
        set_properties(result, to_properties(facts_of_choice))
        _LOG.info("variant_choice chosen=%s target=%s", choice.chosen, target.value)


def _report(given: types.Artifact | None) -> OptimizationResult | None:
    return OPTIMIZATION_REPORT.read(given.uri) if given else None


def _facts(folder: Path, name: str, report: OptimizationResult | None) -> ModelFacts:
    """What the optimiser measured, and the size of what would be deployed."""
    served = path_utils.serving_model_path(str(folder))
    size, path = size_of(served), os.path.basename(served)
    if report is None or report.child is None:
        return ModelFacts(path=path, format="saved_model", size=size, mode=name)
    return ModelFacts(
        path=path,
        format=report.child.format,
        size=size,
        mode=report.child.mode,
        latency=report.child.latency,
    )


def _kept(report: OptimizationResult | None) -> bool | None:
    """Says what its optimiser found; None where it had no budget to hold it to."""
    if report is None or report.reason is OptimizationReason.NO_BUDGET:
        return None
    return report.verdict is OptimizationVerdict.KEPT


def _pass_on(model: types.Artifact, properties: ModelProperties, output_dict: Artifacts) -> None:
    output = artifact_utils.get_single_instance(output_dict["model"])
    _check_no_links(model.uri)
    io_utils.copy_dir(model.uri, output.uri)
    set_properties(output, to_properties(properties))


def _check_no_links(uri: str) -> None:
    """Refuses links in a folder that is copied: a copy holds what they lead to, and shows none."""
    if is_remote(uri):
        return  # Buckets have none.
    folder = Path(uri.removeprefix("file://"))
    if link := next((path for path in folder.rglob("*") if path.is_symlink()), None):
        raise ModelUnsafe(
            f"Expected a model without links in {folder}, received the link "
            f"{link.relative_to(folder)}. Put the file there itself."
        )


def _bless(blessing: types.Artifact, passed: bool, properties: BlessingProperties) -> None:
    file = constants.BLESSED_FILE_NAME if passed else constants.NOT_BLESSED_FILE_NAME
    write_bytes(os.path.join(blessing.uri, file), b"")
    set_properties(blessing, to_properties(properties))
