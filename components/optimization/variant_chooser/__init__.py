"""VariantChooser: the variant, of those that passed the gate, that goes to the server."""
