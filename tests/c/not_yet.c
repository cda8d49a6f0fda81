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

TEST(options_that_are_not_built_yet_are_refused)
{
    REFUSED(o.min_idle_per_address = 1);
}

TEST(functions_that_are_not_built_yet_are_refused)
{
    vcp_pool *pool = pool_new(NULL);
    CHECK_EQ(vcp_pool_describe(pool, VCP_FORMAT_TEXT, NULL, 0), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

int main(void)
{
    RUN(options_that_are_not_built_yet_are_refused);
    RUN(functions_that_are_not_built_yet_are_refused);
    return finished();
}
