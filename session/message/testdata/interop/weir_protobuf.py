"""Protocol Buffers, with google.protobuf and message.proto."""
import pathlib
import re

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROTO = pathlib.Path(__file__).parents[2] / "protobuf" / "message.proto"


def message_class():
    """The class of Message, as the compiler would make it of message.proto."""
    text = re.sub(r"//.*", "", PROTO.read_text())
    file = descriptor_pb2.FileDescriptorProto(name="message.proto", syntax="proto3", package="weir.message")
    for sort, name, body in re.findall(r"^(enum|message) (\w+) \{(.*?)^\}", text, re.M | re.S):
        if sort == "enum":
            values = re.findall(r"(\w+) = (\d+);", body)
            file.enum_type.add(name=name).value.extend(
                descriptor_pb2.EnumValueDescriptorProto(name=n, number=int(i)) for n, i in values
            )
            continue
        described = file.message_type.add(name=name)
        oneof = re.search(r"oneof (\w+) \{(.*?)\}", body, re.S)
        if oneof:
            described.oneof_decl.add(name=oneof[1])
            body = oneof[2]
        for repeated, kind, field, number in re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", body):
            f = described.field.add(name=field, number=int(number))
            f.label = f.LABEL_REPEATED if repeated else f.LABEL_OPTIONAL
            if hasattr(f, "TYPE_" + kind.upper()):
                f.type = getattr(f, "TYPE_" + kind.upper())
            else:
                f.type_name = ".weir.message." + kind
            if oneof:
                f.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    described = pool.FindMessageTypeByName("weir.message.Message")
    return message_factory.MessageFactory(pool).GetPrototype(described)


Message = message_class()
NAMES = ("kind", "type", "source", "target", "correlation", "version")


def from_value(v):
    is_ = v.WhichOneof("is")
    if is_ is None:
        return "null", None
    content = getattr(v, is_)
    if is_ == "nested":
        return "values", pairs(content.values)
    if is_ == "array":
        return "array", [from_value(item) for item in content.items]
    if is_ == "string":
        return "string", content.encode()
    if is_ == "string_bytes":
        return "string", content
    return is_, content


def pairs(entries):
    return [(entry.key, *from_value(entry.value)) for entry in entries]


def read(p):
    x = Message.FromString(p)
    m = {name: getattr(x, name) for name in NAMES}
    m["values"] = pairs(x.values)
    return m


def set_value(v, kind, content):
    v.SetInParent()
    if kind == "values":
        v.nested.SetInParent()
        set_values(v.nested.values, content)
    elif kind == "array":
        v.array.SetInParent()
        for k, c in content:
            set_value(v.array.items.add(), k, c)
    elif kind == "string":
        try:
            v.string = content.decode()
        except UnicodeDecodeError:
            v.string_bytes = content
    elif kind != "null":
        setattr(v, kind, content)


def set_values(entries, values):
    for key, k, c in values:
        set_value(entries.add(key=key).value, k, c)


def write(m):
    x = Message(**{name: m[name] for name in NAMES})
    set_values(x.values, m["values"])
    return x.SerializeToString()
