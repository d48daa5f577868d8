"""Reads and writes weir's messages without weir, for interop_test.go.

    python3 testdata/interop read binary     encoded messages -> what they say
    python3 testdata/interop write binary    what they say -> encoded messages

Both take a list in JSON and give one. Encoded messages are in hexadecimal
digits. What a message says is an object; its values are lists of
[key, type, content], or of [type, content] in an array. Integers are decimal
digits there, a float is its 64 bits, strings and bytes are their bytes, each
as a text.

The formats see a message as a dict with a list of (key, type, content):
integers are int, floats float, strings and bytes both bytes.
"""
import importlib
import json
import struct
import sys

ENVELOPE = ("kind", "type", "source", "target", "correlation", "version")


def say_value(kind, content):
    if kind in ("int", "uint"):
        return str(content)
    if kind == "float":
        return struct.pack(">d", content).hex()
    if kind in ("string", "bytes"):
        return content.hex()
    if kind == "values":
        return say_values(content)
    if kind == "array":
        return [[k, say_value(k, c)] for k, c in content]
    return content


def say_values(values):
    return [[key, k, say_value(k, c)] for key, k, c in values]


def say(message):
    said = {name: message[name] for name in ENVELOPE}
    said["correlation"] = str(message["correlation"])
    said["values"] = say_values(message["values"])
    return said


def hear_value(kind, said):
    if kind in ("int", "uint"):
        return int(said)
    if kind == "float":
        return struct.unpack(">d", bytes.fromhex(said))[0]
    if kind in ("string", "bytes"):
        return bytes.fromhex(said)
    if kind == "values":
        return hear_values(said)
    if kind == "array":
        return [(k, hear_value(k, c)) for k, c in said]
    return said


def hear_values(said):
    return [(key, k, hear_value(k, c)) for key, k, c in said]


def hear(said):
    message = {name: said[name] for name in ENVELOPE}
    message["correlation"] = int(said["correlation"])
    message["values"] = hear_values(said["values"])
    return message


def main():
    direction, name = sys.argv[1:]
    form = importlib.import_module("weir_" + name)
    given = json.load(sys.stdin)
    if direction == "read":
        result = [say(form.read(bytes.fromhex(p))) for p in given]
    else:
        result = [form.write(hear(said)).hex() for said in given]
    json.dump(result, sys.stdout)


main()
