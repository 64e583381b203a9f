"""Access to a server: TLS, tokens, and the wire forms that servers and clients share."""
