"""Real tables that packages carry: random halves of them, and known streams."""
