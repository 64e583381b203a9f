"""Quality of the answers, without labels and with them."""
