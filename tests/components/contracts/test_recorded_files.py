"""Files that the release before the contracts wrote: they are read, and written the same again.

`recorded/` holds what its nodes wrote in its own tests, untouched but for pictures and windows left
out of the drift report. A key that changes here must raise the file's version, and the recorded
file must still be read.
"""

import json
from pathlib import Path

import pytest

from tfx_loop.contracts.bundle_manifest import BUNDLE_MANIFEST
from tfx_loop.contracts.deployment_record import DEPLOYMENT_RECORD, DeploymentState
from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftVerdict
from tfx_loop.contracts.edgetpu_report import EDGETPU_REPORT, EdgeTpuSpeaker, MappingStatus
from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT, OptimizationVerdict
from tfx_loop.contracts.quality_report import QUALITY_REPORT
from tfx_loop.contracts.retrain_decision import (
    RETRAIN_DECISION,
    RetrainVerdict,
)
from tfx_loop.contracts.rollout_record import ROLLOUT_POINTER, ROLLOUT_RECORD
from tfx_loop.contracts.skew_report import SKEW_REPORT, SkewVerdict
from tfx_loop.contracts.variant_note import VARIANT_NOTE
from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.window_files import LOG_WINDOW
from tfx_loop.monitoring.profile.reference import REFERENCE_PROFILE
from tfx_loop.monitoring.quality_monitor.error_stream import SEQUENTIAL_STATE

RECORDED = Path(__file__).parent / "recorded"
FILES = {
    file.name: file
    for file in (
        BUNDLE_MANIFEST,
        DEPLOYMENT_RECORD,
        DRIFT_REPORT,
        EDGETPU_REPORT,
        OPTIMIZATION_REPORT,
        QUALITY_REPORT,
        REFERENCE_PROFILE,
        LOG_WINDOW,
        RETRAIN_DECISION,
        ROLLOUT_POINTER,
        ROLLOUT_RECORD,
        SEQUENTIAL_STATE,
        SKEW_REPORT,
        VARIANT_NOTE,
    )
}
CASES = sorted(path.name for path in RECORDED.iterdir())


def file_of(case):
    """`edgetpu_report.compiled.json` is a case of `edgetpu_report.json`."""
    return FILES[f"{case.split('.')[0]}.json"]


def read(case):
    return file_of(case).load(RECORDED / case)


def without_added_keys(written, recorded):
    """What was written, without the keys of fields that came after the recording."""
    if isinstance(recorded, dict) and isinstance(written, dict):
        kept = [key for key in written if key in recorded]
        return {key: without_added_keys(written[key], recorded[key]) for key in kept}
    if isinstance(recorded, list) and isinstance(written, list) and len(written) == len(recorded):
        return [without_added_keys(*pair) for pair in zip(written, recorded, strict=True)]
    return written


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_file_is_written_again_with_all_that_it_said(case, tmp_path):
    file_of(case).save(read(case), tmp_path / case)
    recorded = json.loads((RECORDED / case).read_text())
    written = without_added_keys(json.loads((tmp_path / case).read_text()), recorded)
    # As text: 1 and 1.0, True and 1, and the order of keys are told apart.
    assert json.dumps(written) == json.dumps(recorded)


@pytest.mark.parametrize("case", CASES)
def test_keys_of_a_newer_writer_are_left_out(case):
    content = json.loads((RECORDED / case).read_text())
    assert file_of(case).value({**content, "of_tomorrow": 1}) == read(case)


@pytest.mark.parametrize("case", [c for c in CASES if file_of(c).version is not None])
@pytest.mark.parametrize("version", [None, 99])
def test_another_version_is_refused_in_one_line(case, version):
    content = json.loads((RECORDED / case).read_text())
    with pytest.raises(DataError) as raised:
        file_of(case).value({**content, "schema_version": version}, "here")
    message = str(raised.value)
    assert message.startswith(
        f"Expected {file_of(case).title} of schema_version {file_of(case).version} in here"
    )
    assert message.endswith(file_of(case).remedy)
    assert "\n" not in message


def test_every_contract_has_a_recorded_file():
    assert {file_of(case).name for case in CASES} == set(FILES)


def test_what_a_drift_report_said():
    report = read("drift_report.json")
    assert (report.verdict, report.window) == (DriftVerdict.DRIFT, "2013-06")
    assert report.rows.current > 0
    assert report.drifted
    assert any(feature.slice for feature in report.features)
    assert report.estimated.metrics["auc"].low < report.estimated.metrics["auc"].high
    assert report.realised.window == report.past[0].window
    assert len(report.past[0].estimated["auc"]) == 4


def test_what_a_decision_said():
    decision = read("retrain_decision.retrain.json")
    assert (decision.verdict, decision.reason) == (RetrainVerdict.RETRAIN, "retraining_pays")
    assert decision.evidence.avoidable_loss.relative > 0
    assert decision.evidence.accumulated == decision.evidence.saving.accumulated
    held = read("retrain_decision.hold.json")
    assert held.verdict is RetrainVerdict.HOLD


def test_what_the_others_said():
    assert read("skew_report.json").verdict is SkewVerdict.SKEWED
    assert read("quality.json").labels.coverage == pytest.approx(0.9694, abs=1e-4)
    assert read("quality.empty.json").sequential is None
    quantized = read("optimization_report.quantizer.json")
    assert quantized.verdict is OptimizationVerdict.KEPT
    assert quantized.child.mode == quantized.rungs[0].mode == "int8"
    record = read("deployment.json")
    assert record.stable.state is DeploymentState.STABLE
    assert read("variant.json").variant == "int8"


def test_what_is_known_of_a_model_on_the_edge_tpu():
    compiled = read("edgetpu_report.compiled.json")
    assert compiled.speaker is EdgeTpuSpeaker.COMPILER
    assert compiled.compiler.log.models[0].mapped_share == 1.0
    assert compiled.properties.minimum_runtime == compiled.compiler.minimum_runtime == 13
    analysed = read("edgetpu_report.analysed.json")
    assert analysed.compiler is None
    assert analysed.properties.minimum_runtime == 0
    assert {operator.status for operator in analysed.analysis.operators} <= set(MappingStatus)


def test_what_a_roll_out_said():
    rollout = read("rollout.json")
    assert [r.state.value for r in rollout.releases] == ["stable", "superseded", "rolled_back"]
    assert rollout.revision == len(rollout.history)
    pointer = read("latest.json")
    assert pointer.stable is None
    assert pointer.candidate.percent == {"canary": 100.0}
