"""PrivacyReport behind TFX's own Trainer, in a pipeline that TFX's own runner runs."""

import pyarrow as pa
import pytest
from user_trainer import FEATURES, LABEL

from tfx_loop.contracts.privacy_report import PRIVACY_REPORT, PrivacyVerdict

pytestmark = pytest.mark.tensorflow

tfx = pytest.importorskip("tfx.v1", reason="needs TFX")
types = tfx.types.standard_artifacts
ROWS_A_SIDE = 800


def write_digits(folder):
    """Writes digits as 4 x 4 pixels in two splits of other people's handwriting."""
    import numpy as np
    from sklearn.datasets import load_digits

    from tfx_loop.data.span_example_gen.executor import write_examples

    digits = load_digits()
    pixels = digits.images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16) / 16
    order = np.random.default_rng(0).permutation(len(pixels))
    for number, split in enumerate(("train", "eval")):
        chosen = order[number * ROWS_A_SIDE :][:ROWS_A_SIDE]
        columns = {n: pixels[chosen, i].astype("f") for i, n in enumerate(FEATURES)}
        columns[LABEL] = (digits.target[chosen] % 2 == 0).astype("i8")
        write_examples(f"{folder}/Split-{split}", pa.table(columns))


def test_a_stock_trainer_s_model_of_serialized_examples_is_judged(tmp_path):
    from tfx_loop.monitoring.privacy_report.component import PrivacyReport

    write_digits(tmp_path / "examples")
    examples = tfx.dsl.Importer(
        source_uri=str(tmp_path / "examples"),
        artifact_type=types.Examples,
        properties={"split_names": '["train", "eval"]'},
        custom_properties={"tfx_version": tfx.__version__},
    ).with_id("examples")
    trainer = tfx.components.Trainer(
        run_fn="user_trainer.run_fn",
        examples=examples.outputs["result"],
        train_args=tfx.proto.TrainArgs(num_steps=20),
        eval_args=tfx.proto.EvalArgs(num_steps=1),
    )
    privacy = PrivacyReport(
        model=trainer.outputs["model"],
        examples=examples.outputs["result"],
        label_key=LABEL,
        score_key="score",
    )
    sqlite = tfx.orchestration.metadata.sqlite_metadata_connection_config
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="privacy",
            pipeline_root=str(tmp_path / "root"),
            components=[examples, trainer, privacy],
            metadata_connection_config=sqlite(str(tmp_path / "metadata.sqlite")),
        )
    )
    (folder,) = (tmp_path / "root" / "PrivacyReport" / "privacy_report").iterdir()
    report = PRIVACY_REPORT.read(folder)
    assert (report.members, report.others) == (ROWS_A_SIDE, ROWS_A_SIDE)
    # A linear network that trained shortly on 800 rows knows none of them by heart.
    assert report.verdict is PrivacyVerdict.NO_SIGN
