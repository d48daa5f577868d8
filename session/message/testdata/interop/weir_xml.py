"""XML, with xml.etree."""
import base64
import math
import re
import struct
from xml.etree import ElementTree

KINDS = ["event", "request", "reply", "error", "cancel", "ping", "pong"]

# What XML cannot have, and \r, which xml.etree writes as such, to be read as \n.
CANNOT = re.compile("[\x00-\x08\x0b-\x1f\x85\u2028\ufffe\uffff]")


def from_element(e):
    kind, text = e.tag, e.text or ""
    if kind == "null":
        return kind, None
    if kind == "bool":
        return kind, {"true": True, "false": False}[text]
    if kind in ("int", "uint"):
        return kind, int(text)
    if kind == "float":
        bits = e.get("bits")
        return kind, float(text) if bits is None else struct.unpack(">d", bytes.fromhex(bits))[0]
    if kind == "bytes" or kind == "string" and e.get("encoding") == "base64":
        return kind, base64.b64decode(text, validate=True)
    if kind == "string":
        return kind, text.encode()
    if kind == "values":
        return kind, values(e)
    if kind == "array":
        return kind, [from_element(item) for item in e]
    raise ValueError("unknown element %s" % kind)


def values(e):
    return [(item.attrib["key"], *from_element(item)) for item in e]


def read(p):
    e = ElementTree.fromstring(p.decode())
    m = {"kind": KINDS.index(e.get("kind", "event")), "values": values(e)}
    for name in ("type", "source", "target"):
        m[name] = e.get(name, "")
    for name in ("correlation", "version"):
        m[name] = int(e.get(name, "0"))
    return m


def add(parent, kind, content, **key):
    e = ElementTree.SubElement(parent, kind, key)
    if kind == "bool":
        e.text = "true" if content else "false"
    elif kind in ("int", "uint"):
        e.text = str(content)
    elif kind == "float" and math.isfinite(content):
        e.text = repr(content)
    elif kind == "float":
        e.set("bits", struct.pack(">d", content).hex())
    elif kind == "bytes":
        e.text = base64.b64encode(content).decode()
    elif kind == "string":
        try:
            e.text = content.decode()
        except UnicodeDecodeError:
            e.text = None
        if e.text is None or CANNOT.search(e.text):
            e.set("encoding", "base64")
            e.text = base64.b64encode(content).decode()
    elif kind == "values":
        for name, k, c in content:
            add(e, k, c, key=name)
    elif kind == "array":
        for k, c in content:
            add(e, k, c)


def write(m):
    e = ElementTree.Element("message", kind=KINDS[m["kind"]])
    for name in ("type", "source", "target"):
        e.set(name, m[name])
    for name in ("correlation", "version"):
        e.set(name, str(m[name]))
    for name, k, c in m["values"]:
        add(e, k, c, key=name)
    return ElementTree.tostring(e, encoding="utf-8", xml_declaration=True)
