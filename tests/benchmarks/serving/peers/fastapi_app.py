"""FastAPI and uvicorn around the model, as their tutorials have it: `fastapi_app.py MODEL PORT`."""

import sys

import tensorflow as tf
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = tf.saved_model.load(sys.argv[1])
ask = model.signatures["serving_default"]


class Rows(BaseModel):
    """A request."""

    instances: list[list[float]]


@app.post("/predict")
def predict(rows: Rows) -> dict[str, list[list[float]]]:
    """Answers a request."""
    return {"predictions": ask(x=tf.constant(rows.instances, tf.float32))["p"].numpy().tolist()}


if __name__ == "__main__":
    port = int(sys.argv[2])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
