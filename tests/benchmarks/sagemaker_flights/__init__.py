"""The flights example on SageMaker, whole, against a loopback of the service."""
