// vconnpool.hpp: what callbacks return and throw, and what durations mean.
#include "check.hpp"

// It cut the text: another address was dialed than the one that was meant.
TEST(a_nul_inside_an_answer_is_refused,
     "C++: hpp: a NUL inside what rewrite or resolve returns is refused")
{
    const echo_server server;
    vcp::callbacks calls;
    calls.rewrite = [&](std::string_view, std::string_view) {
        return server.address() + std::string("\0.evil", 6);
    };
    {
        vcp::pool pool(vcp::pool_options().call(calls));
        const vcp::error thrown = THROWS(invalid_address, pool.dial("tcp", "alias.test:1"));
        CHECK(std::strstr(thrown.what(), ".evil") != nullptr);
    }
    calls.rewrite = nullptr;
    calls.resolve = [](std::string_view, std::string_view, vcp::milliseconds) {
        return std::vector<std::string>{std::string("127.0.0.1\0.evil", 15)};
    };
    vcp::pool pool(vcp::pool_options().call(calls));
    const vcp::error thrown = THROWS(callback, pool.dial("tcp", "name.test:1"));
    CHECK(std::strstr(thrown.what(), ".evil") != nullptr);
}

static std::string told_of(const std::string &what)
{
    vcp::callbacks calls;
    calls.rewrite = [&](std::string_view, std::string_view) -> std::string {
        throw std::runtime_error(what);
    };
    vcp::pool pool(vcp::pool_options().call(calls));
    return THROWS(callback, pool.dial("tcp", "alias.test:1")).what();
}

static bool ends_with(const std::string &text, const std::string &end)
{
    return text.size() >= end.size() &&
           text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Text that is no UTF-8, or too long, was lost.
TEST(what_a_callback_throws_is_told_whatever_its_bytes,
     "C++: hpp: what a callback throws is told, cut at 1,024 bytes and with '?' for what is no "
     "UTF-8")
{
    CHECK(ends_with(told_of("plain"), ": plain"));
    CHECK(ends_with(told_of("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
                    ": gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"));
    CHECK(ends_with(told_of("latin \xe9t\xe9, then \xc3\xa9"), ": latin ?t?, then \xc3\xa9"));
    CHECK(ends_with(told_of("half \xe2\x82"), ": half ??"));
    CHECK(ends_with(told_of("overlong \xc0\xaf \xe0\x80\xaf"), ": overlong ?? ???"));
    CHECK(ends_with(told_of("surrogate \xed\xa0\x80, beyond \xf4\x90\x80\x80"),
                    ": surrogate ???, beyond ????"));
    CHECK(ends_with(told_of(std::string(5000, 'x')), ": " + std::string(1024, 'x')));
    CHECK(ends_with(told_of(std::string(1023, 'x') + "\xc3\xa9"), ": " + std::string(1023, 'x')));
}

// It was passed to vcp_set_callback_error, whose refusal replaced this thread's last error.
TEST(what_on_event_throws_leaves_no_trace,
     "C++: hpp: what on_event throws is lost, and leaves this thread's last error alone")
{
    const echo_server server;
    vcp::callbacks calls;
    calls.on_event = [](const vcp_event &) { throw std::runtime_error("lost"); };
    vcp::pool pool(vcp::pool_options().call(calls));
    THROWS(invalid_address, pool.dial("tcp", "127.0.0.1"));
    const std::string before = vcp::last_error();
    pool.dial("tcp", server.address()).close();
    CHECK(vcp::last_error() == before);
}

static int number_of(vcp::callbacks calls)
{
    vcp::pool pool(vcp::pool_options().call(std::move(calls)));
    return THROWS(callback, pool.dial("tcp", "alias.test:1")).number();
}

// Every one came negated.
TEST(the_number_of_a_refusal_is_the_thrown_codes,
     "C++: hpp: error::number() of a refusal is the thrown code's value, of dial its negative")
{
    const std::error_code no_device = std::make_error_code(std::errc::no_such_device);
    const auto rewrite_throws = [](auto what) {
        vcp::callbacks calls;
        calls.rewrite = [what](std::string_view, std::string_view) -> std::string { throw what; };
        return calls;
    };
    CHECK(number_of(rewrite_throws(std::system_error(no_device))) == no_device.value());
    CHECK(number_of(rewrite_throws(vcp::error(vcp::errc::timeout, "late"))) == VCP_ERR_TIMEOUT);
    CHECK(number_of(rewrite_throws(std::system_error(std::error_code(), "no error"))) == -1);
    CHECK(number_of(rewrite_throws(std::runtime_error("no code"))) == -1);
    vcp::callbacks calls;
    calls.dial = [&](std::string_view, std::string_view, vcp::milliseconds) -> int {
        throw std::system_error(no_device);
    };
    CHECK(number_of(calls) == -no_device.value());
}

// pool_options().dial_timeout(vcp::forever) was an invalid argument.
TEST(forever_is_no_limit_everywhere, "C++: hpp: vcp::forever is no limit wherever a time is taken")
{
    const echo_server server;
    vcp::callbacks calls;
    vcp::milliseconds told{0};
    calls.rewrite = [&](std::string_view, std::string_view) -> std::string {
        return "name.test" + server.address().substr(9);
    };
    calls.resolve = [&](std::string_view, std::string_view, vcp::milliseconds timeout) {
        told = timeout;
        return std::vector<std::string>{"127.0.0.1"};
    };
    vcp::pool_options options;
    options.wait_timeout(vcp::forever)
        .idle_timeout(vcp::forever)
        .max_lifetime(vcp::forever)
        .dial_timeout(vcp::forever);
    options.fallback_delay(vcp::forever).keepalive_idle(vcp::forever).user_timeout(vcp::forever);
    options.dns_cache(vcp::forever).fail_fast(vcp::forever).leak_threshold(vcp::forever);
    options.hook_timeout(vcp::forever);
    CHECK(options.raw().idle_timeout_ms == VCP_FOREVER);
    CHECK(options.raw().dns_cache_ms == INT64_MAX && options.raw().fail_fast_ms == INT64_MAX);
    vcp::pool pool(options.call(calls));
    pool.dial("tcp", "alias.test:1").close();
    CHECK(told == vcp::forever);
    vcp::conn conn =
        pool.dial("tcp", "alias.test:1",
                  vcp::dial_options().timeout(vcp::forever).wait_timeout(vcp::forever));
    CHECK(conn.is_reused());
    conn.set_deadline(vcp::forever);
    echo(conn, "for ever");
    conn.close();
    CHECK(pool.drain(vcp::forever) == 0);
    THROWS(invalid_argument, vcp::pool(vcp::pool_options().keepalive_interval(vcp::forever)));
    THROWS(invalid_argument, vcp::pool(vcp::pool_options().dial_timeout(-2ms)));
}

TEST(fail_fast_forever_lets_no_other_dial_through,
     "C++: hpp: fail_fast(forever): after one failure no dial is tried again")
{
    int dials = 0;
    vcp::callbacks calls;
    calls.dial = [&](std::string_view, std::string_view, vcp::milliseconds) -> int {
        dials++;
        throw std::runtime_error("down");
    };
    vcp::pool pool(vcp::pool_options().fail_fast(vcp::forever).call(calls));
    THROWS(callback, pool.dial("tcp", "alias.test:1"));
    THROWS(callback, pool.dial("tcp", "alias.test:1"));
    CHECK(dials == 1);
}

// time_point::max() must be "none", and steady_clock the library's clock.
TEST(points_in_time_are_on_the_librarys_clock,
     "C++: hpp: absolute times are std::chrono::steady_clock's")
{
    const echo_server server;
    vcp::pool pool;
    const std::int64_t before = vcp_now_ms();
    const auto now = std::chrono::steady_clock::now();
    const std::int64_t since =
        std::chrono::duration_cast<vcp::milliseconds>(now.time_since_epoch()).count();
    CHECK(before <= since && since <= vcp_now_ms());
    const auto passed = vcp::dial_options().deadline_at(now - 1s);
    CHECK(THROWS(timeout, pool.dial("tcp", server.address(), passed)).phase() != VCP_PHASE_WAITING);
    const auto open = vcp::dial_options().deadline_at(vcp::time_point::max());
    vcp::conn conn = pool.dial("tcp", server.address(), open);
    conn.set_deadline_at(now + 60s);
    echo(conn, "in time");
    conn.set_deadline_at(vcp::time_point::max());
    echo(conn, "at any time");
    conn.set_deadline_at(now - 1s);
    char byte = 0;
    THROWS(timeout, conn.read(&byte, 1));
}

TEST(the_pools_own_is_the_pools, "C++: hpp: vcp::as_the_pool is the pool's own time")
{
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(1).wait_timeout(20ms));
    vcp::conn held = pool.dial("tcp", server.address());
    const auto late = vcp::dial_options().timeout(vcp::as_the_pool).wait_timeout(vcp::as_the_pool);
    THROWS(timeout, pool.dial("tcp", server.address(), late));
    THROWS(pool_exhausted,
           pool.dial("tcp", server.address(), vcp::dial_options().wait_timeout(0ms)));
}
