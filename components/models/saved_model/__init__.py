"""SavedModels: graph and signatures read from the file, and opened for prediction."""
