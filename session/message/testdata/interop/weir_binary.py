"""The binary format, with struct."""
import struct

NULL, FALSE, TRUE, INT, UINT, FLOAT, STRING, BYTES, NESTED, ARRAY = range(10)


class Reader:
    def __init__(self, p):
        self.p, self.at = p, 0

    def take(self, n):
        if self.at + n > len(self.p):
            raise EOFError("%d bytes announced, %d there" % (n, len(self.p) - self.at))
        self.at += n
        return self.p[self.at - n : self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        n = shift = 0
        while True:
            c = self.byte()
            n |= (c & 0x7F) << shift
            if c < 0x80:
                return n
            shift += 7

    def text(self):
        return self.take(self.varint())

    def values(self):
        return [(self.text().decode(), *self.value()) for _ in range(self.varint())]

    def value(self):
        kind = self.byte()
        if kind == NULL:
            return "null", None
        if kind in (FALSE, TRUE):
            return "bool", kind == TRUE
        if kind == INT:
            n = self.varint()
            return "int", n >> 1 ^ -(n & 1)
        if kind == UINT:
            return "uint", self.varint()
        if kind == FLOAT:
            return "float", struct.unpack(">d", self.take(8))[0]
        if kind in (STRING, BYTES):
            return ("string", "bytes")[kind - STRING], self.text()
        if kind == NESTED:
            return "values", self.values()
        if kind == ARRAY:
            return "array", [self.value() for _ in range(self.varint())]
        raise ValueError("unknown type %d" % kind)


def read(p):
    r = Reader(p)
    first, flags = struct.unpack("BB", r.take(2))
    if first >> 4 != 1 or flags > 63:
        raise ValueError("first bytes %d %d" % (first, flags))
    m = {"kind": first & 15, "type": "", "source": "", "target": "", "correlation": 0, "version": 0, "values": []}
    for i, name in enumerate(("type", "source", "target")):
        if flags & 1 << i:
            m[name] = r.text().decode()
    for i, name in enumerate(("correlation", "version")):
        if flags & 8 << i:
            m[name] = r.varint()
    if flags & 32:
        m["values"] = r.values()
    if r.at != len(p):
        raise ValueError("%d bytes behind the message" % (len(p) - r.at))
    return m


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def text(p):
    return varint(len(p)) + p


def values(vs):
    return varint(len(vs)) + b"".join(text(key.encode()) + value(k, c) for key, k, c in vs)


def value(kind, content):
    if kind == "null":
        return bytes([NULL])
    if kind == "bool":
        return bytes([TRUE if content else FALSE])
    if kind == "int":
        return bytes([INT]) + varint((content << 1) ^ (content >> 63))
    if kind == "uint":
        return bytes([UINT]) + varint(content)
    if kind == "float":
        return struct.pack(">Bd", FLOAT, content)
    if kind in ("string", "bytes"):
        return bytes([STRING if kind == "string" else BYTES]) + text(content)
    if kind == "values":
        return bytes([NESTED]) + values(content)
    return bytes([ARRAY]) + varint(len(content)) + b"".join(value(k, c) for k, c in content)


def write(m):
    flags, rest = 0, b""
    for i, name in enumerate(("type", "source", "target")):
        if m[name]:
            flags |= 1 << i
            rest += text(m[name].encode())
    for i, name in enumerate(("correlation", "version")):
        if m[name]:
            flags |= 8 << i
            rest += varint(m[name])
    if m["values"]:
        flags |= 32
        rest += values(m["values"])
    return struct.pack("BB", 0x10 | m["kind"], flags) + rest
