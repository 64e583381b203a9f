"""Names and addresses of AWS that a push reads and makes. Pure."""

import re
from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError

# botocore's service model: EndpointConfigName and ModelName.
MAX_NAME = 63
NAME_PATTERN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
ROLE_PATTERN = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
# A region is in the host of an image; AWS publishes its own images once for each region.
_IMAGE = re.compile(
    r"\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
    r"/(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@sha256:[0-9a-f]{64})?"
)
_TENSORFLOW_REPOSITORY = "tensorflow-inference"
# 48 bits of a SHA-256: two of a million archives share them once in 560 tries.
_DIGEST_LETTERS = 12
# The stages of a push each have a config of their own, told apart by the end of its name.
PROOF, SHADOW = "-proof", "-shadow"


# What AWS' TensorFlow image installs from and runs when it starts.
CODE_FOLDER = "code"
_SERVED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class Image:
    """What the address of a container's image says.

    Attributes:
        region: Where it is; empty where the address names none.
        tensorflow: The version of AWS' TensorFlow image, such as (2, 19); None for other images.
    """

    region: str = ""
    tensorflow: tuple[int, int] | None = None


def check_served_name(name: str) -> None:
    """Raises ConfigError for a name that cannot be the folder of a model in an archive."""
    if not _SERVED_NAME.fullmatch(name) or name == CODE_FOLDER:
        raise ConfigError(
            "Expected a model name of letters, digits, '_', '.' and '-' other than "
            f"{CODE_FOLDER!r}, which the container runs, received {name!r}. Set model_name."
        )


def image_of(address: str) -> Image:
    """Returns what an image's address says."""
    found = _IMAGE.fullmatch(address)
    if found is None:
        return Image()
    version = re.match(r"(\d+)\.(\d+)", found["tag"] or "")
    if found["repository"] != _TENSORFLOW_REPOSITORY or version is None:
        return Image(region=found["region"])
    return Image(region=found["region"], tensorflow=(int(version[1]), int(version[2])))


def minor_version(version: str) -> tuple[int, int] | None:
    """Returns major and minor of a version such as `2.16.2`; None where it is none."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def resource_name(model_name: str, version: int, sha256: str, end: str = "") -> str:
    """Returns a name of at most 63 letters, digits and hyphens, out of model, version and digest.

    Args:
        model_name: Any text; other characters become hyphens, and it is cut where it is too long.
        version: The number of the push.
        sha256: Of the archive.
        end: What the name ends with; a hyphen and letters or digits.
    """
    tail = f"-{version}-{sha256[:_DIGEST_LETTERS]}{end}"
    head = re.sub(r"[^a-zA-Z0-9]+", "-", model_name).strip("-")[: MAX_NAME - len(tail)].rstrip("-")
    return f"{head or 'model'}{tail}"


def bucket_and_key(address: str) -> tuple[str, str]:
    """Returns bucket and key of `s3://BUCKET/KEY`."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key.rstrip("/")
