"""A monitoring and a training pipeline of three nodes in all, compiled as any of TFX.

What their containers run is remote_nodes.py.
"""

from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.types.standard_artifacts import Model, PushedModel

from tfx_loop.core.artifacts import RetrainDecision


@tfx.dsl.components.component
def RetrainDecider(  # noqa: N802
    window: Parameter[str], decision: OutputArtifact[RetrainDecision]
):
    """Decides."""


@tfx.dsl.components.component
def Trainer(  # noqa: N802
    decision: InputArtifact[RetrainDecision], model: OutputArtifact[Model]
):
    """Trains."""


@tfx.dsl.components.component
def ServingPusher(  # noqa: N802
    model: InputArtifact[Model], pushed_model: OutputArtifact[PushedModel]
):
    """Pushes."""


def pipelines(root: str):
    """Returns two functions of a request: the monitoring and the training pipeline."""

    def pipeline(name, nodes):
        return tfx.dsl.Pipeline(name, pipeline_root=root, components=nodes)

    def monitoring(request):
        return pipeline("monitoring", [RetrainDecider(window=request.window)])

    def training(request):
        decision = tfx.dsl.Importer(
            source_uri=request.decision_uri, artifact_type=RetrainDecision
        ).with_id("Decision")
        trainer = Trainer(decision=decision.outputs["result"])
        pusher = ServingPusher(model=trainer.outputs["model"])
        return pipeline("training", [decision, trainer, pusher])

    return monitoring, training
