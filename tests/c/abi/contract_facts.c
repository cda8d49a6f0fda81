/* Numbers, types, field order and signatures that programs are compiled against. */
#include "check.h"

TEST(status_numbers_are_fixed, "header: The 21 status codes have their numbers and names")
{
    static const struct {
        int number;
        int wanted;
        const char *name;
    } all[] = {
        {VCP_OK, 0, "VCP_OK"},
        {VCP_ERR_INVALID_ARGUMENT, -1, "VCP_ERR_INVALID_ARGUMENT"},
        {VCP_ERR_INVALID_HANDLE, -2, "VCP_ERR_INVALID_HANDLE"},
        {VCP_ERR_UNKNOWN_NETWORK, -3, "VCP_ERR_UNKNOWN_NETWORK"},
        {VCP_ERR_INVALID_ADDRESS, -4, "VCP_ERR_INVALID_ADDRESS"},
        {VCP_ERR_RESOLVE, -5, "VCP_ERR_RESOLVE"},
        {VCP_ERR_CONNECT, -6, "VCP_ERR_CONNECT"},
        {VCP_ERR_TIMEOUT, -7, "VCP_ERR_TIMEOUT"},
        {VCP_ERR_CANCELED, -8, "VCP_ERR_CANCELED"},
        {VCP_ERR_POOL_CLOSED, -9, "VCP_ERR_POOL_CLOSED"},
        {VCP_ERR_POOL_EXHAUSTED, -10, "VCP_ERR_POOL_EXHAUSTED"},
        {VCP_ERR_IDLE_FULL, -11, "VCP_ERR_IDLE_FULL"},
        {VCP_ERR_NOT_AVAILABLE, -12, "VCP_ERR_NOT_AVAILABLE"},
        {VCP_ERR_CONN_CLOSED, -13, "VCP_ERR_CONN_CLOSED"},
        {VCP_ERR_IO, -14, "VCP_ERR_IO"},
        {VCP_ERR_CALLBACK, -15, "VCP_ERR_CALLBACK"},
        {VCP_ERR_SYSTEM, -16, "VCP_ERR_SYSTEM"},
        {VCP_ERR_IN_PROGRESS, -17, "VCP_ERR_IN_PROGRESS"},
        {VCP_ERR_NOT_REUSABLE, -18, "VCP_ERR_NOT_REUSABLE"},
        {VCP_ERR_WOULD_BLOCK, -19, "VCP_ERR_WOULD_BLOCK"},
        {VCP_ERR_NO_MEMORY, -20, "VCP_ERR_NO_MEMORY"},
        {VCP_ERR_INTERNAL, -99, "VCP_ERR_INTERNAL"},
    };
    size_t i;
    for (i = 0; i < sizeof all / sizeof all[0]; i++) {
        CHECK_EQ(all[i].number, all[i].wanted);
        CHECK_STR(vcp_status_name(all[i].number), all[i].name);
    }
}

TEST(option_numbers_are_fixed,
     "header: Liveness, order, format, dial flags and wait events have their numbers")
{
    CHECK_EQ(VCP_LIVENESS_STRICT, 0);
    CHECK_EQ(VCP_LIVENESS_ALLOW_DATA, 1);
    CHECK_EQ(VCP_LIVENESS_WATCH, 2);
    CHECK_EQ(VCP_REUSE_LIFO, 0);
    CHECK_EQ(VCP_REUSE_FIFO, 1);
    CHECK_EQ(VCP_FORMAT_TEXT, 0);
    CHECK_EQ(VCP_FORMAT_JSON, 1);
    CHECK_EQ(VCP_FORMAT_OPENMETRICS, 2);
    CHECK_EQ(VCP_FORMAT_OPENMETRICS_BODY, 3);
    CHECK_EQ(VCP_DIAL_FRESH, 1);
    CHECK_EQ(VCP_DIAL_REUSE_ONLY, 2);
    CHECK_EQ(VCP_DIAL_QUEUED, 4);
    CHECK_EQ(VCP_DIAL_NONBLOCKING, 8);
    CHECK_EQ(VCP_DIAL_BLOCKING, 16);
    CHECK_EQ(VCP_READABLE, 1);
    CHECK_EQ(VCP_WRITABLE, 2);
}

TEST(report_numbers_are_fixed, "header: Phases, event kinds and close reasons have their numbers")
{
    static const int phases[] = {VCP_PHASE_NONE,       VCP_PHASE_WAITING, VCP_PHASE_RESOLVING,
                                 VCP_PHASE_CONNECTING, VCP_PHASE_OPENING, VCP_PHASE_READING,
                                 VCP_PHASE_WRITING};
    static const int events[] = {VCP_EVENT_DIAL_START,   VCP_EVENT_DIAL_DONE, VCP_EVENT_DIAL_FAILED,
                                 VCP_EVENT_REUSED,       VCP_EVENT_RELEASED,  VCP_EVENT_CLOSED,
                                 VCP_EVENT_WAIT_START,   VCP_EVENT_WAIT_DONE, VCP_EVENT_LEAKED,
                                 VCP_EVENT_LEAK_RETURNED};
    static const int reasons[] = {
        VCP_CLOSE_NONE,      VCP_CLOSE_DISCARDED, VCP_CLOSE_IDLE_TIMEOUT, VCP_CLOSE_LIFETIME,
        VCP_CLOSE_MAX_USES,  VCP_CLOSE_IDLE_FULL, VCP_CLOSE_EVICTED,      VCP_CLOSE_PEER_CLOSED,
        VCP_CLOSE_DIRTY,     VCP_CLOSE_FAILED,    VCP_CLOSE_HOOK,         VCP_CLOSE_POOL_CLOSED,
        VCP_CLOSE_FOREIGN_FD};
    int i;
    for (i = 0; i < 7; i++) {
        CHECK_EQ(phases[i], i);
    }
    for (i = 0; i < 10; i++) {
        CHECK_EQ(events[i], i);
    }
    for (i = 0; i < 13; i++) {
        CHECK_EQ(reasons[i], i);
    }
}

TEST(the_enums_are_four_bytes,
     "header: vcp_status and the other enums are int32_t in C and C++ alike")
{
    vcp_status status = VCP_ERR_TIMEOUT;
    int32_t *as_int32 = &status;
    CHECK_EQ(*as_int32, -7);
    CHECK_EQ(sizeof(vcp_status), 4);
    CHECK_EQ(sizeof(vcp_liveness), 4);
    CHECK_EQ(sizeof(vcp_reuse_order), 4);
    CHECK_EQ(sizeof(vcp_format), 4);
    CHECK_EQ(sizeof(vcp_phase), 4);
    CHECK_EQ(sizeof(vcp_event_kind), 4);
    CHECK_EQ(sizeof(vcp_close_reason), 4);
}

/*
 * Each field has its type (the pointer would not convert) and lies behind the one named before it.
 */
static size_t last_offset;
#define FIRST(type, ctype, field)           \
    do {                                    \
        type record;                        \
        ctype *pointer = &record.field;     \
        CHECK(pointer == &record.field);    \
        CHECK_EQ(offsetof(type, field), 0); \
        last_offset = 0;                    \
    } while (0)
#define NEXT(type, ctype, field)                    \
    do {                                            \
        type record;                                \
        ctype *pointer = &record.field;             \
        CHECK(pointer == &record.field);            \
        CHECK(offsetof(type, field) > last_offset); \
        last_offset = offsetof(type, field);        \
    } while (0)

TEST(pool_options_keep_their_fields_in_order,
     "header: vcp_pool_options: names, types and order of its fields")
{
#define P(ctype, field) NEXT(vcp_pool_options, ctype, field)
    FIRST(vcp_pool_options, size_t, size);
    P(uint32_t, max_idle_per_address);
    P(uint32_t, max_idle);
    P(uint32_t, max_conns);
    P(uint32_t, max_conns_per_address);
    P(uint32_t, max_dials_per_address);
    P(uint32_t, max_waiters);
    P(int64_t, wait_timeout_ms);
    P(int64_t, idle_timeout_ms);
    P(int64_t, max_lifetime_ms);
    P(uint32_t, lifetime_jitter_percent);
    P(uint32_t, max_uses);
    P(uint32_t, min_idle_per_address);
    P(int32_t, liveness);
    P(int32_t, reuse_order);
    P(int32_t, verify_release);
    P(int64_t, dial_timeout_ms);
    P(int64_t, fallback_delay_ms);
    P(int64_t, keepalive_idle_ms);
    P(int64_t, keepalive_interval_ms);
    P(uint32_t, keepalive_count);
    P(int64_t, user_timeout_ms);
    P(const char *, local_address);
    P(int32_t, no_delay);
    P(int32_t, nonblocking);
    P(int64_t, dns_cache_ms);
    P(int64_t, fail_fast_ms);
    P(int64_t, leak_threshold_ms);
    P(const char *, name);
    P(void *, user);
    P(vcp_rewrite_fn, rewrite);
    P(vcp_resolve_fn, resolve);
    P(vcp_dial_fn, dial);
    P(vcp_control_fn, control);
    P(vcp_conn_hook_fn, on_open);
    P(vcp_conn_hook_fn, on_reuse);
    P(vcp_conn_hook_fn, on_release);
    P(vcp_event_fn, on_event);
    P(vcp_free_fn, free_user);
    P(vcp_session_fn, open_session);
    P(int64_t, on_reuse_after_ms);
    P(int32_t, on_release_in_background);
    P(vcp_conn_hook_fn, on_idle);
    P(int64_t, on_idle_ms);
    P(int64_t, hook_timeout_ms);
#undef P
}

TEST(dial_options_keep_their_fields_in_order,
     "header: vcp_dial_options: names, types and order of its fields")
{
#define D(ctype, field) NEXT(vcp_dial_options, ctype, field)
    FIRST(vcp_dial_options, size_t, size);
    D(int64_t, timeout_ms);
    D(int64_t, wait_timeout_ms);
    D(vcp_cancel *, cancel);
    D(const char *, reuse_tag);
    D(const char *, label);
    D(uint32_t, flags);
    D(int64_t, deadline_at_ms);
#undef D
}

TEST(sessions_keep_their_fields_in_order,
     "header: vcp_session and vcp_session_request: names, types and order of their fields")
{
#define S(ctype, field) NEXT(vcp_session, ctype, field)
#define R(ctype, field) NEXT(vcp_session_request, ctype, field)
    FIRST(vcp_session, size_t, size);
    S(void *, data);
    S(vcp_free_fn, free_data);
    S(vcp_session_fd_fn, fd);
    S(int32_t, liveness);
    FIRST(vcp_session_request, size_t, size);
    R(const char *, network);
    R(const char *, address);
    R(const char *, reuse_tag);
    R(const char *, label);
    R(int64_t, timeout_ms);
#undef S
#undef R
}

TEST(completions_and_events_keep_their_fields_in_order,
     "header: vcp_completion and vcp_event: names, types and order of their fields")
{
#define C(ctype, field) NEXT(vcp_completion, ctype, field)
#define E(ctype, field) NEXT(vcp_event, ctype, field)
    FIRST(vcp_completion, size_t, size);
    C(void *, token);
    C(int, status);
    C(vcp_conn *, conn);
    FIRST(vcp_event, size_t, size);
    E(int32_t, kind);
    E(int32_t, reason);
    E(int, status);
    E(const char *, network);
    E(const char *, address);
    E(const char *, label);
    E(int, fd);
    E(int64_t, duration_us);
    E(const char *, reuse_tag);
    E(const char *, remote_address);
    E(const char *, message);
#undef C
#undef E
}

TEST(stats_keep_their_fields_in_order,
     "header: vcp_stats: names, order, and no gap between its uint64_t fields")
{
#define S(field)                      \
    NEXT(vcp_stats, uint64_t, field); \
    wanted += sizeof(uint64_t);       \
    CHECK_EQ(offsetof(vcp_stats, field), wanted - sizeof(uint64_t))
    size_t wanted = sizeof(size_t);
    FIRST(vcp_stats, size_t, size);
    S(dials);
    S(dial_failures);
    S(puts);
    S(gets);
    S(reuses);
    S(releases);
    S(waits);
    S(wait_timeouts);
    S(wait_us);
    S(stale_at_borrow);
    S(dirty_at_borrow);
    S(closed_while_idle);
    S(closed_idle_timeout);
    S(closed_lifetime);
    S(closed_max_uses);
    S(closed_idle_full);
    S(closed_evicted);
    S(closed_discarded);
    S(closed_hook);
    S(closed_foreign_fd);
    S(detached);
    S(leaks);
    S(idle);
    S(borrowed);
    S(dialing);
    S(waiting);
    S(idle_checks);
    S(releasing);
#undef S
}

TEST(every_signature_is_as_promised,
     "header: Every function and callback type has its exact signature")
{
    int (*rewrite)(void *, const char *, const char *, char *, size_t) = (vcp_rewrite_fn)NULL;
    int (*resolve)(void *, const char *, const char *, int64_t, vcp_resolved *) =
        (vcp_resolve_fn)NULL;
    int (*dialer)(void *, const char *, const char *, int64_t) = (vcp_dial_fn)NULL;
    int (*control)(void *, const char *, const char *, int) = (vcp_control_fn)NULL;
    int (*hook)(void *, vcp_conn *, int) = (vcp_conn_hook_fn)NULL;
    void (*event)(void *, const vcp_event *) = (vcp_event_fn)NULL;
    void (*freed)(void *) = (vcp_free_fn)NULL;
    int (*session)(void *, const vcp_session_request *, vcp_session *) = (vcp_session_fn)NULL;
    int (*session_fd)(void *) = (vcp_session_fd_fn)NULL;

    const char *(*status_name)(int) = vcp_status_name;
    const char *(*describe_status)(int) = vcp_strerror;
    const char *(*last_error)(void) = vcp_last_error;
    int (*last_errno)(void) = vcp_last_errno;
    int32_t (*last_phase)(void) = vcp_last_phase;
    int (*callback_error)(const char *) = vcp_set_callback_error;
    uint32_t (*version_number)(void) = vcp_version_number;
    const char *(*version_string)(void) = vcp_version_string;
    int (*resolved_add)(vcp_resolved *, const char *) = vcp_resolved_add;

    int (*pool_init)(vcp_pool_options *, size_t) = vcp_pool_options_init;
    int (*make)(const vcp_pool_options *, vcp_pool **) = vcp_pool_new;
    int (*pool_close)(vcp_pool *) = vcp_pool_close;
    int64_t (*drain)(vcp_pool *, int64_t) = vcp_pool_drain;
    int (*pool_abort)(vcp_pool *) = vcp_pool_abort;
    int (*close_idle)(vcp_pool *) = vcp_pool_close_idle;
    int (*evict)(vcp_pool *, const char *, const char *) = vcp_pool_evict;
    int (*warm)(vcp_pool *, const char *, const char *, const vcp_dial_options *, uint32_t) =
        vcp_pool_warm;
    int64_t (*conn_count)(vcp_pool *) = vcp_pool_conn_count;
    int64_t (*idle_count)(vcp_pool *, const char *, const char *) = vcp_pool_idle_count;
    int (*put)(vcp_pool *, int, const char *, const char *, const char *) = vcp_pool_put;
    int (*add)(vcp_pool *, int) = vcp_pool_add;
    int (*get)(vcp_pool *, const char *, const char *, const char *) = vcp_pool_get;
    int (*pool_stats)(vcp_pool *, vcp_stats *, size_t) = vcp_pool_stats;
    int64_t (*describe)(vcp_pool *, int32_t, char *, size_t) = vcp_pool_describe;
    int (*session_init)(vcp_session *, size_t) = vcp_session_init;
    int (*put_session)(vcp_pool *, const vcp_session *, const char *, const char *, const char *) =
        vcp_pool_put_session;

    int (*dial_init)(vcp_dial_options *, size_t) = vcp_dial_options_init;
    int (*dial)(vcp_pool *, const char *, const char *, vcp_conn **) = vcp_dial;
    int (*dial_with)(vcp_pool *, const char *, const char *, const vcp_dial_options *,
                     vcp_conn **) = vcp_dial_with;
    int (*dial_async)(vcp_pool *, const char *, const char *, const vcp_dial_options *, vcp_queue *,
                      void *, vcp_conn **) = vcp_dial_async;
    int (*queue_new)(vcp_queue **) = vcp_queue_new;
    int (*queue_fd)(vcp_queue *) = vcp_queue_fd;
    int (*queue_next)(vcp_queue *, vcp_completion *, size_t) = vcp_queue_next;
    int (*queue_free)(vcp_queue *) = vcp_queue_free;
    int (*cancel_new)(vcp_cancel **) = vcp_cancel_new;
    int (*cancel_fire)(vcp_cancel *) = vcp_cancel_fire;
    int (*cancel_free)(vcp_cancel *) = vcp_cancel_free;

    int (*of_conn[])(vcp_conn *) = {vcp_conn_raw_fd,    vcp_conn_detach,       vcp_conn_discard,
                                    vcp_conn_is_reused, vcp_conn_should_retry, vcp_conn_close};
    int64_t (*uses)(vcp_conn *) = vcp_conn_uses;
    int (*of_conn_and_enum[])(vcp_conn *, int32_t) = {vcp_conn_set_liveness, vcp_conn_wait};
    int (*set_cancel)(vcp_conn *, vcp_cancel *) = vcp_conn_set_cancel;
    int64_t (*reading[])(vcp_conn *, void *, size_t) = {vcp_conn_read, vcp_conn_try_read};
    int64_t (*writing[])(vcp_conn *, const void *, size_t) = {vcp_conn_write, vcp_conn_try_write};
    int (*deadlines[])(vcp_conn *, int64_t) = {vcp_conn_set_deadline, vcp_conn_set_read_deadline,
                                               vcp_conn_set_write_deadline};
    int64_t (*texts[])(vcp_conn *, char *, size_t) = {vcp_conn_local_address,
                                                      vcp_conn_remote_address, vcp_conn_network,
                                                      vcp_conn_address, vcp_conn_reuse_tag};
    int (*set_data)(vcp_conn *, void *, vcp_free_fn) = vcp_conn_set_data;
    void *(*data)(vcp_conn *) = vcp_conn_data;

    CHECK(!rewrite && !resolve && !dialer && !control && !hook && !event && !freed);
    CHECK(!session && !session_fd && session_init && put_session);
    CHECK(status_name && describe_status && last_error && last_errno && last_phase &&
          callback_error);
    CHECK(version_number && version_string && resolved_add);
    CHECK(pool_init && make && pool_close && drain && pool_abort && close_idle && evict && warm &&
          conn_count);
    CHECK(idle_count && put && add && get && pool_stats && describe);
    CHECK(dial_init && dial && dial_with && dial_async && queue_new && queue_fd && queue_next &&
          queue_free);
    CHECK(cancel_new && cancel_fire && cancel_free && uses && set_cancel && set_data && data);
    CHECK(of_conn[5] && of_conn_and_enum[1] && reading[1] && writing[1] && deadlines[2] &&
          texts[4]);
}

TEST(the_version_is_one_fact_in_three_forms,
     "header: The version macros, the packed number and the loaded library agree")
{
    char text[32];
    CHECK_EQ(VCP_VERSION_NUMBER,
             (VCP_VERSION_MAJOR << 16) | (VCP_VERSION_MINOR << 8) | VCP_VERSION_PATCH);
    snprintf(text, sizeof text, "%d.%d.%d", VCP_VERSION_MAJOR, VCP_VERSION_MINOR,
             VCP_VERSION_PATCH);
    CHECK_STR(VCP_VERSION_STRING, text);
    CHECK_EQ(vcp_version_number(), VCP_VERSION_NUMBER);
    CHECK_STR(vcp_version_string(), VCP_VERSION_STRING);
}
