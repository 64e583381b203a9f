"""A runner of compiled pipelines whose containers are processes of this machine.

It is our reading of what Vertex and Kubeflow Pipelines do with a spec, kept small: the order of
tasks, constants and parameters, importers, containers, what they report, failures and what is
skipped behind them. A task's command runs with `{{$}}` filled in, as the services fill it in.
"""

import json
import subprocess
import uuid
from pathlib import Path

from time_limits import seconds


class SpecRunner:
    """One run of a spec; `states` and `logs` tell of its tasks while it runs."""

    def __init__(self, spec, root, folder, parameters=None):
        self.spec, self.root, self.folder = spec, root, Path(folder)
        self.parameters = parameters or {}
        self.states, self.logs, self.outputs = {}, {}, {}

    def run(self):
        """Runs every task that can be; returns whether all succeeded."""
        waiting = dict(self.spec["root"]["dag"]["tasks"])
        while waiting:
            ready = [name for name, task in waiting.items() if needs(task) <= set(self.states)]
            if not ready:
                raise ValueError(f"Tasks wait for each other: {sorted(waiting)}.")
            for name in ready:
                task = waiting.pop(name)
                if any(self.states[need] != "SUCCEEDED" for need in needs(task)):
                    self.states[name] = "SKIPPED"
                    continue
                self.states[name] = "RUNNING"
                self.states[name] = "SUCCEEDED" if self._task(name, task) else "FAILED"
        return all(state == "SUCCEEDED" for state in self.states.values())

    def _task(self, name, task):
        component = self.spec["components"][task["componentRef"]["name"]]
        executor = self.spec["deploymentSpec"]["executors"][component["executorLabel"]]
        declared = component.get("outputDefinitions", {}).get("artifacts", {})
        if "importer" in executor:
            uri = executor["importer"]["artifactUri"]["constant"]
            self.outputs[name] = {key: {"uri": uri} for key in declared}
            return True
        place = f"{self.root}/{self.spec['pipelineInfo']['name']}/{name}-{uuid.uuid4().hex[:8]}"
        given = task.get("inputs", {})
        call = {
            "inputs": {
                "parameterValues": {
                    key: self._value(value) for key, value in given.get("parameters", {}).items()
                },
                "artifacts": {
                    key: {"artifacts": [self._made(value["taskOutputArtifact"])]}
                    for key, value in given.get("artifacts", {}).items()
                },
            },
            "outputs": {
                "artifacts": {
                    key: {
                        "artifacts": [
                            {"name": key, "uri": f"{place}/{key}", "type": told["artifactType"]}
                        ]
                    }
                    for key, told in declared.items()
                },
                "outputFile": str(self.folder / f"{name}.json"),
            },
        }
        container = executor["container"]
        command = [
            word.replace("{{$}}", json.dumps(call))
            for word in [*container.get("command", []), *container.get("args", [])]
        ]
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds(120), cwd=self.folder
        )
        self.logs[name] = ran.stdout + ran.stderr
        self.outputs[name] = {
            key: {"name": key, "uri": value["artifacts"][0]["uri"], **self._said(call, key)}
            for key, value in call["outputs"]["artifacts"].items()
        }
        return ran.returncode == 0

    def _said(self, call, key):
        """Returns the metadata that a node wrote of an output, which its readers are given."""
        path = Path(call["outputs"]["outputFile"])
        said = json.loads(path.read_text()).get("artifacts", {}) if path.is_file() else {}
        [artifact] = said.get(key, {}).get("artifacts", [{}])
        return {"metadata": artifact.get("metadata", {})}

    def _value(self, value):
        if "componentInputParameter" in value:
            return self.parameters[value["componentInputParameter"]]
        return value["runtimeValue"]["constant"]

    def _made(self, source):
        return self.outputs[source["producerTask"]][source["outputArtifactKey"]]


def needs(task):
    """Returns the tasks that have to end before one."""
    given = task.get("inputs", {}).get("artifacts", {}).values()
    makers = {value["taskOutputArtifact"]["producerTask"] for value in given}
    return makers | set(task.get("dependentTasks", ()))
