"""Packs what the pipeline made into a bundle that devices can check."""
