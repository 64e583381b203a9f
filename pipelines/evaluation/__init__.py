"""TFMA configurations of the gates, and an Evaluator that records its metrics."""
