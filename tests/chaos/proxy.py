"""Proxies that stand between the processes: a plain one that delays, stalls and cuts; one that follows the
protocol of PostgreSQL and strikes around COMMIT; one that makes a Redis lie; one that repeats a worker's results."""
import collections
import random
import select
import socket
import struct
import threading
import time

import wire

PIECE = 65536


def connect(target):
    """`target`: a port of this machine, or the path of a unix socket."""
    if isinstance(target, int):
        return socket.create_connection(("127.0.0.1", target), 5)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(target)
    return s


class Pipe:
    """One connection: two threads, each with the bytes of one direction."""

    def __init__(self, proxy, near):
        self.proxy, self.near = proxy, near
        self.far = connect(proxy.target)
        self.open = True
        self.state = {}
        for s in (self.near, self.far):
            s.settimeout(None)
            if s.family == socket.AF_INET:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for upward in (True, False):
            threading.Thread(target=self.pump, args=(upward,), daemon=True).start()

    def close(self):
        self.open = False
        for s in (self.near, self.far):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def pump(self, upward):
        source, sink = (self.near, self.far) if upward else (self.far, self.near)
        late = collections.deque()  # (when, bytes)
        try:
            while self.open:
                wait = max(0.0, late[0][0] - time.monotonic()) if late else 0.5
                readable = len(late) < 1000 and select.select([source], [], [], wait)[0]
                if readable:
                    data = source.recv(PIECE)
                    if not data:
                        break
                    late.append((self.proxy.when(late, upward), data))
                elif late and len(late) >= 1000:
                    time.sleep(wait)
                while late and late[0][0] <= time.monotonic() and self.open:
                    self.proxy.hold(upward)
                    data = self.proxy.pass_on(self, upward, late.popleft()[1])
                    if data:
                        sink.sendall(data)
        except (OSError, ValueError):
            pass
        self.close()


class Proxy:
    """Passes everything on. Network faults: `delay_s`; `loss`: a lost piece comes again after the time of a
    retransmission, and all that follows waits for it, as in TCP; stall(): a direction stands still (upward: from who
    connects to the target)."""

    def __init__(self, target, seed=0):
        self.target = target
        self.delay_s = self.loss = 0.0
        self.rng = random.Random(seed)
        self.flowing = {True: threading.Event(), False: threading.Event()}
        for event in self.flowing.values():
            event.set()
        self.refusing = False
        self.pipes = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.pipes = [p for p in self.pipes if p.open]
            try:
                if self.refusing:
                    raise OSError("refused")
                self.pipes.append(Pipe(self, near))
            except OSError:
                near.close()

    def when(self, late, _upward):
        now = time.monotonic()
        at = now + self.delay_s
        if self.loss and self.rng.random() < self.loss:
            at += 0.2 + self.delay_s  # the least retransmission timeout of Linux
        return max(at, late[-1][0]) if late else at

    def hold(self, upward):
        self.flowing[upward].wait()

    def pass_on(self, _pipe, _upward, data):
        return data

    def stall(self, up=True, down=True):
        for upward, wanted in ((True, up), (False, down)):
            if wanted:
                self.flowing[upward].clear()

    def heal(self):
        self.delay_s = self.loss = 0.0
        self.refusing = False
        for event in self.flowing.values():
            event.set()

    def cut(self):
        for pipe in self.pipes:
            pipe.close()

    def close(self):
        self.listener.close()
        self.heal()
        self.cut()


class PgProxy(Proxy):
    """Follows the messages of PostgreSQL's protocol 3.0 and can strike around a commit: "before" cuts and calls
    the strike instead of passing on what would commit; "after" lets the server commit and keeps its answer back.
    What: the group commit of results, a failed attempt, the end of a run, or a new run. Counts the groups that were committed and rejected."""

    WRITES = {b"ledger_results": "results", b"ledger_failure": "failure", b"ledger_run_end": "end",
              b"plan_run": "plan"}  # by the name of a statement

    def __init__(self, target, seed=0):
        super().__init__(target, seed)
        self.armed = None
        self.struck = threading.Event()
        self.commits = self.rejected = 0
        self.guard = threading.Lock()

    def arm(self, when, what, strike=lambda: None):
        self.struck.clear()
        self.armed = (when, what, strike)

    def take_strike(self, when, what):
        with self.guard:
            if self.armed and self.armed[:2] == (when, what):
                strike = self.armed[2]
                self.armed = None
                return strike
        return None

    def strike(self, pipe, fn):
        pipe.close()
        fn()
        self.struck.set()

    def messages(self, pipe, upward, data):
        """(type, bytes) of each whole message; a client's first has no type. The rest waits for more."""
        data = pipe.state.get(upward, b"") + data
        at, out = 0, []
        while True:
            started = not upward or pipe.state.get("started")
            lead = 1 if started else 0
            if len(data) - at < lead + 4:
                break
            size = struct.unpack_from(">I", data, at + lead)[0] + lead
            if len(data) - at < size:
                break
            out.append((data[at:at + 1] if lead else b"", data[at:at + size]))
            pipe.state["started"] = True
            at += size
        pipe.state[upward] = data[at:]
        return out

    def pass_on(self, pipe, upward, data):
        out = b""
        for kind, message in self.messages(pipe, upward, data):
            fn = self.upward(pipe, kind, message) if upward else self.downward(pipe, kind, message)
            if fn:
                self.strike(pipe, fn)
                return b""
            out += message
        return out

    def upward(self, pipe, kind, message):
        state = pipe.state
        if kind == b"B":
            state["what"] = self.WRITES.get(message[5:80].split(b"\0")[1], state.get("what"))
        commits = kind == b"Q" and message[5:11].upper() == b"COMMIT"
        if state.get("what") and (commits or (kind == b"S" and state["what"] == "results")):
            state["committing"], state["what"], state["failed"] = state["what"], None, False
            return self.take_strike("before", state["committing"])
        return None

    def downward(self, pipe, kind, _message):
        state = pipe.state
        if kind == b"E":
            state["failed"] = True
        if kind != b"Z" or not state.get("committing"):
            return None
        what, state["committing"] = state["committing"], None
        if what == "results":
            self.commits += not state["failed"]
            self.rejected += state["failed"]
        return self.take_strike("after", what)


class RedisProxy(Proxy):
    """`lie`: None, "bytes" (one byte of a value is another one) or "memory" (every SET is out of memory)."""

    def __init__(self, target, seed=0):
        super().__init__(target, seed)
        self.lie = None
        self.lies = 0

    def pass_on(self, _pipe, upward, data):
        if upward or not self.lie:
            return data
        self.lies += 1
        if self.lie == "memory":
            return data.replace(b"+OK\r\n", b"-OOM command not allowed when used memory > 'maxmemory'.\r\n")
        if data[:1] == b"$" and len(data) > 200:
            at = len(data) // 2
            data = data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1:]
        return data

    def heal(self):
        super().heal()
        self.lie = None


class WorkerProxy(Proxy):
    """`repeat`: the share of a worker's result messages that are sent twice."""

    def __init__(self, target, seed=0):
        super().__init__(target, seed)
        self.repeat = 0.0
        self.repeated = 0

    def heal(self):
        super().heal()
        self.repeat = 0.0

    def pass_on(self, pipe, upward, data):
        return self.follow(pipe.state, data) if upward else data

    def follow(self, state, data):
        """Follows the frames, from the greeting on, so that a whole message can be repeated."""
        state.setdefault("left", 64)
        state["data"] = state.get("data", b"") + data
        out = b""
        while state["data"]:
            if state["left"]:  # of the greeting
                piece, state["data"] = state["data"][:state["left"]], state["data"][state["left"]:]
                state["left"] -= len(piece)
                out += piece
                continue
            size = self.frame_size(state["data"])
            if size is None or len(state["data"]) < size:
                break
            one, state["data"] = state["data"][:size], state["data"][size:]
            out += self.message(state, one)
        return out

    @staticmethod
    def frame_size(data):
        long = data[0] & 2
        if len(data) < (9 if long else 2):
            return None
        return 9 + struct.unpack_from(">Q", data, 1)[0] if long else 2 + data[1]

    def message(self, state, one):
        if one[0] & 4:
            return one
        state["parts"] = state.get("parts", b"") + one
        if one[0] & 1:
            return b""
        whole, state["parts"] = state["parts"], b""
        start = 9 if whole[0] & 2 else 2
        kind = wire.unpack_at(whole, start + 1)[0] if whole[start] & 0xf0 == 0x90 else 0
        if kind == wire.RESULT and self.rng.random() < self.repeat:
            self.repeated += 1
            return whole + whole
        return whole
