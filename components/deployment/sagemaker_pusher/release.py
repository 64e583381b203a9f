"""Resources of one pushed version in AWS: `releases/VERSION.json` beside `deployment.json`.

It is written before the endpoint is touched. So a push that was killed is continued or taken back
from what it says, and a roll-back knows by which requests the version was made.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx_loop.core import storage
from tfx_loop.core.conditional_files import ABSENT, ConditionalFiles
from tfx_loop.core.json_file import JsonFile


@dataclass(frozen=True, kw_only=True)
class EndpointRelease:
    """One version of an endpoint.

    Attributes:
        version: Its number in the deployment record.
        endpoint: The endpoint's name.
        region: Where it is.
        archive_uri: The archive in S3.
        archive_sha256: Its digest.
        model: Request of CreateModel.
        config: Request of CreateEndpointConfig by which it serves alone.
        previous_config: The config that the endpoint had before; empty for an endpoint that this
            push made.
        configs: Names of all configs that were made for it and may be there.
        package_arn: Its model package; empty without a registry.
    """

    version: int
    endpoint: str
    region: str
    archive_uri: str
    archive_sha256: str
    model: Mapping[str, Any]
    config: Mapping[str, Any]
    previous_config: str
    configs: tuple[str, ...]
    package_arn: str = ""

    @property
    def config_name(self) -> str:
        """The config by which it serves alone."""
        return str(self.config["EndpointConfigName"])

    def with_config(self, name: str) -> "EndpointRelease":
        """Returns the release with one more config that may be there."""
        return dataclasses.replace(self, configs=tuple(dict.fromkeys((*self.configs, name))))

    def without_config(self, name: str) -> "EndpointRelease":
        """Returns the release with one config less."""
        return dataclasses.replace(self, configs=tuple(c for c in self.configs if c != name))


def _file(version: int) -> JsonFile[EndpointRelease]:
    return JsonFile(
        name=f"releases/{version}.json",
        kind=EndpointRelease,
        title="a release of an endpoint",
        remedy="Push with the release that wrote it.",
    )


def read_release(files: ConditionalFiles, version: int) -> EndpointRelease | None:
    """Returns what a push noted of a version; None where it got not so far.

    Raises:
        DataError: The file has another schema, or is damaged.
    """
    described = _file(version)
    found = files.read(described.name)
    if found.content is None:
        return None
    return described.value(storage.json_object(found.content, described.name), described.name)


def write_release(files: ConditionalFiles, release: EndpointRelease) -> None:
    """Writes what a push made; whoever holds the lock of the base path is the only writer."""
    described = _file(release.version)
    tag = files.read(described.name).tag or ABSENT
    files.replace(described.name, storage.json_text(described.content(release)), tag)
