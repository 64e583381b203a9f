"""A push that cannot take the service down."""
