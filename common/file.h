/* file.h: whole files, atomic replacement, folders, and lines from a file of any size. */
#ifndef MR_COMMON_FILE_H
#define MR_COMMON_FILE_H

#include "common/buf.h"

/* Appends the whole file. Errors: E_NOT_FOUND, E_DENIED, E_INVALID (a folder), E_LIMIT over `max` bytes,
 * E_IO, E_MEMORY. */
mr_status mr_file_read(const char *path, size_t max, mr_buf *out, mr_error *err) MR_MUST_CHECK;

/* Replaces the file as a whole or not at all, and is on disk when it returns: temporary file beside it,
 * fsync, rename, fsync of the folder. `mode` as for open(2). Errors: E_NOT_FOUND no such folder, E_DENIED,
 * E_UNAVAILABLE disk full, E_IO. */
mr_status mr_file_write(const char *path, mr_span bytes, unsigned mode, mr_error *err) MR_MUST_CHECK;

/* Makes the folder and those above it; one that is there already is fine. Errors: E_DENIED, E_EXISTS (a file
 * is in the way), E_IO. */
mr_status mr_make_dirs(const char *path, unsigned mode, mr_error *err) MR_MUST_CHECK;

/* The status that fits an errno of a file operation, with the sentence "what path: reason". */
mr_status mr_file_fail(mr_error *err, int error_number, const char *what, const char *path);

/* ---- lines ---- */
typedef struct mr_line {
    mr_span
        text; /* without "\n" and "\r\n"; borrowed until the next call; the first bytes only when too_long */
    uint64_t number; /* from 1 */
    uint64_t offset; /* of its first byte in the file */
    uint64_t length; /* of the whole line in bytes, also when too_long */
    bool too_long;
    bool ended; /* false for a last line without "\n" */
} mr_line;

/* A file read in blocks; memory stays at max_line + 256 KiB whatever the file holds. A UTF-8 byte order mark
 * at the start is passed over. */
typedef struct mr_lines {
    const mr_mem *mem;
    int fd;
    bool own_fd, eof;
    uint8_t *data;
    size_t cap, start, end; /* bytes start .. end - 1 are read and not yet given out */
    size_t max_line;
    uint64_t number, offset;
    const char *path;
} mr_lines;

/* `path` is borrowed; "-" is standard input. Errors: as mr_file_read. */
mr_status mr_lines_open(mr_lines *l, const char *path, size_t max_line, const mr_mem *mem,
                        mr_error *err) MR_MUST_CHECK;
/* *got is false at the end. A line over max_line is given with too_long and reading goes on behind it. */
mr_status mr_lines_next(mr_lines *l, mr_line *out, bool *got, mr_error *err) MR_MUST_CHECK;
void mr_lines_close(mr_lines *l);

#endif
