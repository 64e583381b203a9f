"""Cost of each policy on one stream, by replays over its evidence."""

from dataclasses import asdict, dataclass

import numpy as np

from tests.benchmarks.decide.champions import Losses
from tests.benchmarks.decide.evidence import StreamEvidence
from tests.benchmarks.decide.policies import (
    PolicyChoice,
    ReinstatementRule,
    Rule,
    always,
    best_in_hindsight,
    drift_rule,
    every,
    loss_rule,
    never,
    replay,
)
from tfx_loop.contracts.measured_loss import SavingState
from tfx_loop.monitoring.retrain_decider.avoidable_loss import AvoidableLoss, MeasureSettings
from tfx_loop.monitoring.retrain_decider.reinstatement import (
    ReinstatementSettings,
    hold_contest,
    version_pool,
)
from tfx_loop.monitoring.retrain_decider.savings import observe, pays
from tfx_loop.monitoring.retrain_decider.settings import PolicySettings

OURS = "with reinstatement"
WITHOUT = "avoidable loss alone"
HINDSIGHT = "best in hindsight"
# Three standard errors are the usual drift level (Gama et al. 2004); one was the best of 1, 1.5, 2
# and 3 on the development seeds, where ours got its settings.
LOSS_RULES = {"loss rule, z > 3": 3.0, "loss rule, z > 1": 1.0}
DRIFT_RULE_PSI = 0.1
_BLOCKS = MeasureSettings().blocks


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One policy on one stream at one training cost."""

    stream: str
    kind: str
    seed: int
    champion: str
    training_cost: float
    policy: str
    total: float
    loss: float
    trainings: int
    reinstatements: int
    windows: int

    def to_json(self) -> dict[str, object]:
        """Returns the fields as JSON carries them."""
        return asdict(self)


def avoidable_loss_rule(
    measured: dict[tuple[int, int], AvoidableLoss], settings: PolicySettings
) -> Rule:
    """Retrains as RetrainDecider does, by the same functions."""
    state, champion = SavingState(), None

    def rule(choice: PolicyChoice) -> bool:
        nonlocal state, champion
        if champion not in (None, choice.champion):
            state = SavingState()
        champion = choice.champion
        avoidable = measured[choice.champion, choice.label_window]
        state = observe(state, avoidable, str(choice.label_window), settings)
        return pays(state, settings)

    return rule


def reinstatement_rule(losses: Losses) -> ReinstatementRule:
    """Lets versions serve again as RetrainDecider does, by the same functions."""
    settings = ReinstatementSettings()

    def rule(champion: int, served: tuple[int, ...], label_window: int) -> int | None:
        pool = version_pool(served, champion, settings.pool_versions)
        rows = losses.in_window(champion, label_window)

        def shortfall(version: int) -> float:
            since = range(max(version, champion) + 1, label_window)
            lost = [losses.mean[version, w] - losses.mean[champion, w] for w in since]
            return float(max([0.0, *lost]))

        return hold_contest(
            rows,
            {version: losses.in_window(version, label_window) for version in pool},
            shortfall,
            np.arange(len(rows)) * _BLOCKS // len(rows),
            settings,
        ).winner

    return rule


def outcomes_of(seen: StreamEvidence, training_costs: tuple[float, ...]) -> list[Outcome]:
    """Replays every policy on one stream at every training cost."""
    losses, initial, windows = seen.losses, seen.initial_windows, seen.losses.mean.shape[1]
    outcomes = []
    for cost in training_costs:
        policy = PolicySettings(training_cost=cost)
        rules: dict[str, Rule] = {
            "never": never,
            "always": always,
            "every 2nd": every(2),
            "every 3rd": every(3),
            **{name: _loss_rule(losses, z) for name, z in LOSS_RULES.items()},
            "drift rule": drift_rule(seen.stability, DRIFT_RULE_PSI),
            WITHOUT: avoidable_loss_rule(seen.measured, policy),
        }
        replays = {name: replay(losses.mean, initial, rule) for name, rule in rules.items()}
        # The rule keeps a state: each replay has one of its own.
        rule = avoidable_loss_rule(seen.measured, policy)
        replays[OURS] = replay(losses.mean, initial, rule, reinstatement_rule(losses))
        replays[HINDSIGHT] = best_in_hindsight(losses.mean, initial, cost)
        outcomes += [
            Outcome(
                stream=seen.name,
                kind=seen.kind,
                seed=seen.seed,
                champion=seen.champion,
                training_cost=cost,
                policy=name,
                total=replayed.total(cost),
                loss=replayed.loss,
                trainings=replayed.trainings,
                reinstatements=len(replayed.reinstated_after),
                windows=windows - initial,
            )
            for name, replayed in replays.items()
        ]
    return outcomes


def _loss_rule(losses: Losses, threshold: float) -> Rule:
    return loss_rule(
        losses.mean,
        losses.deviation,
        losses.rows,
        losses.held_out,
        losses.held_out_error,
        threshold,
    )
