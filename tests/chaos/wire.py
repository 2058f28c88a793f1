"""A second client of the broker's protocol, written by hand: ZMTP 3.0 (rfc.zeromq.org/spec/23), msgpack, and the
few messages of docs/protocol.md that the chaos run needs. It can also say what no proper client would."""
import socket
import struct
import time

HELLO, WELCOME, REFUSE, BYE, CREDIT, WORK, RESULT, ACK, CALL, REPLY = 1, 2, 3, 5, 10, 12, 13, 14, 30, 31
WORKER, CLIENT = 1, 2
COMMAND = {"status": 1, "doctor": 4, "run": 30, "run_show": 32, "cancel": 33, "schedule_add": 50, "schedule_remove": 52}
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


class Closed(Exception):
    """The connection ended, or did not answer in time."""


# ---- msgpack: what the protocol uses ----

def pack(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return struct.pack(">bq", -45, value) if value < 0 else b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, dict):
        return b"\xdf" + struct.pack(">I", len(value)) + b"".join(pack(k) + pack(v) for k, v in value.items())
    return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))


NUMBERS = {0xca: ">f", 0xcb: ">d", 0xcc: ">B", 0xcd: ">H", 0xce: ">I", 0xcf: ">Q",
           0xd0: ">b", 0xd1: ">h", 0xd2: ">i", 0xd3: ">q"}
SIZED = {0xc4: ("bin", 1), 0xc5: ("bin", 2), 0xc6: ("bin", 4), 0xd9: ("str", 1), 0xda: ("str", 2),
         0xdb: ("str", 4), 0xdc: ("list", 2), 0xdd: ("list", 4), 0xde: ("map", 2), 0xdf: ("map", 4)}


def head(data, at):
    """What the object at `at` is: ("value", it) or a kind with its size; and where it goes on."""
    byte = data[at]
    at += 1
    if byte < 0x80 or byte >= 0xe0:
        return "value", byte if byte < 0x80 else byte - 256, at
    if byte < 0xc0:
        return ("str", byte & 31, at) if byte >= 0xa0 else ("map" if byte < 0x90 else "list", byte & 15, at)
    if byte in (0xc0, 0xc2, 0xc3):
        return "value", {0xc0: None, 0xc2: False, 0xc3: True}[byte], at
    if byte in NUMBERS:
        form = NUMBERS[byte]
        return "value", struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    kind, size = SIZED[byte]
    return kind, int.from_bytes(data[at:at + size], "big"), at + size


def unpack_at(data, at):
    kind, size, at = head(data, at)
    if kind == "value":
        return size, at
    if kind in ("bin", "str"):
        piece = data[at:at + size]
        return (piece if kind == "bin" else piece.decode()), at + size
    items = []
    for _ in range(size * (2 if kind == "map" else 1)):
        item, at = unpack_at(data, at)
        items.append(item)
    return (items if kind == "list" else dict(zip(items[::2], items[1::2]))), at


def unpack(data):
    return unpack_at(data, 0)[0]


# ---- ZMTP ----

def frame(data, more=False, command=False):
    flags = (1 if more else 0) | (4 if command else 0)
    if len(data) < 256:
        return bytes([flags, len(data)]) + data
    return bytes([flags | 2]) + struct.pack(">Q", len(data)) + data


def ready(kind=b"DEALER"):
    return frame(b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind, command=True)


class Dealer:
    """A DEALER socket over one TCP connection that is not made again."""

    def __init__(self, port, timeout_s=5.0):
        self.data = b""
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.sendall(GREETING)
            self.take(64)
            self.socket.sendall(ready())
            self.one_frame()
        except OSError as error:
            raise Closed(str(error)) from error

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def take(self, n):
        while len(self.data) < n:
            try:
                piece = self.socket.recv(65536)
            except OSError as error:
                raise Closed(str(error)) from error
            if not piece:
                raise Closed("the broker closed the connection")
            self.data += piece
        piece, self.data = self.data[:n], self.data[n:]
        return piece

    def one_frame(self):
        flags = self.take(1)[0]
        size = struct.unpack(">Q", self.take(8))[0] if flags & 2 else self.take(1)[0]
        return flags, self.take(size)

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def send(self, *envelope, body=None):
        data = pack(list(envelope))
        self.send_raw(frame(data) if body is None else frame(data, more=True) + frame(body))

    def receive(self, timeout_s):
        """(envelope, body) of the next message."""
        self.socket.settimeout(timeout_s)
        parts, flags = [], 1
        while flags & 1:
            flags, data = self.one_frame()
            if flags & 4:
                if data.startswith(b"\x04PING"):
                    self.send_raw(frame(b"\x04PONG" + data[7:], command=True))
                flags = 1
                continue
            parts.append(data)
        return unpack(parts[0]), parts[1] if len(parts) > 1 else b""

    def wait_for(self, kind, timeout_s):
        until = time.monotonic() + timeout_s
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise Closed("no answer in time")
            envelope, body = self.receive(left)
            if envelope[0] == REFUSE:
                raise Closed("refused: " + envelope[3])
            if envelope[0] == kind:
                return envelope, body


class Client(Dealer):
    """A session of a client; calls one command at a time."""

    def __init__(self, port, name="chaos", timeout_s=5.0):
        super().__init__(port, timeout_s)
        self.number = 0
        self.send(HELLO, 1, CLIENT, name, "0")
        self.wait_for(WELCOME, timeout_s)

    def call(self, command, timeout_s=10.0, **args):
        """(status, answer or sentence)."""
        self.number += 1
        self.send(CALL, 1, self.number, COMMAND[command], pack(args))
        while True:
            envelope, body = self.wait_for(REPLY, timeout_s)
            if envelope[2] == self.number:
                status, *text = envelope[3:]
                return status, unpack(body) if status == 0 and body else "".join(text[:1])

    def close(self):
        try:
            self.send(BYE, 1, "")
        except Closed:
            pass
        super().close()
