"""Settings of the digits example."""

from tfx_loop.optimization.distiller.settings import DistillationSettings
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.pruner.settings import PruningSettings
from tfx_loop.pipelines.compression import CompressionSettings
from tfx_loop.pipelines.examples.digits.data import LABEL

MODEL_NAME = "digits"
DEVICE_MODEL_NAME = "digits-edge"
METRIC = "SparseCategoricalAccuracy"

STUDENT = DistillationSettings(
    student_fn="tfx_loop.pipelines.examples.digits.model.student",
    fine_tuning=FineTuningSettings(epochs=60, learning_rate=2e-3),
)
PRUNING = PruningSettings(
    sparsity=0.5, fine_tuning=FineTuningSettings(epochs=15, learning_rate=1e-3)
)

COMPRESSION = CompressionSettings(
    label=LABEL, metric=METRIC, max_metric_drop=0.01, distillation=STUDENT, pruning=PRUNING
)
