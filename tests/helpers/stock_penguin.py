"""TFX's own penguin pipeline, as its wheel has it: `module_file`, Transform, Trainer, Evaluator.

The rows are the irises of scikit-learn under the names of the penguins' columns: four measures and
three species, and no download. `python stock_penguin.py FOLDER [--tuner]` runs it in a process of
its own, as a user would who has also imported `tfx_loop`.
"""

import argparse
import csv
import json
from pathlib import Path

COLUMNS = ("culmen_length_mm", "culmen_depth_mm", "flipper_length_mm", "body_mass_g")
LABEL = "species"
# One process; the image stops TFX from packing itself for workers that there are not. TFX's own
# flags of this example know no other runner than DirectRunner.
BEAM_ARGUMENTS = ["--direct_running_mode=in_memory", "--sdk_container_image=none"]


def write_rows(folder: Path, *, repeats: int = 1) -> None:
    """Writes the labelled rows; more of them make the data, and so the model, another."""
    from sklearn.datasets import load_iris
    from sklearn.preprocessing import minmax_scale

    irises = load_iris()
    rows = zip(irises.target, minmax_scale(irises.data), strict=True)
    (folder / "labelled").mkdir(parents=True, exist_ok=True)
    with open(folder / "labelled" / "penguins.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((LABEL, *COLUMNS))
        writer.writerows([species, *values] for species, values in list(rows) * repeats)


def pipeline(folder: Path, *, tuner: bool = False):
    """Returns the pipeline that TFX ships, nothing changed."""
    from tfx.examples.penguin import penguin_pipeline_local as penguin
    from tfx.examples.penguin import penguin_utils_keras as module

    return penguin.create_pipeline(
        pipeline_name="penguin",
        pipeline_root=str(folder / "root"),
        data_root=str(folder / "data"),
        module_file=module.__file__,
        accuracy_threshold=0.4,
        serving_model_dir=str(folder / "serving"),
        metadata_path=str(folder / "metadata.sqlite"),
        user_provided_schema_path=None,
        enable_tuning=tuner,
        enable_bulk_inferrer=False,
        enable_example_diff=False,
        examplegen_input_config=None,
        examplegen_range_config_date=None,
        resolver_range_config=None,
        beam_pipeline_args=BEAM_ARGUMENTS,
        enable_transform_input_cache=False,
    )


def executions(folder: Path) -> dict[str, str]:
    """Returns the state of each node's last execution, by the name of its type's last part."""
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / "metadata.sqlite")
    store = ml_metadata.MetadataStore(config)
    types = {kind.id: kind.name for kind in store.get_execution_types()}
    return {
        types[found.type_id].rpartition(".")[2]: found.State.Name(found.last_known_state)
        for found in sorted(store.get_executions(), key=lambda found: found.id)
    }


def main() -> None:
    """Runs it under TFX's own runner and prints what became of each node."""
    from tfx import v1 as tfx

    import tfx_loop  # noqa: F401 - importing it must change nothing

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tuner", action="store_true")
    args = parser.parse_args()
    write_rows(args.folder / "data")
    tfx.orchestration.LocalDagRunner().run(pipeline(args.folder, tuner=args.tuner))
    print(json.dumps(executions(args.folder)))


if __name__ == "__main__":
    main()
