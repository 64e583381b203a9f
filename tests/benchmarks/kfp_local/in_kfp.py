"""Runs a compiled pipeline with kfp.local's DockerRunner: SPEC.yaml ROOT FOLDER...

Runs in an environment of its own (kfp 2.17 and docker), as kfp 2.17 needs another protobuf than TFX
1.16, on the engine that DOCKER_HOST names. Nothing of kfp is changed. FOLDERs are mounted, only
read.
"""

import importlib
import sys
import time
import warnings
from pathlib import Path


def main() -> None:
    """Runs it, and prints how long it took; what it made is looked at by who called."""
    warnings.filterwarnings("ignore")
    # Of that environment, not of this project's.
    docker = importlib.import_module("docker")
    local = importlib.import_module("kfp.local")
    components = importlib.import_module("kfp.components")
    spec, root, folders = sys.argv[1], sys.argv[2], sys.argv[3:]
    mounts = [docker.types.Mount(path, path, type="bind", read_only=True) for path in folders]
    limits = [
        docker.types.Ulimit(name=name, soft=most, hard=most)
        for name, most in (("nofile", 1024), ("nproc", 4096))
    ]
    runner = local.DockerRunner(network_mode="host", mounts=mounts, ulimits=limits)
    local.init(runner=runner, pipeline_root=root)
    pipeline = components.load_component_from_text(Path(spec).read_text())
    started = time.monotonic()
    pipeline()
    print(f"kfp.local: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
