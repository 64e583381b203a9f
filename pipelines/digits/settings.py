"""With which settings does the digits example run?"""

from components.distiller.settings import DistillationSettings
from components.fine_tuning.settings import FineTuningSettings
from components.pruner.settings import PruningSettings
from pipelines.compression import CompressionSettings
from pipelines.digits.data import LABEL

MODEL_NAME = "digits"
DEVICE_MODEL_NAME = "digits-edge"
METRIC = "SparseCategoricalAccuracy"

STUDENT = DistillationSettings(
    student_fn="pipelines.digits.model.student",
    fine_tuning=FineTuningSettings(epochs=60, learning_rate=2e-3),
)
PRUNING = PruningSettings(
    sparsity=0.5, fine_tuning=FineTuningSettings(epochs=15, learning_rate=1e-3)
)

COMPRESSION = CompressionSettings(
    label=LABEL, metric=METRIC, max_metric_drop=0.01, distillation=STUDENT, pruning=PRUNING
)
