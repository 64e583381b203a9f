"""`loop compress`: an existing model made smaller within a budget, without a pipeline."""
