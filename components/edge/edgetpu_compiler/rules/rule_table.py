"""The table of what the Edge TPU compiler maps, and who says so.

The rules are data (`rules.json`): per operation the versions and the limits, each with its sources.
A rule that was found by looking at a family of compiled models names it, so that it can be left
out, to see how well the others do on models that they have not seen.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tfx_loop.contracts.edgetpu_report import MappingStatus

SCHEMA_VERSION = 1
_FILE = Path(__file__).with_name("rules.json")


@dataclass(frozen=True, kw_only=True)
class RuleSource:
    """Who says so: a title, an address, and the family when it is a compiled model."""

    key: str
    title: str
    url: str
    family: str = ""


@dataclass(frozen=True, kw_only=True)
class RuleCheck:
    """One limit of an operation.

    Attributes:
        check: Name of the function in `checks.py`.
        then: Status of an operator that fails it.
        settings: Its numbers.
        sources: Keys of the sources.
    """

    check: str
    then: MappingStatus
    settings: Mapping[str, Any]
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OperationRule:
    """What the compiler maps of one operation."""

    name: str
    max_version: int
    sources: tuple[str, ...]
    checks: tuple[RuleCheck, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EdgeTpuRules:
    """The whole table.

    Attributes:
        compiler: Version of the compiler that it describes.
        operations: By the schema's name; an operation that is not here does not map.
        unreadable: First version of an operation with which the compiler refuses the model.
        allowed_types: Types of activations.
        innermost: How many innermost dimensions may be larger than 1.
        general: Sources of the rules that hold for every operation, by reason.
        sources: All sources by key.
    """

    compiler: str
    operations: Mapping[str, OperationRule]
    unreadable: Mapping[str, int]
    unreadable_sources: Mapping[str, tuple[str, ...]]
    allowed_types: frozenset[str]
    innermost: int
    general: Mapping[str, tuple[str, ...]]
    sources: Mapping[str, RuleSource]

    def without_families(self, families: Collection[str]) -> "EdgeTpuRules":
        """Returns the rules that compiled models of `families` have no part in."""

        def rests(keys: tuple[str, ...]) -> bool:
            return all(self.sources[key].family not in families for key in keys)

        operations = {
            name: replace(
                operation, checks=tuple(check for check in operation.checks if rests(check.sources))
            )
            for name, operation in self.operations.items()
            if rests(operation.sources)
        }
        return replace(self, operations=operations)


@lru_cache(maxsize=1)
def edge_tpu_rules() -> EdgeTpuRules:
    """Returns the rules that come with tfx-loop."""
    return rules_from(json.loads(_FILE.read_text(encoding="utf-8")))


def rules_from(content: Mapping[str, Any]) -> EdgeTpuRules:
    """Reads rules from the content of a rules file.

    Raises:
        ValueError: The file has another version, or a rule names a source that is not listed.
    """
    if content.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"Expected rules of schema_version {SCHEMA_VERSION}, received "
            f"{content.get('schema_version')!r}. Use the rules.json of this release."
        )
    sources = {
        key: RuleSource(
            key=key, title=value["title"], url=value["url"], family=value.get("family", "")
        )
        for key, value in content["sources"].items()
    }

    def known(keys: list[str]) -> tuple[str, ...]:
        if not keys or not sources.keys() >= set(keys):
            raise ValueError(f"Expected every rule to name listed sources, received {keys}.")
        return tuple(keys)

    unreadable = content["unreadable_versions"]
    general = content["general"]
    return EdgeTpuRules(
        compiler=content["compiler"],
        operations={
            name: _operation(name, value, known) for name, value in content["operations"].items()
        },
        unreadable={name: value["from"] for name, value in unreadable.items()},
        unreadable_sources={name: known(value["sources"]) for name, value in unreadable.items()},
        allowed_types=frozenset(general["data_types"]["allowed"]),
        innermost=general["rank"]["innermost"],
        general={key: known(value["sources"]) for key, value in general.items()},
        sources=sources,
    )


def _operation(name: str, value: Mapping[str, Any], known: Any) -> OperationRule:
    checks = tuple(
        RuleCheck(
            check=check["check"],
            then=MappingStatus(check["then"]),
            settings={
                key: setting
                for key, setting in check.items()
                if key not in ("check", "then", "sources")
            },
            sources=known(check["sources"]),
        )
        for check in value.get("checks", ())
    )
    return OperationRule(
        name=name, max_version=value["max_version"], sources=known(value["sources"]), checks=checks
    )
