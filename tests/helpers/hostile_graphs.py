"""SavedModels whose files mean one thing to a reader who looks quickly, and another to TensorFlow.

Makers as in `hostile_models`, which has them in its list: each takes a folder, returns the
model's path, and leaves `harm` in the folder where it is loaded or asked without the guard.
"""

import tensorflow as tf
from hostile_parts import SECRET, Summing, edit_saved_model, harm_of, lookup, saved

from tfx_loop.models.guard.messages import _classes


def _edit_entries(model, change):
    """Changes a SavedModel whose maps are lists of entries, so that a key may stand twice."""
    file = model / "saved_model.pb"
    proto = _classes()["SavedModel"].FromString(file.read_bytes())
    change(proto)
    file.write_bytes(proto.SerializeToString())


def _nodes(proto, op):
    for function in proto.meta_graphs[0].graph_def.library.function:
        yield from (node for node in function.node_def if node.op == op)


def graph_prints_by_a_second_entry(folder):
    """PrintV2 whose stream stands twice: the last entry of a map counts."""
    model = saved(folder, lambda x: tf.print("harm"))

    def edit(proto):
        for function in proto.meta_graphs[0].graph.library.function:
            for node in function.node:
                for stream in (b"stderr", f"file://{harm_of(folder)}".encode()):
                    if node.op == b"PrintV2":
                        entry = node.attr.add(key=b"output_stream")
                        entry.value.s = stream

    _edit_entries(model, edit)
    return model


def graph_prints_as_its_caller_says(folder):
    """PrintV2 whose stream is a parameter of its function."""

    @tf.function
    def prints(x):
        tf.print("harm")
        return x

    model = saved(folder, prints)

    def edit(proto):
        library = proto.meta_graphs[0].graph_def.library
        for node in _nodes(proto, "PrintV2"):
            node.attr["output_stream"].placeholder = "stream"
        printing = {f.signature.name for f in library.function
                    if any(n.op == "PrintV2" for n in f.node_def)}  # fmt: skip
        for function in library.function:
            for node in function.node_def:
                for attribute in node.attr.values():
                    if attribute.func.name in printing:
                        attribute.func.attr["stream"].s = f"file://{harm_of(folder)}".encode()

    edit_saved_model(model, edit)
    return model


def graph_maps_a_file(folder):
    """A constant that is the content of a file."""
    secret = folder / "secret.txt"
    secret.write_text(SECRET)
    return saved(folder, lambda x: _mapped(secret))


def _mapped(path):
    return tf.raw_ops.ImmutableConst(dtype=tf.uint8, shape=[4], memory_region_name=str(path))


def graph_in_a_text(folder):
    """A dataset whose graph is a text in the graph."""
    return saved(folder, lambda x: tf.raw_ops.DatasetFromGraph(graph_def=b""))


def graph_reads_a_descriptor(folder):
    """Messages decoded by a description that is a file of this machine."""

    def decode(x):
        return tf.io.decode_proto(
            tf.constant([b""]), "M", ["a"], [tf.int32], descriptor_source=str(folder / "none.desc")
        ).sizes

    return saved(folder, decode)


def graph_asset_that_is_none(folder):
    """An object that is an asset first and then a constant with another path: the last counts."""
    model = lookup(folder)
    secret = folder / "secret.txt"
    secret.write_text(SECRET + "\n")

    def edit(proto):
        node = proto.meta_graphs[0].graph_def.node.add(name="path", op="Const")
        node.attr["dtype"].type = tf.string.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(str(secret)))

    edit_saved_model(model, edit)
    file = model / "saved_model.pb"
    from tensorflow.core.protobuf import saved_model_pb2, saved_object_graph_pb2

    (meta_graph,) = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    objects = meta_graph.object_graph_def
    constant = saved_object_graph_pb2.SavedObject()
    constant.constant.operation = "path"
    rewritten = b"".join(
        _field(1, each.SerializeToString() + constant.SerializeToString() * each.HasField("asset"))
        for each in objects.nodes
    )
    del objects.nodes[:]
    # Messages that stand twice are merged.
    whole = meta_graph.SerializeToString() + _field(7, rewritten)
    file.write_bytes(b"\x08\x01" + _field(2, whole))
    return model


def _field(number, content):
    """Returns a field of bytes as protocol buffers write it."""
    size, length = bytearray(), len(content)
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + content


def graph_function_twice(folder):
    """A function that stands twice in the library, the harmless one last."""
    model = saved(folder, lambda x: tf.io.write_file(str(harm_of(folder)), "harm"))

    def edit(proto):
        library = proto.meta_graphs[0].graph_def.library
        writing = next(f for f in library.function if any(n.op == "WriteFile" for n in f.node_def))
        harmless = library.function.add()
        harmless.CopyFrom(writing)
        for node in harmless.node_def:
            if node.op == "WriteFile":
                node.op = "Assert"

    edit_saved_model(model, edit)
    return model


def _saves_in(folder):
    def save():
        return tf.raw_ops.SaveV2(
            prefix=str(harm_of(folder)),
            tensor_names=["a"],
            shape_and_slices=[""],
            tensors=[tf.constant([1.0])],
        )

    return save


def graph_saves_as_a_gradient(folder):
    """A gradient that writes: nothing names the function but the list of gradients."""

    @tf.function
    def writes(x):
        _saves_in(folder)()
        return x

    write = writes.get_concrete_function(tf.TensorSpec([], tf.float32))
    model = saved(folder, lambda x: tf.identity(x))

    def edit(proto):
        library = proto.meta_graphs[0].graph_def.library
        library.function.append(write.function_def)
        called = library.function[0].signature.name
        library.gradient.add(function_name=called, gradient_func=write.function_def.signature.name)

    edit_saved_model(model, edit)
    return model


def graph_saves_as_an_object(folder):
    """A method that writes, named by an object and absent from the list of functions."""
    module = Summing(lambda x: tf.no_op())
    # A function of TensorFlow returns tensors, and no operation.
    save = _saves_in(folder)
    module.method = tf.function(lambda: (save(), None)[1], input_signature=[])
    tf.saved_model.save(module, str(folder / "m"), signatures={"serving_default": module.serve})

    def edit(proto):
        functions = proto.meta_graphs[0].object_graph_def.concrete_functions
        for name in list(functions):
            if "serve" not in name:
                del functions[name]

    edit_saved_model(folder / "m", edit)
    return folder / "m"


def graph_restores_and_writes(folder):
    """A model of TensorFlow 1 whose restoring waits for an operation that saves elsewhere."""

    def change(saver, graph):
        restore = graph.get_operation_by_name(saver.restore_op_name)
        restore._add_control_input(_saves_in(folder)())

    return _of_session(folder, change)


def graph_restores_another_file(folder):
    """A model of TensorFlow 1 whose weights are those of another model's checkpoint."""

    def change(saver, graph):
        path = tf.constant(str(folder / "other" / "variables"))
        for op in graph.get_operations():
            if op.type == "RestoreV2":
                op._update_input(0, path)

    return _of_session(folder, change)


def session_model(folder):
    """No hostile one: a model of TensorFlow 1 with a variable and a vocabulary."""
    return _of_session(folder, lambda saver, graph: None)


def _of_session(folder, change):
    v1 = tf.compat.v1
    words = folder / "words.txt"
    words.write_text("a\nb\n")
    with v1.Graph().as_default() as graph, v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        # Not by chance: an earlier test may have made TensorFlow ask for a seed.
        ones = v1.ones_initializer()
        weight = v1.get_variable("weight", [3, 1], initializer=ones, use_resource=True)
        table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                str(words), tf.string, 0, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            ),
            1,
        )
        index = tf.cast(table.lookup(tf.constant(["b"])), tf.float32)
        y = tf.identity(tf.matmul(x, weight)[:, 0] + index, name="y")
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(folder / "m"))
        saver = v1.train.Saver()
        change(saver.saver_def, graph)
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature},
            assets_collection=graph.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(), saver=saver,
        )  # fmt: skip
        builder.save()
    return folder / "m"


MAKERS = (
    graph_prints_by_a_second_entry,
    graph_prints_as_its_caller_says,
    graph_maps_a_file,
    graph_in_a_text,
    graph_reads_a_descriptor,
    graph_asset_that_is_none,
    graph_function_twice,
    graph_saves_as_a_gradient,
    graph_saves_as_an_object,
    graph_restores_and_writes,
    graph_restores_another_file,
)
