"""Why a model exists, and what happened to it. Read from ML Metadata alone, never written."""
