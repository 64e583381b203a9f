"""A push to an endpoint of AWS SageMaker, with its deployment guardrails."""
