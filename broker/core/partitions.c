#include "broker/core/partitions.h"

int32_t mr_partition_of(uint64_t run) { return (int32_t)(run % MR_PARTITIONS); }

uint32_t mr_partitions_count(uint32_t set) { return (uint32_t)__builtin_popcount(set); }

uint32_t mr_partitions_share(uint32_t brokers, uint32_t rank) {
    if (rank >= brokers) return 0;
    return MR_PARTITIONS / brokers + (rank < MR_PARTITIONS % brokers);
}

uint32_t mr_partitions_surplus(uint32_t held, uint32_t share) {
    uint32_t surplus = 0;
    for (uint32_t i = MR_PARTITIONS; i-- > 0 && mr_partitions_count(held & ~surplus) > share;) surplus |= held & 1u << i;
    return surplus;
}

uint32_t mr_portion(uint32_t total, uint32_t wanting, uint32_t rank, uint64_t turn) {
    if (rank >= wanting) return 0;
    if (total < wanting) return (rank + turn) % wanting < total;
    return total / wanting + (rank < total % wanting);
}
