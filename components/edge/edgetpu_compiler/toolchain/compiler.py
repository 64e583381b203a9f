"""`edgetpu_compiler`: where it is found and how it is run.

The compiler is a closed binary for x86-64 Linux. It is looked for by setting, on the PATH, and in
the container image that `docker/edgetpu.Dockerfile` builds.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.child_process import foreign_program
from tfx_loop.core.errors import ConfigError
from tfx_loop.edge.edgetpu_compiler.settings import CompilerSettings
from tfx_loop.edge.edgetpu_compiler.toolchain import compiler_log

NAME = "edgetpu_compiler"
HOW_TO_GET = (
    "Install it on x86-64 Debian or Ubuntu as coral.ai/docs/edgetpu/compiler says, or build "
    "docker/edgetpu.Dockerfile and set container_image, or set require_compiler=False to go on "
    "with the checked int8 model."
)
_ENGINES = ("podman", "docker")
_MOUNT = "/work"
# --version answers at once; a container engine may first have to set up its storage.
_PROBE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """A compiler that was found and answered.

    Attributes:
        command: What is run, without options: the executable, or its name in the container.
        engine: `podman` or `docker` for a container; empty on this machine.
        image: The container's image; empty on this machine.
        version: As it says itself; empty when it does not.
    """

    command: str
    engine: str = ""
    image: str = ""
    version: str = ""

    @property
    def place(self) -> str:
        """Where it runs, for reports and errors."""
        return f"{NAME} in {self.image} ({self.engine})" if self.engine else self.command

    @property
    def major_version(self) -> int:
        """First number of the version; 0 where there is none."""
        return int(self.version.split(".")[0]) if self.version else 0


def find(settings: CompilerSettings) -> Compiler | None:
    """Returns the compiler that the settings lead to, or None where there is none.

    Raises:
        ConfigError: An executable or image was named and does not work: what was asked for by
            name is not replaced by something else.
    """
    if settings.executable:
        found = shutil.which(settings.executable)
        if found is None:
            raise ConfigError(
                f"Expected an executable {settings.executable}, found none. Correct the setting "
                f"executable. {HOW_TO_GET}"
            )
        return _probed(Compiler(command=os.path.abspath(found)), settings)
    if on_path := shutil.which(NAME):
        return _probed(Compiler(command=os.path.abspath(on_path)), settings)
    if not settings.container_image:
        return None
    # podman first: it needs no daemon and runs as the user.
    engine = next((name for name in _ENGINES if shutil.which(name)), None)
    if engine is None:
        raise ConfigError(
            f"Expected podman or docker for container_image {settings.container_image}, found "
            "neither. Install one of them."
        )
    return _probed(Compiler(command=NAME, engine=engine, image=settings.container_image), settings)


def _probed(compiler: Compiler, settings: CompilerSettings) -> Compiler:
    """Returns the compiler with its version; empty when it does not say one."""
    with tempfile.TemporaryDirectory(prefix="loop-edgetpu-") as scratch:
        limits = CompilerSettings(timeout_seconds=_PROBE_SECONDS, memory_mb=settings.memory_mb)
        answer = run(compiler, ["--version"], Path(scratch), limits)
    # A bare executable may not know --version; its log will tell, or the compilation is refused.
    if compiler.engine and answer.returncode != 0:
        lines = answer.text.strip().splitlines() or ["no output"]
        raise ConfigError(
            f"Expected {compiler.place} to say its version, received exit code "
            f"{answer.returncode}: {lines[-1]} Build the image from docker/edgetpu.Dockerfile."
        )
    version = compiler_log.parse(answer.text).version
    return Compiler(
        command=compiler.command, engine=compiler.engine, image=compiler.image, version=version
    )


def run(
    compiler: Compiler, options: Sequence[str], scratch: Path, settings: CompilerSettings
) -> foreign_program.ProgramResult:
    limits = foreign_program.ProgramLimits(
        timeout_seconds=settings.timeout_seconds, memory_mb=settings.memory_mb
    )
    name = f"loop-edgetpu-{uuid.uuid4().hex}"
    command = [compiler.command, *options]
    # A container has its own confinement; without one the kernel gives the same.
    writable = None if compiler.engine else (str(scratch), tempfile.gettempdir())
    if compiler.engine:
        command = [*_container(compiler, name, scratch, settings), *command]
    try:
        finished = foreign_program.run(command, cwd=scratch, limits=limits, writable=writable)
    except OSError as error:
        raise ConfigError(
            f"Expected {compiler.place} to start, received: {error}. The compiler runs on x86-64 "
            f"Linux. {HOW_TO_GET}"
        ) from error
    if compiler.engine and finished.killed:
        # Killing docker's client leaves the container running.
        stop = [compiler.engine, "rm", "--force", name]
        foreign_program.run(
            stop,
            cwd=scratch,
            limits=foreign_program.ProgramLimits(timeout_seconds=60, memory_mb=4096),
        )
    return finished


def _container(
    compiler: Compiler, name: str, scratch: Path, settings: CompilerSettings
) -> list[str]:
    """Returns how a container is started: no network, nothing writable but the scratch folder."""
    user = ["--user", f"{os.getuid()}:{os.getgid()}"]
    if compiler.engine == "podman" and os.getuid() != 0:
        # Files in the scratch folder are the user's own then, inside the container as outside.
        user = ["--userns", "keep-id", *user]
    return [
        *(compiler.engine, "run", "--rm", "--name", name),
        *("--network", "none", "--read-only", "--tmpfs", "/tmp"),  # noqa: S108
        # A closed binary reads a file of whoever made the model: it gets nothing that it does not
        # need.
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--memory", f"{round(settings.memory_mb)}m", "--pids-limit", "256"),
        *user,
        *("--volume", f"{scratch}:{_MOUNT}:Z", "--workdir", _MOUNT),
        compiler.image,
    ]
