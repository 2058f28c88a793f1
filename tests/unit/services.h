/* services.h: the servers that a test program may use. tests/run starts them and says where they are in
 * MILLRACE_TEST_DATABASE_URL and MILLRACE_TEST_REDIS_URL; without these a test skips. */
#ifndef MR_TESTS_UNIT_SERVICES_H
#define MR_TESTS_UNIT_SERVICES_H

#include "common/status.h"

enum { SERVICES_URL = 512 };

/* NULL when there is no such server: the test calls skip(). */
const char *services_database_url(void);
const char *services_redis_url(void);

/* A database of one's own on the test server, empty. *url becomes its URL. E_NOT_FOUND without a server. */
mr_status services_database_new(char url[SERVICES_URL], mr_error *err) MR_MUST_CHECK;
/* Removes it, whoever is still connected. */
void services_database_drop(const char *url);

#endif
