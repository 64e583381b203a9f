"""Prints what the image installs: the dependencies of tfx-loop, and the extras that nodes need."""

import sys

if sys.version_info >= (3, 11):
    import tomllib
else:  # The build's own environment has no package yet.
    from pip._vendor import tomli as tomllib

EXTRAS = ("kubeflow", "gcs", "s3")

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
for requirement in (
    *project["dependencies"],
    *(one for extra in EXTRAS for one in project["optional-dependencies"][extra]),
):
    print(requirement)
