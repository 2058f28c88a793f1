"""PostgreSQL stops, loses connections, fails over, is held up, is full."""
import os
import socket
import struct
import subprocess
import time

from check import commits
from cluster import PG_BIN, poll
from scene import fault

OWN_CONNECTIONS = "pid <> pg_backend_pid() and datname = 'millrace' and backend_type = 'client backend'"


@fault("F6", "PostgreSQL is stopped under load", short=True)
def database_stopped(s):
    c = s.cluster
    c.stop_postgres()
    time.sleep(s.seconds(4, 30))
    s.none_ended()
    c.start_services()
    return time.time()


@fault("F7", "two backends are terminated every second", keeps=0.5)
def backends_terminated(s):
    c, n = s.cluster, 0
    until = time.time() + s.seconds(6, 60)
    while time.time() < until:
        n += len(c.sql("select pg_terminate_backend(pid) from (select pid from pg_stat_activity"
                       f" where {OWN_CONNECTIONS} order by random() limit 2) a", tries=3))
        time.sleep(1)
    s.none_ended()
    s.notes.append(f"{n} terminated")
    return time.time()


def stranger(path):
    """A connection that does nothing, as far as the server lets it."""
    conn = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    conn.settimeout(5)
    conn.connect(path)
    words = b"user\0millrace\0database\0postgres\0application_name\0stranger\0\0"
    conn.sendall(struct.pack(">II", len(words) + 8, 196608) + words)
    kind = conn.recv(1)
    if kind != b"R":
        conn.close()
        raise OSError("no slot is left")
    return conn


def take_all(path, held):
    try:
        while True:
            held.append(stranger(path))
    except OSError:
        pass


@fault("F8", "strangers take all other connections, and then ours are terminated")
def connections_exhausted(s):
    c, held = s.cluster, []
    for _ in range(0 if s.paced else s.seconds(6, 16)):  # the producer, too, will see nothing of the database
        s.producer.submit("steady")
    take_all(c.pg.target, held)
    s.notes.append(f"{len(held)} strangers")
    start = time.time()
    time.sleep(s.seconds(4, 20))
    end = time.time()
    take_all(c.pg.target, held)  # what somebody has given back meanwhile
    doctor = c.millrace("doctor")
    said = [" ".join(line.split()) for line in doctor.stdout.splitlines()
            if "too many clients" in line or "connections are in use" in line]
    s.check(said, "doctor does not say why it is slow")
    s.notes += said[:1]
    c.pg.cut()  # ours are gone, and strangers are faster
    take_all(c.pg.target, held)
    time.sleep(s.seconds(3, 10))
    s.none_ended()
    for conn in held:
        conn.close()
    healed = time.time()
    poll(10, "a connection is free", lambda: commits(c, start))
    s.check(s.share_kept(start, end) >= 0.9, "work slowed down while our connections still stood")
    return healed


@fault("F9", "the primary dies and its synchronous standby is promoted", 15)
def standby_promoted(s):
    c = s.cluster
    if c.standby:
        return s.skip("already on the standby")
    folder, data = c.home / "standby-sock", c.home / "standby"
    for path in (folder, data):
        path.mkdir(mode=0o700)
        subprocess.run(["chown", "postgres:postgres", path], check=os.geteuid() == 0)
    primary = c.pg.target.rsplit("/", 1)[0]
    user = c.as_postgres()
    subprocess.run([*user, PG_BIN / "pg_basebackup", "-h", primary, "-U", "millrace", "-D", data, "-R", "-c", "fast",
                    "-X", "stream"], check=True, cwd="/", capture_output=True, env=c.env)
    conf = data / "postgresql.auto.conf"
    conf.write_text(conf.read_text().replace("user=millrace", "user=millrace application_name=chaos_standby"))
    c.standby_argv = [*user, PG_BIN / "postgres", "-D", data, "-c", "listen_addresses=", "-c",
                      f"unix_socket_directories={folder}", "-c", "port=5432"]
    c.start_standby()
    standby, c.standby = c.standby, None  # not ours to stop yet
    c.sql("alter system set synchronous_standby_names = 'chaos_standby'")
    c.sql("select pg_reload_conf()")
    poll(30, "the standby is synchronous",
         lambda: c.sql("select 1 from pg_stat_replication where sync_state = 'sync'"))
    time.sleep(s.seconds(2, 5))
    c.pg.refusing = True
    c.stop_postgres()
    c.standby = standby
    c.pg.cut()
    c.pg.target = f"{folder}/.s.PGSQL.5432"
    subprocess.run([*user, PG_BIN / "pg_ctl", "promote", "-D", data], check=True, cwd="/", capture_output=True,
                   env=c.env)
    c.pg.refusing = False
    at = time.time()
    s.none_ended()
    poll(20, "the standby takes writes", lambda: c.one("select pg_is_in_recovery()") == "f")
    c.sql("alter system reset synchronous_standby_names")
    c.sql("select pg_reload_conf()")
    return at


def cut_commits(s, what):
    c = s.cluster
    for n in range(s.seconds(2, 12)):
        c.pg.arm("after" if n % 2 else "before", what)
        s.check(c.pg.struck.wait(15), f"nothing of {what} was committed within 15 s")
        time.sleep(s.rng.uniform(0.3, 1.0))
    s.notes.append(f"{s.seconds(2, 12)} cuts")
    s.none_ended()
    return time.time()


@fault("F10", "the connection dies inside the COMMIT of results, before and after it took effect", short=True)
def commit_cut(s):
    return cut_commits(s, "results")


@fault("F10p", "the connection dies inside the COMMIT of a new run", 12, short=True)
def plan_cut(s):
    return cut_commits(s, "plan")


@fault("F10e", "the connection dies inside the COMMIT of a run's end", 12)
def end_cut(s):
    return cut_commits(s, "end")


def psql_session(s, text):
    p = subprocess.Popen(s.cluster.psql_argv(), env=s.cluster.env, stdin=subprocess.PIPE, text=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    p.stdin.write(text)
    p.stdin.flush()
    return p


def with_sessions(s, text, n):
    sessions = [psql_session(s, text) for _ in range(n)]
    # meanwhile the runs need a new partition of the results
    s.cluster.one("select setval(pg_get_serial_sequence('millrace.run', 'id'), (max(id) / 256 + 1) * 256 - 3) from millrace.run")
    start = time.time()
    time.sleep(s.seconds(6, 240))
    share = s.share_kept(start)
    s.check(share >= 0.9, f"only {share:.0%} of the clean rate")
    for p in sessions:
        p.kill()
        p.wait()
    return time.time()


@fault("F11", "a stranger stays idle in a transaction")
def idle_in_transaction(s):
    return with_sessions(s, "begin; select count(*) from millrace.result;\n", 1)


@fault("F12", "four long REPEATABLE READ readers")
def long_readers(s):
    text = "begin isolation level repeatable read; select count(*) from millrace.result;\n"
    return with_sessions(s, text, 4)


@fault("F25", "the database's disk is full", 15)
def disk_full(s):
    c = s.cluster
    if not c.mounted:
        return s.skip("only root can mount a small disk")
    filler = c.home / "filler"
    with open(filler, "wb") as out:
        try:
            while True:
                out.write(bytes(1 << 20))
                out.flush()
        except OSError:
            pass
    time.sleep(s.seconds(6, 30))
    s.none_ended()
    filler.unlink()
    c.start_services()  # a server that could not write its log has ended
    return time.time()
