#include "broker/core/partitions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void shares_add_up_to_all_and_differ_by_one_at_most(void **state) {
    (void)state;
    for (uint32_t brokers = 1; brokers <= 40; brokers++) {
        uint32_t sum = 0, most = 0, least = MR_PARTITIONS;
        for (uint32_t rank = 0; rank < brokers; rank++) {
            uint32_t share = mr_partitions_share(brokers, rank);
            sum += share;
            most = share > most ? share : most;
            least = share < least ? share : least;
        }
        assert_int_equal(sum, MR_PARTITIONS);
        assert_true(most - least <= 1);
    }
    assert_int_equal(mr_partitions_share(0, 0), 0);
    assert_int_equal(mr_partitions_share(3, 3), 0); /* one that does not count: it drains */
}

static void the_surplus_is_what_goes_beyond_the_share(void **state) {
    (void)state;
    assert_int_equal(mr_partitions_surplus(MR_ALL_PARTITIONS, 8), 0xff00);
    assert_int_equal(mr_partitions_surplus(0x8421, 3), 0x8000);
    assert_int_equal(mr_partitions_surplus(0x8421, 4), 0);
    assert_int_equal(mr_partitions_surplus(0x8421, 0), 0x8421);
    assert_int_equal(mr_partitions_surplus(0, 0), 0);
    for (uint32_t held = 0; held <= MR_ALL_PARTITIONS; held += 7)
        for (uint32_t share = 0; share <= MR_PARTITIONS; share++) {
            uint32_t surplus = mr_partitions_surplus(held, share), had = mr_partitions_count(held);
            assert_int_equal(surplus & ~held, 0);
            assert_int_equal(mr_partitions_count(surplus), had > share ? had - share : 0);
        }
}

static void portions_add_up_and_go_round_when_there_are_too_few(void **state) {
    (void)state;
    for (uint32_t total = 0; total <= 20; total++)
        for (uint32_t wanting = 1; wanting <= 7; wanting++) {
            uint32_t had[7] = {0};
            for (uint64_t turn = 0; turn < wanting; turn++) {
                uint32_t sum = 0;
                for (uint32_t rank = 0; rank < wanting; rank++) {
                    uint32_t part = mr_portion(total, wanting, rank, turn);
                    sum += part;
                    had[rank] += part;
                }
                assert_int_equal(sum, total);
            }
            for (uint32_t rank = 0; rank < wanting && total <= wanting; rank++) assert_int_equal(had[rank], total);
        }
    assert_int_equal(mr_portion(5, 2, 2, 0), 0);
    assert_int_equal(mr_portion(5, 0, 0, 0), 0);
}

static void a_run_has_the_partition_of_its_number(void **state) {
    (void)state;
    assert_int_equal(mr_partition_of(19), 3);
    assert_int_equal(mr_partition_of(16), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_add_up_to_all_and_differ_by_one_at_most),
        cmocka_unit_test(the_surplus_is_what_goes_beyond_the_share),
        cmocka_unit_test(portions_add_up_and_go_round_when_there_are_too_few),
        cmocka_unit_test(a_run_has_the_partition_of_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
