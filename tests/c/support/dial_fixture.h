/*
 * dial_fixture.h - nine endpoints, a script, and a pool whose dials follow it.
 */
#ifndef DIAL_FIXTURE_H
#define DIAL_FIXTURE_H

#include "endpoints.h"
#include "scripted_callbacks.h"

/* The pool keeps nothing: each dial is a fresh one. */
typedef struct dial_fixture {
    endpoints where;
    script s;
    char name[64];            /* an address: a host name with the endpoints' port */
    vcp_pool_options options; /* to be changed before dial_fixture_pool */
    vcp_pool *pool;
} dial_fixture;

static inline void dial_fixture_init(dial_fixture *g)
{
    g->where = endpoints_new();
    snprintf(g->name, sizeof g->name, "somewhere.test:%d", g->where.port);
    script_init(&g->s);
    g->options = pool_options();
    g->options.user = &g->s;
    g->options.control = script_control;
    g->options.max_idle_per_address = 0;
    g->pool = NULL;
}

static inline vcp_pool *dial_fixture_pool(dial_fixture *g)
{
    g->pool = pool_new(&g->options);
    return g->pool;
}

static inline void dial_fixture_end(dial_fixture *g)
{
    CHECK_STATS_ADD_UP(g->pool);
    EVENTUALLY(script_number(&g->s, &g->s.resolving) == 0, 5000);
    CHECK_EQ(stats_of(g->pool).borrowed, 0);
    CHECK_EQ(stats_of(g->pool).dialing, 0);
    CHECK_EQ(vcp_pool_close(g->pool), VCP_OK);
    endpoints_close(&g->where);
}

#endif
