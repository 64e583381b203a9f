"""How fast SageMaker's captures become rows, and whether every rejected line is counted."""
