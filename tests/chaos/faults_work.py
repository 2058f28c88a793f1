"""Too much work, work that does harm, hostile peers, and resources that end."""
import hashlib
import socket
import struct
import threading
import time

import wire
from cells import Pace
from cluster import GRACE_S, MAX_RUNS, ROWS, descriptors, limit_files, poll
from scene import fault

E_MEMORY, E_DEADLINE, E_CRASHED = 8, 15, 17


@fault("F13", "1.5 times what the fleet can do: producers are pushed back, nothing is dropped", 10, keeps=0.9)
def overload(s):
    c, p = s.cluster, s.producer
    before, refused, mib = len(p.accepted), p.refused, c.broker.rss_mb()
    while p.refused == refused and len(p.accepted) - before < 2 * MAX_RUNS:
        p.submit("small")  # until the broker holds as much as it will
    paces = [Pace(p, "small", 0.5 * s.base / p.batches("small")) for _ in range(3)]
    start, grown = time.time(), 0
    for pace in paces:
        pace.start()
    while time.time() < start + s.seconds(8, 300):
        time.sleep(1)
        grown = max(grown, c.broker.rss_mb() - mib)
    at = time.time()
    share = s.share_kept(start, at)
    for pace in paces:
        pace.stop()
    s.notes.append(f"{len(p.accepted) - before} taken, {p.refused - refused} times pushed back, broker grew {grown} MiB")
    s.check(p.refused > refused, "nobody was pushed back")
    s.check(share >= 0.9, f"only {share:.0%} of the clean rate under overload")
    s.check(grown < 200, f"the broker grew by {grown} MiB")
    status = c.broker.term(GRACE_S + 2)
    s.check(status == 0, f"SIGTERM in overload: exit status {status}")
    s.notes.append(f"SIGTERM obeyed in {time.time() - at:.1f} s")
    c.start_broker()
    return at


@fault("F20", "results come twice, and for batches that are unknown or someone else's", short=True, keeps=0.8)
def results_repeated(s):
    c = s.cluster
    for link in c.links:
        link.repeat = 0.5
    until = time.time() + s.seconds(4, 20)
    verdicts = set()
    while time.time() < until:
        verdicts |= hostile_results(s)
        time.sleep(0.3)
    repeated = sum(link.repeated for link in c.links)
    s.notes.append(f"{repeated} messages twice; strangers' verdicts {sorted(verdicts)}")
    s.check(0 not in verdicts, "a stranger's result was taken")
    s.none_ended()
    for link in c.links:
        link.heal()
    return time.time()


def hostile_results(s):
    """A worker that offers nothing of ours sends results for runs that are open, over and unknown."""
    body, verdicts = b"\x80", set()
    digest = hashlib.blake2b(body, digest_size=32).digest()
    runs = [max(s.producer.accepted), min(s.producer.open or {1}), 2**40]
    items = [[s.rng.getrandbits(40), run, 0, level, s.rng.randrange(50), 0, level == 0, 1, 1, len(body), digest, "",
              []] for run in runs for level in (0, 1, 9)]
    offer = ["other", 1, 2, 0, 4, 0, 0, 0, 1000, 1]
    try:
        with wire.Dealer(s.cluster.port) as peer:
            peer.send(wire.HELLO, 1, wire.WORKER, "hostile", "0", 1, [offer], body=b"[]")
            peer.wait_for(wire.WELCOME, 5)
            peer.send(wire.RESULT, 1, items, body=body * len(items))
            until = time.time() + 3
            heard = 0
            while heard < len(items) and time.time() < until:
                envelope, _ = peer.receive(3)
                if envelope[0] == wire.ACK:
                    verdicts |= {item[1] for item in envelope[2]}
                    heard += len(envelope[2])
                elif envelope[0] == wire.REFUSE:
                    break
    except wire.Closed:
        pass
    return verdicts


def poison(s, harm, cause):
    start, runs = time.time(), []
    for _ in range(s.seconds(1, 3)):
        row = s.rng.randrange(1600)
        run = s.producer.submit(f"poison {harm}", batch_size=200, components=[
            {"name": "chaos_poison", "options": {"harm": harm, "row": str(row)}}])
        if run:
            s.poisoned[run] = cause
            runs.append(run)
    s.check(runs, "no poisoned run was accepted")
    ids = ",".join(map(str, runs)) or "0"
    ended = f"select count(*) from millrace.run_end where run_id in ({ids})"
    poll(60, "the poisoned runs end", lambda: int(s.cluster.one(ended)) == len(runs))
    reason = s.cluster.sql(f"select reason from millrace.attempt_failure where dead and run_id in ({ids})")
    s.notes.append(f"reason: {reason[0][0] if reason else 'none'}")
    logs = s.cluster.one(f"select count(*) from millrace.attempt_failure where log like '%poison%' and run_id in ({ids})")
    s.check(int(logs) > 0, "the end of the log is not with the failed attempts")
    s.notes.append(f"over in {time.time() - start:.1f} s")
    s.none_ended()
    return time.time()


@fault("F21", "a batch crashes its component each time", short=True, keeps=0.7)
def component_crashes(s):
    return poison(s, "crash", E_CRASHED)


@fault("F10f", "the connection dies inside the COMMIT of a failed attempt")
def failure_cut(s):
    c = s.cluster
    c.pg.arm("after", "failure")
    at = poison(s, "crash", E_CRASHED)
    s.check(c.pg.struck.is_set(), "no failed attempt was written")
    return at


@fault("F22", "a batch takes more memory than it may", keeps=0.7)
def component_hogs(s):
    return poison(s, "hog", E_MEMORY)


@fault("F23", "a component loops for ever while its worker lives", keeps=0.6)
def component_spins(s):
    return poison(s, "spin", E_DEADLINE)


@fault("F35", "a great many batches of one component do not keep another's waiting; then they are cancelled")
def crowd(s):
    c, p = s.cluster, s.producer
    many = [{"name": "chaos_steady", "options": {"ms": "40"}}] * s.seconds(1, 64)
    start = time.time()
    runs = [p.submit("cancelled", components=many, batch_size=1) for _ in range(s.seconds(8, 10))]
    s.check(all(runs), "a run was not accepted")
    waits = [time_of_run(s, p.submit("real")) for _ in range(s.seconds(1, 20))]
    s.notes.append(f"another's run took at most {max(waits):.1f} s with {len(runs) * len(many) * ROWS} batches waiting")
    s.check(max(waits) < 15, "the other component's run waited too long")
    time.sleep(max(0.0, start + s.seconds(6, 120) - time.time()))
    healed = time.time()
    with wire.Client(c.port) as client:
        for run in filter(None, runs):
            status, answer = client.call("cancel", id=run)
            s.check(status == 0, f"cancel {run}: {answer}")
    return healed


def time_of_run(s, run):
    start = time.time()
    poll(60, "the other component's run ends",
         lambda: s.cluster.one(f"select count(*) from millrace.run_end where run_id = {run or 0}") == "1")
    return time.time() - start


# ---- the surroundings, and hostile peers ----

@fault("F26", "no descriptor is left to broker and a worker")
def descriptors_gone(s):
    c = s.cluster
    victims = [c.broker, c.workers[0]]
    before = [limit_files(p.pid, descriptors(p.pid)) for p in victims]
    c.pg.cut()
    c.workers[1].kill()
    c.start_worker(1)
    time.sleep(s.seconds(4, 15))
    s.none_ended()
    for p, limits in zip(victims, before):
        if p.alive():
            limit_files(p.pid, limits[0])
    return time.time()


def flood(port, data, limit_mb, stop):
    """Sends the piece over and over until the peer closes; returns how many MiB it took."""
    sent = 0
    try:
        with wire.Dealer(port) as peer:
            peer.socket.settimeout(2)
            while sent < limit_mb << 20 and not stop.is_set():
                peer.socket.sendall(data)
                sent += len(data)
    except (OSError, wire.Closed):
        pass
    return sent >> 20


@fault("F28", "garbage, half-open handshakes, oversized frames, endless multipart, floods of tiny frames",
       short=True, keeps=0.5)
def hostile_peers(s):
    c, stop = s.cluster, threading.Event()
    before = c.broker.rss_mb()
    half_open = []
    for n in range(200):
        try:
            conn = socket.create_connection(("127.0.0.1", c.port), 2)
            conn.sendall(wire.GREETING[:n % 64])
            half_open.append(conn)
        except OSError:
            break
    for n in range(100):
        with socket.create_connection(("127.0.0.1", c.port), 2) as conn:
            try:
                conn.sendall(s.rng.randbytes(s.rng.randrange(1, 4000)))
            except OSError:
                pass
    oversized = b"\x02" + struct.pack(">Q", 2**62) + bytes(100000)
    tiny = wire.frame(b"\x93\x01\x01\x02") * 5000
    endless = wire.frame(bytes(60000), more=True) * 4
    took = [flood(c.port, oversized, 64, stop), flood(c.port, tiny, s.seconds(8, 30), stop),
            flood(c.port, endless, s.seconds(300, 600), stop)]
    grown = c.broker.rss_mb() - before
    s.notes.append(f"taken: oversized {took[0]} MiB, tiny {took[1]}, multipart {took[2]}; broker grew {grown} MiB")
    s.check(grown < 200, f"the broker grew by {grown} MiB")
    for conn in half_open:
        conn.close()
    s.none_ended()
    return time.time()
