"""Static pages over all windows of a model, and what the demo's page shares with them."""
