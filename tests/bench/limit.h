/* limit.h: what the programs of this folder that show a limit share: the task (32 x 31 float32 in, 31 column means out),
 * time, and the end in words. These programs stand for other software: they use nothing of Millrace. */
#ifndef MR_BENCH_LIMIT_H
#define MR_BENCH_LIMIT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { ROWS = 32, COLS = 31, BODY = ROWS * COLS * 4, ANSWER = 300, WORKERS = 4 };

double seconds(void);           /* of the monotonic clock */
double processor_seconds(void); /* of this process, all threads */
double children_seconds(void);  /* of the processor, of children that were waited for */
double seconds_of(int pid);     /* of the processor, of another process; 0 when it is not here */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
long number_of(const char *text, long least);

void put_u16(uint8_t *to, uint16_t v); /* big-endian, as the network and PostgreSQL have it */
void put_u32(uint8_t *to, uint32_t v);
void put_u64(uint8_t *to, uint64_t v);
uint64_t get_u64(const uint8_t *from);

/* The body of a task: one of 64 patterns, its first number the task's own. */
void fill_body(uint64_t task, uint8_t body[BODY]);
/* 31 means as float64, and zeros up to 300 bytes. */
void answer_of(const uint8_t body[BODY], uint8_t answer[ANSWER]);
/* Ends the program when this is not the answer of the task. */
void check_answer(uint64_t task, const uint8_t answer[ANSWER]);

#endif
