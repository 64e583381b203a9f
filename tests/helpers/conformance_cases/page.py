"""docs/conformance.md, written from the cases."""

from collections.abc import Sequence

from conformance_cases.case import Case
from conformance_cases.server import ROOT

PAGE = ROOT / "docs" / "conformance.md"


def render(cases: Sequence[Case]) -> str:
    """Returns the page."""
    features = list(dict.fromkeys(case.feature for case in cases))
    differing = [case for case in cases if case.differs]
    lines = [
        "# Conformance with TF Serving",
        "",
        f"`loop-model-server` answers as TF Serving does in {len(cases) - len(differing)} of "
        f"{len(cases)} cases. A case is one behaviour that",
        "TF Serving documents, or that its own tests show; the words and the models are ours. "
        "All are asked of a real server, which",
        "is started as `tensorflow_model_server` with its flags "
        "(`tests/helpers/conformance_cases`). TF Serving's binary was not run.",
        "",
        "| | cases | as TF Serving | otherwise, on purpose |",
        "|---|---|---|---|",
    ]
    for feature in features:
        among = [case for case in cases if case.feature == feature]
        other = sum(bool(case.differs) for case in among)
        lines.append(f"| {feature} | {len(among)} | {len(among) - other} | {other} |")
    lines.append(f"| all | {len(cases)} | {len(cases) - len(differing)} | {len(differing)} |")
    lines += ["", "## Otherwise, on purpose", "", "| case | why |", "|---|---|"]
    lines += [f"| {case.feature}: {case.name} | {case.differs} |" for case in differing]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from conformance_cases import CASES

    PAGE.write_text(render(CASES), "utf-8")
