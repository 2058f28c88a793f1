#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void new_memory_is_zero_and_sizes_that_overflow_are_refused(void **state) {
    (void)state;
    unsigned char *p = mr_new(NULL, 100, 1);
    for (int i = 0; i < 100; i++) assert_int_equal(p[i], 0);
    memset(p, 1, 100);
    p = mr_grow(NULL, p, 100, 200, 1);
    for (int i = 0; i < 200; i++) assert_int_equal(p[i], i < 100);
    mr_free(NULL, p, 200, 1);
    assert_null(mr_new(NULL, SIZE_MAX / 2, 4));
    assert_null(mr_new(NULL, 0, 4));
}

static void an_arena_is_aligned_zeroed_and_under_its_ceiling(void **state) {
    (void)state;
    mr_mem_failing mem;
    mr_mem_failing_init(&mem, 0);
    mr_arena *a = mr_arena_new(&mem.mem, 1 << 20);
    for (size_t n = 1; n < 20000; n = n * 3 + 1) {
        char *p = mr_arena_alloc(a, n, 1);
        assert_int_equal((uintptr_t)p % (n >= 4096 ? 64 : 16), 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(p[i], 0);
        memset(p, 7, n);
    }
    assert_null(mr_arena_alloc(a, 1 << 20, 1));
    assert_null(mr_arena_alloc(a, SIZE_MAX, 2));
    assert_null(mr_arena_copy(a, "x", SIZE_MAX));
    assert_string_equal(mr_arena_copy(a, "text!", 4), "text");
    size_t used = mr_arena_used(a);
    assert_true(mr_arena_peak(a) == used && used > 0);
    mr_arena_reset(a);
    assert_int_equal(mr_arena_used(a), 0);
    assert_non_null(mr_arena_alloc(a, 1 << 20, 1));
    mr_arena_free(&a);
    assert_null(a);
    mr_arena_free(&a);
    assert_int_equal(mem.live, 0);
}

static void every_failed_allocation_leaves_an_arena_usable(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 8; n++) {
        mr_mem_failing mem;
        mr_mem_failing_init(&mem, n);
        mr_arena *a = mr_arena_new(&mem.mem, SIZE_MAX);
        for (int i = 0; a && i < 6; i++) {
            size_t used = mr_arena_used(a);
            if (!mr_arena_alloc(a, 70000, 1)) assert_int_equal(mr_arena_used(a), used);
        }
        mr_arena_free(&a);
        assert_int_equal(mem.live, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zero_and_sizes_that_overflow_are_refused),
        cmocka_unit_test(an_arena_is_aligned_zeroed_and_under_its_ceiling),
        cmocka_unit_test(every_failed_allocation_leaves_an_arena_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
