"""Behaviours of TF Serving, one case each, asked of `loop-model-server`.

A case names a behaviour that TF Serving documents, or that its tests show. It passes, or says why
this server answers otherwise. `docs/conformance.md` counts them.
"""

from conformance_cases import (
    configuration,
    examples,
    grpc_interface,
    http_interface,
    json_answers,
    json_requests,
    metadata,
    monitoring,
    paths,
    program,
    versions,
)
from conformance_cases.case import Case

CASES: tuple[Case, ...] = (
    *paths.CASES,
    *json_requests.CASES,
    *json_answers.CASES,
    *examples.CASES,
    *metadata.CASES,
    *grpc_interface.CASES,
    *http_interface.CASES,
    *versions.CASES,
    *configuration.CASES,
    *monitoring.CASES,
    *program.CASES,
)
