"""What a fault is, and what it has to work with. Each fault is a function of the scene; what it injects it also
ends, and it returns the time at which the last of it ended (the moment from which recovery counts). What a fault
shows beyond lost and doubled it checks itself."""
import random
import time

from check import rate

FAULTS = []


class Fault:
    def __init__(self, fn, name, summary, limit_s, short, keeps):
        self.fn, self.name, self.summary = fn, name, summary
        self.limit_s, self.short, self.keeps = limit_s, short, keeps


def fault(name, summary, limit_s=10, short=False, keeps=None):
    """`limit_s`: full speed again within; `short`: belongs to the short set; `keeps`: the share of the clean rate
    that must hold while it lasts."""
    def add(fn):
        FAULTS.append(Fault(fn, name, summary, limit_s, short, keeps))
        return fn
    return add


class Scene:
    """What a fault has to work with. `long` stretches the times to those of the long set."""

    def __init__(self, cluster, producer, rng, long):
        self.cluster, self.producer, self.long = cluster, producer, long
        self.rng = random.Random(rng.random())
        self.first = 0      # the first run of this fault
        self.paced = False  # work keeps coming at a rate: what is done is measured, so no more is to be submitted
        self.base = 0.0     # the clean rate just before
        self.wrong, self.notes, self.poisoned = [], [], {}
        self.skipped = ""   # why the fault was not injected

    def seconds(self, short, long):
        return long if self.long else short

    def skip(self, why):
        """What was not done is no row of the table."""
        self.skipped = why
        return time.time()

    def check(self, holds, sentence):
        if not holds:
            self.wrong.append(sentence)

    def none_ended(self, but=()):
        ended = self.cluster.others_alive(but)
        self.check(not ended, f"ended by itself: {', '.join(ended)}")

    def share_kept(self, start, end=None):
        share = rate(self.cluster, start, end or time.time()) / self.base if self.base else 1.0
        self.notes.append(f"{share:.0%} of the clean rate")
        return share
