"""Protocol Buffers messages declared in Python, without generated code.

Generated code is tied to the versions of protobuf that its compiler knew, and the published packages bring far more
than a robot wants: tensorflow-serving-api all of TensorFlow, kserve a web server. A message is its field numbers and
wire types, which the public protocols fix, so they are written down here and given to whatever protobuf is installed
(3.20 to 7). A pool of their own keeps them apart from the messages of a TensorFlow in the same process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

Schema = Mapping[str, Mapping[str, tuple[int, str]]]
_FIELD = re.compile(r"(?P<repeated>repeated )?(?:map<string, (?P<value>\w+)>|(?P<type>\w+))")


def build_messages(package: str, schema: Schema) -> Any:
    """Makes the classes of a schema: message name to field name to (number, type); a namespace by message name.

    A type is a scalar of proto3 (`int64`, `bytes`, ...), another message of the schema, `repeated` either of them, or
    `map<string, either>`. Enumerations are `int32`, which is the same on the wire.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(name=f"robot_ai/{package}.proto", package=package, syntax="proto3")
    for name, declared in schema.items():
        message = file.message_type.add(name=name)
        for field_name, field in declared.items():
            _add_field(package, schema, message, field_name, field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if not hasattr(pool, "AddSerializedFile") else pool.AddSerializedFile(file.SerializeToString())
    return SimpleNamespace(
        **{name: _message_class(pool, pool.FindMessageTypeByName(f"{package}.{name}")) for name in schema}
    )


def _add_field(package: str, schema: Schema, message: Any, name: str, declared: tuple[int, str]) -> None:
    number, kind = declared
    match = _FIELD.fullmatch(kind)
    assert match, kind
    field = message.field.add(name=name, number=number)
    repeated = match["repeated"] or match["value"]
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if match["value"] is None:
        _set_type(package, schema, field, match["type"])
        return
    # A map is on the wire, and to the descriptors, a repeated message of a key and a value.
    entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
    entry.options.map_entry = True
    key = entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL)
    key.type = key.TYPE_STRING
    value = entry.field.add(name="value", number=2, label=field.LABEL_OPTIONAL)
    _set_type(package, schema, value, match["value"])
    field.type = field.TYPE_MESSAGE
    field.type_name = f".{package}.{message.name}.{entry.name}"


def _set_type(package: str, schema: Schema, field: Any, kind: str) -> None:
    if kind in schema:
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{package}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")


def _message_class(pool: Any, descriptor: Any) -> Any:
    from google.protobuf import message_factory

    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)  # protobuf before 4.22
