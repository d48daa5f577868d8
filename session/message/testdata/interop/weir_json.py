"""JSON, with json."""
import base64
import json
import math
import struct

KINDS = ["event", "request", "reply", "error", "cancel", "ping", "pong"]
EXACT = 2**53 - 1


def from_json(x):
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
    if isinstance(x, list):
        return "array", [from_json(item) for item in x]
    if len(x) == 1:
        (sign, y), = x.items()
        if sign in ("$int", "$uint"):
            return sign[1:], int(y)
        if sign == "$float":
            return "float", struct.unpack(">d", bytes.fromhex(y))[0]
        if sign in ("$string", "$bytes"):
            return sign[1:], base64.b64decode(y, validate=True)
        if sign == "$values":
            return "values", pairs(y)
    return "values", pairs(x)


def pairs(x):
    return [(key, *from_json(y)) for key, y in x.items()]


def read(p):
    x = json.loads(p.decode())
    m = {"kind": KINDS.index(x.pop("kind", "event")), "values": pairs(x.pop("values", {}))}
    for name in ("type", "source", "target"):
        m[name] = x.pop(name, "")
    m["correlation"] = int(x.pop("correlation", 0))
    m["version"] = x.pop("version", 0)
    if x:
        raise ValueError("unknown members %s" % list(x))
    return m


def to_json(kind, content):
    if kind == "int" and abs(content) > EXACT or kind == "uint":
        return {"$" + kind: str(content)}
    if kind == "float" and not math.isfinite(content):
        return {"$float": struct.pack(">d", content).hex()}
    if kind == "string":
        try:
            return content.decode()
        except UnicodeDecodeError:
            pass
    if kind in ("string", "bytes"):
        return {"$" + kind: base64.b64encode(content).decode()}
    if kind == "values":
        x = as_object(content)
        return {"$values": x} if any(key.startswith("$") for key in x) else x
    if kind == "array":
        return [to_json(k, c) for k, c in content]
    return content


def as_object(values):
    return {key: to_json(k, c) for key, k, c in values}


def write(m):
    x = {"kind": KINDS[m["kind"]]}
    x.update((name, m[name]) for name in ("type", "source", "target", "version"))
    x["correlation"] = m["correlation"] if m["correlation"] <= EXACT else str(m["correlation"])
    x["values"] = as_object(m["values"])
    return json.dumps(x, allow_nan=False).encode()
