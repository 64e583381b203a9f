"""Quality of served predictions, once labels are here."""
