"""LitServe around the model with its defaults: `litserve_app.py MODEL PORT`."""

import sys
from typing import Any

import litserve


class Api(litserve.LitAPI):
    """The model as LitServe asks it."""

    def setup(self, device: str) -> None:
        """Loads the model, in the worker."""
        import tensorflow as tf

        self.tf = tf
        self.model = tf.saved_model.load(sys.argv[1])
        self.ask = self.model.signatures["serving_default"]

    def decode_request(self, request):
        """Returns the rows."""
        return request["instances"]

    def predict(self, rows: Any) -> Any:
        """Asks the model."""
        return self.ask(x=self.tf.constant(rows, self.tf.float32))["p"].numpy()

    def encode_response(self, output: Any) -> Any:
        """Returns the answer."""
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu")
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error"
    )
