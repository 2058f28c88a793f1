/* wide.h: a function compiled twice, for any processor and for wider registers, where both give the same bits. The body is an
 * always-inlined function over generic vectors; contracted multiply-add is off in the whole build, so width changes nothing
 * but speed. */
#ifndef MR_KIT_WIDE_H
#define MR_KIT_WIDE_H

typedef double mr_lanes __attribute__((vector_size(32)));
enum { MR_LANES = 4 };
/* The same in memory that need not be aligned: for loads and stores, which a memcpy would send through the stack. */
typedef double mr_lanes_there __attribute__((vector_size(32), aligned(8), may_alias));

#define MR_WIDE_BODY static inline __attribute__((always_inline)) void
#if defined(__x86_64__)
#define MR_WIDE __attribute__((target("avx2")))
#define MR_WIDE_HERE __builtin_cpu_supports("avx2")
#define MR_WIDEST __attribute__((target("avx512f")))
#define MR_WIDEST_HERE __builtin_cpu_supports("avx512f")
#else
#define MR_WIDE
#define MR_WIDE_HERE 0
#define MR_WIDEST
#define MR_WIDEST_HERE 0
#endif

#endif
