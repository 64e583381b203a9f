"""The bill of materials of the locked packages, and what an audit of them found.

usage: scripts/audit.py bill requirements.lock out/sbom.cdx.json   CycloneDX 1.6
       scripts/audit.py told out/audit.json                 pip-audit's answer; 1 for findings
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

# name==version [; marker], as `uv pip compile --generate-hashes` writes it.
_PACKAGE = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*([^\\]+?))?\s*\\?$")
_HASH = re.compile(r"^\s+--hash=sha256:([0-9a-f]{64})")


def components(lock: str) -> list[dict[str, Any]]:
    """Returns a component for each package of a lock.

    Raises:
        ValueError: A line is none of a lock with hashes.
    """
    found: list[dict[str, Any]] = []
    for line in lock.splitlines():
        if digest := _HASH.match(line):
            found[-1]["hashes"].append({"alg": "SHA-256", "content": digest[1]})
        elif package := _PACKAGE.match(line):
            name, version, marker = package.groups()
            found.append(
                {
                    "type": "library",
                    "bom-ref": f"pkg:pypi/{name}@{version}",
                    "name": name,
                    "version": version,
                    "purl": f"pkg:pypi/{name}@{version}",
                    "hashes": [],
                    "properties": [{"name": "marker", "value": marker}] if marker else [],
                }
            )
        elif line.strip() and not line.lstrip().startswith("#"):
            raise ValueError(f"Expected a locked package or a hash, received {line!r}.")
    return found


def bill(lock: str, out: str) -> int:
    """Writes the bill; no time stands in it, so that the same lock gives the same file."""
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "tfx-loop"}},
        "components": components(Path(lock).read_text("utf-8")),
    }
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    print(f"{out}: {len(content['components'])} packages")
    return 0


def told(found: str) -> int:
    """Says what is known of the packages, and of how many nothing could be learnt."""
    try:
        packages = json.loads(Path(found).read_text("utf-8"))["dependencies"]
    except (OSError, ValueError, KeyError):
        packages = []
    # An index without advisories skips every package, and pip-audit then finds nothing wrong.
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        print("no advisories could be had: the bill of materials alone was written")
        return 0
    known = [(package, each) for package in audited for each in package["vulns"]]
    for package, each in known:
        fixed = ", ".join(each["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}")
    skipped = len(packages) - len(audited)
    rest = f"; {skipped} could not be looked up" if skipped else ""
    print(f"{len(known)} known vulnerabilities in {len(audited)} packages of this Python{rest}")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit({"bill": bill, "told": told}[sys.argv[1]](*sys.argv[2:]))
