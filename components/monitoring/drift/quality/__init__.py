"""How good the answers were, without labels and with them."""
