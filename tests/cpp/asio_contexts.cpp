// vconnpool/asio.hpp: dials and the life of an execution context: many of them, threads, its end, a
// fork.
#include <sys/wait.h>

#include <atomic>

#include "asio_check.hpp"

// Every dial waits while the only connection is out.
static vcp::pool_options one_at_a_time()
{
    return vcp::pool_options().max_conns(1).wait_timeout(vcp::forever);
}

TEST(many_dials_are_answered_once_each,
     "C++: asio: ten thousand dials from four threads are answered once each, and then the context "
     "has no work left")
{
    constexpr int all = 10000;
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(8).wait_timeout(vcp::forever));
    net::io_context context;
    std::atomic<int> answers{0};
    std::atomic<int> failures{0};
    std::atomic<int> begun{0};
    // Each answer begins another dial; half of them from a strand, and half of what was borrowed
    // is given back at once.
    struct dialer {
        vcp::pool &pool;
        const std::string &address;
        net::any_io_executor executor;
        std::atomic<int> &begun;
        std::atomic<int> &answers;
        std::atomic<int> &failures;

        void dial()
        {
            if (begun++ < all) {
                async_dial(executor, pool, "tcp", address, {},
                           [self = *this](std::error_code ec, vcp::conn conn) mutable {
                               self.answers++;
                               self.failures += ec || !conn;
                               self.dial();
                           });
            }
        }
    };
    for (int i = 0; i < 64; i++) {
        const net::any_io_executor strand = net::make_strand(context);
        dialer{pool,  server.address(), i % 2 == 0 ? context.get_executor() : strand,
               begun, answers,          failures}
            .dial();
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&context] { context.run(); });
    }
    for (std::thread &one : threads) {
        one.join();
    }
    CHECK(answers == all && failures == 0);
    CHECK(pool.conn_count() <= 8 && pool.stats().waiting == 0 && pool.stats().borrowed == 0);
}

// A dial that was about to be answered at once counted as one whose answer comes by the queue. A
// wait for that answer kept the context running.
TEST(a_dial_that_begins_is_not_waited_for,
     "C++: asio: a context ends when all its dials are answered, whatever began meanwhile")
{
    const echo_server server;
    std::promise<void> is_beginning;
    std::promise<void> is_answered;
    vcp::callbacks calls;
    calls.on_event = [&](const vcp_event &event) {
        if (event.kind == VCP_EVENT_REUSED) {
            is_beginning.set_value();
            is_answered.get_future().get();
        }
    };
    vcp::pool told(vcp::pool_options().call(calls));
    vcp::pool pool(one_at_a_time());
    told.dial("tcp", server.address()).close();
    vcp::conn held = pool.dial("tcp", server.address());
    net::io_context context;
    int answers = 0;
    const auto count = [&](std::error_code ec, const vcp::conn &) { answers += !ec; };
    async_dial(context.get_executor(), pool, "tcp", server.address(), {},
               [&](std::error_code ec, const vcp::conn &) {
                   answers += !ec;
                   is_answered.set_value();
               });
    std::thread begins(
        [&] { async_dial(context.get_executor(), told, "tcp", server.address(), {}, count); });
    is_beginning.get_future().get();
    held.close();
    context.run_for(10s);
    begins.join();
    CHECK(answers == 2 && context.stopped());
}

TEST(one_pool_serves_several_contexts,
     "C++: asio: contexts share a pool, and pools share a context")
{
    const echo_server server;
    vcp::pool first(one_at_a_time());
    vcp::pool second(one_at_a_time());
    net::io_context context;
    net::thread_pool threads(2);
    std::atomic<int> answers{0};
    const auto count = [&](std::error_code ec, const vcp::conn &conn) { answers += !ec && conn; };
    for (int i = 0; i < 50; i++) {
        for (vcp::pool *const pool : {&first, &second}) {
            async_dial(context.get_executor(), *pool, "tcp", server.address(), {}, count);
            async_dial(threads.get_executor(), *pool, "tcp", server.address(), {}, count);
        }
    }
    context.run();
    threads.join();
    CHECK(answers == 200);
}

TEST(a_busy_strand_delays_no_other_answer,
     "C++: asio: a strand that is busy delays no answer but its own")
{
    const echo_server server;
    vcp::pool pool(one_at_a_time().max_conns(2));
    vcp::conn held = pool.dial("tcp", server.address());
    vcp::conn other = pool.dial("tcp", server.address());
    net::io_context context;
    const auto strand = net::make_strand(context);
    std::promise<void> is_answered;
    std::atomic<bool> is_first_called{false};
    async_dial(strand, pool, "tcp", server.address(), {},
               [&](std::error_code ec, const vcp::conn &) {
                   CHECK(!ec);
                   is_first_called = true;
               });
    async_dial(context.get_executor(), pool, "tcp", server.address(), {},
               [&](std::error_code ec, const vcp::conn &) {
                   CHECK(!ec && !is_first_called);
                   is_answered.set_value();
               });
    net::post(strand, [&] {
        held.close();
        other.close();
        is_answered.get_future().get();
    });
    const threads_that_run helpers(context, 2);
}

TEST(a_context_that_ends_calls_no_handler,
     "C++: asio: the end of a context cancels its dials, destroys their handlers, and calls none")
{
    const echo_server server;
    vcp::pool pool(one_at_a_time());
    vcp::conn held = pool.dial("tcp", server.address());
    const auto alive = std::make_shared<int>(0);
    {
        net::io_context context;
        for (int i = 0; i < 10; i++) {
            async_dial(context.get_executor(), pool, "tcp", server.address(), {},
                       [alive](std::error_code, const vcp::conn &) {
                           check_failed(__FILE__, __LINE__, "a handler was called");
                       });
        }
        CHECK(pool.stats().waiting == 10 && alive.use_count() == 11);
        context.run_for(20ms);
    }
    CHECK(alive.use_count() == 1);
    EVENTUALLY(pool.stats().waiting == 0, 5000);
    // An answer that was posted gives its connection back.
    held.close();
    {
        net::io_context context;
        async_dial(context.get_executor(), pool, "tcp", server.address(), {},
                   [alive](std::error_code, const vcp::conn &) {
                       check_failed(__FILE__, __LINE__, "a handler was called");
                   });
        CHECK(pool.stats().borrowed == 1);
    }
    CHECK(alive.use_count() == 1 && pool.idle_count() == 1 && pool.stats().borrowed == 0);
}

TEST(a_context_that_was_stopped_goes_on,
     "C++: asio: a context that is stopped and run again passes on what was answered meanwhile")
{
    const echo_server server;
    vcp::pool pool(one_at_a_time());
    vcp::conn held = pool.dial("tcp", server.address());
    net::io_context context;
    bool is_called = false;
    async_dial(context.get_executor(), pool, "tcp", server.address(), {},
               [&](std::error_code ec, const vcp::conn &) { is_called = !ec; });
    context.stop();
    CHECK(context.run() == 0);
    held.close();
    CHECK(!is_called);
    context.restart();
    context.run();
    CHECK(is_called);
}

TEST(the_end_of_a_pool_ends_its_dials,
     "C++: asio: the close of a pool ends its dials with errc::pool_closed")
{
    const echo_server server;
    std::optional<vcp::pool> pool(one_at_a_time());
    const vcp::conn held = pool->dial("tcp", server.address());
    net::io_context context;
    std::error_code answer;
    async_dial(context.get_executor(), *pool, "tcp", server.address(), {},
               [&](std::error_code ec, const vcp::conn &) { answer = ec; });
    pool.reset();
    context.run();
    CHECK(answer == vcp::errc::pool_closed);
}

// In the child: the dial of before the fork was canceled, and new ones work.
static bool works_in_the_child(net::io_context &context, vcp::pool &pool,
                               const std::string &address,
                               const std::optional<std::error_code> &answer)
{
    context.run();
    if (answer != vcp::errc::canceled) {
        return false;
    }
    std::error_code fresh = vcp::errc::io;
    context.restart();
    vcp::conn held = pool.dial("tcp", address);
    async_dial(context.get_executor(), pool, "tcp", address, {},
               [&](std::error_code ec, vcp::conn conn) {
                   fresh = ec;
                   echo(conn, "from the child");
               });
    held.close();
    context.run();
    return !fresh;
}

TEST(a_fork_leaves_dials_to_the_parent,
     "C++: asio: in a forked child the dials in flight end with errc::canceled and new ones work; "
     "in the parent they go on")
{
    const echo_server server;
    vcp::pool pool(one_at_a_time());
    vcp::conn held = pool.dial("tcp", server.address());
    net::io_context context;
    std::optional<std::error_code> answer;
    async_dial(context.get_executor(), pool, "tcp", server.address(), {},
               [&](std::error_code ec, const vcp::conn &) { answer = ec; });
    for (int i = 0; i < 3; i++) {
        context.notify_fork(net::execution_context::fork_prepare);
        const pid_t child = fork();
        if (child == 0) {
            alarm(30);
            context.notify_fork(net::execution_context::fork_child);
            _exit(works_in_the_child(context, pool, server.address(), answer) ? 0 : 1);
        }
        context.notify_fork(net::execution_context::fork_parent);
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    context.poll();
    CHECK(!answer);
    held.close();
    context.restart();
    context.run();
    CHECK(answer == std::error_code());
}

TEST(an_answer_that_came_before_the_fork_is_passed_on_once,
     "C++: asio: an answer that came before a fork is passed on once, and leaves no work behind")
{
    const echo_server server;
    vcp::pool pool(one_at_a_time());
    vcp::conn held = pool.dial("tcp", server.address());
    net::io_context context;
    int answers = 0;
    async_dial(context.get_executor(), pool, "tcp", server.address(), {},
               [&](std::error_code ec, const vcp::conn &) { answers += !ec; });
    net::post(context, [&] {
        held.close();
        EVENTUALLY(pool.stats().waiting == 0, 5000);
        context.notify_fork(net::execution_context::fork_prepare);
        context.notify_fork(net::execution_context::fork_parent);
    });
    context.run();
    CHECK(answers == 1 && pool.idle_count() == 1);
}
