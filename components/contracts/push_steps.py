"""Steps of a push to an endpoint, as the history of `deployment.json` names them.

The push writes each step once it is done; ML Metadata gets an execution for each, and the lineage
tells them apart from what was done to a version after its push.
"""

from enum import Enum


class PushStep(str, Enum):
    """One step of a push to an endpoint.

    Attributes:
        UPLOAD_ARCHIVE: The archive was written to the bucket.
        REGISTER: The model registry has a package that was approved.
        CREATE_MODEL: The model was made.
        CREATE_CONFIG: An endpoint config was made.
        CREATE_ENDPOINT: The endpoint was made, and serves.
        UPDATE_ENDPOINT: The endpoint moved to a config, and serves it.
        PROOF: The version answered as a variant beside the one that serves.
        GOLDEN_ROWS: The endpoint answered the golden rows.
        DELETE_CONFIG: A config that nothing uses was deleted.
        DELETE_ENDPOINT: The endpoint of a first version that failed was deleted.
        PUSH_FAILED: The push ended without the version in service.
    """

    UPLOAD_ARCHIVE = "upload_archive"
    REGISTER = "register_model_package"
    CREATE_MODEL = "create_model"
    CREATE_CONFIG = "create_endpoint_config"
    CREATE_ENDPOINT = "create_endpoint"
    UPDATE_ENDPOINT = "update_endpoint"
    PROOF = "proof"
    GOLDEN_ROWS = "golden_rows"
    DELETE_CONFIG = "delete_endpoint_config"
    DELETE_ENDPOINT = "delete_endpoint"
    PUSH_FAILED = "push_failed"


PUSH_STEPS = frozenset(step.value for step in PushStep)
