"""All of it at once."""
import signal
import threading
import time

from scene import fault


def strikes(s):
    """Small faults that can overlap; each takes a moment and leaves what mend() repairs."""
    c, rng = s.cluster, s.rng

    def link(**values):
        one = rng.choice(c.links)
        for name, value in values.items():
            setattr(one, name, value)

    def worker_dies():
        i = rng.randrange(len(c.workers))
        c.workers[i].kill()
        c.start_worker(i)

    def worker_pauses():
        worker = rng.choice(list(c.workers.values()))
        worker.signal(signal.SIGSTOP)
        threading.Timer(rng.uniform(0.5, 6), worker.signal, [signal.SIGCONT]).start()

    def broker_dies():
        c.broker.kill()
        c.start_broker()

    def database_dies():
        c.stop_postgres()
        c.start_services()

    return [worker_dies, worker_pauses, broker_dies, c.pg.cut, lambda: rng.choice(c.links).cut(), c.redis.cut,
            lambda: link(delay_s=rng.uniform(0, 0.3)), lambda: link(loss=rng.uniform(0, 0.2)),
            lambda: link(repeat=0.3),
            lambda: rng.choice(c.links).stall(up=rng.random() < 0.7), lambda: rng.choice(c.links).heal(),
            lambda: setattr(c.redis, "lie", rng.choice([None, "bytes", "memory"])),
            lambda: c.pg.arm(rng.choice(["before", "after"]), rng.choice(["results", "plan", "end"])),
            lambda: c.pg.arm(rng.choice(["before", "after"]), "results", c.broker.kill), database_dies]


@fault("F37", "all of this at random, several at once", 15)
def storm(s):
    c, n = s.cluster, 0
    until = time.time() + s.seconds(20, 180)
    while time.time() < until:
        s.rng.choice(strikes(s))()
        n += 1
        time.sleep(s.rng.uniform(0.1, 1.5))
        if not c.broker.alive():
            c.start_broker()
    c.pg.armed = None
    s.notes.append(f"{n} strikes")
    s.none_ended(but=("chaos",))
    return time.time()
