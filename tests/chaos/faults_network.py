"""Redis fails and lies; the network between workers and broker delays, loses and cuts."""
import os
import signal
import subprocess
import time

from scene import fault


# ---- Redis ----

@fault("F14a", "Redis is killed and comes back empty", keeps=0.8)
def redis_killed(s):
    c = s.cluster
    os.kill(c.service_pid("redis"), signal.SIGKILL)
    c.redis.cut()
    time.sleep(s.seconds(4, 15))
    s.none_ended()
    c.start_services()
    return time.time()


@fault("F14b", "Redis gives wrong bytes", short=True, keeps=0.8)
def redis_lies(s):
    s.cluster.redis.lie = "bytes"
    time.sleep(s.seconds(4, 15))
    s.none_ended()
    s.notes.append(f"{s.cluster.redis.lies} answers changed")
    s.cluster.redis.heal()
    return time.time()


@fault("F14c", "Redis is out of memory", keeps=0.8)
def redis_full(s):
    s.cluster.redis.lie = "memory"
    time.sleep(s.seconds(4, 15))
    s.none_ended()
    s.cluster.redis.heal()
    return time.time()


@fault("F14d", "Redis takes five seconds for each answer")
def redis_slow(s):
    s.cluster.redis.delay_s = 5.0
    start = time.time()
    time.sleep(s.seconds(7, 20))
    s.share_kept(start)
    s.none_ended()
    s.cluster.redis.heal()
    return time.time()


@fault("F15", "Redis forgets what was written, again and again", keeps=0.8)
def redis_forgets(s):
    c = s.cluster
    for _ in range(s.seconds(20, 60)):
        subprocess.run(["redis-cli", "-s", c.redis.target, "flushall"], capture_output=True, env=c.env)
        time.sleep(s.rng.uniform(0.05, 0.4))
    return time.time()


# ---- network ----

@fault("F16", "broker and workers are cut off from each other while all live", short=True)
def partition(s):
    c = s.cluster
    for link in c.links:
        link.stall()
        link.refusing = True
    time.sleep(s.seconds(6, 30))
    s.none_ended()
    for link in c.links:
        link.heal()
        if s.rng.random() < 0.5:
            link.cut()  # half of them come back with their connections, half with new ones
    return time.time()


@fault("F17a", "what workers send is lost, what they get is not, and the reverse")
def one_way(s):
    c = s.cluster
    for up in (True, False):
        for link in c.links[:2]:
            link.stall(up=up, down=not up)
        time.sleep(s.seconds(6, 15))
        for link in c.links:
            link.heal()
    s.none_ended()
    return time.time()


@fault("F17b", "500 ms delay each way", 10)
def delay(s):
    for link in s.cluster.links:
        link.delay_s = 0.5
    start = time.time()
    time.sleep(s.seconds(6, 20))
    s.share_kept(start)
    s.none_ended()
    for link in s.cluster.links:
        link.heal()
    return time.time()


@fault("F17c", "10 % of the pieces are lost and come again", 10)
def loss(s):
    for link in s.cluster.links:
        link.loss = 0.1
    start = time.time()
    time.sleep(s.seconds(6, 20))
    s.share_kept(start)
    s.none_ended()
    for link in s.cluster.links:
        link.heal()
    return time.time()


@fault("F17d", "connections between broker and workers are cut at random")
def connections_cut(s):
    until = time.time() + s.seconds(6, 20)
    while time.time() < until:
        s.rng.choice(s.cluster.links).cut()
        time.sleep(s.rng.uniform(0.1, 0.8))
    s.none_ended()
    return time.time()
