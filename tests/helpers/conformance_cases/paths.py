"""REST paths: which are known, and what the others are told."""

from conformance_cases.case import Case, refused
from conformance_cases.server import World

FEATURE = "REST paths"
_ONE = '{"instances":[[1.0]]}'


def _rest(method: str, path: str, body: str | None = None):
    return lambda world: world.server.rest(method, path, body)


def _default(path: str, body: str = _ONE):
    return _rest("POST", f"/v1/models/default{path}", body)


def _content_type(world: World) -> object:
    code, _, headers = world.server.http("POST", "/v1/models/default:predict", _ONE)
    return code, headers.get("content-type")


_MALFORMED = [
    ("GET", "/v1/foo"),
    ("POST", "/v1/foo"),
    ("GET", "/v1/models/default/model_name"),
    ("POST", "/v1/models"),
    ("GET", "/v1/models/foo:predict"),
    ("GET", "/v1/models/foo/version/50:predict"),
    ("POST", "/v1/models/foo/version/50:regress"),
    ("POST", "/v1/models/foo/versions/HELLO:regress"),
    ("POST", "/v1/models/foo/metadata"),
    ("POST", "/v1/models/foo/label/some_label:regress"),
    ("POST", "/v1/models/foo/versions/50/labels/some_label:regress"),
    ("POST", "/v1/models/default:explain"),
    ("POST", "/v1/models/default"),
    ("PUT", "/v1/models/default:predict"),
    ("DELETE", "/v1/models/default"),
]

CASES = [
    *(
        Case(FEATURE, f"{method} {path} is malformed", _rest(method, path, ""),
             refused(400, f"Malformed request: {method} {path}"))
        for method, path in _MALFORMED
    ),
    Case(FEATURE, "GET /v1/models names no model", _rest("GET", "/v1/models"),
         refused(400, "Missing model name")),
    Case(FEATURE, "other paths are not found", _rest("GET", "/statuspage"), refused(404)),
    Case(FEATURE, "the root is not found", _rest("GET", "/"), refused(404)),
    Case(FEATURE, "a version beyond int64 is no number",
         _default(f"/versions/{2**64 - 1}:predict"), refused(400, "Failed to convert version")),
    Case(FEATURE, "a version beyond int64 of a model that is not served",
         _rest("POST", f"/v1/models/foo/versions/{2**64 - 1}:regress", "{}"),
         refused(400, "Failed to convert version")),
    Case(FEATURE, "unknown model", _rest("POST", "/v1/models/foo:predict", _ONE),
         refused(404, "Servable not found for request: Latest(foo)")),
    Case(FEATURE, "version of an unknown model",
         _rest("POST", "/v1/models/foo/versions/50:predict", _ONE),
         refused(404, "Servable not found for request: Specific(foo, 50)")),
    Case(FEATURE, "unknown version", _default("/versions/99:predict"),
         refused(404, "Servable not found for request: Specific(default, 99)")),
    Case(FEATURE, "without a version the highest answers", _default(":predict"),
         (200, {"predictions": [[3.5]]})),
    Case(FEATURE, "a version by its number", _default("/versions/122:predict"),
         (200, {"predictions": [[2.5]]})),
    Case(FEATURE, "a version with leading zeros", _default("/versions/00000122:predict"),
         (200, {"predictions": [[2.5]]})),
    Case(FEATURE, "a version by its label", _default("/labels/fixed:predict"),
         (200, {"predictions": [[2.5]]})),
    Case(FEATURE, "unknown label", _default("/labels/none:predict"),
         refused(400, "Unrecognized servable version label: none")),
    Case(FEATURE, "label of an unknown model",
         _rest("POST", "/v1/models/foo/labels/some_label:predict", _ONE),
         refused(400, "Unrecognized servable version label: some_label")),
    Case(FEATURE, "the path is taken in either case",
         _rest("POST", "/V1/MODELS/default:predict", _ONE), (200, {"predictions": [[3.5]]})),
    Case(FEATURE, "the method is taken in lower case", _default(":PREDICT"),
         refused(400, "Malformed request")),
    Case(FEATURE, "a name may be percent-encoded",
         _rest("POST", "/v1/models/def%61ult:predict", _ONE), (200, {"predictions": [[3.5]]})),
    Case(FEATURE, "an encoded slash is part of a name",
         _rest("POST", "/v1/models/org%2Fmodel:predict", _ONE), refused(404, "Latest(org/model)")),
    Case(FEATURE, "an encoded colon is part of a name",
         _rest("POST", "/v1/models/a%3Ab:predict", _ONE), refused(404, "Latest(a:b)")),
    Case(FEATURE, "a query is ignored", _default(":predict?x=1"),
         (200, {"predictions": [[3.5]]})),
    Case(FEATURE, "answers are JSON by their type", _content_type, (200, "application/json")),
    Case(FEATURE, "status by version", _rest("GET", "/v1/models/default/versions/122"),
         refused(200, "AVAILABLE")),
    Case(FEATURE, "metadata by version", _rest("GET", "/v1/models/default/versions/122/metadata"),
         refused(200, '"version": "122"')),
    Case(FEATURE, "metadata by label", _rest("GET", "/v1/models/default/labels/fixed/metadata"),
         refused(200, '"version": "122"')),
    Case(FEATURE, "regress of a version",
         _default("/versions/122:regress",
                  '{"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}'),
         (200, {"results": [42.0]})),
    Case(FEATURE, "classify of a label",
         _default("/labels/fixed:classify",
                  '{"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}'),
         (200, {"results": [[["", 12.0]]]})),
]  # fmt: skip
