"""MessagePack, with msgpack."""
import struct

import msgpack

UINT, STRING = 1, 2
NAMES = ("kind", "type", "source", "target", "correlation", "version")


def from_msgpack(x):
    if x is None:
        return "null", None
    if isinstance(x, bool):
        return "bool", x
    if isinstance(x, int):
        return ("int" if x < 2**63 else "uint"), x
    if isinstance(x, float):
        return "float", x
    if isinstance(x, str):
        return "string", x.encode()
    if isinstance(x, msgpack.ExtType):
        if x.code == UINT:
            return "uint", struct.unpack(">Q", x.data)[0]
        if x.code == STRING:
            return "string", x.data
    if isinstance(x, bytes):
        return "bytes", x
    if isinstance(x, list):
        return "array", [from_msgpack(item) for item in x]
    if isinstance(x, dict):
        return "values", pairs(x)
    raise ValueError("unknown item %r" % x)


def pairs(x):
    return [(key, *from_msgpack(y)) for key, y in x.items()]


def read(p):
    *envelope, values = msgpack.unpackb(p, raw=False)
    m = dict(zip(NAMES, envelope, strict=True))
    m["values"] = pairs(values)
    return m


def to_msgpack(kind, content):
    if kind == "uint" and content < 2**63:
        return msgpack.ExtType(UINT, struct.pack(">Q", content))
    if kind == "string":
        try:
            return content.decode()
        except UnicodeDecodeError:
            return msgpack.ExtType(STRING, content)
    if kind == "values":
        return as_map(content)
    if kind == "array":
        return [to_msgpack(k, c) for k, c in content]
    return content


def as_map(values):
    return {key: to_msgpack(k, c) for key, k, c in values}


def write(m):
    return msgpack.packb([m[name] for name in NAMES] + [as_map(m["values"])], use_bin_type=True)
