/*
 * A child that is forked from a busy process has pools that work, whatever fails in it.
 */
#include "torture_test.h"

#include "child_processes.h"

typedef struct family {
    scene *s;
    vcp_conn *borrowed;
} family;

static const int inherited_errors[] = {VCP_ERR_CONN_CLOSED, VCP_ERR_NO_MEMORY, 0};

/* In the child: nothing is inherited, and all works, or fails as it may. */
static void child_lives(void *argument)
{
    family *f = (family *)argument;
    vcp_queue *queue = NULL;
    char byte;
    if (f->borrowed != NULL) {
        int64_t status = vcp_conn_read(f->borrowed, &byte, 1);
        CHECK(is_one_of(status, inherited_errors));
        CHECK(is_one_of(vcp_conn_close(f->borrowed), inherited_errors));
    }
    uses(f->s, &peers[UNIX]);
    uses(f->s, &peers[UNIX]);
    if (MAY(vcp_queue_new(&queue), 0, resource_errors) >= 0) {
        MUST(vcp_queue_free(queue), 0);
    }
    EVENTUALLY(is_at_rest(f->s->pool), 2000);
    CHECK_STATS_ADD_UP(f->s->pool);
    MUST(vcp_pool_close_idle(f->s->pool), 0);
    CHECK_EQ(vcp_pool_conn_count(f->s->pool), 0);
}

TEST(a_child_goes_on, "torture: A forked child has pools that work, whatever fails in it")
{
    scene s = scene_new(NULL);
    if (s.pool != NULL) {
        family f;
        vcp_conn *idle = dials(&s, &peers[TCP4], 0);
        f.s = &s;
        f.borrowed = dials(&s, &peers[UNIX], 0);
        gives_back(idle);
        IN_A_CHILD(BY_FORK, child_lives, &f);
        if (f.borrowed != NULL) {
            disowns(owns(vcp_conn_raw_fd(f.borrowed)));
        }
        gives_back(f.borrowed);
        uses(&s, &peers[TCP4]);
    }
    scene_end(&s);
}

static int forks_inside(void *user, vcp_conn *conn, int fd)
{
    pid_t child = fork();
    (void)user;
    (void)conn;
    (void)fd;
    CHECK(child >= 0);
    if (child == 0) {
        _exit(0);
    }
    CHECK_CHILD(child);
    return 0;
}

TEST(a_process_that_has_forked_goes_on,
     "torture: A process whose hooks fork goes on, whatever fails below")
{
    vcp_pool_options options = scene_options();
    scene s;
    options.on_open = forks_inside;
    s = scene_new(&options);
    s.fills = NULL;
    if (s.pool != NULL) {
        uses(&s, &peers[UNIX]);
        uses(&s, &peers[UNIX]);
    }
    scene_end(&s);
}
