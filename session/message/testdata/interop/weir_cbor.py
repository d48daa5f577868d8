"""CBOR, with cbor2."""
import struct

import cbor2

TAG = 0x77656972
NAMES = ("kind", "type", "source", "target", "correlation", "version")


class Float64:
    """A float that keeps its bits: cbor2 makes one NaN of all."""

    def __init__(self, x):
        self.x = x


def write_float(encoder, f):
    encoder.write(struct.pack(">Bd", 0xFB, f.x))


def from_cbor(x):
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
    if isinstance(x, bytes):
        return "bytes", x
    if isinstance(x, list):
        return "array", [from_cbor(item) for item in x]
    if isinstance(x, dict):
        return "values", pairs(x)
    if isinstance(x, cbor2.CBORTag) and x.tag == TAG:
        return ("uint" if isinstance(x.value, int) else "string"), x.value
    raise ValueError("unknown item %r" % x)


def pairs(x):
    return [(key, *from_cbor(y)) for key, y in x.items()]


def read(p):
    *envelope, values = cbor2.loads(p)
    m = dict(zip(NAMES, envelope, strict=True))
    m["values"] = pairs(values)
    return m


def to_cbor(kind, content):
    if kind == "uint" and content < 2**63:
        return cbor2.CBORTag(TAG, content)
    if kind == "float":
        return Float64(content)
    if kind == "string":
        try:
            return content.decode()
        except UnicodeDecodeError:
            return cbor2.CBORTag(TAG, content)
    if kind == "values":
        return as_map(content)
    if kind == "array":
        return [to_cbor(k, c) for k, c in content]
    return content


def as_map(values):
    return {key: to_cbor(k, c) for key, k, c in values}


def write(m):
    return cbor2.dumps([m[name] for name in NAMES] + [as_map(m["values"])], default=write_float)
