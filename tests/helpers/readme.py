"""Reads README.md and docs/ for the tests: sections and what stands in their fences."""

import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
TEXT = (_ROOT / "README.md").read_text(encoding="utf-8")
COMPONENTS = (_ROOT / "docs/components.md").read_text(encoding="utf-8")
MODEL_SERVER = (_ROOT / "docs/model-server.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Returns what stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no section {title!r}"
    return found[1]


def fences(text: str, language: str) -> list[str]:
    """Returns the contents of the fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
