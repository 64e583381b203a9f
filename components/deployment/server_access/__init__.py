"""Who may call a server, and how: TLS, tokens, the headers that servers and clients share."""
