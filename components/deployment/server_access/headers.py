"""Names of the HTTP headers, and of gRPC's metadata, that server and clients agree on."""

REQUEST_ID_HEADER = "x-request-id"
EVENT_TIME_HEADER = "x-event-time-ms"
# A client's own word for which requests are one and the same; without it, id and inputs say so.
REQUEST_KEY_HEADER = "x-loop-request-key"
# The token of the push that holds the base path: whoever cannot write there cannot send it.
GOLDEN_HEADER = "x-loop-golden"
# Which trace a request belongs to: https://www.w3.org/TR/trace-context/.
TRACEPARENT_HEADER = "traceparent"
IDENTITY_HEADERS = (
    REQUEST_ID_HEADER,
    EVENT_TIME_HEADER,
    REQUEST_KEY_HEADER,
    GOLDEN_HEADER,
    TRACEPARENT_HEADER,
)
# On the status: which versions are loaded beside the one that serves; empty where none are.
CANDIDATE_HEADER = "x-loop-candidate"
VERSION_HEADER = "x-model-version"
