"""How is a tf_keras model trained further, in a child process, with the user's own loss?"""
