"""The test of whether the served model is at fault, by its own answers. Pure.

Avoidable loss is about two stand-ins. Whether the served model is what its training data could make
of it is seen in its own logged answers, beside the champion's stand-in on the same rows.
"""

import numpy as np

from tfx_loop.monitoring.retrain_decider.avoidable_loss import AvoidableLoss
from tfx_loop.monitoring.retrain_decider.settings import PolicySettings

# Of a constant answer's loss. Where features tell nearly nothing, a model that learnt some noise is
# worse than the stand-in and harms nobody.
_LEAST_TO_LEARN = 0.05
# Standard errors by which the stand-in's loss may exceed the expected one by chance: 2.3 % of the
# time, one-sided.
_RISEN_Z = 2.0


def model_is_faulty(avoidable: AvoidableLoss, settings: PolicySettings) -> bool:
    """Says whether the served model is clearly worse than its stand-in on the same rows.

    Clearly is more than two things together could explain: half of what the stand-in gains there
    on one constant answer, for a weaker kind of model; and the rise of the stand-in's own loss
    above what was expected of it, for a world that moved and hurts one kind of model more than the
    other.
    """
    served = avoidable.served
    if served is None:
        return False
    to_learn = max(_LEAST_TO_LEARN * served.constant, served.constant - served.stand_in)
    # Of the rise only what is beyond chance: rows held out are few, and a fault must not hide
    # behind their noise.
    noise = float(np.hypot(avoidable.champion_loss_error, avoidable.expected_loss_error))
    risen = max(0.0, served.stand_in - avoidable.expected_loss - _RISEN_Z * noise)
    tolerated = risen + settings.fault_share * to_learn
    return served.excess - tolerated > settings.fault_z * served.excess_error
