/*
 * vcp_pool_describe: four forms, each with the pool's name, cut off as snprintf(3) does. Contract
 * section 4.
 */
#include "check.h"

static char report[65536];

static const char *describe(vcp_pool *pool, int32_t format)
{
    int64_t length = vcp_pool_describe(pool, format, report, sizeof report);
    CHECK_BETWEEN(length, 1, (int64_t)sizeof report - 1);
    CHECK_EQ(strlen(report), length);
    return report;
}

static const int32_t formats[] = {VCP_FORMAT_TEXT, VCP_FORMAT_JSON, VCP_FORMAT_OPENMETRICS,
                                  VCP_FORMAT_OPENMETRICS_BODY};

TEST(every_form_carries_the_pools_name,
     "describe: every form carries the pool's name, copied and escaped")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    char name[] = "orders \"eu\"";
    options.name = name;
    pool = pool_new(&options);
    memset(name, 'x', sizeof name - 1); /* copied when the pool was made */
    CHECK_HAS(describe(pool, VCP_FORMAT_TEXT), "orders \"eu\"");
    CHECK_HAS(describe(pool, VCP_FORMAT_JSON), "\"name\":\"orders \\\"eu\\\"\"");
    CHECK_HAS(describe(pool, VCP_FORMAT_OPENMETRICS), "{pool=\"orders \\\"eu\\\"\"");
    CHECK_HAS(describe(pool, VCP_FORMAT_OPENMETRICS_BODY), "{pool=\"orders \\\"eu\\\"\"");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_report_is_cut_off_as_snprintf_does, "describe: the whole length is returned, and what fits "
                                           "is written; an unknown format is INVALID_ARGUMENT")
{
    vcp_pool *pool = pool_new(NULL);
    size_t i;
    for (i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        char whole[sizeof report];
        char part[32];
        int64_t length = vcp_pool_describe(pool, formats[i], NULL, 0);
        snprintf(whole, sizeof whole, "%s", describe(pool, formats[i]));
        CHECK_EQ(strlen(whole), length);
        memset(part, '#', sizeof part);
        CHECK_EQ(vcp_pool_describe(pool, formats[i], part, 16), length);
        CHECK_EQ(strlen(part), 15);
        CHECK_EQ(strncmp(part, whole, 15), 0);
        CHECK_EQ(part[16], '#');
        CHECK_EQ(vcp_pool_describe(pool, formats[i], part, 1), length);
        CHECK_EQ(part[0], '\0');
    }
    CHECK_EQ(vcp_pool_describe(pool, VCP_FORMAT_TEXT, NULL, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_describe(pool, -1, report, sizeof report), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_describe(pool, 4, report, sizeof report), VCP_ERR_INVALID_ARGUMENT);
    CHECK_HAS(vcp_last_error(), "4 is no vcp_format");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_report_tells_what_the_pool_holds, "describe: destinations, limits, gauges and counters; a "
                                         "whole scrape ends with # EOF, a body has samples only")
{
    server s = tcp_server();
    server other = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_dial_options d = dial_options(0);
    vcp_pool *pool;
    vcp_conn *conn, *second;
    char wanted[512];
    options.max_conns = 10;
    pool = pool_new(&options);
    d.reuse_tag = "blue";
    conn = borrow(pool, &s);
    second = borrow(pool, &s);
    give_back(second);
    CHECK(vcp_dial_with(pool, "tcp", other.address, &d, &second) >= 0);

    describe(pool, VCP_FORMAT_JSON);
    CHECK_HAS(report, "\"idle\":1,\"borrowed\":2,\"dialing\":0,\"waiting\":0,");
    CHECK_HAS(report, "\"max_conns\":10");
    CHECK_HAS(report, "\"dials\":3,");
    snprintf(wanted, sizeof wanted,
             "{\"network\":\"tcp\",\"address\":\"%s\",\"reuse_tag\":\"\",\"idle\":1,\"borrowed\":1,"
             "\"dialing\":0,\"waiting\":0}",
             s.address);
    CHECK_HAS(report, wanted);
    snprintf(wanted, sizeof wanted,
             "\"address\":\"%s\",\"reuse_tag\":\"blue\",\"idle\":0,\"borrowed\":1,", other.address);
    CHECK_HAS(report, wanted);
    CHECK_HAS(describe(pool, VCP_FORMAT_TEXT), "idle 1 borrowed 2 dialing 0 waiting 0");
    CHECK_HAS(report, s.address);
    CHECK_HAS(describe(pool, VCP_FORMAT_OPENMETRICS),
              "vconnpool_connections{pool=\"\",state=\"borrowed\"} 2\n");
    CHECK_HAS(report, "\nvconnpool_dials_total{pool=\"\"} 3\n");
    CHECK_STR(report + strlen(report) - 7, "\n# EOF\n");
    describe(pool, VCP_FORMAT_OPENMETRICS_BODY);
    CHECK(strchr(report, '#') == NULL);

    give_back(conn);
    give_back(second);
    CHECK_EQ(vcp_pool_drain(pool, 0), 0);
    CHECK_HAS(describe(pool, VCP_FORMAT_TEXT), "drained");
    CHECK_HAS(describe(pool, VCP_FORMAT_JSON), "\"drained\":true");
    CHECK_HAS(report, "\"destinations\":[]");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_pool_describe(pool, VCP_FORMAT_TEXT, report, sizeof report), VCP_ERR_POOL_CLOSED);
    server_close(&s);
    server_close(&other);
}

TEST(a_report_names_what_has_leaked_until_it_is_back,
     "describe: describe names what has leaked, with its label, until it is back")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_dial_options d = dial_options(0);
    vcp_pool *pool;
    vcp_conn *conn;
    char wanted[64];
    options.leak_threshold_ms = 50;
    pool = pool_new(&options);
    d.label = "import job";
    CHECK(vcp_dial_with(pool, "tcp", s.address, &d, &conn) >= 0);
    CHECK_HAS(describe(pool, VCP_FORMAT_JSON), "\"leaks\":[]");
    EVENTUALLY(stats_of(pool).leaks == 1, 1000);
    snprintf(wanted, sizeof wanted, "\"fd\":%d,\"label\":\"import job\"", vcp_conn_raw_fd(conn));
    CHECK_HAS(describe(pool, VCP_FORMAT_JSON), wanted);
    CHECK_HAS(describe(pool, VCP_FORMAT_TEXT), "by import job");
    give_back(conn);
    CHECK_HAS(describe(pool, VCP_FORMAT_JSON), "\"leaks\":[]");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
