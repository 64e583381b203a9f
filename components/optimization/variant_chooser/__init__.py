"""VariantChooser: which of the variants that passed the gate goes to the server?"""
