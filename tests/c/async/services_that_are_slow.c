/*
 * The name of a service takes longer to look up than the dial may: services(5) can be asked over a
 * network. A symbol of the executable comes before libc's for every library.
 */
#include <netdb.h>

#include "completions.h"

int getservbyname_r(const char *name, const char *protocol, struct servent *entry, char *text,
                    size_t size, struct servent **found)
{
    (void)name;
    (void)protocol;
    (void)text;
    (void)size;
    let_pass(at_most(100));
    memset(entry, 0, sizeof *entry);
    entry->s_port = htons(80);
    *found = entry;
    return 0;
}

TEST(a_service_that_is_found_too_late_is_a_timeout,
     "async: A dial whose time is over when its service is found is TIMEOUT (connecting)")
{
    fixture f = fixture_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    vcp_conn *conn;
    dial.timeout_ms = 20;
    CHECK_EQ(vcp_dial_async(f.pool, "tcp", "127.0.0.1:slow", &dial, queue, &f, &conn),
             VCP_ERR_IN_PROGRESS);
    next_fails(queue, &f, VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_CONNECTING);
    CHECK_EQ(stats_of(f.pool).dials, 0);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}
