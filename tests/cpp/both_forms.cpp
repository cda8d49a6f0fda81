// vconnpool.hpp: everything that can fail throws, or sets an error code, and otherwise does the
// same.
#include "check.hpp"

static_assert(noexcept(std::declval<vcp::conn &>().read(nullptr, 0,
                                                        std::declval<std::error_code &>())),
              "");
static_assert(noexcept(std::declval<vcp::pool &>().close(std::declval<std::error_code &>())), "");

// The call must set that code, and return nothing: what is equal to `nothing`.
template <typename Nothing, typename Call>
static void sets(vcp::errc code, int line, const Nothing &nothing, Call call)
{
    std::error_code ec;
    const bool is_nothing = call(ec) == nothing;
    check_true(__FILE__, line, "something was returned", is_nothing);
    check_true(__FILE__, line, ec.message().c_str(), ec == code);
    check_true(__FILE__, line, "without a message", !vcp::last_error().empty());
}
#define SETS(code, nothing, call) \
    sets(vcp::errc::code, __LINE__, nothing, [&](std::error_code &ec) { return call; })
#define SETS_ONLY(code, call) \
    sets(vcp::errc::code, __LINE__, 0, [&](std::error_code &ec) { return call, 0; })

// The call must clear the code.
template <typename Call> static auto succeeds(int line, Call call)
{
    std::error_code ec = vcp::errc::io;
    auto result = call(ec);
    check_true(__FILE__, line, ec.message().c_str(), !ec);
    return result;
}
#define SUCCEEDS(call) succeeds(__LINE__, [&](std::error_code &ec) { return call; })
#define SUCCEEDS_ONLY(call) succeeds(__LINE__, [&](std::error_code &ec) { return call, 0; })

TEST(what_fails_on_an_empty_connection,
     "C++: hpp: whatever can fail on a connection comes as an exception and as an error code")
{
    vcp::conn none;
    vcp::cancel token;
    char byte = 0;
    THROWS(invalid_handle, none.uses());
    SETS(invalid_handle, -1, none.fd(ec));
    SETS(invalid_handle, -1, none.detach(ec));
    SETS(invalid_handle, false, none.is_reused(ec));
    SETS(invalid_handle, 0, none.uses(ec));
    SETS(invalid_handle, false, none.should_retry(ec));
    SETS_ONLY(invalid_handle, none.discard(ec));
    SETS_ONLY(invalid_handle, none.set_liveness(VCP_LIVENESS_WATCH, ec));
    SETS_ONLY(invalid_handle, none.set_cancel(&token, ec));
    SETS(invalid_handle, 0U, none.read(&byte, 1, ec));
    SETS(invalid_handle, 0U, none.read_full(&byte, 1, ec));
    SETS_ONLY(invalid_handle, none.write("x", ec));
    SETS_ONLY(invalid_handle, none.shutdown(SHUT_WR, ec));
    SETS_ONLY(invalid_handle, none.report(1, 0, ec));
    SETS(invalid_handle, 0ms, none.age(ec));
    SETS(invalid_handle, 0ms, none.idle_time(ec));
    SETS_ONLY(invalid_handle, none.set_deadline_at(vcp::time_point(), ec));
    SETS(invalid_handle, std::nullopt, none.try_read(&byte, 1, ec));
    SETS(invalid_handle, std::nullopt, none.try_write(&byte, 1, ec));
    SETS(invalid_handle, 0, none.wait(VCP_READABLE, ec));
    SETS_ONLY(invalid_handle, none.set_deadline(1s, ec));
    SETS_ONLY(invalid_handle, none.set_read_deadline(1s, ec));
    SETS_ONLY(invalid_handle, none.set_write_deadline(1s, ec));
    SETS(invalid_handle, "", none.local_address(ec));
    SETS(invalid_handle, "", none.remote_address(ec));
    SETS(invalid_handle, "", none.network(ec));
    SETS(invalid_handle, "", none.address(ec));
    SETS(invalid_handle, "", none.reuse_tag(ec));
    SETS_ONLY(invalid_handle, none.set_data(std::make_unique<int>(1), ec));
}

TEST(what_fails_on_an_empty_pool_and_queue,
     "C++: hpp: whatever can fail on a pool or a queue comes as an exception and as an error code")
{
    vcp::pool pool;
    const vcp::pool taken = std::move(pool);
    vcp::queue queue;
    const vcp::queue taken_queue = std::move(queue);
    vcp::queue answers;
    const vcp::dial_options options;
    const std::string_view tcp = "tcp";
    const std::string_view at = "127.0.0.1:1";
    THROWS(invalid_handle, pool.get(tcp, at));
    SETS(invalid_handle, false, pool.dial(tcp, at, ec).operator bool());
    SETS(invalid_handle, false, pool.dial(tcp, at, options, ec).operator bool());
    SETS(invalid_handle, false,
         pool.dial_async(tcp, at, options, answers, nullptr, ec).has_value());
    SETS(invalid_handle, 0, pool.warm(tcp, at, 1, ec));
    SETS(invalid_handle, 0, pool.warm(tcp, at, 1, options, ec));
    SETS_ONLY(invalid_handle, pool.put(0, tcp, at, ec));
    SETS_ONLY(invalid_handle, pool.put(0, tcp, at, "tag", ec));
    SETS_ONLY(invalid_handle, pool.add(0, ec));
    SETS(invalid_handle, std::nullopt, pool.get(tcp, at, ec));
    SETS(invalid_handle, std::nullopt, pool.get(tcp, at, "tag", ec));
    SETS_ONLY(invalid_handle, pool.close_idle(ec));
    SETS_ONLY(invalid_handle, pool.evict(ec));
    SETS_ONLY(invalid_handle, pool.evict(tcp, at, ec));
    SETS_ONLY(invalid_handle, pool.abort(ec));
    SETS(invalid_handle, 0, pool.drain(0ms, ec));
    SETS_ONLY(invalid_handle, pool.set_limits(vcp::pool_options(), ec));
    SETS(invalid_handle, 0, pool.conn_count(ec));
    SETS(invalid_handle, 0, pool.idle_count(ec));
    SETS(invalid_handle, 0, pool.idle_count(tcp, at, ec));
    SETS(invalid_handle, 0U, pool.stats(ec).size);
    SETS(invalid_handle, "", pool.describe(ec));
    SETS(invalid_handle, "", pool.describe(VCP_FORMAT_JSON, ec));
    SETS(invalid_handle, -1, queue.fd(ec));
    SETS(invalid_handle, false, queue.next(ec).has_value());
    SETS(invalid_argument, "", taken.describe(99, ec));
}

TEST(what_succeeds_clears_the_code_and_does_the_same,
     "C++: hpp: a success clears the code; nothing idle, nothing to read, no completion are no "
     "failures")
{
    const echo_server server;
    vcp::pool pool = SUCCEEDS(vcp::pool(ec));
    vcp::queue queue = SUCCEEDS(vcp::queue(ec));
    const vcp::cancel token = SUCCEEDS(vcp::cancel(ec));
    CHECK(pool && queue && token);
    char byte = 0;
    vcp::conn conn = SUCCEEDS(pool.dial("tcp", server.address(), ec));
    CHECK(SUCCEEDS(conn.fd(ec)) == conn.fd());
    CHECK(!SUCCEEDS(conn.is_reused(ec)) && SUCCEEDS(conn.uses(ec)) == 1 &&
          !SUCCEEDS(conn.should_retry(ec)));
    CHECK(SUCCEEDS(conn.address(ec)) == server.address() &&
          SUCCEEDS(conn.remote_address(ec)) == server.address());
    CHECK(SUCCEEDS(conn.network(ec)) == "tcp" && SUCCEEDS(conn.reuse_tag(ec)).empty());
    CHECK(SUCCEEDS(conn.local_address(ec)) == conn.local_address());
    SUCCEEDS_ONLY(conn.set_liveness(VCP_LIVENESS_STRICT, ec));
    SUCCEEDS_ONLY(conn.set_cancel(&token, ec));
    SUCCEEDS_ONLY(conn.set_cancel(nullptr, ec));
    SUCCEEDS_ONLY(conn.set_deadline(10s, ec));
    SUCCEEDS_ONLY(conn.set_read_deadline(10s, ec));
    SUCCEEDS_ONLY(conn.set_write_deadline(10s, ec));
    // Nothing now is no failure.
    CHECK(!SUCCEEDS(conn.try_read(&byte, 1, ec)).has_value());
    CHECK(SUCCEEDS(conn.try_write("x", 1, ec)) == std::size_t{1});
    CHECK(SUCCEEDS(conn.wait(VCP_READABLE, ec)) == VCP_READABLE);
    CHECK(SUCCEEDS(conn.try_read(&byte, 1, ec)) == std::size_t{1} && byte == 'x');
    SUCCEEDS_ONLY(conn.write("y", ec));
    CHECK(SUCCEEDS(conn.read(&byte, 1, ec)) == 1 && byte == 'y');
    SUCCEEDS_ONLY(conn.write("z", ec));
    CHECK(SUCCEEDS(conn.read_full(&byte, 1, ec)) == 1 && byte == 'z');
    SUCCEEDS_ONLY(conn.set_deadline_at(vcp::time_point::max(), ec));
    SUCCEEDS_ONLY(conn.report(1, 0, ec));
    CHECK(SUCCEEDS(conn.age(ec)) >= 0ms && conn.age() < 60s);
    CHECK(SUCCEEDS(conn.idle_time(ec)) == 0ms);
    SUCCEEDS_ONLY(conn.set_data(std::make_unique<std::string>("rides along"), ec));
    CHECK(*conn.data<std::string>() == "rides along");
    SUCCEEDS_ONLY(conn.set_data(std::unique_ptr<std::string>(), ec));
    CHECK(SUCCEEDS(pool.conn_count(ec)) == 1 && SUCCEEDS(pool.idle_count(ec)) == 0);
    SUCCEEDS_ONLY(conn.close(ec));
    CHECK(SUCCEEDS(pool.idle_count("tcp", server.address(), ec)) == 1);
    CHECK(SUCCEEDS(pool.warm("tcp", server.address(), 2, ec)) == 2);
    const std::optional<int> fd = SUCCEEDS(pool.get("tcp", server.address(), ec));
    CHECK(fd.has_value() && !SUCCEEDS(pool.get("tcp", server.address(), "tag", ec)).has_value());
    SUCCEEDS_ONLY(pool.put(*fd, "tcp", server.address(), "tag", ec));
    SUCCEEDS_ONLY(pool.set_limits(vcp::pool_options().max_conns(5), ec));
    pool.set_limits(vcp::pool_options());
    SUCCEEDS_ONLY(pool.evict("tcp", server.address(), ec));
    CHECK(SUCCEEDS(pool.stats(ec)).dials == 2 && SUCCEEDS(pool.describe(ec)) == pool.describe());
    CHECK(!SUCCEEDS(queue.next(ec)).has_value() && SUCCEEDS(queue.fd(ec)) == queue.fd());
    CHECK(!SUCCEEDS(pool.dial_async("tcp", server.address(), {}, queue, &byte, ec)).has_value());
    pollfd one{queue.fd(), POLLIN, 0};
    CHECK(poll(&one, 1, 10000) == 1);
    std::optional<vcp::completion> answer = SUCCEEDS(queue.next(ec));
    CHECK(answer.has_value() && answer->token == &byte && answer->message.empty());
    SUCCEEDS_ONLY(answer->connection.discard(ec));
    const int own = SUCCEEDS(answer->connection.detach(ec));
    CHECK(own >= 0 && !answer->connection);
    SUCCEEDS_ONLY(pool.add(own, ec));
    SUCCEEDS_ONLY(pool.close_idle(ec));
    SUCCEEDS_ONLY(pool.evict(ec));
    SUCCEEDS_ONLY(pool.abort(ec));
    CHECK(SUCCEEDS(pool.drain(0ms, ec)) == 0);
    SUCCEEDS_ONLY(pool.close(ec));
    CHECK(!pool);
}
