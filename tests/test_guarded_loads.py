"""Each place that hands a model file to a loader stands behind the guard, read from the code."""

import ast

import pytest

from tests.architecture_sheet import ROOT, SOURCES

# What opens a model, by the last names of what is called or handed on.
LOADERS = {
    ("saved_model", "load"),
    ("loader", "load"),
    ("saved_model", "load_v2"),
    ("models", "load_model"),
    ("saving", "load_model"),
    ("models", "model_from_json"),
    ("models", "model_from_config"),
    ("", "load_model"),
    ("train", "load_checkpoint"),
    ("train", "load_variable"),
    ("train", "Checkpoint"),
    ("train", "import_meta_graph"),
    ("", "load_weights"),
    ("lite", "Interpreter"),
    ("interpreter", "Interpreter"),
    ("", "Interpreter"),
    ("", "make_interpreter"),
    ("TFLiteConverter", "from_saved_model"),
    ("TFLiteConverter", "from_keras_model"),
    ("h5py", "File"),
    ("tft", "TFTransformOutput"),
    ("hub", "load"),
    ("torch", "load"),
    ("pickle", "load"),
    ("joblib", "load"),
}
GUARDS = {("guard", "admitted"), ("guard", "check")}
GUARD_FOLDER = "components/models/guard"
# Loads behind no guard of their own, each with the reason.
KNOWN = {
    "components/edge/edge_bundle/on_device.py": "a device checks digests and the signature, and "
    "has nothing but this one file",
    "pipelines/examples/flights/model.py": "a run_fn: TFX's Trainer calls it with the graph that "
    "its own Transform has just written",
}


def last_names(node):
    """Returns the last two names of `a.b.c`, the first empty for a plain name."""
    if isinstance(node, ast.Attribute):
        owner = node.value
        before = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        return before, node.attr
    return "", getattr(node, "id", "")


def is_loader(node):
    """Says whether an expression is a loader; a method of any object is by its own name."""
    if not isinstance(node, ast.Attribute | ast.Name):
        return False
    before, name = last_names(node)
    return (before, name) in LOADERS or (before != "" and ("", name) in LOADERS)


def functions_of(tree):
    """Returns the functions of a file by name, those of classes too."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(node)
    return found


def guard_lines(function):
    """Returns where a function calls the guard."""
    return [
        node.lineno
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and last_names(node.func) in GUARDS
    ]


def unguarded(tree):
    """Returns functions and lines with a load that no guard stands before.

    A guard stands before it in the same function, or before each call of a function with a leading
    underscore that this file alone calls.
    """
    functions = functions_of(tree)

    def guarded(function, line, seen):
        if any(found < line for found in guard_lines(function)):
            return True
        if not function.name.startswith("_") or function.name in seen:
            return False
        calls = [
            (caller, node.lineno)
            for callers in functions.values()
            for caller in callers
            for node in uses_of(caller)
            if last_names(node)[1] == function.name
        ]
        return bool(calls) and all(
            guarded(caller, at, {*seen, function.name}) for caller, at in calls
        )

    inside = set()
    for name, each in functions.items():
        for function in each:
            for node in filter(is_loader, uses_of(function)):
                inside.add(id(node))
                if not guarded(function, node.lineno, set()):
                    yield name, node.lineno
    for node in filter(is_loader, uses_of(tree)):
        if id(node) not in inside:
            yield "the module", node.lineno


def uses_of(tree):
    """Yields what is called, returned or handed on: names, and no owners of attributes."""
    owners = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in owners:
            yield node


def test_each_load_is_behind_the_guard():
    found = {}
    for path in SOURCES:
        # Most files name no loader at all, and need not be parsed.
        source = (ROOT / path).read_text()
        if path.is_relative_to(GUARD_FOLDER) or not any(name in source for _, name in LOADERS):
            continue
        if lines := list(unguarded(ast.parse(source))):
            found[str(path)] = lines
    assert found.keys() == KNOWN.keys(), found


@pytest.mark.parametrize(
    "code",
    [
        "def f(p):\n    return tf.saved_model.load(p)",
        "def f(p):\n    tf.saved_model.load(p)\n    guard.check(p)",
        "def f(p):\n    with guard.admitted(p):\n        return _g(p)\n"
        "def h(p):\n    return _g(p)\n"
        "def _g(p):\n    return keras.models.load_model(p)",
        "class A:\n    made = h5py.File('x')",
        "from keras.models import load_model\ndef f(p):\n    return load_model(p)",
    ],
)
def test_a_load_without_the_guard_is_found(code):
    assert list(unguarded(ast.parse(code)))


def test_a_load_behind_the_guard_is_fine():
    code = (
        "def f(p):\n    with guard.admitted(p) as a:\n        return _g(a)\n"
        "def _g(a):\n    return tf.lite.Interpreter(a)"
    )
    assert not list(unguarded(ast.parse(code)))
