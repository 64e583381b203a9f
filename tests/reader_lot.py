"""Rules of the code drawn by lot, to see whether a reader finds each file by its path alone.

`python -m tests.reader_lot --seed 7` prints constants, reason codes and defaults with what is said
of them; with `--answers` also where they stand. Look at docs/architecture.md and `ls -R` first.
"""

import argparse
import ast
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Rule:
    """One rule: what it is called, what it says, and where it stands."""

    name: str
    value: str
    said: str
    place: str


def rules() -> list[Rule]:
    """Returns every constant that is a number, member of an enum and default that is a number."""
    paths = [path for room in ("components", "pipelines") for path in (ROOT / room).rglob("*.py")]
    return [rule for path in sorted(paths) for rule in _of_file(path)]


def _of_file(path: Path) -> Iterator[Rule]:
    text = path.read_text()
    lines, place = text.splitlines(), str(path.relative_to(ROOT))
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name.strip("_").isupper() and _is_number(node.value):
                yield Rule(name, ast.unparse(node.value), _comment(lines, node), place)
        if isinstance(node, ast.ClassDef):
            yield from _of_class(node, place)


def _of_class(node: ast.ClassDef, place: str) -> Iterator[Rule]:
    is_enum = any("Enum" in ast.unparse(base) for base in node.bases)
    doc = " ".join((ast.get_docstring(node) or "").split())
    for part in node.body:
        if is_enum and isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant):
            yield Rule(f"{node.name}.{ast.unparse(part.targets[0])}", repr(part.value.value), doc,
                       place)  # fmt: skip
        if isinstance(part, ast.AnnAssign) and part.value is not None and _is_number(part.value):
            name = ast.unparse(part.target)
            said = re.search(rf"\b{name}: (.+?)(?= \w+: |$)", doc)
            yield Rule(
                f"{node.name}.{name}", ast.unparse(part.value), said[1] if said else doc, place
            )


def _is_number(node: ast.expr) -> bool:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return isinstance(node, ast.BinOp)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _comment(lines: list[str], node: ast.stmt) -> str:
    above: list[str] = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.startswith("#"):
            break
        above.insert(0, line.lstrip("# "))
    return " ".join(above)


def main() -> None:
    """Prints the rules that a seed draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--answers", action="store_true", help="say where each stands, too")
    args = parser.parse_args()
    for rule in random.Random(args.seed).sample(rules(), args.count):
        where = f"  {rule.place}" if args.answers else ""
        print(f"{rule.name} = {rule.value}{where}\n    {rule.said}")


if __name__ == "__main__":
    main()
