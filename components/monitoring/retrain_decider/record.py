"""How does a decision lie in `retrain_decision.json`, and what carries over to the next one?"""

from dataclasses import fields
from typing import Any

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.retrain_decider.avoidable_loss import AvoidableLoss
from tfx_loop.monitoring.retrain_decider.decision import Decision, Evidence, Verdict
from tfx_loop.monitoring.retrain_decider.policy import SavingState
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings

SCHEMA_VERSION = 1
DECISION_FILE = "retrain_decision.json"


def to_json(decision: Decision) -> dict[str, Any]:
    """Returns the content of `retrain_decision.json`."""
    evidence, avoidable = decision.evidence, decision.avoidable
    measured = None
    if avoidable is not None:
        measured = {
            "mean": avoidable.mean,
            "standard_error": avoidable.standard_error,
            "z": avoidable.z,
            "relative": avoidable.relative,
            "relative_standard_error": avoidable.relative_standard_error,
            "champion_loss": avoidable.champion_loss,
            "champion_loss_error": avoidable.champion_loss_error,
            "promised_loss": avoidable.promised_loss,
            "promised_loss_error": avoidable.promised_loss_error,
            "risen_z": avoidable.risen_z,
            "rows": avoidable.rows,
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": decision.verdict.value,
        "reason": decision.reason,
        "explanation": decision.explanation,
        "policy_version": decision.policy_version,
        "model_name": evidence.model_name,
        "model_version": evidence.model_version,
        "window": evidence.window,
        "label_window": evidence.label_window,
        "evidence": {
            "avoidable_loss": measured,
            "accumulated": decision.saving.accumulated,
            "saving": vars(decision.saving).copy(),
            "rows": evidence.rows,
            "labelled_rows": evidence.labelled_rows,
            "one_class": evidence.one_class,
            "drifted": list(evidence.drifted),
            "faults": list(evidence.faults),
            "quality": dict(evidence.quality),
        },
        "settings": decision.settings.to_json(),
    }


def from_json(content: dict[str, Any]) -> Decision:
    """Returns the decision that `to_json` wrote.

    Raises:
        DataError: The content is of another schema version, or not a whole decision.
    """
    if content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"Expected a retrain decision of schema version {SCHEMA_VERSION}, received "
            f"{content.get('schema_version')!r}."
        )
    try:
        seen = content["evidence"]
        measured = seen["avoidable_loss"]
        names = [field.name for field in fields(AvoidableLoss)]
        return Decision(
            verdict=Verdict(content["verdict"]),
            reason=content["reason"],
            explanation=content["explanation"],
            policy_version=content["policy_version"],
            evidence=Evidence(
                model_name=content["model_name"],
                model_version=content["model_version"],
                window=content["window"],
                label_window=content["label_window"],
                rows=seen["rows"],
                labelled_rows=seen["labelled_rows"],
                one_class=seen["one_class"],
                drifted=tuple(seen["drifted"]),
                faults=tuple(seen["faults"]),
                quality=seen["quality"],
            ),
            saving=SavingState(**seen["saving"]),
            avoidable=AvoidableLoss(**{n: measured[n] for n in names}) if measured else None,
            settings=DecisionSettings.from_json(content["settings"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"Expected a whole retrain decision, received a wrong {error}.") from error


def carried_state(previous: Decision, model_name: str, model_version: int) -> SavingState:
    """Returns what the last decision believed, as far as it holds for this champion."""
    if previous.evidence.model_name != model_name:
        raise DataError(
            f"Expected the previous decision to be about model {model_name!r}, received one about "
            f"{previous.evidence.model_name!r}."
        )
    return previous.saving if previous.evidence.model_version == model_version else SavingState()
