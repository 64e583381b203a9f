"""A package, so that no `tests` folder of a library on the path is taken for ours."""
