/* What is generated and committed is what proto/gen.py makes from its inputs now. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static int run(const char *command) {
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool python_is_there(void) {
    return run("python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null") == 0;
}

static void generated_files_are_fresh(void **state) {
    (void)state;
    if (!python_is_there()) skip();
    assert_int_equal(run("python3 '" MR_SOURCE_DIR "/proto/gen.py' --check"), 0);
}

/* In a copy: the generator finds a file that was changed and one that is gone, and mends both. */
static void stale_files_are_found_and_named(void **state) {
    (void)state;
    if (!python_is_there()) skip();
    char dir[] = "/tmp/millrace-fresh-XXXXXX", command[1024];
    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof command,
             "cd %s && cp -r '%s/proto' . && check='python3 proto/gen.py --check' && python3 proto/gen.py && "
             "$check && "
             "echo >> proto/gen/wire.c && rm docs/protocol.md && ! $check > out && grep -q "
             "'^proto/gen/wire.c: ' out && "
             "grep -q '^docs/protocol.md: ' out && test $(wc -l < out) = 2 && python3 proto/gen.py && $check",
             dir, MR_SOURCE_DIR);
    int result = run(command);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(run(command), 0);
    assert_int_equal(result, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generated_files_are_fresh),
        cmocka_unit_test(stale_files_are_found_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
