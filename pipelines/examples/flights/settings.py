"""Settings of the flights example."""

from pathlib import Path

from tfx_loop.pipelines.config import (
    ModelSettings,
    PipelineSettings,
    RetrainingSettings,
    ServingSettings,
    Settings,
)
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings
from tfx_loop.pipelines.examples.flights.data import LABEL

MODEL_NAME = "flights"
# Months of 2013: the first model learns from two, the others are replayed as requests.
TRAINED_ON = (1, 2)
REPLAYED = tuple(range(3, 13))

MODEL = ModelSettings(
    name=MODEL_NAME,
    label=LABEL,
    key_column="flight_id",
    # The flights of a day share its weather.
    group_column="date",
    row_keys=("request_id", "instance_index"),
    preprocessing_fn="tfx_loop.pipelines.examples.flights.features.preprocessing_fn",
    run_fn="tfx_loop.pipelines.examples.flights.model.run_fn",
    schema_uri=str(Path(__file__).parent / "schema"),
    slice_feature="origin",
)

# The operator grants at most half as many trainings as there are windows: one in 45 days, and with
# those that brought no version two in 90.
LOOP = LoopSettings(
    model_name=MODEL_NAME,
    mode=LoopMode.ACT,
    cooldown_seconds=45 * 86_400,
    max_launches=2,
    budget_seconds=90 * 86_400,
)


def flights_settings(folder: Path, server_url: str) -> Settings:
    """Returns the settings for a run whose files all go below one folder."""
    return Settings(
        model=MODEL,
        serving=ServingSettings(
            base_path=str(folder / "serving" / MODEL_NAME),
            server_url=server_url,
            prediction_log=str(folder / "prediction_log"),
        ),
        pipeline=PipelineSettings(
            root=str(folder / "artifacts"),
            metadata_path=str(folder / "metadata.sqlite"),
            data=str(folder / "spans"),
            labels=str(folder / "labels"),
        ),
        decision=RetrainingSettings(),
    )
