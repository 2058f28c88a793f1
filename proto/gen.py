#!/usr/bin/env python3
"""Makes the wire format's C tables and its reference page from wire.toml and session.toml.

    python3 proto/gen.py           writes proto/gen/{wire,session}.{h,c} and docs/protocol.md
    python3 proto/gen.py --check   writes nothing; names what is stale and exits 1

Needs Python 3.11 and nothing else. The output depends on the two inputs alone.
"""
import pathlib
import re
import string
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLUMNS = 110
NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
C_KEYWORDS = set("""auto break case char const continue default do double else enum extern float for goto if
    inline int long register restrict return short signed sizeof static struct switch typedef union unsigned
    void volatile while bool true false asm typeof unix linux""".split())

# wire type -> (kind in codec.h, C type, what the reference page calls it)
SCALARS = {
    "u8": ("U8", "uint8_t", "integer, 0 to 255"),
    "u16": ("U16", "uint16_t", "integer, 0 to 65,535"),
    "u32": ("U32", "uint32_t", "integer, 0 to 2^32 - 1"),
    "u64": ("U64", "uint64_t", "integer, 0 to 2^64 - 1"),
    "i64": ("I64", "int64_t", "integer, -2^63 to 2^63 - 1"),
    "f64": ("F64", "double", "64-bit float, finite; an integer is taken too"),
    "bool": ("BOOL", "bool", "true or false"),
    "str": ("STR", "mr_span", "str: UTF-8 without NUL, at most `max` bytes; nil counts as empty"),
    "bin": ("BIN", "mr_span", "bin: at most `max` bytes; nil counts as empty"),
    "hash": ("HASH", "mr_hash", "bin of exactly 32 bytes (BLAKE2b-256)"),
}
ARG_TYPES = {
    "u32": "integer, 0 to 2^32 - 1",
    "u64": "integer, 0 to 2^64 - 1",
    "text": "str: UTF-8 without NUL",
    "bool": "true or false",
    "map": "map",
    "list": "array",
}
HANDLED = {"core": "live state", "read": "a query", "write": "the ledger"}


class BadInput(Exception):
    pass


def need(condition, message):
    if not condition:
        raise BadInput(message)


# ---- reading and checking the inputs ----

def check_names(rows, what):
    names = [row["name"] for row in rows]
    for name in names:
        need(NAME.match(name) and name not in C_KEYWORDS, f"{what} '{name}': not a usable C name")
    need(len(set(names)) == len(names), f"{what}: a name occurs twice")
    return set(names)


def check_field(owner, field, structs):
    where = f"{owner}.{field['name']}"
    kind = field["type"]
    need("doc" in field, f"{where}: no doc")
    if kind == "list":
        need(field.get("of") in structs | {"u64"}, f"{where}: a list of '{field.get('of')}'")
    else:
        need(kind in SCALARS, f"{where}: unknown type '{kind}'")
    need((kind in ("list", "str", "bin")) == ("max" in field), f"{where}: list, str and bin alone have a max")
    need(0 < field.get("max", 1) <= 0xFFFFFFFF, f"{where}: max {field.get('max')}")


def structs_in_order(structs):
    """Structs so that each stands behind those it holds lists of."""
    by_name = {s["name"]: s for s in structs}
    done, busy = [], set()

    def visit(s):
        if s in done:
            return
        need(s["name"] not in busy, f"struct '{s['name']}' holds itself")
        busy.add(s["name"])
        for field in s["fields"]:
            if field.get("of") in by_name:
                visit(by_name[field["of"]])
        done.append(s)

    for s in structs:
        visit(s)
    return done


def depth_of(shape, by_name):
    """Arrays inside each other: the shape's own, then for a list the list and what is in it."""
    inner = [1 + (depth_of(by_name[f["of"]], by_name) if f["of"] in by_name else 0)
             for f in shape["fields"] if f["type"] == "list"]
    return 1 + max(inner, default=0)


def load_wire():
    wire = tomllib.loads((ROOT / "proto/wire.toml").read_text(encoding="utf-8"))
    structs = check_names(wire["struct"], "struct")
    messages = check_names(wire["message"], "message")
    need(not structs & messages, "a struct and a message have the same name")
    for shape in wire["struct"] + wire["message"]:
        check_names(shape["fields"], f"field of {shape['name']}")
        for field in shape["fields"]:
            check_field(shape["name"], field, structs)
    types = [m["type"] for m in wire["message"]]
    need(all(0 < t < 256 for t in types), "message types are 1 to 255")
    need(len(set(types)) == len(types), "a message type occurs twice")
    wire["struct"] = structs_in_order(wire["struct"])
    by_name = {s["name"]: s for s in wire["struct"]}
    for message in wire["message"]:
        deep = depth_of(message, by_name)
        need(deep <= wire["wire"]["depth_max"], f"message '{message['name']}' is {deep} deep")
    return wire


def parse_arg(text):
    match = re.fullmatch(r"([a-z][a-z0-9_]*):([a-z0-9]+)(\?)?", text)
    need(match and match[2] in ARG_TYPES, f"argument '{text}': want name:type or name:type?")
    return {"name": match[1], "type": match[2], "required": not match[3]}


def load_session(wire):
    session = tomllib.loads((ROOT / "proto/session.toml").read_text(encoding="utf-8"))
    states = check_names(session["state"], "state")
    roles = check_names(session["role"], "role")
    check_names(session["command"], "command")
    messages = {m["name"] for m in wire["message"]}
    for row in session["accept"] + session["send"]:
        need(row["state"] in states, f"unknown state '{row['state']}'")
        for name in row["messages"]:
            need(name in messages, f"state '{row['state']}': unknown message '{name}'")
    numbers = [c["number"] for c in session["command"]]
    need(all(0 < n < 65536 for n in numbers), "command numbers are 1 to 65,535")
    need(len(set(numbers)) == len(numbers), "a command number occurs twice")
    for command in session["command"]:
        need(command["role"] in roles, f"command '{command['name']}': unknown role '{command['role']}'")
        need(command["handled"] in HANDLED, f"command '{command['name']}': handled = '{command['handled']}'")
        command["args"] = [parse_arg(a) for a in command["args"]]
        need(len({a["name"] for a in command["args"]}) == len(command["args"]) <= 32,
             f"command '{command['name']}': an argument occurs twice, or more than 32")
    return session


# ---- text ----

def c_text(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def wrap(words, first, rest, end=""):
    """`first`, the words, `end`, in lines of at most COLUMNS columns; further lines begin with `rest`."""
    lines, line = [], first
    for i, word in enumerate(words):
        gap = "" if line in (first, rest) else " "
        tail = len(end) if i == len(words) - 1 else 0
        if gap and len(line) + 1 + len(word) + tail > COLUMNS:
            lines.append(line)
            line, gap = rest, ""
        line += gap + word
    return lines + [line + end]


def comment(text):
    return wrap(text.split(), "/* ", " * ", " */")


def made_by(inputs):
    return f"/* Made by proto/gen.py from {inputs}. Do not edit. */"


# ---- wire.h, wire.c ----

def count_name(field):
    """items -> item_count, attempts -> attempt_count"""
    return field["name"].removesuffix("s") + "_count"


def c_members(field):
    if field["type"] != "list":
        return [f"{SCALARS[field['type']][1]} {field['name']};"]
    of = "uint64_t" if field["of"] == "u64" else f"mr_wire_{field['of']}"
    return [f"const {of} *{field['name']};", f"uint32_t {count_name(field)};"]


def c_struct(shape):
    lines = comment(shape["doc"]) + [f"typedef struct mr_wire_{shape['name']} {{"]
    for field in shape["fields"]:
        members = c_members(field)
        lines += [f"    {m}" for m in members[:-1]]
        limit = f"; at most {field['max']}" if "max" in field else ""
        words = (field["doc"] + limit).split()
        lines += wrap(words, f"    {members[-1]} /* ", " " * (5 + len(members[-1])) + " * ", " */")
    return lines + [f"}} mr_wire_{shape['name']};", ""]


def c_wrappers(message):
    name, struct = message["name"], f"mr_wire_{message['name']}"
    return [
        f"MR_MUST_CHECK static inline mr_status mr_wire_encode_{name}(mr_buf *b, const {struct} *m) {{",
        f"    return mr_codec_encode(b, &mr_wire_shape_{name}, m);",
        "}",
        f"MR_MUST_CHECK static inline mr_status mr_wire_decode_{name}(mr_span envelope, mr_arena *arena,",
        f"{' ' * (58 + len(name))}{struct} *out, mr_error *err) {{",
        f"    return mr_codec_decode(&mr_wire_shape_{name}, envelope, arena, out, err);",
        "}",
    ]


def wire_h(wire):
    limits = wire["wire"]
    out = [made_by("proto/wire.toml"), "#ifndef MR_PROTO_GEN_WIRE_H", "#define MR_PROTO_GEN_WIRE_H", "",
           '#include "proto/codec.h"', "",
           "enum {",
           f"    MR_WIRE_VERSION = {limits['version']},",
           f"    MR_WIRE_ENVELOPE_MAX = {limits['envelope_max']}, /* bytes of an envelope frame */",
           f"    MR_WIRE_BODY_MAX = {limits['body_max']}, /* bytes of a body frame */",
           f"    MR_WIRE_DEPTH_MAX = {limits['depth_max']} /* containers inside each other */",
           "};", "",
           "/* Maxima of the fields: bytes of str and bin, items of lists. */", "enum {"]
    for shape in wire["struct"] + wire["message"]:
        out += [f"    MR_MAX_{shape['name'].upper()}_{f['name'].upper()} = {f['max']},"
                for f in shape["fields"] if "max" in f]
    out += ["};", "", "typedef enum mr_msg {"]
    out += [f"    MR_MSG_{m['name'].upper()} = {m['type']}," for m in wire["message"]]
    out += ["} mr_msg;", ""]
    for shape in wire["struct"] + wire["message"]:
        out += c_struct(shape)
    out += ["/* Any message. */", "typedef struct mr_wire {", "    mr_msg type;", "    union {"]
    out += [f"        mr_wire_{m['name']} {m['name']};" for m in wire["message"]]
    out += ["    } as;", "} mr_wire;", ""]
    out += [f"extern const mr_codec_shape mr_wire_shape_{m['name']};" for m in wire["message"]]
    out += ["",
            "/* The shape of a message type; NULL when there is no such type. */",
            "const mr_codec_shape *mr_wire_shape(uint8_t type);",
            "/* The name of a message type; \"unknown\" when there is no such type. */",
            "const char *mr_msg_name(uint8_t type);",
            "",
            "/* As mr_codec_encode and mr_codec_decode (proto/codec.h), for whatever type it is. */",
            "mr_status mr_wire_encode(mr_buf *b, const mr_wire *m) MR_MUST_CHECK;",
            "mr_status mr_wire_decode(mr_span envelope, mr_arena *arena, mr_wire *out,",
            "                         mr_error *err) MR_MUST_CHECK;",
            "",
            "/* Type and version, and nothing more. */",
            "MR_MUST_CHECK static inline mr_status mr_wire_peek(mr_span envelope, uint8_t *type,",
            "                                                   uint32_t *version, mr_error *err) {",
            "    return mr_codec_peek(envelope, type, version, err);",
            "}", ""]
    for message in wire["message"]:
        out += c_wrappers(message)
    return out + ["", "#endif"]


def c_field_row(shape, field):
    struct = f"mr_wire_{shape['name']}"
    if field["type"] != "list":
        kind = SCALARS[field["type"]][0]
    else:
        kind = "NUMBERS" if field["of"] == "u64" else "STRUCTS"
    parts = [f".name = {c_text(field['name'])}", f".kind = MR_CODEC_{kind}",
             f".offset = offsetof({struct}, {field['name']})"]
    if field["type"] == "list":
        parts.append(f".count_at = offsetof({struct}, {count_name(field)})")
    if "max" in field:
        parts.append(f".max = {field['max']}")
    if kind == "STRUCTS":
        parts.append(f".of = &shape_{field['of']}")
    return wrap([p + "," for p in parts[:-1]] + parts[-1:], "    {", "     ", "},")


def c_shape(shape, is_message):
    name = shape["name"]
    symbol = f"mr_wire_shape_{name}" if is_message else f"shape_{name}"
    static = "" if is_message else "static "
    out = [f"static const mr_codec_field {name}_fields[] = {{"]
    for field in shape["fields"]:
        out += c_field_row(shape, field)
    parts = [f".name = {c_text(name)},", f".fields = {name}_fields,",
             f".field_count = {len(shape['fields'])},", f".size = sizeof(mr_wire_{name}),"]
    if is_message:
        parts += [f".type = MR_MSG_{name.upper()},", f".body = {'true' if shape.get('body') else 'false'},"]
    out += ["};", f"{static}const mr_codec_shape {symbol} = {{"]
    return out + wrap(parts, "    ", "    ") + ["};", ""]


def wire_c(wire):
    out = [made_by("proto/wire.toml"), '#include "proto/gen/wire.h"', "", "#include <stddef.h>", ""]
    for shape in wire["struct"]:
        out += c_shape(shape, False)
    for shape in wire["message"]:
        out += c_shape(shape, True)
    out += ["const mr_codec_shape *mr_wire_shape(uint8_t type) {", "    switch (type) {"]
    names = [m["name"] for m in wire["message"]]
    out += [f"    case MR_MSG_{name.upper()}: return &mr_wire_shape_{name};" for name in names]
    out += ["    default: return NULL;", "    }", "}", "",
            "const char *mr_msg_name(uint8_t type) {",
            "    const mr_codec_shape *shape = mr_wire_shape(type);",
            '    return shape ? shape->name : "unknown";',
            "}", "",
            "mr_status mr_wire_encode(mr_buf *b, const mr_wire *m) {",
            "    const mr_codec_shape *shape = mr_wire_shape((uint8_t)m->type);",
            "    MR_ASSERT(shape);",
            "    return mr_codec_encode(b, shape, &m->as);",
            "}", "",
            "mr_status mr_wire_decode(mr_span envelope, mr_arena *arena, mr_wire *out, mr_error *err) {",
            "    uint8_t type = 0;",
            "    uint32_t version = 0;",
            "    MR_TRY(mr_codec_peek(envelope, &type, &version, err));",
            "    const mr_codec_shape *shape = mr_wire_shape(type);",
            "    if (!shape)",
            '        return mr_fail(err, MR_E_PROTOCOL, "envelope: there is no message type %u", type);',
            "    out->type = (mr_msg)type;",
            "    return mr_codec_decode(shape, envelope, arena, &out->as, err);",
            "}"]
    return out


# ---- session.h, session.c ----

def c_enum(name, prefix, words, last=None):
    rows = [f"{prefix}_{w.upper()}" + (f" = {n}" if n is not None else "") for w, n in words]
    if last:
        rows.append(last)
    return [f"typedef enum {name} {{"] + [f"    {r}," for r in rows] + [f"}} {name};", ""]


def c_state_enum(session):
    out = ["/* A session's states, seen from the broker. */", "typedef enum mr_session_state {"]
    out += [f"    MR_SESSION_{s['name'].upper()}, /* {s['doc']} */" for s in session["state"]]
    return out + ["    MR_SESSION_STATES", "} mr_session_state;", ""]


def session_h(session):
    out = [made_by("proto/session.toml"), "#ifndef MR_PROTO_GEN_SESSION_H", "#define MR_PROTO_GEN_SESSION_H",
           "", '#include "common/buf.h"', ""]
    out += c_state_enum(session)
    out += ["/* A role may do what those before it may. */"]
    out += c_enum("mr_role", "MR_ROLE", [(r["name"], None) for r in session["role"]], "MR_ROLES")
    out += c_enum("mr_command", "MR_CMD", [(c["name"], c["number"]) for c in session["command"]])
    out += ["/* What answers a command: " + ", ".join(f"{k} ({v})" for k, v in HANDLED.items()) + ". */"]
    out += c_enum("mr_handled", "MR_HANDLED", [(h, None) for h in HANDLED])
    out += c_enum("mr_arg_type", "MR_ARG", [(a, None) for a in ARG_TYPES])
    out += ["typedef struct mr_command_arg {", "    const char *name;", "    mr_arg_type type;",
            "    bool required;", "} mr_command_arg;", "",
            "typedef struct mr_command_row {", "    const char *name, *doc;", "    mr_command number;",
            "    mr_role role; /* the least that may call it */", "    mr_handled handled;",
            "    uint16_t arg_count;", "    const mr_command_arg *args;", "} mr_command_row;", "",
            f"enum {{ MR_COMMAND_COUNT = {len(session['command'])}, MR_COMMAND_ARGS_MAX = 32 }};",
            "extern const mr_command_row mr_commands[MR_COMMAND_COUNT];", "",
            "/* Whether the broker takes a message type from a peer in this state; whether it sends one. */",
            "bool mr_session_accepts(mr_session_state state, uint8_t type);",
            "bool mr_session_sends(mr_session_state state, uint8_t type);",
            "const char *mr_session_state_name(mr_session_state state);",
            "const char *mr_role_name(mr_role role);",
            "const char *mr_arg_type_name(mr_arg_type type);", "",
            "/* NULL when there is none. */",
            "const mr_command_row *mr_command_find(uint16_t number);",
            "const mr_command_row *mr_command_by_name(mr_span name);",
            "/* False when there is no such role. */",
            "bool mr_role_by_name(mr_span name, mr_role *out);", ""]
    out += comment("Whether `args` is what the command takes: one msgpack map (no bytes at all count as an "
                   "empty one) with known names, each once, of the right types, none missing, and with every "
                   "text in it UTF-8 without NUL. Maps inside it are not searched for repeated keys. Error: "
                   "E_INVALID, with the command's and the argument's name.")
    out += ["mr_status mr_command_check_args(const mr_command_row *row, mr_span args,",
            "                                mr_error *err) MR_MUST_CHECK;"]
    return out + ["", "#endif"]


def c_allowed(name, rows, session):
    by_state = {}
    for row in rows:
        by_state.setdefault(row["state"], []).extend(row["messages"])
    out = [f"bool {name}(mr_session_state state, uint8_t type) {{", "    switch (state) {"]
    for state in session["state"]:
        tests = [f"type == MR_MSG_{m.upper()} ||" for m in by_state.get(state["name"], [])] or ["false"]
        tests[-1] = tests[-1].removesuffix(" ||")
        out += [f"    case MR_SESSION_{state['name'].upper()}:"]
        out += wrap(tests, "        return ", " " * 15, ";")
    return out + ["    default: return false;", "    }", "}", ""]


def c_names(function, argument, count, names):
    out = [f"const char *{function}({argument}) {{"]
    out += wrap([f'"{n}",' for n in names], "    static const char *const names[] = {", "        ", "};")
    out[-1] = out[-1].replace(",};", "};")
    word = argument.split()[-1]
    return out + [f"    return (unsigned){word} < {count} ? names[{word}] : \"unknown\";", "}", ""]


def c_string(text, first, rest, end):
    """A string literal in as many lines as it needs."""
    lines = wrap(text.split(), first + '"', rest + '"', '"' + end)
    return [line + ' "' for line in lines[:-1]] + lines[-1:]


def c_command_row(command):
    name = command["name"]
    parts = [f".name = {c_text(name)},", f".number = MR_CMD_{name.upper()},",
             f".role = MR_ROLE_{command['role'].upper()},",
             f".handled = MR_HANDLED_{command['handled'].upper()},"]
    if command["args"]:
        parts += [f".args = {name}_args,", f".arg_count = {len(command['args'])},"]
    need(c_text(command["doc"]) == f'"{command["doc"]}"', f"command '{name}': quotes or backslashes in doc")
    return wrap(parts, "    {", "     ") + c_string(command["doc"], "     .doc = ", " " * 12, "},")


def c_args(command):
    if not command["args"]:
        return []
    out = [f"static const mr_command_arg {command['name']}_args[] = {{"]
    for arg in command["args"]:
        required = "true" if arg["required"] else "false"
        out.append(f"    {{{c_text(arg['name'])}, MR_ARG_{arg['type'].upper()}, {required}}},")
    return out + ["};"]


def session_c(session):
    out = [made_by("proto/session.toml"), '#include "proto/gen/session.h"', '#include "proto/gen/wire.h"', ""]
    out += c_allowed("mr_session_accepts", session["accept"], session)
    out += c_allowed("mr_session_sends", session["send"], session)
    out += c_names("mr_session_state_name", "mr_session_state state", "MR_SESSION_STATES",
                   [s["name"] for s in session["state"]])
    out += c_names("mr_role_name", "mr_role role", "MR_ROLES", [r["name"] for r in session["role"]])
    out += c_names("mr_arg_type_name", "mr_arg_type type", len(ARG_TYPES), ARG_TYPES)
    for command in session["command"]:
        out += c_args(command)
    out += ["", "const mr_command_row mr_commands[MR_COMMAND_COUNT] = {"]
    for command in session["command"]:
        out += c_command_row(command)
    return out + ["};"]


# ---- docs/protocol.md ----




def number(n):
    return f"{n:,}"


def doc_type(field):
    if field["type"] == "list":
        of = "u64" if field["of"] == "u64" else f"[{field['of']}](#{field['of']})"
        return f"list of {of}, at most {number(field['max'])}"
    return f"{field['type']}, at most {number(field['max'])} bytes" if "max" in field else field["type"]


def doc_fields(fields, first):
    out = ["| place | field | type | meaning |", "| --- | --- | --- | --- |"]
    out += [f"| {first + i} | `{f['name']}` | {doc_type(f)} | {f['doc']} |" for i, f in enumerate(fields)]
    return out + [""]


def doc_struct(struct):
    return [f"### {struct['name']}", "", struct["doc"], ""] + doc_fields(struct["fields"], 0)


def doc_directions(message, session):
    def peers(rows):
        return [r["state"] for r in rows if message["name"] in r["messages"] and r["state"] != "new"]

    parts = [f"{p} to broker" for p in peers(session["accept"])]
    parts += [f"broker to {p}" for p in peers(session["send"])]
    return "; ".join(parts) or "on the PUB socket"


def doc_message(message, session):
    out = [f"### {message['name']}", "", f"Type {message['type']}; {doc_directions(message, session)}"
           f"{'; *body*' if message.get('body') else ''}. {message['doc']}", ""]
    return out + doc_fields(message["fields"], 2)


def doc_states(session):
    def listed(rows, state):
        return ", ".join(m for r in rows if r["state"] == state for m in r["messages"]) or "nothing"

    out = ["| state | meaning | the broker takes | the broker sends |", "| --- | --- | --- | --- |"]
    for state in session["state"]:
        name = state["name"]
        takes, sends = listed(session["accept"], name), listed(session["send"], name)
        out.append(f"| {name} | {state['doc']} | {takes} | {sends} |")
    return out


def doc_commands(session):
    out = ["| number | command | role | arguments | what it does |", "| --- | --- | --- | --- | --- |"]
    for c in session["command"]:
        args = [f"`{a['name']}`{'' if a['required'] else '?'} {a['type']}" for a in c["args"]]
        args = ", ".join(args) or "none"
        out.append(f"| {c['number']} | `{c['name']}` | {c['role']} | {args} | {c['doc']} |")
    return out


def protocol_md(wire, session):
    parts = {
        "types": [f"| {name} | {text} |" for name, (_, _, text) in SCALARS.items()],
        "states": doc_states(session),
        "messages": sum((doc_message(m, session) for m in wire["message"]), [])[:-1],
        "structs": sum((doc_struct(s) for s in wire["struct"]), [])[:-1],
        "commands": doc_commands(session),
    }
    words = {name: "\n".join(lines) for name, lines in parts.items()}
    words |= {name: number(value) for name, value in wire["wire"].items()}
    words |= {m["name"]: str(m["type"]) for m in wire["message"]}
    words["command"] = next(str(c["number"]) for c in session["command"] if c["name"] == "runs")
    words["roles"] = ", ".join(r["name"] for r in session["role"])
    words["arg_types"] = "; ".join(f"{name}: {text}" for name, text in ARG_TYPES.items())
    page = string.Template((ROOT / "proto/protocol.md.in").read_text(encoding="utf-8"))
    return page.substitute(words).splitlines()


# ---- writing ----

def outputs():
    wire = load_wire()
    session = load_session(wire)
    files = {"proto/gen/wire.h": wire_h(wire), "proto/gen/wire.c": wire_c(wire),
             "proto/gen/session.h": session_h(session), "proto/gen/session.c": session_c(session),
             "docs/protocol.md": protocol_md(wire, session)}
    return {path: "\n".join(lines) + "\n" for path, lines in files.items()}


def write(files):
    for path, text in files.items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def stale(files):
    return [path for path, text in files.items()
            if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != text]


def main(args):
    if args not in ([], ["--check"]):
        print("usage: gen.py [--check]", file=sys.stderr)
        return 2
    try:
        files = outputs()
    except (BadInput, KeyError, OSError, tomllib.TOMLDecodeError) as error:
        print(f"gen.py: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    if not args:
        write(files)
        return 0
    old = stale(files)
    for path in old:
        print(f"{path}: stale; run python3 proto/gen.py")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
