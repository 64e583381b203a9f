"""The bill of materials of the locked packages, and what is told of an audit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bill(lock, out):
    return script("bill", lock, out)


def script(*arguments):
    return subprocess.run(
        [sys.executable, "scripts/audit.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_every_locked_package_stands_in_it_with_its_hashes(tmp_path):
    lock = ROOT / "requirements.lock"
    assert bill(lock, tmp_path / "sbom.json").returncode == 0
    content = json.loads((tmp_path / "sbom.json").read_text())
    assert (content["bomFormat"], content["specVersion"]) == ("CycloneDX", "1.6")
    text = lock.read_text()
    assert len(content["components"]) == sum("==" in line and line[0] not in " #" for line in
                                             text.splitlines() if line)  # fmt: skip
    assert sum(len(c["hashes"]) for c in content["components"]) == text.count("--hash=sha256:")
    named = {c["purl"]: c for c in content["components"]}
    assert len(named) == len(content["components"])
    assert all(c["hashes"] for c in named.values())
    assert any(c["properties"] for c in named.values())


@pytest.mark.parametrize("line", ["tensorflow", "-e .", "tensorflow>=2"])
def test_what_is_not_locked_is_refused(tmp_path, line):
    (tmp_path / "lock").write_text(f"{line}\n")
    done = bill(tmp_path / "lock", tmp_path / "sbom.json")
    assert done.returncode != 0
    assert "Expected a locked package" in done.stderr


SOUND = {"name": "a", "version": "1", "vulns": []}
VULNERABLE = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "message"),
    [
        ([SOUND], 0, "0 known vulnerabilities in 1 packages of this Python\n"),
        ([SOUND, VULNERABLE], 1, "b 2: CVE-1, fixed in 3\n1 known"),
        ([SOUND, SKIPPED], 0, "1 could not be looked up"),
        # pip-audit says of these that no known vulnerabilities were found.
        ([SKIPPED, SKIPPED], 0, "no advisories could be had"),
        ([], 0, "no advisories could be had"),
        (None, 0, "no advisories could be had"),
    ],
)
def test_what_could_not_be_looked_up_is_not_called_sound(tmp_path, packages, code, message):
    if packages is not None:
        (tmp_path / "audit.json").write_text(json.dumps({"dependencies": packages}))
    done = script("told", tmp_path / "audit.json")
    assert done.returncode == code
    assert message in done.stdout
