"""Further training of tf_keras models in a child process, with the user's own loss."""
