"""A stock pipeline with our nodes in it, each added by its lines of docs/components.md.

Names and places of the example stand in for the taxi's.
"""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.examples import data
from tests.benchmarks.examples.stock import StockExample

START_MS, END_MS = 1_362_096_000_000, 1_364_774_400_000
_MODULE = "tests.benchmarks.examples.nodes"
# The order of a pipeline: what others need comes before them.
ORDER = (
    "SpanExampleGen",
    "ReferenceProfiler",
    "PrivacyReport",
    "FaultDetector",
    "Quantizer",
    "Pruner",
    "Distiller",
    "VariantEvaluator",
    "RecordingEvaluator",
    "VariantChooser",
    "EdgeTPUCompiler",
    "EdgeBundler",
    "ServingPusher",
    "PredictionLogGen",
    "LabelJoiner",
    "DriftMonitor",
    "SkewMonitor",
    "QualityMonitor",
    "RetrainDecider",
)


@dataclass
class Outcome:
    """What became of a node.

    Attributes:
        node: Its name.
        state: `ran`, `refused` with a sentence, `needs` another that did not run, or `failed`.
        seconds: How long it took.
        said: The sentence; of one that ran its verdict, where it gives one.
    """

    node: str
    state: str
    seconds: float = 0.0
    said: str = ""


@dataclass
class Workbench:
    """A stock pipeline with our nodes in it.

    Attributes:
        example: What it is.
        folder: Where everything lies.
        port: Of the server that ServingPusher pushes to.
        stock: The pipeline before ours were added.
        names: What the lines refer to, and what they made.
        declared: What the lines of each node made: the node, and before it what it alone needs.
        added: All of them in order.
        refused: What those said that could not be declared.
    """

    example: StockExample
    folder: Path
    port: int
    stock: Any = None
    names: dict[str, Any] = field(default_factory=dict)
    declared: dict[str, list[Any]] = field(default_factory=dict)
    added: list[Any] = field(default_factory=list)
    refused: dict[str, Outcome] = field(default_factory=dict)

    def declare(self) -> Any:
        """Returns the pipeline with all nodes that can be declared, made anew."""
        from tfx import v1 as tfx
        from tfx.dsl.context_managers import dsl_context_registry

        from tfx_loop.pipelines.node_reference import page

        self.stock = self.example.make(self.folder)
        self.names, lines = names_of(self), page.examples()
        self.declared, self.refused, self.added = {}, {}, []
        for node in ORDER:
            self._declare(node, replaced(lines[node], self))
        nodes = [*self.stock.components, *self.added]
        # The stock pipeline took its nodes out of TFX's common registry when it was made.
        registry = dsl_context_registry.DslContextRegistry()
        for made in nodes:
            registry.put_node(made)
        return tfx.dsl.Pipeline(
            pipeline_name=self.stock.pipeline_info.pipeline_name,
            pipeline_root=self.stock.pipeline_info.pipeline_root,
            components=nodes,
            metadata_connection_config=self.stock.metadata_connection_config,
            beam_pipeline_args=self.stock.beam_pipeline_args,
            dsl_context_registry=registry,
        )

    def _declare(self, node: str, lines: str) -> None:
        from tfx.dsl.components.base import base_node

        from tfx_loop.core.errors import LoopError

        before = dict(self.names)
        try:
            exec(lines, self.names)  # noqa: S102 - our own documents' lines
        except NameError as error:
            self.refused[node] = Outcome(node, "needs", said=str(error.name))
        except LoopError as error:
            self.refused[node] = Outcome(node, "refused", said=sentence(error))
        else:
            new = [v for n, v in self.names.items() if before.get(n) is not v]
            made = [v for v in new if isinstance(v, base_node.BaseNode)]
            self.added += made
            self.declared[node] = made


def names_of(bench: Workbench) -> dict[str, Any]:
    """Returns the names that the lines refer to: TFX's nodes, and ours with what they lack."""
    from google.protobuf import json_format
    from tensorflow_model_analysis.proto import config_pb2

    import tfx_loop

    nodes = {type(node).__name__: node for node in reversed(bench.stock.components)}
    source = next(node for name, node in nodes.items() if name.endswith("ExampleGen"))
    served = {"label_key": "label", "prediction_key": bench.example.score}
    own = {name: getattr(tfx_loop, name) for name in tfx_loop.__all__}
    for name, given in bench.example.beside.items():
        own[name] = functools.partial(own[name], **given)
    return {
        "example_gen": source,
        "schema_gen": nodes["SchemaGen"],
        "trainer": nodes["Trainer"],
        "evaluator": nodes["Evaluator"],
        "eval_config": json_format.Parse(
            nodes["Evaluator"].exec_properties["eval_config"], config_pb2.EvalConfig()
        ),
        "served_config": json_format.ParseDict(
            {
                "model_specs": [served],
                "metrics_specs": [{"metrics": [{"class_name": bench.example.metric}]}],
            },
            config_pb2.EvalConfig(),
        ),
        "start_ms": START_MS,
        "end_ms": END_MS,
        **own,
    }


def replaced(lines: str, bench: Workbench) -> str:
    """Returns the documents' lines with the names and places of the example."""
    folder, name = bench.folder, bench.example.name
    for old, new in {
        '"/srv/spans", spans="1,2,3"': f'{str(folder / "spans")!r}, spans="1"',
        "example_gen = SpanExampleGen": "span_example_gen = SpanExampleGen",
        '"/srv/prediction_log"': repr(str(folder / "log")),
        '"/srv/labels"': repr(str(folder / "labels")),
        '"/srv/models/taxi"': repr(str(folder / "serving" / name)),
        '"http://127.0.0.1:8501"': repr(f"http://127.0.0.1:{bench.port}"),
        '"trip_id': f'"{data.ROW_ID}',
        '"my_package.model.student"': repr(f"{_MODULE}.{name}_student"),
        '"tips"': repr(bench.example.label),
        '"output_0"': repr(bench.example.score),
        '"taxi"': repr(name),
        'ignore_features=["trip_start_timestamp"]': "ignore_features=[]",
    }.items():
        lines = lines.replace(old, new)
    return lines


def sentence(error: BaseException) -> str:
    """Returns an error's first line."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
