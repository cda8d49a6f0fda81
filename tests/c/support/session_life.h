/* A bit of everything that can happen to sessions, while some of it may fail. */
#ifndef SESSION_LIFE_H
#define SESSION_LIFE_H

#include "own_driver.h"

/* Borrows, if it can be had, does something with it, and gives it back. */
static inline void borrows_one(driver *d, void (*does)(vcp_conn *conn))
{
    vcp_conn *conn = NULL;
    if (vcp_dial(d->pool, d->db.network, d->db.address, &conn) < 0) {
        CHECK(conn == NULL);
        return;
    }
    if (does != NULL) {
        does(conn);
    }
    give_back(conn);
}

static inline void reconnects(vcp_conn *conn)
{
    session_reconnects(session_of(conn));
}

static inline void reconnects_under_its_number(vcp_conn *conn)
{
    session_reconnects_under_its_number(session_of(conn));
}

static inline void waits_a_little(vcp_conn *conn)
{
    if (vcp_conn_set_deadline(conn, 1) == VCP_OK) {
        CHECK(vcp_conn_wait(conn, VCP_READABLE) < 0);
    }
}

static inline void borrows_asynchronously(driver *d)
{
    vcp_queue *queue = NULL;
    vcp_conn *conn = NULL;
    int status;
    if (vcp_queue_new(&queue) < 0) {
        return;
    }
    status = vcp_dial_async(d->pool, d->db.network, d->db.address, NULL, queue, d, &conn);
    if (status >= 0) {
        give_back(conn);
    }
    /* One that is on its way is canceled, or what it got given back. */
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
}

static inline void puts_one(driver *d)
{
    session *s = session_new(d);
    vcp_session filled = session_as_vcp(d, s);
    int status = vcp_pool_put_session(d->pool, &filled, d->db.network, d->db.address, NULL);
    s->is_callers = status < 0;
}

static inline void sessions_live(driver *d)
{
    borrows_one(d, NULL);
    borrows_one(d, reconnects);
    borrows_one(d, reconnects_under_its_number);
    borrows_one(d, waits_a_little);
    borrows_asynchronously(d);
    puts_one(d);
    borrows_one(d, NULL);
    CHECK_EQ(vcp_pool_evict(d->pool, NULL, NULL), VCP_OK);
    vcp_pool_warm(d->pool, d->db.network, d->db.address, NULL, 2);
    borrows_one(d, NULL);
}

#endif
