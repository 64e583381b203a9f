"""Prints what is installed as a bill of materials (CycloneDX 1.6); runs inside the image."""

import importlib.metadata
import json

packages = sorted(
    {
        (found.metadata["Name"].lower(), found.version)
        for found in importlib.metadata.distributions()
    }
)
content = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "version": 1,
    "metadata": {"component": {"type": "application", "name": "tfx-loop"}},
    "components": [
        {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
        }
        for name, version in packages
    ],
}
print(json.dumps(content, indent=1))
