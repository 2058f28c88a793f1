#!/usr/bin/env python3
"""Workers that say hello, offer a component, ask for nothing and send heartbeats, until standard input ends.
usage: idle_workers.py PORT COUNT        prints COUNT when the broker has welcomed all of them"""
import pathlib
import select
import struct
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
import wire  # noqa: E402

HEARTBEAT, EVERY_S = 4, 0.875  # as worker/core/link.c without work
OFFER = ["idle", 1, 1, 0, 4, 1, 0, 0, 5000, 64]


def worker(port, i):
    dealer = wire.Dealer(port, timeout_s=30)
    dealer.send(wire.HELLO, 1, wire.WORKER, f"idle-{i}", "bench", 1, [OFFER], body=b"[]")
    dealer.wait_for(wire.WELCOME, 30)
    return dealer


def read_off(dealer):
    """What came is only read for the transport's PING, which wants its answer."""
    dealer.data += dealer.socket.recv(65536)
    while len(dealer.data) >= 2:
        flags = dealer.data[0]
        head = 9 if flags & 2 else 2
        if len(dealer.data) < head:
            return
        size = struct.unpack(">Q", dealer.data[1:9])[0] if flags & 2 else dealer.data[1]
        if len(dealer.data) < head + size:
            return
        body, dealer.data = dealer.data[head:head + size], dealer.data[head + size:]
        if flags & 4 and body.startswith(b"\x04PING"):
            dealer.send_raw(wire.frame(b"\x04PONG" + body[7:], command=True))


def main():
    port, count = map(int, sys.argv[1:3])
    workers = [worker(port, i) for i in range(count)]
    print(count, flush=True)
    beat = wire.frame(wire.pack([HEARTBEAT, 1, 0, 0]))
    poll, by_fd = select.epoll(), {w.socket.fileno(): w for w in workers}
    for fd in [0, *by_fd]:
        poll.register(fd, select.EPOLLIN)
    due = time.monotonic()
    while True:
        if time.monotonic() >= due:
            due += EVERY_S
            for w in workers:
                w.send_raw(beat)
        for fd, _ in poll.poll(max(0.0, due - time.monotonic())):
            if fd == 0:
                return
            read_off(by_fd[fd])


main()
