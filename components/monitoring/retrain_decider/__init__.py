"""Would a retraining pay? The measurement, the decision, and the TFX component around them."""
