"""Two brokers share the work, and one of them fails."""
import signal
import time

import proxy
from cluster import GRACE_S, LEASE_S, WORKERS, free_port, poll
from scene import fault

OWNERS = ("select string_agg(owner || ' ' || n, ', ' order by owner) from (select owner, count(*) n"
          " from millrace.partition_lease where expires_at > now() group by 1) a")


class Pair:
    """A second broker beside the cluster's own, and workers that are told of both. Undone at the end of `with`."""

    def __init__(self, s):
        self.s, self.c = s, s.cluster
        self.pg = proxy.PgProxy(self.c.pg.target)
        self.port = free_port()
        self.links = [proxy.WorkerProxy(self.port, self.c.seed + 100 + i) for i in range(WORKERS)]

    def __enter__(self):
        c = self.c
        self.second = self.start_second()
        c.other_ports, c.other_links = [self.port], self.links
        self.restart_workers()
        self.shared(("chaos", "chaos-second"))
        time.sleep(2)
        return self

    def start_second(self):
        c = self.c
        broker = c.make_broker("chaos-second", self.port, c.url().replace(str(c.pg.port), str(self.pg.port)))
        poll(10, "the second broker serves", lambda: c.answers(self.port))
        return broker

    def restart_workers(self):
        for i in list(self.c.workers):
            self.c.workers[i].term(GRACE_S + 2)
            self.c.start_worker(i)

    def owned_by(self, owners):
        rows = self.c.sql("select owner, count(*) from millrace.partition_lease where expires_at > now() group by 1")
        return {owner for owner, _ in rows} == set(owners) and sum(int(n) for _, n in rows) == 16

    def shared(self, owners, seconds=2 * LEASE_S + 5):
        """Seconds until the partitions are theirs alone."""
        start = time.time()
        poll(seconds, f"all partitions belong to {' and '.join(owners)}", lambda: self.owned_by(owners))
        return time.time() - start

    def __exit__(self, kind, *_):
        c, s = self.c, self.s
        for p in (self.pg, *self.links):
            p.heal()
        c.other_ports, c.other_links = [], []
        self.second.signal(signal.SIGCONT)
        status = self.second.term(GRACE_S + 2)
        if kind is None:
            s.check(status == 0, f"the second broker's exit status is {status}")
        self.second.end()
        self.restart_workers()
        for p in (self.pg, *self.links):
            p.close()


def shared_by_two(*names, **more):
    """A fault of a pair; programs that know of one broker only have none."""
    def add(fn):
        def of_pair(s):
            if s.cluster.millrace("brokers", "--help").returncode:
                return s.skip("these programs know of one broker only")
            return fn(s)
        return fault(*names, **more)(of_pair)
    return add


def takes_over(s, pair, at, owner):
    """After the moment at which the other failed: its share is taken, and runs of it go on."""
    took = pair.shared((owner,))
    s.notes.append(f"its share was taken over after {time.time() - at:.1f} s")
    s.check(took <= LEASE_S + 3, f"the share was taken over only {took:.1f} s later")


def late_groups(s, pg, before):
    s.check(pg.commits == before, f"{pg.commits - before} groups were committed by a broker without its lease")


@shared_by_two("F5p", "one of two brokers is killed and stays away, then comes back", 15)
def one_of_two_killed(s):
    with Pair(s) as pair:
        c, at = s.cluster, time.time()
        c.broker.kill()
        takes_over(s, pair, at, "chaos-second")
        s.check(pair.second.alive(), "the other broker ended too")
        time.sleep(s.seconds(3, 30))
        c.start_broker()
        s.notes.append(f"shared again after {pair.shared(('chaos', 'chaos-second')):.1f} s")
        time.sleep(2)
        s.check(pair.owned_by(("chaos", "chaos-second")), f"the shares moved: {s.cluster.one(OWNERS)}")
    return time.time()


@shared_by_two("F33p", "one of two brokers is paused beyond its lease, and goes on", 15)
def one_of_two_paused(s):
    with Pair(s) as pair:
        c, at = s.cluster, time.time()
        c.pg.stall(down=False)  # what it has sent is delivered when another owns the lease
        time.sleep(0.3)
        c.broker.signal(signal.SIGSTOP)
        takes_over(s, pair, at, "chaos-second")
        before = c.pg.commits
        c.pg.heal()
        time.sleep(2)
        late_groups(s, c.pg, before)
        c.broker.signal(signal.SIGCONT)
        s.notes.append(f"shared again after {pair.shared(('chaos', 'chaos-second')):.1f} s")
        s.none_ended()
    return time.time()


@shared_by_two("F16p", "one of two brokers is cut off from the database while both live", 15)
def one_of_two_without_database(s):
    with Pair(s) as pair:
        c, at = s.cluster, time.time()
        c.pg.stall()
        c.pg.refusing = True
        takes_over(s, pair, at, "chaos-second")
        time.sleep(s.seconds(1, 20))
        before, rejected = c.pg.commits, c.pg.rejected
        c.pg.stall(down=True, up=False)
        c.pg.flowing[True].set()  # what it has sent meanwhile arrives, and it hears nothing of it
        time.sleep(1)
        late_groups(s, c.pg, before)
        s.notes.append(f"{c.pg.rejected - rejected} late groups rejected")
        c.pg.heal()
        c.pg.cut()
        s.notes.append(f"shared again after {pair.shared(('chaos', 'chaos-second')):.1f} s")
        s.none_ended()
    return time.time()


@shared_by_two("F17p", "workers are cut off from one of two brokers: one way, then both", 15)
def one_of_two_without_workers(s):
    with Pair(s):
        for up, down in ((True, False), (False, True), (True, True)):
            for link in s.cluster.links:
                link.stall(up=up, down=down)
            time.sleep(s.seconds(5, 20))
            for link in s.cluster.links:
                link.heal()
        s.none_ended()
    return time.time()


@shared_by_two("F31p", "one of two brokers gets SIGTERM: its share goes over at once", 15)
def one_of_two_terminated(s):
    with Pair(s) as pair:
        c, at = s.cluster, time.time()
        status = c.broker.term(GRACE_S + 2)
        s.check(status == 0, f"the broker's exit status is {status}")
        ended = time.time()
        pair.shared(("chaos-second",))
        s.notes.append(f"ended after {ended - at:.1f} s, its share taken {time.time() - ended:.1f} s later")
        s.check(time.time() - ended < 3, "its share was not taken at once")
        c.start_broker()
        pair.shared(("chaos", "chaos-second"))
    return time.time()
