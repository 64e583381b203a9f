"""Model servers and the pushes that reach them."""
