/*
 * glibc takes a thread's variables, those of the program and of all its libraries, from the
 * thread's stack: the library's threads have room for them beside what they need themselves.
 */
#include "check.h"
#include "completions.h"

/* More than the stack that the library's background thread asks for. */
static __thread char large[400 * 1024];

/* pthread_create(3) failed with EINVAL. */
TEST(threads_start_in_a_program_with_large_thread_locals,
     "threads: The library's threads start in a program whose thread-local variables take 400 kB")
{
    fixture f = fixture_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    memset(large, 1, sizeof large);
    CHECK_EQ(vcp_dial_async(f.pool, f.s.network, f.s.address, NULL, queue, NULL, &conn),
             VCP_ERR_IN_PROGRESS);
    give_back(next_conn(queue, NULL));
    EVENTUALLY(stats_of(f.pool).idle == 1, 5000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}
