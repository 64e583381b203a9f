"""The parts of SavedModel's protocol buffers that the guard reads, without TensorFlow.

Protobuf's own parser reads them, as it does in TensorFlow, so that both see the same message; only
the fields that matter are declared, the rest is skipped. Numbers are those of the .proto files in
tensorflow/core/protobuf and tensorflow/core/framework. All strings are bytes: names are compared,
never shown before they are decoded, and maps are lists of entries, as a file may hold a key twice.
Of alternatives (oneof) the last one that a file holds counts, so all of them are declared.
"""

import warnings
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from tfx_loop.core.errors import ModelError, first_line

_PACKAGE = "tfx_loop.guard"
# Message: field, number, type; `*` before a type is a list, `?` one of the message's alternatives,
# `{Message}` a map from a name. Alternatives that do not matter are bytes, whatever they hold.
_SCHEMA = {
    "SavedModel": "meta_graphs 2 *MetaGraph",
    "MetaGraph": "info 1 MetaInfo, graph 2 Graph, saver 3 Saver, collections 4 {Collection}, "
    "signatures 5 {Signature}, assets 6 *Asset, objects 7 ObjectGraph",
    "MetaInfo": "tags 4 *bytes",
    "Collection": "node_list 1 NodeList, any_list 5 AnyList",
    "NodeList": "value 1 *bytes",
    "AnyList": "value 1 *Any",
    "Any": "type_url 1 bytes, value 2 bytes",
    "Asset": "tensor 1 TensorInfo, filename 2 bytes",
    "TensorInfo": "name 1 bytes, sparse 4 Sparse, composite 5 Composite",
    "Sparse": "values 1 bytes, indices 2 bytes, shape 3 bytes",
    "Composite": "components 2 *TensorInfo",
    "Signature": "inputs 1 {TensorInfo}, outputs 2 {TensorInfo}",
    "Saver": "filename_tensor 1 bytes, save_tensor 2 bytes, restore_op 3 bytes",
    "Graph": "node 1 *Node, library 2 Library",
    "Library": "function 1 *Function, gradient 2 *Gradient, registered 3 *RegisteredGradient",
    "Gradient": "function_name 1 bytes, gradient_func 2 bytes",
    "RegisteredGradient": "gradient_func 1 bytes",
    "Node": "name 1 bytes, op 2 bytes, input 3 *bytes, attr 5 {Attribute}",
    "Attribute": "s 2 ?bytes, i 3 ?int64, f 4 ?float, b 5 ?bool, type 6 ?int32, shape 7 ?bytes, "
    "tensor 8 ?Tensor, list 1 ?AttributeList, func 10 ?Called, placeholder 9 ?bytes",
    "AttributeList": "tensor 8 *Tensor, func 9 *Called",
    "Called": "name 1 bytes, attr 2 {Attribute}",
    "Tensor": "dtype 1 int32, shape 2 Shape, content 4 bytes",
    "Shape": "dim 2 *Dim, unknown_rank 3 bool",
    "Dim": "size 1 int64",
    "BundleHeader": "shards 1 int32",
    "BundleEntry": "dtype 1 int32, shape 2 Shape, shard 3 int32, offset 4 int64, size 5 int64, "
    "slices 7 *bytes",
    "Function": "signature 1 FunctionSignature, node 3 *Node, attr 5 {Attribute}",
    "FunctionSignature": "name 1 bytes, input 2 *Argument",
    "Argument": "name 1 bytes",
    "ObjectGraph": "nodes 1 *Object, functions 2 {Concrete}",
    "Object": "children 1 *Edge, dependencies 15 *Edge, saveables 11 {Saveable}, user 4 ?bytes, "
    "asset 5 ?AssetObject, function 6 ?FunctionObject, variable 7 ?bytes, "
    "bare_function 8 ?BareFunctionObject, constant 9 ?ConstantObject, resource 10 ?bytes, "
    "captured 12 ?bytes",
    "FunctionObject": "concrete_functions 1 *bytes",
    "BareFunctionObject": "concrete_function 1 bytes",
    "Edge": "node 1 int32, name 2 bytes",
    "Saveable": "save_function 2 int32, restore_function 3 int32",
    "AssetObject": "index 1 int32",
    "ConstantObject": "operation 1 bytes",
    "Concrete": "bound_inputs 2 *int32",
}
_SCALARS = {
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "float": descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
}


def parse(kind: str, content: bytes, where: object) -> Any:
    """Returns a message of a kind in the schema.

    Raises:
        ModelError: The bytes are no such message.
    """
    try:
        with warnings.catch_warnings():
            # Protobuf 3.20 only warns of a message that ends early.
            warnings.simplefilter("error", RuntimeWarning)
            return _classes()[kind].FromString(content)
    except (message.DecodeError, RecursionError, RuntimeWarning, SystemError, ValueError) as error:
        # SystemError is how 3.20's C++ code passes a warning on that became an error, its cause.
        why = first_line(error.__cause__ or error)
        raise ModelError(
            f"Expected a SavedModel in {where}, received a damaged file ({why}). "
            "Was it copied to the end? Export it again."
        ) from error


@cache
def _classes() -> dict[str, Any]:
    # A pool of its own: TensorFlow's descriptors live in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file()) if hasattr(pool, "Add") else pool.AddSerializedFile(
        _file().SerializeToString()
    )
    found = {name: pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in _SCHEMA}
    # Protobuf 4 and later; 3.20 has a factory object in its place.
    if hasattr(message_factory, "GetMessageClass"):
        return {name: message_factory.GetMessageClass(found[name]) for name in found}
    factory = message_factory.MessageFactory(pool)
    return {name: factory.GetPrototype(found[name]) for name in found}


def _file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="tfx_loop/guard.proto", package=_PACKAGE, syntax="proto2"
    )
    entries: set[str] = set()
    for name, fields in _SCHEMA.items():
        declared = file.message_type.add(name=name)
        for text in fields.split(", "):
            field, number, kind = text.split()
            if kind.startswith("{"):
                entries.add(kind[1:-1])
                kind = f"*{kind[1:-1]}Entry"
            _declare(declared, field, int(number), kind)
    for value in sorted(entries):
        declared = file.message_type.add(name=f"{value}Entry")
        _declare(declared, "key", 1, "bytes")
        _declare(declared, "value", 2, value)
    return file


def _declare(declared: Any, name: str, number: int, kind: str) -> None:
    field = declared.field.add(name=name, number=number)
    proto = descriptor_pb2.FieldDescriptorProto
    field.label = proto.LABEL_REPEATED if kind.startswith("*") else proto.LABEL_OPTIONAL
    if kind.startswith("?"):
        field.oneof_index = 0
        if not declared.oneof_decl:
            declared.oneof_decl.add(name="alternatives")
    kind = kind.lstrip("*?")
    field.type = _SCALARS.get(kind, proto.TYPE_MESSAGE)
    if kind not in _SCALARS:
        field.type_name = f".{_PACKAGE}.{kind}"
