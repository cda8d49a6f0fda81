// vconnpool.hpp: ownership, errors both ways, options, callbacks, queues.
#include "check.hpp"

TEST(owners_give_back_and_move, "C++: hpp: owners give back, move, and hold nothing afterwards")
{
    const echo_server server;
    static_assert(!std::is_copy_constructible<vcp::conn>::value &&
                      !std::is_copy_constructible<vcp::pool>::value,
                  "");
    static_assert(std::is_nothrow_move_constructible<vcp::conn>::value, "");
    static_assert(std::is_nothrow_move_assignable<vcp::conn>::value, "");
    vcp::pool pool;
    {
        vcp::conn conn = pool.dial("tcp", server.address());
        CHECK(!conn.is_reused() && conn.uses() == 1 && conn.fd() >= 0);
        echo(conn, "hello");
        vcp::conn other = std::move(conn);
        CHECK(!conn && other);
        THROWS(invalid_handle, conn.fd());
        CHECK(other.remote_address() == server.address() && other.network() == "tcp" &&
              other.reuse_tag().empty());
        CHECK(pool.idle_count() == 0);
    }
    CHECK(pool.idle_count() == 1);
    vcp::conn first = pool.dial("tcp", server.address());
    CHECK(first.is_reused());
    vcp::conn second = pool.dial("tcp", server.address());
    first = std::move(second);
    CHECK(pool.idle_count("tcp", server.address()) == 1 && pool.conn_count() == 2);
    first.close();
    THROWS(invalid_handle, first.read(nullptr, 0));
    CHECK(pool.idle_count() == 2);
    const std::optional<int> fd = pool.get("tcp", server.address());
    CHECK(fd.has_value());
    pool.put(*fd, "tcp", server.address(), "tag");
    CHECK(!pool.get("tcp", server.address(), "other").has_value());
    vcp::conn detached = pool.dial("tcp", server.address());
    const int own = detached.detach();
    CHECK(!detached && fcntl(own, F_GETFD) >= 0);
    ::close(own);
    vcp::pool moved = std::move(pool);
    THROWS(invalid_handle, pool.stats());
    CHECK(moved.stats().dials == 2);
    CHECK(moved.describe(VCP_FORMAT_JSON).find("\"dials\"") != std::string::npos);
    moved.evict();
    CHECK(moved.idle_count() == 0);
}

// It stood for "no token": a dial that was to be canceled could not be.
TEST(a_token_that_was_moved_from_is_refused,
     "C++: hpp: a token that was moved from is refused, not taken for none")
{
    const echo_server server;
    vcp::pool pool;
    vcp::cancel token;
    const vcp::cancel other = std::move(token);
    THROWS(invalid_handle,
           pool.dial("tcp", server.address(), vcp::dial_options().cancel_by(token)));
    vcp::conn conn = pool.dial("tcp", server.address(), vcp::dial_options().cancel_by(other));
    THROWS(invalid_handle, conn.set_cancel(&token));
    conn.set_cancel(&other);
    conn.set_cancel(nullptr);
    token.fire();
}

// The assignment swapped: what the target had held lived on in the source.
TEST(what_is_assigned_to_lets_go_at_once,
     "C++: hpp: a queue and a token that another is moved into let go at once, as pools and "
     "connections")
{
    vcp::queue queue;
    vcp::queue other_queue;
    vcp_queue *old_queue = queue.handle();
    queue = std::move(other_queue);
    CHECK(other_queue.handle() == nullptr && queue.fd() >= 0);
    CHECK(vcp_queue_fd(old_queue) == VCP_ERR_INVALID_HANDLE);
    vcp::cancel token;
    vcp::cancel other_token;
    vcp_cancel *old_token = token.handle();
    token = std::move(other_token);
    CHECK(other_token.handle() == nullptr && token.handle() != nullptr);
    CHECK(vcp_cancel_fire(old_token) == VCP_ERR_INVALID_HANDLE);
    vcp::cancel &same = token;
    token = std::move(same);
    CHECK(vcp_cancel_fire(token.handle()) == VCP_OK);
}

TEST(closing_what_is_empty_does_nothing,
     "C++: hpp: close() of what is empty does nothing and succeeds")
{
    vcp::pool pool;
    vcp::pool other = std::move(pool);
    vcp::conn none;
    std::error_code ec = vcp::errc::io;
    pool.close();
    none.close();
    none.close(ec);
    CHECK(!ec && other);
}

TEST(errors_come_both_ways,
     "C++: hpp: a failure is an exception or an error code, with the whole message either way")
{
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(1).name("small"));
    std::error_code ec;
    vcp::conn held = pool.dial("tcp", server.address(), ec);
    CHECK(!ec && held);
    vcp::conn none = pool.dial("tcp", server.address(), ec);
    CHECK(!none && ec == vcp::errc::pool_exhausted);
    CHECK(ec.category() == vcp::category() && ec.category().name() == std::string("vcp"));
    CHECK(vcp::last_error().find("max_conns=1") != std::string::npos);
    const vcp::error thrown = THROWS(pool_exhausted, pool.dial("tcp", server.address()));
    CHECK(std::strstr(thrown.what(), "max_conns=1") != nullptr);
    const vcp::error late =
        THROWS(timeout, pool.dial("tcp", server.address(), vcp::dial_options().wait_timeout(20ms)));
    CHECK(late.phase() == VCP_PHASE_WAITING && late.code() == std::errc::timed_out);
    THROWS(invalid_address, pool.dial("tcp", "127.0.0.1"));
    THROWS(invalid_address, pool.dial("tcp", std::string_view("127.0.0.1:80\0:1", 15)));
    THROWS(unknown_network, pool.dial("carrier pigeon", "127.0.0.1:80"));
    THROWS(invalid_argument, vcp::pool(vcp::pool_options().lifetime_jitter_percent(101)));
    vcp::pool refused(vcp::pool_options().idle_timeout(-2ms), ec);
    CHECK(!refused && ec == vcp::errc::invalid_argument && ec == std::errc::invalid_argument);
    THROWS(invalid_argument, held.set_liveness(static_cast<vcp_liveness>(9)));
    held.set_deadline(0ms);
    char byte;
    CHECK(held.read(&byte, 1, ec) == 0 && ec == vcp::errc::timeout);
    held.close(ec);
    CHECK(!ec && pool.conn_count() == 0);
    held.close(ec);
    CHECK(!ec);
    pool.close();
    THROWS(invalid_handle, pool.dial("tcp", server.address()));
}

TEST(callbacks_may_throw,
     "C++: hpp: a callback that throws refuses; callbacks are kept until the last one has returned")
{
    const echo_server server;
    int events = 0;
    bool is_freed = false;
    struct sentinel {
        bool *is_freed;
        ~sentinel() { *is_freed = true; }
    };
    {
        auto guard = std::make_shared<sentinel>(sentinel{&is_freed});
        is_freed = false;
        vcp::callbacks calls;
        bool refuses = false;
        calls.rewrite = [&](std::string_view network, std::string_view address) {
            CHECK(network == "tcp");
            if (address == "thrown.test:1") {
                throw std::runtime_error("no such place");
            }
            return std::string(address == "alias.test:1" ? std::string_view(server.address())
                                                         : address);
        };
        calls.resolve = [](std::string_view, std::string_view host, vcp::milliseconds) {
            if (host == "nowhere.test") {
                throw std::system_error(std::make_error_code(std::errc::no_such_device));
            }
            return std::vector<std::string>{"127.0.0.1"};
        };
        calls.on_open = [&refuses, guard](vcp::conn_ref conn, int fd) {
            CHECK(conn.fd() == fd);
            conn.set_data(std::make_unique<std::string>("a session"));
            if (refuses) {
                throw 7;
            }
        };
        calls.on_event = [&events](const vcp_event &) {
            events++;
            throw std::runtime_error("lost");
        };
        vcp::pool pool(vcp::pool_options().call(calls));
        calls = {};
        guard.reset();
        {
            vcp::conn conn = pool.dial("tcp", "alias.test:1");
            CHECK(*conn.data<std::string>() == "a session");
            CHECK(conn.address() == "alias.test:1" && conn.remote_address() == server.address());
            echo(conn, "by another name");
        }
        CHECK(std::strstr(THROWS(callback, pool.dial("tcp", "thrown.test:1")).what(),
                          "no such place") != nullptr);
        const vcp::error unresolved = THROWS(callback, pool.dial("tcp", "nowhere.test:80"));
        CHECK(unresolved.number() == static_cast<int>(std::errc::no_such_device));
        refuses = true;
        THROWS(callback,
               pool.dial("tcp", server.address(), vcp::dial_options().flags(VCP_DIAL_FRESH)));
        CHECK(!is_freed && events > 0);
    }
    CHECK(is_freed);
}

TEST(queues_and_tokens,
     "C++: hpp: answers of asynchronous dials own their connections; tokens end them")
{
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(1).wait_timeout(vcp::forever));
    vcp::queue queue;
    vcp::cancel token;
    int mark = 0;
    std::error_code ec;
    CHECK(!queue.next().has_value());
    CHECK(!pool.dial_async("tcp", server.address(), {}, queue, &mark).has_value());
    pollfd one{queue.fd(), POLLIN, 0};
    CHECK(poll(&one, 1, 10000) == 1);
    {
        std::optional<vcp::completion> answer = queue.next();
        CHECK(answer.has_value() && answer->token == &mark && !answer->ec && answer->connection);
        echo(answer->connection, "later");
        CHECK(!pool.dial_async("tcp", server.address(), vcp::dial_options().cancel_by(token), queue,
                               &mark, ec));
        CHECK(!ec);
        token.fire();
        CHECK(poll(&one, 1, 10000) == 1);
        std::optional<vcp::completion> canceled = queue.next();
        CHECK(canceled.has_value() && canceled->ec == vcp::errc::canceled && !canceled->connection);
        CHECK(canceled->ec == std::errc::operation_canceled &&
              canceled->message.find("canceled") != std::string::npos);
    }
    CHECK(pool.idle_count() == 1);
    std::optional<vcp::conn> at_once = pool.dial_async("tcp", server.address(), {}, queue, &mark);
    CHECK(at_once.has_value() && at_once->is_reused());
    CHECK(!at_once->try_read(&mark, 1).has_value());
    THROWS(canceled, pool.dial_async("tcp", server.address(), vcp::dial_options().cancel_by(token),
                                     queue, &mark));
}
