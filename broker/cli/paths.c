#include "broker/cli/paths.h"

#include <errno.h>
#include <fts.h>
#include <glob.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/file.h"

static bool has_ending(const char *path, const char *const *endings) {
    const char *dot = strrchr(path, '.');
    for (; dot && *endings; endings++)
        if (!strcasecmp(dot, *endings)) return true;
    return false;
}

bool mr_path_is_table(const char *path) {
    static const char *const endings[] = {".csv", ".tsv", ".tab", NULL};
    return has_ending(path, endings);
}

static bool is_wanted(const char *path, bool tables) {
    static const char *const endings[] = {".jsonl", ".ndjson", NULL};
    return has_ending(path, endings) || (tables && mr_path_is_table(path));
}

static mr_status add(mr_paths *p, const char *path, mr_error *err) {
    if (p->count == MR_PATHS_MAX) return mr_fail(err, MR_E_LIMIT, "more than %d files", MR_PATHS_MAX);
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        const char **items = mr_arena_alloc(p->arena, room, sizeof *items);
        if (!items) return mr_fail(err, MR_E_MEMORY, "out of memory for the list of files");
        if (p->count) memcpy(items, p->items, p->count * sizeof *items);
        p->items = items;
        p->room = room;
    }
    const char *copy = mr_arena_copy(p->arena, path, strlen(path));
    if (!copy) return mr_fail(err, MR_E_MEMORY, "out of memory for the list of files");
    p->items[p->count++] = copy;
    return MR_OK;
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

static mr_status add_folder(mr_paths *p, const char *path, bool tables, mr_error *err) {
    char *const roots[] = {(char *)(uintptr_t)path, NULL};
    size_t before = p->count;
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    if (!walk) return mr_file_fail(err, errno, "read", path);
    mr_status status = MR_OK;
    FTSENT *e;
    while (status == MR_OK && (e = fts_read(walk))) {
        if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR)
            status = mr_file_fail(err, e->fts_errno, "read", e->fts_path);
        else if (e->fts_info == FTS_F && is_wanted(e->fts_path, tables))
            status = add(p, e->fts_path, err);
    }
    fts_close(walk);
    if (status == MR_OK && p->count == before)
        return mr_fail(err, MR_E_NOT_FOUND, "%s holds no %s file", path,
                       tables ? ".csv, .tsv or .jsonl" : ".jsonl");
    return status;
}

static mr_status add_glob(mr_paths *p, const char *pattern, bool tables, mr_error *err) {
    glob_t found = {0};
    int failed = glob(pattern, 0, NULL, &found);
    mr_status status = MR_OK;
    if (failed) status = mr_fail(err, MR_E_NOT_FOUND, "there is no file %s", pattern);
    for (size_t i = 0; status == MR_OK && i < found.gl_pathc; i++) {
        struct stat st;
        bool folder = stat(found.gl_pathv[i], &st) == 0 && S_ISDIR(st.st_mode);
        status = folder ? add_folder(p, found.gl_pathv[i], tables, err) : add(p, found.gl_pathv[i], err);
    }
    globfree(&found);
    return status;
}

static mr_status add_operand(mr_paths *p, const char *path, bool tables, mr_error *err) {
    struct stat st;
    if (!strcmp(path, "-")) return add(p, path, err);
    if (stat(path, &st)) {
        if (errno == ENOENT && strpbrk(path, "*?[")) return add_glob(p, path, tables, err);
        return mr_file_fail(err, errno, "read", path);
    }
    return S_ISDIR(st.st_mode) ? add_folder(p, path, tables, err) : add(p, path, err);
}

mr_status mr_paths_find(char *const *operands, size_t count, bool tables, mr_paths *out, mr_error *err) {
    *out = (mr_paths){.arena = mr_arena_new(NULL, 1u << 30)};
    if (!out->arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) MR_TRY(add_operand(out, operands[i], tables, err));
    return MR_OK;
}

void mr_paths_free(mr_paths *p) {
    if (p->arena) mr_arena_free(&p->arena);
    *p = (mr_paths){0};
}
