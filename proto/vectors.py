#!/usr/bin/env python3
"""Writes tests/vectors/wire: messages of wire.toml with their bytes, as Python's msgpack module encodes them.

    python3 proto/vectors.py

Run by hand after wire.toml has changed; needs the msgpack module (Debian: python3-msgpack). Nothing here is
shared with gen.py or the C codec, so the vectors are a second opinion on the format.

NAME.txt holds the cases of one message: a line "= case" (decodes to the lines below and encodes to the same
bytes) or "~ case" (decodes only), a line "> bytes in hex", and one "path value" line a field: integers in
decimal, floats as the 16 hex digits of their bits, str, bin and hash in hex ("-" when empty), lists as their
count. refused.txt holds envelopes that must not decode: "message field bytes-in-hex". An envelope of each
message and an argument map of each command also become seeds of tests/fuzz/fuzz_wire.c.
"""
import pathlib
import struct
import tomllib

import msgpack

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/vectors/wire"
SEEDS = ROOT / "tests/fuzz/seeds/wire"
BITS = {"u8": 8, "u16": 16, "u32": 32, "u64": 64}
EDGES = [0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**64 - 1]
SIGNED = [0, -1, -32, -33, -128, -129, -32768, -32769, -2**31, -2**31 - 1, -2**63, 127, 128, 2**63 - 1]
FLOATS = [0.0, -0.0, 1.0, 0.1, -1.5e300, 5e-324, 1.7976931348623157e308]
LENGTHS = [0, 1, 31, 32, 255, 256]
COUNTS = [1, 15, 16, 0, 2]
TEXT = "Grüße, 世界 🌍: plain text too. " * 20


def text_of(length):
    """UTF-8 of exactly `length` bytes: full of longer characters, filled up with x."""
    return TEXT.encode()[:length].decode(errors="ignore").encode().ljust(length, b"x").decode()


def edge(field, n):
    """The n-th edge value of a field that is not a list."""
    kind = field["type"]
    if kind in BITS:
        fit = [e for e in EDGES if e < 2 ** BITS[kind]]
        return fit[n % len(fit)]
    if kind == "i64":
        return SIGNED[n % len(SIGNED)]
    if kind == "f64":
        return FLOATS[n % len(FLOATS)]
    if kind == "bool":
        return n % 2 == 1
    if kind == "hash":
        return bytes((n * 37 + i) % 256 for i in range(32))
    length = min(LENGTHS[n % len(LENGTHS)], field["max"])
    return text_of(length) if kind == "str" else bytes(i * 7 % 256 for i in range(length))


def zero(field):
    zeros = {"bool": False, "str": "", "bin": b"", "hash": bytes(32), "f64": 0.0, "list": []}
    return zeros.get(field["type"], 0)


class Wire:
    def __init__(self):
        wire = tomllib.loads((ROOT / "proto/wire.toml").read_text(encoding="utf-8"))
        self.version = wire["wire"]["version"]
        self.messages = wire["message"]
        self.structs = {s["name"]: s["fields"] for s in wire["struct"]}

    def value(self, field, n):
        if field["type"] != "list":
            return edge(field, n)
        count = min(COUNTS[n % len(COUNTS)], field["max"])
        if field["of"] == "u64":
            return [EDGES[(n + i) % len(EDGES)] for i in range(count)]
        return [self.values(self.structs[field["of"]], n + i) for i in range(count)]

    def values(self, fields, n):
        return [self.value(f, n + i) for i, f in enumerate(fields)]

    def pack(self, message, values):
        return msgpack.packb([message["type"], self.version, *values], use_bin_type=True)

    def lines(self, fields, values, prefix=""):
        """The fields as text; those that `values` lacks have their defaults, those too many are dropped."""
        for i, field in enumerate(fields):
            path = prefix + field["name"]
            value = values[i] if i < len(values) else zero(field)
            if field["type"] == "list":
                yield f"{path} {len(value)}"
                for k, item in enumerate(value):
                    if field["of"] == "u64":
                        yield f"{path}.{k} {item}"
                    else:
                        yield from self.lines(self.structs[field["of"]], item, f"{path}.{k}.")
            else:
                yield f"{path} {plain(value)}"

    def longer(self, fields, values):
        """As a later version would send it: more fields, in the message and in its structs."""
        grown = []
        for field, value in zip(fields, values):
            if field["type"] == "list" and field["of"] != "u64":
                value = [self.longer(self.structs[field["of"]], item) for item in value]
            grown.append(value)
        return grown + [{"new": [1, None]}, "later", 2**40]

    def shorter(self, fields, values):
        """As an earlier version would have sent it: only the first half of the fields."""
        kept = []
        for field, value in list(zip(fields, values))[: (len(fields) + 1) // 2]:
            if field["type"] == "list" and field["of"] != "u64":
                value = [self.shorter(self.structs[field["of"]], item) for item in value]
            kept.append(value)
        return kept

    def cases(self, message):
        fields = message["fields"]
        yield "=", "defaults", [zero(f) for f in fields]
        for n in range(len(EDGES)):
            yield "=", f"edges {n}", self.values(fields, n)
        yield "~", "no fields at all", []
        yield "~", "from an earlier version", self.shorter(fields, self.values(fields, 1))
        yield "~", "from a later version", self.longer(fields, self.values(fields, 1))

    def refused(self, fields, n=0):
        """(name of the wrong field, values) for each field with each wrong value."""
        good = self.values(fields, n)
        for i, field in enumerate(fields):
            for bad in self.wrong(field):
                yield field["name"], good[:i] + [bad] + good[i + 1:]
            if field["type"] == "list" and field["of"] != "u64":
                for name, item in self.refused(self.structs[field["of"]], n):
                    yield name, good[:i] + [[item]] + good[i + 1:]

    def wrong(self, field):
        kind = field["type"]
        if kind in BITS:
            return [-1, "1", None, 1.0, True, [], {}] + ([2 ** BITS[kind]] if kind != "u64" else [])
        if kind == "list":
            inner = [[-1], ["1"], [None]] if field["of"] == "u64" else [[1], ["x"], [{}]]
            item = 0 if field["of"] == "u64" else []
            return [1, "x", {}, b""] + inner + [[item] * (field["max"] + 1)]
        over = field.get("max", 10**9) + 1
        return {
            "i64": [2**63, "1", None, 1.0],
            "f64": ["1", None, [], True, float("nan"), float("inf"), float("-inf")],
            "bool": [0, 1, "true", None],
            "hash": [b"", bytes(31), bytes(33), "x" * 32, 1],
            "str": [1, [], {}, "a\0b"] + (["x" * over] if over <= 4096 else []),
            "bin": [1, "text", []] + ([bytes(over)] if over <= 4096 else []),
        }[kind]


def plain(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return struct.pack(">d", value).hex()
    if isinstance(value, int):
        return str(value)
    return (value.encode() if isinstance(value, str) else value).hex() or "-"


def write_seeds(wire):
    """One envelope of each message, and one argument map of each command that has arguments."""
    SEEDS.mkdir(parents=True, exist_ok=True)
    samples = {"u32": 7, "u64": 2**40, "text": "text", "bool": True, "map": {"a": "b"}, "list": [{"c": 1}, 2]}
    for message in wire.messages:
        (SEEDS / message["name"]).write_bytes(wire.pack(message, wire.values(message["fields"], 4)))
    for command in tomllib.loads((ROOT / "proto/session.toml").read_text(encoding="utf-8"))["command"]:
        args = dict(arg.rstrip("?").split(":") for arg in command["args"])
        if args:
            packed = msgpack.packb({name: samples[kind] for name, kind in args.items()})
            (SEEDS / f"args_{command['name']}").write_bytes(packed)


def main():
    wire = Wire()
    OUT.mkdir(parents=True, exist_ok=True)
    write_seeds(wire)
    refused = []
    for message in wire.messages:
        lines = []
        for mark, name, values in wire.cases(message):
            lines += [f"{mark} {name}", f"> {wire.pack(message, values).hex()}"]
            lines += [*wire.lines(message["fields"], values), ""]
        (OUT / f"{message['name']}.txt").write_text("\n".join(lines), encoding="utf-8")
        for field, values in wire.refused(message["fields"]):
            refused.append(f"{message['name']} {field} {wire.pack(message, values).hex()}")
    (OUT / "refused.txt").write_text("\n".join(refused) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
