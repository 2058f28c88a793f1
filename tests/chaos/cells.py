"""The nine cells: five faults and four pressures, each over a whole window against the clean rate of the same run.

A fault is measured under a load that keeps coming, `LOAD` of what the fleet can do: what is due while the fault lasts
is submitted when it can be, and the window is the fault with the rest of the two minutes. Whoever loses work, stands
still for longer than the fault, or cannot catch up, does not reach its share. A pressure is measured under a load
that never lets the fleet rest, over the time that the pressure lasts."""
import threading
import time

from check import rate
from cluster import Failed

LOAD, FAULT_SHARE, PRESSURE_SHARE = 0.6, 0.95, 0.90
FAULT_CELLS = {"F2": "worker kill storm", "F6": "database stopped", "F7": "backends terminated",
               "F8": "connections exhausted", "F10": "connection lost inside COMMIT"}
PRESSURE_CELLS = {"F11": "idle in transaction", "F12": "four long readers", "F13": "1.5 times the load",
                  "F35": "a million batches waiting"}
CELLS = [*FAULT_CELLS, *PRESSURE_CELLS]


class Pace(threading.Thread):
    """Submits runs of one small kind at a rate; what could not be submitted when it was due comes later. Each due run
    has a key, so that one whose acceptance nobody heard is not submitted twice."""

    def __init__(self, producer, kind, per_s):
        super().__init__(daemon=True)
        self.producer, self.kind, self.per_s = producer, kind, per_s
        self.start_at, self.submitted, self.ended = time.monotonic(), 0, False
        self.name_of = f"{kind}-{time.time_ns()}"

    def due(self):
        return int((time.monotonic() - self.start_at) * self.per_s)

    def run(self):
        while not self.ended:
            if self.submitted >= self.due():
                time.sleep(0.02)
            elif self.producer.submit(self.kind, key=f"{self.name_of}-{self.submitted}"):
                self.submitted += 1
            else:
                time.sleep(0.2)

    def stop(self):
        self.ended = True
        self.join()


class Cell:
    """What the scene's fault is measured by: `full` is the rate of the fleet when it never rests."""

    def __init__(self, chaos, fault):
        self.chaos, self.fault, self.long = chaos, fault, chaos.long
        self.pressure = fault.name in PRESSURE_CELLS
        self.wanted = PRESSURE_SHARE if self.pressure else FAULT_SHARE
        self.window_s, self.clean_s = (120, 20) if self.long else (30, 8)

    def over(self, seconds):
        start = time.time()
        time.sleep(seconds)
        return rate(self.chaos.cluster, start, start + seconds)

    def measure(self, scene, inject):
        """(clean, during, window): batches a second, before, while the fault lasts and over the whole window. A rate
        counts what was committed within the time, so work that is still waiting at its end is missing from it."""
        producer = self.chaos.producer
        producer.running.set()
        time.sleep(2)
        full = self.over(self.clean_s)
        if not full:
            raise Failed("no work flows")
        if self.pressure:
            scene.base, start = full, time.time()
            healed = inject()
            during = rate(self.chaos.cluster, start, healed)
            return full, during, during
        producer.running.clear()
        if not self.chaos.await_ends(scene.first, 60):
            raise Failed("the runs of the full load do not end")
        pace = Pace(producer, "small", LOAD * full / producer.batches("small"))
        pace.start()
        try:
            time.sleep(5)
            scene.base = clean = self.over(self.clean_s)
            start = time.time()
            healed = inject()
            time.sleep(max(0.0, start + self.window_s - time.time()))
            end = max(start + self.window_s, healed)
            return clean, rate(self.chaos.cluster, start, healed), rate(self.chaos.cluster, start, end)
        finally:
            pace.stop()
