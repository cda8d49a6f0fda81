/*
 * Sessions of a driver: each that was opened ends once, and its descriptor is as it was.
 */
#include "torture_test.h"

#include "session_life.h"

/* What on_idle is asked about every millisecond is never at rest before it has ended. */
static void ends_all(driver *d)
{
    /* Again and again: a dial whose queue was freed may end only now, and is kept. */
    EVENTUALLY(vcp_pool_evict(d->pool, NULL, NULL) == VCP_OK && vcp_pool_conn_count(d->pool) == 0 &&
                   is_at_rest(d->pool),
               2000);
}

/* What a run of sessions leaves to be looked at: the driver checks the rest at its end. */
static void session_scene(int has_fd, int in_background)
{
    driver d;
    vcp_pool_options options;
    int tasks = threads();
    driver_start(&d);
    d.has_fd = has_fd;
    options = driver_options(&d);
    options.dial_timeout_ms = DIAL_MS;
    options.on_release = in_background ? driver_on_release : NULL;
    options.on_release_in_background = in_background;
    options.on_idle = in_background ? driver_on_idle : NULL;
    options.on_idle_ms = in_background ? 1 : 0;
    if (MAY(vcp_pool_new(&options, &d.pool), 0, resource_errors) >= 0) {
        sessions_live(&d);
        lift();
    } else {
        lift();
        driver_pool(&d, &options);
    }
    ends_all(&d);
    give_back(borrow(d.pool, &d.db));
    ends_all(&d);
    DRIVER_END(&d);
    EVENTUALLY(threads() == tasks, 2000);
    CHECK_EQ(vcp_set_last_error(VCP_ERR_IO, "the end"), VCP_ERR_IO);
}

static void reconnects_nothing(vcp_conn *conn)
{
    CHECK(session_of(conn) != NULL);
}

TEST(sessions_end_once_whatever_fails,
     "torture: Each session that was opened ends once, whatever fails below")
{
    session_scene(1, 0);
}

TEST(sessions_in_the_background_end_once_whatever_fails,
     "torture: Each session with hooks in the background ends once, whatever fails below")
{
    session_scene(1, 1);
}

TEST(sessions_without_a_descriptor_end_once_whatever_fails,
     "torture: Each session without a descriptor ends once, whatever fails below")
{
    driver d;
    vcp_pool_options options;
    driver_start(&d);
    d.has_fd = 0;
    options = driver_options(&d);
    options.dial_timeout_ms = DIAL_MS;
    options.on_reuse = driver_on_reuse;
    if (MAY(vcp_pool_new(&options, &d.pool), 0, resource_errors) >= 0) {
        borrows_one(&d, reconnects_nothing);
        borrows_one(&d, reconnects_nothing);
        borrows_asynchronously(&d);
        puts_one(&d);
        lift();
    } else {
        lift();
        driver_pool(&d, &options);
    }
    EVENTUALLY(is_at_rest(d.pool), 2000);
    give_back(borrow(d.pool, &d.db));
    DRIVER_END(&d);
    CHECK_EQ(vcp_set_last_error(VCP_ERR_IO, "the end"), VCP_ERR_IO);
}
