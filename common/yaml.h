/* yaml.h: a configuration file as a flat list. The only file that includes libyaml.
 * Refused with "file:line:column": aliases and anchors, tags, duplicate keys, keys that are no text, more
 * than one document, nesting deeper than 16, files over 1 MiB, more than 10,000 nodes. */
#ifndef MR_COMMON_YAML_H
#define MR_COMMON_YAML_H

#include "common/buf.h"

enum { MR_YAML_DEPTH = 16, MR_YAML_BYTES = 1 << 20, MR_YAML_NODES = 10000 };

typedef enum mr_yaml_kind { MR_YAML_SCALAR, MR_YAML_MAP, MR_YAML_LIST } mr_yaml_kind;

/* A node. `path` joins keys and list positions (from 0) with '.': "steps.0.component". The root's path is "".
 */
typedef struct mr_yaml_node {
    const char *path, *key; /* key: the last part */
    const char *value;      /* SCALAR: its text, else "" */
    mr_yaml_kind kind;
    bool null;             /* plain empty, ~ or null */
    uint32_t parent;       /* index of the container; the root's is 0 */
    uint32_t count;        /* MAP, LIST: how many children */
    unsigned line, column; /* from 1 */
} mr_yaml_node;

/* Nodes in the order of the file, the root first; count 0 for an empty file. Lives in the arena. */
typedef struct mr_yaml {
    const char *name; /* what errors call the file */
    uint32_t count;
    const mr_yaml_node *nodes;
} mr_yaml;

/* Errors: E_INVALID with "name:line:column: what", E_LIMIT, E_MEMORY; mr_yaml_read also E_NOT_FOUND,
 * E_DENIED, E_IO. */
mr_status mr_yaml_parse(mr_span text, const char *name, mr_arena *arena, mr_yaml *out,
                        mr_error *err) MR_MUST_CHECK;
mr_status mr_yaml_read(const char *path, mr_arena *arena, mr_yaml *out, mr_error *err) MR_MUST_CHECK;
/* The node with that path, or NULL. */
const mr_yaml_node *mr_yaml_find(const mr_yaml *doc, const char *path);

#endif
