/* What the contract promises and this version refuses: each line goes when its feature comes. */
#include "check.h"

/* `change` is applied to default options; the pool must be refused. */
#define REFUSED(change)                                                       \
    do {                                                                      \
        vcp_pool_options o = pool_options();                                  \
        vcp_pool *refused = NULL;                                             \
        change;                                                               \
        CHECK_EQ(vcp_pool_new(&o, &refused), VCP_ERR_INVALID_ARGUMENT);       \
        CHECK_HAS(vcp_last_error(), "not supported yet");                     \
    } while (0)

static int hook(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    return fd < 0;
}

static void frees(void *data)
{
    (void)data;
}

TEST(options_that_are_not_built_yet_are_refused)
{
    REFUSED(o.on_open = hook);
    REFUSED(o.on_reuse = hook);
    REFUSED(o.on_release = hook);
    REFUSED(o.free_user = frees);
}

int main(void)
{
    RUN(options_that_are_not_built_yet_are_refused);
    return finished();
}
