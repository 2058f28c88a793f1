/* partitions.h: how the work is shared out among brokers: arithmetic only. A run belongs to the partition of its number,
 * and a partition to one broker; a set of partitions is a word of bits. */
#ifndef MR_BROKER_CORE_PARTITIONS_H
#define MR_BROKER_CORE_PARTITIONS_H

#include "common/status.h"

enum { MR_PARTITIONS = 16, MR_ALL_PARTITIONS = (1 << MR_PARTITIONS) - 1 };

int32_t mr_partition_of(uint64_t run);
uint32_t mr_partitions_count(uint32_t set);

/* How many partitions the broker with that rank (from 0) among `brokers` has to have: they differ by one at most and add
 * up to all. 0 brokers or a rank beyond them: none. */
uint32_t mr_partitions_share(uint32_t brokers, uint32_t rank);
/* How many of `total` the one with that rank gets when so many want some. When there are fewer than one for each, the
 * turn says who has one; over `wanting` turns each has as many. */
uint32_t mr_portion(uint32_t total, uint32_t wanting, uint32_t rank, uint64_t turn);
/* Which of `held` go to others when only `share` are to be kept: the highest numbers. */
uint32_t mr_partitions_surplus(uint32_t held, uint32_t share);

#endif
