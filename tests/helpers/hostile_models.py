"""Model files that do harm when they are opened: each writes, reads or runs what it should not.

Every maker takes a folder and returns the model's path; a file called `harm` beside it is what the
harm leaves, where it leaves anything. Loading one without the guard does its harm: the tests show
it for those that are safe to show.
"""

import copy
import io
import json
import os
import zipfile

import h5py
import hostile_graphs
import numpy as np
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert import schema_py_generated as tables
from flatbuffers import flexbuffers
from hostile_parts import (
    SECRET,
    Summing,
    edit_index,
    edit_saved_model,
    harm_of,
    lookup,
    saved,
    saved_with_variable,
)
from model_files import digits_model
from tflite_builder import TfliteBuilder

from tfx_loop.models.write import save_saved_model


def _keras_model(layer_config, class_name="TFOpLambda", arguments=None):
    """Returns the JSON of a model with one hostile layer."""
    layer_config = {"name": "bad", "trainable": True, "dtype": "float32", **layer_config}
    inputs = {
        "class_name": "InputLayer",
        "name": "x",
        "inbound_nodes": [],
        "config": {
            "batch_input_shape": [None, 3],
            "dtype": "float32",
            "sparse": False,
            "name": "x",
        },
    }
    bad = {
        "class_name": class_name,
        "name": "bad",
        "config": layer_config,
        "inbound_nodes": arguments or [[["x", 0, 0, {}]]],
    }
    config = {
        "name": "model",
        "layers": [inputs, bad],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["bad", 0, 0]],
    }
    return {"class_name": "Functional", "config": config}


def write_h5(path, config):
    """Writes an HDF5 model of a configuration, without weights."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = keras.__version__
        file.attrs["backend"] = "tensorflow"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([b"x", b"bad"])
        for name in ("x", "bad"):
            weights.create_group(name).attrs["weight_names"] = np.array([], "S1")
    return path


def write_keras(path, config, compression=zipfile.ZIP_STORED, **members):
    """Writes a .keras archive of a configuration; more members by name."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("_layer_checkpoint_dependencies")
    parts = {
        "metadata.json": json.dumps({"keras_version": keras.__version__}),
        "config.json": json.dumps(config),
        "model.weights.h5": weights.getvalue(),
        **members,
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def _call(symbol, *arguments):
    """Returns a model whose layer calls a function of TensorFlow's API with constants."""
    first, *others = arguments
    keywords = {name: value for name, value in others}
    return _keras_model({"function": symbol}, arguments=[["_CONSTANT_VALUE", -1, first, keywords]])


def h5_writes(folder):
    """tf.io.write_file as a layer."""
    return write_h5(
        folder / "m.h5", _call("io.write_file", str(harm_of(folder)), ("contents", "harm"))
    )


def h5_removes(folder):
    """tf.io.gfile.rmtree as a layer."""
    victim = folder / "victim"
    victim.mkdir(exist_ok=True)
    (victim / "file").write_text("kept")
    return write_h5(folder / "m.h5", _call("io.gfile.rmtree", str(victim)))


def h5_loads_library(folder):
    """tf.load_library as a layer."""
    return write_h5(folder / "m.h5", _call("load_library", str(folder / "none.so")))


def h5_fetches(folder):
    """keras.utils.get_file as a layer; to an address that nobody answers."""
    return write_h5(
        folder / "m.h5",
        _call("keras.utils.get_file", "x", ("origin", "http://127.0.0.1:9/x")),
    )


def h5_loads_model(folder):
    """keras.models.load_model as a layer."""
    return write_h5(folder / "m.h5", _call("keras.models.load_model", str(folder / "other.h5")))


def h5_quantizes(folder):
    """tf.quantization.experimental.quantize_saved_model as a layer: it loads and writes models."""
    call = _call(
        "quantization.experimental.quantize_saved_model", "other", ("output_directory", "harm")
    )
    return write_h5(folder / "m.h5", call)


def h5_samples_from_a_file(folder):
    """A sampler whose vocabulary is a file of this machine."""
    call = _call("random.fixed_unigram_candidate_sampler", 1, ("vocab_file", "secret.txt"))
    return write_h5(folder / "m.h5", call)


def keras_writes(folder):
    """tf.io.write_file as a layer of a .keras archive."""
    config = _call("io.write_file", str(harm_of(folder)), ("contents", "harm"))
    modules = ("keras.layers", "tf_keras.src.layers.core.tf_op_layer")
    for layer, module in zip(config["config"]["layers"], modules, strict=True):
        layer |= {"module": module, "registered_name": layer["class_name"]}
    config |= {"module": "tf_keras.src.engine.functional", "registered_name": "Functional"}
    return write_keras(folder / "m.keras", config)


def keras_specification(folder):
    """A layer in the place of a tensor's specification, whose class the file names."""
    config = _call("io.write_file", str(harm_of(folder)), ("contents", "harm"))
    inputs, bad = config["config"]["layers"]
    inputs |= {"module": "keras.layers", "registered_name": "InputLayer"}
    bad |= {"class_name": "__typespec__", "spec_name": "TFOpLambda", "registered_name": "Dense"}
    bad["module"] = "tf_keras.src.layers.core.tf_op_layer"
    config |= {"module": "tf_keras.src.engine.functional", "registered_name": "Functional"}
    return write_keras(folder / "m.keras", config)


def keras_lambda(folder):
    """A Lambda layer with Python bytecode."""
    target = str(harm_of(folder))
    layer = keras.layers.Lambda(lambda x: (open(target, "w").close(), x)[1], name="bad")
    model = keras.Sequential([keras.Input((3,)), layer])
    path = folder / "m.keras"
    model.save(path)
    harm_of(folder).unlink()
    return path


def keras_module(folder):
    """A function of any module as an activation."""
    config = _keras_model(
        {
            "activation": {
                "module": "os",
                "class_name": "function",
                "config": "system",
                "registered_name": "function",
            }
        },
        class_name="Activation",
    )
    return write_keras(folder / "m.keras", config)


def keras_instance_method(folder):
    """A method of the tensor, by name."""
    return write_h5(folder / "m.h5", _keras_model({"method_name": "numpy"}, "InstanceMethod"))


def keras_class_method(folder):
    """A class method of TensorFlow, by name."""
    config = _keras_model({"cls_symbol": "io.gfile.GFile", "method_name": "read"}, "ClassMethod")
    return write_h5(folder / "m.h5", config)


def keras_foreign_model(folder):
    """A layer that loads a SavedModel from a path."""
    return write_keras(folder / "m.keras", _keras_model({"filepath": "/etc"}, "TFSMLayer"))


def keras_reads_vocabulary(folder):
    """A lookup layer whose vocabulary is a file of this machine."""
    secret = folder / "secret.txt"
    secret.write_text(SECRET + "\n")
    layer = {"vocabulary": str(secret), "max_tokens": None, "num_oov_indices": 1}
    return write_h5(folder / "m.h5", _keras_model(layer, "StringLookup"))


def _serialized(class_name, config, **more):
    """Returns an entry as Keras 3 writes it."""
    entry = {"module": "keras.layers", "class_name": class_name, "config": config}
    return {**entry, "registered_name": None, **more}


def _keras_3(folder, *layers, **model):
    """Writes a .keras archive of Keras 3: layers in a row."""
    shape = {"batch_shape": [None, 3], "dtype": "float32", "sparse": False, "name": "x"}
    first = _serialized("InputLayer", shape)
    config = {"name": "model", "layers": [first, *layers]}
    metadata = {"metadata.json": json.dumps({"keras_version": "3.12.4"})}
    whole = {**_serialized("Sequential", config), "module": "keras", **model}
    return write_keras(folder / "m.keras", whole, **metadata)


def keras_3_lambda_in_models(folder):
    """Python bytecode two models deep, as a layer that is called for each step of a row."""
    code = {"class_name": "__lambda__", "config": {"value": "4wAA", "defaults": None}}
    inner = _serialized("Lambda", {"name": "bad", "function": code})
    within = _serialized("Sequential", {"name": "inner", "layers": [inner]}, module="keras")
    return _keras_3(folder, _serialized("TimeDistributed", {"name": "t", "layer": within}))


def keras_3_code_as_initializer(folder):
    """Python bytecode in the place of an initialiser, and no layer called Lambda."""
    code = {"class_name": "__lambda__", "config": {"value": "4wAA", "defaults": None}}
    return _keras_3(folder, _serialized("Dense", {"units": 1, "kernel_initializer": code}))


def keras_3_utility_as_regularizer(folder):
    """A utility of Keras that loads models, in the place of a function."""
    load = _serialized("function", "load_model", module="keras.models")
    return _keras_3(folder, _serialized("Dense", {"units": 1, "kernel_regularizer": load}))


def keras_3_registered_elsewhere(folder):
    """A class that calls itself Dense, registered under the name of another package's."""
    named = _serialized("Dense", {"units": 1}, registered_name="os>system", module="os")
    return _keras_3(folder, named)


def keras_3_loss_of_a_part(folder):
    """A loss in a part of the model, which Keras builds whether the model is compiled or not."""
    loss = {"loss": _serialized("function", "run", module="subprocess")}
    inner = _serialized("Sequential", {"name": "inner", "layers": []}, compile_config=loss)
    return _keras_3(folder, {**inner, "module": "keras"})


def keras_3_vocabulary(folder):
    """A vectorisation whose vocabulary is a file of this machine, named by a relative path."""
    secret = folder / "secret.txt"
    secret.write_text(SECRET + "\n")
    return _keras_3(folder, _serialized("TextVectorization", {"vocabulary": "secret.txt"}))


def keras_3_saved_model(folder):
    """A layer that loads a SavedModel, in the models that a Bidirectional holds."""
    inner = _serialized("TFSMLayer", {"filepath": "model", "name": "bad"})
    return _keras_3(folder, _serialized("Bidirectional", {"name": "b", "layer": inner}))


def zip_encrypted(folder):
    """An archive whose configuration is said to be encrypted."""
    path = write_keras(folder / "m.keras", _keras_model({"units": 1}, "Dense"))
    content = bytearray(path.read_bytes())
    # The flags of a member stand at 8 of its entry in the directory (APPNOTE.TXT, 4.3.12).
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1
    path.write_bytes(content)
    return path


def two_forms(folder):
    """HDF5 with a ZIP archive behind it."""
    path = h5_writes(folder)
    archive = write_keras(folder / "inner.zip", _keras_model({"units": 1}, "Dense"))
    path.write_bytes(path.read_bytes() + archive.read_bytes())
    archive.unlink()
    return path


def zip_bomb(folder):
    """An archive whose member unpacks to 1 GiB."""
    path = write_keras(
        folder / "m.keras", _keras_model({"units": 1}, "Dense"), zipfile.ZIP_DEFLATED
    )
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("assets/zeros", "w", force_zip64=True) as member,
    ):
        for _ in range(64):
            member.write(bytes(1 << 24))
    return path


def zip_twice(folder):
    """An archive with two configurations."""
    path = write_keras(folder / "m.keras", _keras_model({"units": 1}, "Dense"))
    with zipfile.ZipFile(path, "a") as archive:
        # ZipFile warns of it only.
        archive.NameToInfo.pop("config.json")
        archive.writestr("config.json", json.dumps(_call("io.write_file", "x")))
    return path


def zip_leaves(folder):
    """An archive with a member outside its folder."""
    return write_keras(
        folder / "m.keras", _keras_model({"units": 1}, "Dense"), **{"../harm": "harm"}
    )


def zip_absolute(folder):
    """An archive with a member of an absolute name."""
    return write_keras(
        folder / "m.keras",
        _keras_model({"units": 1}, "Dense"),
        **{str(harm_of(folder)): "harm"},
    )


def zip_link(folder):
    """An archive with a link."""
    path = write_keras(folder / "m.keras", _keras_model({"units": 1}, "Dense"))
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    return path


def zip_other_spelling(folder):
    """An archive with a second configuration, under a name that some folders take for the first."""
    return write_keras(
        folder / "m.keras", _keras_model({"units": 1}, "Dense"), **{"Config.json": "{}"}
    )


def zip_many_weights(folder):
    """An archive of many files of weights, each of which takes a while."""
    many = {f"weights_{number}.h5": "" for number in range(200)}
    return write_keras(folder / "m.keras", _keras_model({"units": 1}, "Dense"), **many)


def zip_many_parts(folder):
    """A configuration of which three bytes take a hundred in memory."""
    parts = [{}] * 300_000
    return write_keras(folder / "m.keras", _keras_model({"parts": parts}, "Dense"))


def h5_with_holes(folder):
    """A file of 4 GiB that is a hole but for its begin."""
    path = write_h5(folder / "m.h5", _keras_model({"units": 1}, "Dense"))
    os.truncate(path, 1 << 32)
    return path


def _digits_h5(folder):
    path = folder / "m.h5"
    digits_model().save(path)
    return path


def hdf5_external(folder):
    """Weights that are the bytes of another file."""
    path = _digits_h5(folder)
    secret = folder / "secret.txt"
    secret.write_bytes(bytes(4096))
    with h5py.File(path, "a") as file:
        name = "model_weights/conv/conv/bias:0"
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        file.create_dataset(name, shape, dtype, external=[(str(secret), 0, 4096)])
    return path


def hdf5_external_link(folder):
    """Weights that are a dataset of another file."""
    path = _digits_h5(folder)
    with h5py.File(path, "a") as file:
        del file["model_weights/conv/conv/bias:0"]
        link = h5py.ExternalLink(str(folder / "other.h5"), "/secret")
        file["model_weights/conv/conv/bias:0"] = link
    return path


def hdf5_virtual(folder):
    """Weights put together of other files."""
    path = _digits_h5(folder)
    with h5py.File(path, "a") as file:
        name = "model_weights/conv/conv/bias:0"
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        layout = h5py.VirtualLayout(shape, dtype)
        layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", shape)
        file.create_virtual_dataset(name, layout)
    return path


def hdf5_texts(folder):
    """Weights that are texts of any length."""
    path = _digits_h5(folder)
    with h5py.File(path, "a") as file:
        name = "model_weights/conv/conv/bias:0"
        shape = file[name].shape
        del file[name]
        file.create_dataset(name, shape, h5py.string_dtype())
    return path


def hdf5_soft_link(folder):
    """A group that is a name for another."""
    path = _digits_h5(folder)
    with h5py.File(path, "a") as file:
        file["model_weights/again"] = h5py.SoftLink("/model_weights")
    return path


def hdf5_filter(folder):
    """Weights behind a filter that libhdf5 looks for as a library of this machine."""
    path = _digits_h5(folder)
    name = b"model_weights/conv/conv/bias:0"
    with h5py.File(path, "a") as file:
        shape = file[name].shape
        del file[name]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(shape)
        properties.set_filter(32_015, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple(shape)
        h5py.h5d.create(file.id, name, h5py.h5t.IEEE_F32LE, space, properties)
    return path


def hdf5_bomb(folder):
    """A dataset of 64 GiB that is not there."""
    path = _digits_h5(folder)
    with h5py.File(path, "a") as file:
        del file["model_weights/conv/conv/bias:0"]
        file.create_dataset(
            "model_weights/conv/conv/bias:0", (1 << 34,), "float32", chunks=(1 << 20,)
        )
    return path


def hdf5_bombs(folder):
    """Datasets that are not there, none of them large."""
    path = _digits_h5(folder)
    with h5py.File(path, "a") as file:
        for number in range(40):
            name = f"model_weights/conv/more_{number}"
            file.create_dataset(name, (1 << 21,), "float32", chunks=(1 << 20,))
    return path


def hdf5_endless(folder):
    """A heap whose objects have no size: libhdf5 walks it forever."""
    path = _digits_h5(folder)
    content = bytearray(path.read_bytes())
    # A global heap (HDF5 format specification, III.E) has a header of 16 bytes, then objects, each
    # with 16 of its own. Number 0 is the free space, and its size leads to the next.
    heap = content.index(b"GCOL")
    while heap >= 0:
        content[heap + 16 : heap + 32] = bytes(16)
        heap = content.find(b"GCOL", heap + 1)
    path.write_bytes(content)
    return path


def saved_model_writes(folder):
    """A signature that writes a file."""
    target = str(harm_of(folder))
    return saved(folder, lambda x: tf.io.write_file(target, "harm"))


def saved_model_reads(folder):
    """A signature that reads a file by its path."""
    secret = folder / "secret.txt"
    secret.write_text(SECRET)
    return saved(folder, lambda x: tf.strings.length(tf.io.read_file(str(secret))))


def saved_model_prints(folder):
    """A signature that prints to a file."""
    stream = f"file://{harm_of(folder)}"
    return saved(folder, lambda x: tf.print("harm", output_stream=stream))


def saved_model_python(folder):
    """A signature that calls Python."""
    return saved(folder, lambda x: tf.numpy_function(lambda y: y, [x], tf.float32))


def saved_model_aborts(folder):
    """A signature that ends the process."""
    return saved(folder, lambda x: tf.raw_ops.Abort(error_msg="bye", exit_without_error=True))


def saved_model_initializer(folder):
    """A table whose initialiser writes a file: loading is enough."""
    target = str(harm_of(folder))

    class Table(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

        def _initialize(self):
            tf.io.write_file(target, "harm")

    module = Summing(lambda x: tf.no_op())
    module.table = Table()
    tf.saved_model.save(module, str(folder / "m"), signatures={"serving_default": module.serve})
    harm_of(folder).unlink(missing_ok=True)
    return folder / "m"


def vocabulary(folder):
    """No hostile one: a SavedModel that reads an asset of its own."""
    return lookup(folder)


def saved_model_asset_leaves(folder):
    """An asset called ../../secret.txt."""
    model = lookup(folder)
    secret = folder / "secret.txt"
    secret.write_text(SECRET + "\n")
    edit_saved_model(model, lambda proto: _rename_assets(proto, "../../secret.txt"))
    return model


def saved_model_asset_link(folder):
    """An asset that is a link to another file."""
    model = lookup(folder)
    secret = folder / "secret.txt"
    secret.write_text(SECRET + "\n")
    asset = model / "assets" / "words.txt"
    asset.unlink()
    asset.symlink_to(secret)
    return model


def saved_model_literal_path(folder):
    """A table that reads a path which stands in the graph, and no asset."""
    model = lookup(folder)

    def edit(proto):
        graph = proto.meta_graphs[0]
        for thing in graph.object_graph_def.nodes:
            if thing.HasField("asset"):
                name = graph.asset_file_def[0].tensor_info.name.split(":")[0]
                thing.ClearField("asset")
                thing.constant.operation = name

    edit_saved_model(model, edit)
    return model


def saved_model_variables_link(folder):
    """Variables that are a link."""
    model = folder / "m"
    save_saved_model(digits_model(), str(model))
    data = next((model / "variables").glob("variables.data*"))
    moved = folder / "elsewhere"
    data.rename(moved)
    data.symlink_to(moved)
    return model


def saved_model_text(folder):
    """A second graph as text beside the first."""
    model = folder / "m"
    save_saved_model(digits_model(), str(model))
    (model / "saved_model.pbtxt").write_text("saved_model_schema_version: 1\n")
    return model


def saved_model_unknown(folder):
    """An operation that TensorFlow does not know."""
    model = saved_model_writes(folder)

    def edit(proto):
        for function in proto.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                if node.op == "WriteFile":
                    node.op = "MyOwnOp"

    edit_saved_model(model, edit)
    return model


# One dimension of 1, and of 127, as a message in a shape.
_ONE, _MANY = b"\x12\x02\x08\x01", b"\x12\x02\x08\x7f"


def saved_model_shape_that_is_none(folder):
    """A variable of more elements than can be counted: TensorFlow ends the process."""
    model = saved_with_variable(folder, [1] * 10)
    edit_index(model, _ONE * 10, _MANY * 10)
    return model


def saved_model_huge_variable(folder):
    """A variable of 122 GiB of which four bytes are there."""
    model = saved_with_variable(folder, [1] * 10)
    edit_index(model, _ONE * 10, _MANY * 5 + _ONE * 5)
    return model


def saved_model_with_holes(folder):
    """Variables of 4 GiB that are a hole but for their begin."""
    model = folder / "m"
    save_saved_model(digits_model(), str(model))
    os.truncate(next((model / "variables").glob("variables.data*")), 1 << 32)
    return model


def saved_model_pipe(folder):
    """A pipe among the assets, which who opens it waits for."""
    model = lookup(folder)
    os.mkfifo(model / "assets" / "more.txt")
    return model


def saved_model_inflated(folder):
    """A constant of 16 TiB that stands as one number."""
    model = saved(folder, lambda x: tf.identity(tf.constant(1.0)))

    def edit(proto):
        for function in proto.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
                    shape = node.attr["value"].tensor.tensor_shape
                    for size in (1 << 21, 1 << 21):
                        shape.dim.add(size=size)

    edit_saved_model(model, edit)
    return model


def _rename_assets(proto, name):
    for asset in proto.meta_graphs[0].asset_file_def:
        asset.filename = name


def _one_operator(folder, name, custom_options=None, shape=(1, 4), options=None):
    builder = TfliteBuilder()
    given = builder.input(shape, "FLOAT32")
    output = builder.tensor(shape, "FLOAT32")
    builder.op(name, [given], output, custom_options=custom_options, options=options)
    path = folder / "m.tflite"
    path.write_bytes(builder.content(output))
    return path


def harmless_tflite(folder):
    """Returns a .tflite file that does no harm."""
    good = folder / "good"
    good.mkdir(exist_ok=True)
    return _one_operator(good, "RELU")


def tflite_custom_op(folder):
    """An operator that no runtime brings along."""
    return _one_operator(folder, "RunThis")


def _flex(folder, name, operation, **texts):
    """Returns a .tflite file with an operator that runs an operation of TensorFlow."""
    node = tf.compat.v1.NodeDef(name="n", op=operation)
    for key, value in texts.items():
        node.attr[key].s = value.encode()
    builder = flexbuffers.Builder()
    with builder.Vector():
        for content in (operation.encode(), node.SerializeToString()):
            # The node is a string for TensorFlow, which Builder.String takes texts alone for.
            builder._WriteBlob(content, append_zero=True, type_=flexbuffers.Type.STRING)
    options = builder.Finish()
    return _one_operator(folder, name, custom_options=bytes(options))


def tflite_flex_writes(folder):
    """WriteFile of TensorFlow as an operator."""
    return _flex(folder, "FlexWriteFile", "WriteFile")


def tflite_flex_prints(folder):
    """PrintV2 of TensorFlow as an operator, to a file."""
    return _flex(folder, "FlexPrintV2", "PrintV2", output_stream=f"file://{harm_of(folder)}")


def tflite_flex_disguised(folder):
    """WriteFile of TensorFlow as an operator that is called Relu."""
    return _flex(folder, "FlexRelu", "WriteFile")


def tflite_with_holes(folder):
    """A file of 4 GiB that is a hole but for its begin."""
    path = _one_operator(folder, "RELU")
    os.truncate(path, 1 << 32)
    return path


def tflite_arena(folder):
    """A tensor of 16 TiB that a run allocates."""
    return _one_operator(folder, "RELU", shape=(1, 1 << 21, 1 << 21))


def tflite_calls_itself(folder):
    """A loop whose body is the graph that it stands in."""
    options = tables.WhileOptionsT()
    options.condSubgraphIndex = options.bodySubgraphIndex = 0
    return _one_operator(folder, "WHILE", options=options)


def tflite_grows(folder):
    """A kilobyte whose operators make 32 GiB of what the file calls four numbers."""
    builder = TfliteBuilder()
    grown = builder.input((1, 4), "FLOAT32")
    multiples = builder.constant([1, 1 << 10])
    for _ in range(3):
        tiled, passed = builder.tensor((1, 4), "FLOAT32"), builder.tensor((1, 4), "FLOAT32")
        builder.op("TILE", [grown, multiples], tiled)
        builder.op("RELU", [tiled], passed)
        grown = passed
    path = folder / "m.tflite"
    path.write_bytes(builder.content(grown))
    return path


def tflite_composite_calls_itself(folder):
    """A composite whose decomposition is the graph that it stands in: the runtime's stack ends."""
    builder = TfliteBuilder()
    given = builder.input((1, 4), "FLOAT32")
    output = builder.tensor((1, 4), "FLOAT32")
    builder.op("STABLEHLO_COMPOSITE", [given], output)
    options = tables.StableHLOCompositeOptionsT()
    options.name, options.decompositionSubgraphIndex = b"c", 0
    empty = flexbuffers.Builder()
    with empty.Map():
        empty.Int("a", 1)
    options.compositeAttributes = np.frombuffer(bytes(empty.Finish()), np.uint8)
    composite = builder.graph.operators[-1]
    composite.builtinOptions2Type = tables.BuiltinOptions2.StableHLOCompositeOptions
    composite.builtinOptions2 = options
    path = folder / "m.tflite"
    path.write_bytes(builder.content(output))
    return path


def tflite_calls_without_end(folder):
    """Graphs each of which calls the next one twice: 2 to the 40th ways to prepare."""
    builder = TfliteBuilder()
    given = builder.input((1, 4), "FLOAT32")
    output = builder.tensor((1, 4), "FLOAT32")
    for _ in range(2):
        builder.op("CALL", [given], output, options=tables.CallOptionsT())
    graphs = [builder.graph]
    for _ in range(40):
        graphs.append(copy.deepcopy(builder.graph))
    for number, graph in enumerate(graphs):
        graph.inputs, graph.outputs = [given], [output]
        for operator in graph.operators:
            operator.builtinOptions.subgraph = number + 1
    graphs[-1].operators = []
    builder.model.subgraphs = graphs
    path = folder / "m.tflite"
    path.write_bytes(builder.content(output))
    return path


def tflite_constants_elsewhere(folder):
    """A constant that is the bytes of another file."""
    secret = folder / "secret.txt"
    secret.write_text(SECRET)
    builder = TfliteBuilder()
    given = builder.input((1, 4), "FLOAT32")
    constant = builder.constant(np.zeros((1, 4)), np.float32)
    output = builder.tensor((1, 4), "FLOAT32")
    builder.op("ADD", [given, constant], output, options=tables.AddOptionsT())
    group, external = tables.ExternalBufferGroupT(), tables.ExternalBufferT()
    group.name = str(secret).encode()
    external.id, external.group, external.length = 1, 0, 16
    builder.model.externalBufferGroups, builder.model.externalBuffers = [group], [external]
    tensor = builder.graph.tensors[constant]
    tensor.externalBuffer, tensor.buffer = 1, 0
    path = folder / "m.tflite"
    path.write_bytes(builder.content(output))
    return path


KERAS = (
    h5_writes,
    h5_removes,
    h5_loads_library,
    h5_fetches,
    h5_loads_model,
    h5_quantizes,
    h5_samples_from_a_file,
    keras_writes,
    keras_specification,
    keras_lambda,
    keras_module,
    keras_instance_method,
    keras_class_method,
    keras_foreign_model,
    keras_reads_vocabulary,
    two_forms,
    zip_bomb,
    zip_twice,
    zip_leaves,
    zip_absolute,
    zip_link,
    zip_other_spelling,
    zip_many_weights,
    zip_many_parts,
    zip_encrypted,
    h5_with_holes,
    hdf5_external,
    hdf5_external_link,
    hdf5_virtual,
    hdf5_texts,
    hdf5_soft_link,
    hdf5_filter,
    hdf5_bomb,
    hdf5_bombs,
    hdf5_endless,
)
KERAS_3 = (
    keras_3_lambda_in_models,
    keras_3_code_as_initializer,
    keras_3_utility_as_regularizer,
    keras_3_registered_elsewhere,
    keras_3_loss_of_a_part,
    keras_3_vocabulary,
    keras_3_saved_model,
)
SAVED_MODEL = (
    saved_model_writes,
    saved_model_reads,
    saved_model_prints,
    saved_model_python,
    saved_model_aborts,
    saved_model_initializer,
    saved_model_asset_leaves,
    saved_model_asset_link,
    saved_model_literal_path,
    saved_model_variables_link,
    saved_model_text,
    saved_model_unknown,
    saved_model_inflated,
    saved_model_shape_that_is_none,
    saved_model_huge_variable,
    saved_model_with_holes,
    saved_model_pipe,
    *hostile_graphs.MAKERS,
)
TFLITE = (
    tflite_custom_op,
    tflite_flex_writes,
    tflite_flex_prints,
    tflite_flex_disguised,
    tflite_arena,
    tflite_with_holes,
    tflite_calls_itself,
    tflite_grows,
    tflite_composite_calls_itself,
    tflite_calls_without_end,
    tflite_constants_elsewhere,
)
