/* loader.h: the desk that brings inputs: rows of a version as a segment, or the partials that a merge needs. Segments
 * are built once for a range and shared by all the steps that ask for the same columns. */
#ifndef MR_BROKER_IO_LOADER_H
#define MR_BROKER_IO_LOADER_H

#include "broker/io/bytes.h"
#include "broker/io/desk.h"
#include "broker/io/run_info.h"

enum { MR_LOAD_MAX = 64 };

/* The inputs of `count` works whose batches follow one another, from `key` on; of merges one at a time. They are brought
 * in order until one fails: the status and error of the job are about that one. Small segments lie one behind the other in
 * the order they were built, for as long as there is room (mr_bytes_append). */
typedef struct mr_load_job {
    mr_job head;
    mr_run_info *info; /* an owner */
    mr_work_key key;
    uint32_t count, loaded;       /* loaded (out): how many are there */
    uint32_t work[MR_LOAD_MAX];   /* the core's */
    mr_bytes *bytes[MR_LOAD_MAX]; /* out, given; the hash is set when they are too large for a message */
    uint32_t damaged; /* out, of a merge with E_CORRUPT: partials that are missing or do not match their hash, the first in bit 0 */
} mr_load_job;

void mr_load_work(mr_desk *desk, mr_job *job);
void mr_load_job_free(mr_load_job *job);

typedef struct mr_loader_options {
    const char *redis_url; /* "" for none */
    size_t inline_max;     /* larger inputs are put into the cache */
    size_t cache_bytes;    /* segments kept in memory */
    unsigned ttl_s;
    atomic_ulong *seen;    /* counts the rows that are read; may be NULL; outlives the desk */
} mr_loader_options;

mr_status mr_loader_start(mr_desk *desk, const mr_loader_options *options, mr_error *err) MR_MUST_CHECK;

/* The cache's key of a blob: "millrace:blob:" and 64 hex digits. */
enum { MR_BLOB_KEY = 14 + MR_HASH_HEX };
void mr_blob_key(const mr_hash *hash, char out[MR_BLOB_KEY]);

#endif
