/* The log-linear histogram: bins, merging in any order, quantiles, hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/rng.h"
#include "worker/kit/histogram.h"

#include <math.h>
#include <string.h>

static void every_value_lies_in_its_bin(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 1);
    for (int i = 0; i < 200000; i++) {
        double v = (mr_rng_unit(&rng) - 0.5) * exp(20 * mr_rng_unit(&rng) - 6);
        unsigned bin = mr_histogram_bin(v);
        assert_true(bin < MR_HISTOGRAM_BINS);
        if (fabs(v) >= 1048576) continue;
        assert_true(mr_histogram_low(bin) <= v && v <= mr_histogram_high(bin));
    }
}

static void bins_ascend_without_gaps(void **state) {
    (void)state;
    for (unsigned i = 0; i + 1 < MR_HISTOGRAM_BINS; i++) {
        assert_true(mr_histogram_low(i) < mr_histogram_high(i));
        assert_true(mr_histogram_high(i) == mr_histogram_low(i + 1));
    }
    assert_int_equal(mr_histogram_bin(0), MR_HISTOGRAM_SIDE);
    assert_int_equal(mr_histogram_bin(-1e300), 0);
    assert_int_equal(mr_histogram_bin(1e300), MR_HISTOGRAM_BINS - 1);
    assert_true(mr_histogram_low(mr_histogram_bin(64)) == 64 &&
                mr_histogram_high(mr_histogram_bin(64)) == 65);
}

static mr_histogram whole, part[3], merged;

static void any_grouping_gives_the_same_bytes(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 2);
    for (int i = 0; i < 5000; i++) {
        double v = 40 * mr_rng_normal(&rng);
        mr_histogram_add(&whole, v, 1);
        mr_histogram_add(&part[mr_rng_below(&rng, 3)], v, 1);
    }
    mr_buf a, b, p;
    mr_buf_init(&a, NULL, 1 << 20);
    mr_buf_init(&b, NULL, 1 << 20);
    mr_buf_init(&p, NULL, 1 << 20);
    mr_histogram_pack(&whole, &a);
    mr_histogram_merge(&merged, &part[2]);
    for (int i = 0; i < 2; i++) {
        mr_unpack in;
        mr_buf_clear(&p);
        mr_histogram_pack(&part[i], &p);
        mr_unpack_init(&in, mr_buf_span(&p));
        assert_int_equal(mr_histogram_unpack(&merged, &in, NULL), MR_OK);
        assert_true(mr_unpack_done(&in));
    }
    mr_histogram_pack(&merged, &b);
    assert_true(a.len > 1000 && mr_span_eq(mr_buf_span(&a), mr_buf_span(&b)));
    assert_true(a.len < MR_HISTOGRAM_BYTES_MAX);
    assert_int_equal(mr_histogram_total(&merged), 5000);
    mr_buf_free(&a);
    mr_buf_free(&b);
    mr_buf_free(&p);
}

static void quantiles_are_within_a_bin(void **state) {
    (void)state;
    static mr_histogram h;
    assert_true(isnan(mr_histogram_quantile(&h, 0.5)));
    for (int i = 0; i < 10000; i++) mr_histogram_add(&h, i / 100.0, 1);
    for (double p = 0.05; p < 1; p += 0.05) assert_true(fabs(mr_histogram_quantile(&h, p) - 100 * p) < 0.1);
    assert_true(fabs(mr_histogram_quantile(&h, 0)) < 0.01 && mr_histogram_quantile(&h, 1) >= 99.99);
}

static mr_status unpack_of(const uint64_t *v, uint32_t n, uint32_t stated) {
    static mr_histogram h;
    memset(&h, 0, sizeof h);
    mr_buf b;
    mr_error err;
    mr_unpack in;
    mr_buf_init(&b, NULL, 4096);
    mr_pack_array(&b, stated);
    for (uint32_t i = 0; i < n; i++) mr_pack_u64(&b, v[i]);
    mr_unpack_init(&in, mr_buf_span(&b));
    mr_status status = mr_histogram_unpack(&h, &in, &err);
    mr_buf_free(&b);
    return status;
}

static void broken_bytes_are_refused(void **state) {
    (void)state;
    assert_int_equal(unpack_of((uint64_t[]){4, 1, 7, 2}, 4, 4), MR_OK);
    assert_int_not_equal(unpack_of((uint64_t[]){4, 1, 7}, 3, 3), MR_OK);
    assert_int_not_equal(unpack_of((uint64_t[]){4, 1, 4, 1}, 4, 4), MR_OK);
    assert_int_not_equal(unpack_of((uint64_t[]){4, 0}, 2, 2), MR_OK);
    assert_int_not_equal(unpack_of((uint64_t[]){MR_HISTOGRAM_BINS, 1}, 2, 2), MR_OK);
    assert_int_not_equal(unpack_of((uint64_t[]){4, UINT64_MAX}, 2, 2), MR_OK);
    assert_int_not_equal(unpack_of((uint64_t[]){4, 1}, 2, 4), MR_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_lies_in_its_bin),       cmocka_unit_test(bins_ascend_without_gaps),
        cmocka_unit_test(any_grouping_gives_the_same_bytes), cmocka_unit_test(quantiles_are_within_a_bin),
        cmocka_unit_test(broken_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
