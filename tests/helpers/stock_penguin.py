"""TFX's own penguin pipeline, as its wheel has it: `module_file`, Transform, Trainer, Evaluator.

The rows are the irises of scikit-learn under the names of the penguins' columns: four measures and
three species, and no download. `python stock_penguin.py FOLDER` runs it in a process of
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


def with_variants(stock):
    """Returns the pipeline with a variant of its model, judged by its own eval_config and chosen.

    The variant is float16, so that it passes its gate in every run: what counts is which of the two
    the stock resolver takes for the next baseline.
    """
    import tensorflow_model_analysis as tfma
    from google.protobuf import json_format
    from tfx import v1 as tfx

    from tfx_loop import Quantizer, Variant, VariantChooser
    from tfx_loop.pipelines.evaluation.variant_evaluator import VariantEvaluator

    nodes = {node.id: node for node in stock.components}
    trainer, gate = nodes["Trainer"], nodes["Evaluator"]
    config = json_format.Parse(gate.exec_properties["eval_config"], tfma.EvalConfig())
    quantizer = Quantizer(
        model=trainer.outputs["model"],
        examples=nodes["CsvExampleGen"].outputs["examples"],
        eval_config=config,
        max_metric_drop=0.2,
        mode="float16",
    )
    judge = VariantEvaluator(
        examples=nodes["CsvExampleGen"].outputs["examples"],
        model=quantizer.outputs["model"],
        baseline_model=trainer.outputs["model"],
        eval_config=config,
    ).with_id("Evaluator.quantized")
    chooser = VariantChooser(
        variants=[
            Variant(
                name="float", model=trainer.outputs["model"], blessing=gate.outputs["blessing"]
            ),
            Variant(
                name="quantized",
                model=quantizer.outputs["model"],
                blessing=judge.outputs["blessing"],
                report=quantizer.outputs["optimization_report"],
            ),
        ]
    )
    return tfx.dsl.Pipeline(
        pipeline_name=stock.pipeline_info.pipeline_name,
        pipeline_root=stock.pipeline_info.pipeline_root,
        components=[*stock.components, quantizer, judge, chooser],
        enable_cache=stock.enable_cache,
        metadata_connection_config=stock.metadata_connection_config,
        beam_pipeline_args=stock.beam_pipeline_args,
    )


def open_store(folder: Path):
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / "metadata.sqlite")
    return ml_metadata.MetadataStore(config)


def baselines(folder: Path) -> list[list[str]]:
    """Returns which nodes made the models that the stock resolver found, run by run."""
    from ml_metadata.proto import metadata_store_pb2

    store = open_store(folder)
    models = {model.id: model for model in store.get_artifacts_by_type("Model")}
    output = metadata_store_pb2.Event.INTERNAL_OUTPUT
    return [
        [
            Path(models[event.artifact_id].uri).parts[-3]
            for event in store.get_events_by_execution_ids([resolved.id])
            if event.type == output and event.artifact_id in models
        ]
        for resolved in store.get_executions()
        if resolved.type.endswith(".Resolver")
    ]


def executions(folder: Path) -> dict[str, str]:
    """Returns the state of each node's last execution, by the name of its type's last part."""
    store = open_store(folder)
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
    parser.add_argument("--variants", action="store_true", help="add our nodes")
    parser.add_argument("--runs", type=int, default=1)
    args = parser.parse_args()
    write_rows(args.folder / "data")
    for _ in range(args.runs):
        stock = pipeline(args.folder, tuner=args.tuner)
        tfx.orchestration.LocalDagRunner().run(with_variants(stock) if args.variants else stock)
    print(json.dumps([executions(args.folder), baselines(args.folder)]))


if __name__ == "__main__":
    main()
