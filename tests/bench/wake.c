/* wake: what it costs to wake a process on the other processor: two processes, each on a processor of its own, hand a byte
 * to and fro through pipes. Half a round trip, in microseconds; with one processor, that of a switch.
 * usage: wake ROUNDS */
#include "tests/bench/limit.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static void stay_on(size_t processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) die("cannot stay on processor %zu", processor);
}

static void pass(int in, int out, long rounds, char begin) {
    char byte = 'b';
    for (long i = 0; i < rounds; i++) {
        if (begin && write(out, &byte, 1) != 1) die("a pipe broke");
        if (read(in, &byte, 1) != 1) die("a pipe broke");
        if (!begin && write(out, &byte, 1) != 1) die("a pipe broke");
    }
}

int main(int argc, char **argv) {
    long rounds = number_of(argc == 2 ? argv[1] : NULL, 1), processors = sysconf(_SC_NPROCESSORS_ONLN);
    int to[2], fro[2];
    if (pipe(to) || pipe(fro)) die("no pipe");
    if (!fork()) {
        stay_on(processors > 1);
        pass(to[0], fro[1], rounds, 0);
        _exit(0);
    }
    stay_on(0);
    double start = seconds();
    pass(fro[0], to[1], rounds, 1);
    printf("{\"us\": %.2f}\n", (seconds() - start) * 1e6 / (double)rounds / 2);
    wait(NULL);
}
