// vconnpool/asio.hpp: what async_dial does for each kind of completion token.
#include "asio_check.hpp"

#include <array>

TEST(a_dial_is_answered_by_its_executor_and_never_at_once,
     "C++: asio: the handler is called by the executor, never from inside async_dial, not even for "
     "a connection that is idle")
{
    const echo_server server;
    vcp::pool pool;
    net::io_context context;
    const auto strand = net::make_strand(context);
    for (const bool is_reused : {false, true}) {
        bool is_called = false;
        // A handler that can only be moved.
        async_dial(
            strand, pool, "tcp", server.address(), {},
            [&, text = std::make_unique<std::string>("hi")](std::error_code ec, vcp::conn conn) {
                CHECK(!ec && conn.is_reused() == is_reused);
                CHECK(strand.running_in_this_thread());
                echo(conn, *text);
                is_called = true;
            });
        CHECK(!is_called);
        context.run();
        context.restart();
        CHECK(is_called && pool.idle_count() == 1);
    }
}

TEST(the_handlers_own_executor_has_work_meanwhile,
     "C++: asio: a handler bound to another executor is called there, which has work until then")
{
    const echo_server server;
    vcp::pool pool;
    net::io_context dials;
    net::io_context other;
    const threads_that_run helper(dials, 1);
    bool is_called = false;
    async_dial(dials.get_executor(), pool, "tcp", server.address(), {},
               net::bind_executor(other, [&](std::error_code ec, vcp::conn conn) {
                   CHECK(!ec && conn && other.get_executor().running_in_this_thread());
                   is_called = true;
               }));
    other.run();
    CHECK(is_called);
}

TEST(a_future_holds_the_connection_or_the_exception,
     "C++: asio: use_future gives a future of the connection, or of the error")
{
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(1));
    net::io_context context;
    const threads_that_run helper(context, 1);
    const auto executor = context.get_executor();
    vcp::conn conn = async_dial(executor, pool, "tcp", server.address(), {}, net::use_future).get();
    echo(conn, "from a future");
    auto refused = async_dial(executor, pool, "tcp", server.address(), {}, net::use_future);
    try {
        static_cast<void>(refused.get());
        check_failed(__FILE__, __LINE__, "nothing was thrown");
    } catch (const net_system_error &thrown) {
        CHECK(std::error_code(thrown.code()) == vcp::errc::pool_exhausted);
    }
}

// What a dial of the context ended with.
static std::error_code ended(vcp::pool &pool, const std::string &network,
                             const std::string &address, const vcp::dial_options &options = {})
{
    net::io_context context;
    std::optional<std::error_code> answer;
    async_dial(context.get_executor(), pool, network, address, options,
               [&](std::error_code ec, const vcp::conn &conn) {
                   CHECK(!conn == static_cast<bool>(ec));
                   answer = ec;
               });
    CHECK(!answer);
    context.run();
    CHECK(answer.has_value());
    return *answer;
}

TEST(a_failure_is_an_error_code_of_the_library,
     "C++: asio: a failure is a std::error_code that equals the library's and the errno behind it")
{
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(1));
    const std::error_code refused = ended(pool, "tcp", "127.0.0.1:1");
    CHECK(refused == vcp::errc::connect && refused == std::errc::connection_refused);
    CHECK(ended(pool, "tcp", "no port") == vcp::errc::invalid_address);
    CHECK(ended(pool, "carrier pigeon", "a:1") == vcp::errc::unknown_network);
    CHECK(ended(pool, "tcp", server.address(), vcp::dial_options().flags(VCP_DIAL_QUEUED)) ==
          std::error_code());
    const vcp::conn held = pool.dial("tcp", server.address());
    CHECK(ended(pool, "tcp", server.address()) == vcp::errc::pool_exhausted);
    const auto soon = vcp::dial_options().wait_timeout(vcp::forever).timeout(20ms);
    const std::error_code late = ended(pool, "tcp", server.address(), soon);
    CHECK(late == vcp::errc::timeout && late == std::errc::timed_out);
    vcp::pool moved = std::move(pool);
    CHECK(ended(pool, "tcp", server.address()) == vcp::errc::invalid_handle);
}

TEST(a_cancellation_signal_ends_one_dial,
     "C++: asio: a cancellation of any type ends its dial, and no other, with errc::canceled")
{
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(1).wait_timeout(vcp::forever));
    vcp::conn held = pool.dial("tcp", server.address());
    for (const auto type : {net::cancellation_type::terminal, net::cancellation_type::partial,
                            net::cancellation_type::total}) {
        net::io_context context;
        std::array<net::cancellation_signal, 2> signals;
        std::array<std::optional<std::error_code>, 2> answers;
        for (std::size_t i = 0; i < answers.size(); i++) {
            const auto keep = [&answers, i](std::error_code ec, const vcp::conn &) {
                answers[i] = ec;
            };
            async_dial(context.get_executor(), pool, "tcp", server.address(), {},
                       net::bind_cancellation_slot(signals[i].slot(), keep));
        }
        signals[1].emit(type);
        context.run_one(); // the answers of the queue
        context.run_one(); // the handler
        CHECK(!answers[0] && answers[1] == vcp::errc::canceled);
        CHECK(*answers[1] == std::errc::operation_canceled);
        held.close();
        context.run();
        CHECK(answers[0] == std::error_code());
        // After the answer it does nothing.
        signals[0].emit(type);
        signals[1].emit(type);
        held = pool.dial("tcp", server.address());
    }
}

TEST(a_token_of_the_options_takes_the_place_of_the_slot,
     "C++: asio: a token in the options ends the dial, in place of the cancellation slot")
{
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(1).wait_timeout(vcp::forever));
    const vcp::conn held = pool.dial("tcp", server.address());
    net::io_context context;
    net::cancellation_signal signal;
    vcp::cancel token;
    std::optional<std::error_code> answer;
    async_dial(context.get_executor(), pool, "tcp", server.address(),
               vcp::dial_options().cancel_by(token),
               net::bind_cancellation_slot(
                   signal.slot(), [&](std::error_code ec, const vcp::conn &) { answer = ec; }));
    signal.emit(net::cancellation_type::terminal);
    CHECK(context.poll() == 0 && !answer && pool.stats().waiting == 1);
    token.fire();
    context.run();
    CHECK(answer == vcp::errc::canceled);
}

// An allocator that counts what it has given.
template <typename T> struct counting_allocator {
    using value_type = T;
    long *given;
    long *most;

    counting_allocator(long *now, long *peak) : given(now), most(peak) {}
    template <typename U> counting_allocator(const counting_allocator<U> &other)
        : given(other.given), most(other.most)
    {
    }
    T *allocate(std::size_t count)
    {
        *given += 1;
        *most = std::max(*most, *given);
        return std::allocator<T>().allocate(count);
    }
    void deallocate(T *memory, std::size_t count)
    {
        *given -= 1;
        std::allocator<T>().deallocate(memory, count);
    }
    template <typename U> bool operator==(const counting_allocator<U> &other) const
    {
        return given == other.given;
    }
    template <typename U> bool operator!=(const counting_allocator<U> &other) const
    {
        return given != other.given;
    }
};

struct handler_with_allocator {
    using allocator_type = counting_allocator<char>;
    allocator_type allocator;
    bool *is_called;

    allocator_type get_allocator() const noexcept { return allocator; }
    void operator()(std::error_code ec, const vcp::conn &conn) const
    {
        CHECK(!ec && conn && *allocator.given == 0);
        *is_called = true;
    }
};

TEST(the_handlers_allocator_is_used,
     "C++: asio: a dial uses the allocator of its handler, and has given all back when that runs")
{
    const echo_server server;
    vcp::pool pool;
    net::io_context context;
    for (int i = 0; i < 2; i++) {
        long given = 0;
        long most = 0;
        bool is_called = false;
        async_dial(context.get_executor(), pool, "tcp", server.address(), {},
                   handler_with_allocator{{&given, &most}, &is_called});
        context.run();
        context.restart();
        CHECK(is_called && most > 0 && given == 0);
    }
}

TEST(a_stream_leaves_the_connection_as_it_was,
     "C++: asio: a stream is a socket of Asio, and gives its connection back in its blocking mode")
{
    const echo_server server;
    vcp::pool pool;
    net::io_context context;
    std::array<char, 5> room{};
    const auto is_blocking = [](int fd) { return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0; };
    {
        vcp::asio::stream stream(context.get_executor(), pool.dial("tcp", server.address()));
        const vcp::asio::stream moved(std::move(stream));
        CHECK(!stream.is_open() && moved.is_open());
    }
    CHECK(pool.idle_count() == 1);
    for (const bool is_on : {true, false}) {
        const auto flags =
            vcp::dial_options().flags(is_on ? VCP_DIAL_BLOCKING : VCP_DIAL_NONBLOCKING);
        vcp::asio::stream stream(context.get_executor(), pool.dial("tcp", server.address(), flags));
        const int fd = stream.connection().fd();
        net::async_write(stream, net::buffer("hello", 5), [](auto ec, std::size_t) { CHECK(!ec); });
        net::async_read(stream, net::buffer(room), [](auto ec, std::size_t) { CHECK(!ec); });
        context.run();
        context.restart();
        CHECK(std::string(room.data(), room.size()) == "hello");
        const vcp::conn other = pool.dial("tcp", server.address());
        {
            const vcp::asio::stream ended(std::move(stream));
        }
        CHECK(is_blocking(fd) == is_on);
    }
    try {
        const vcp::asio::stream stream(context.get_executor(), pool.dial("tcp", server.address()));
        throw std::runtime_error("half of an answer is not read");
    } catch (const std::runtime_error &) {
    }
    CHECK(pool.stats().closed_discarded == 1 && pool.stats().closed_foreign_fd == 0);
}

TEST(a_pool_of_sessions_gives_sessions,
     "C++: asio: a dial of a session_pool gives its handler a session")
{
    vcp::session_pool<int> pool(vcp::pool_options(), [](const vcp::session_request &wanted) {
        return std::make_unique<int>(wanted.timeout > 0ms ? 7 : 0);
    });
    net::io_context context;
    bool is_called = false;
    async_dial(context.get_executor(), pool, "tcp", "db.test:1", {},
               [&](std::error_code ec, vcp::session<int> session) {
                   CHECK(!ec && *session == 7);
                   is_called = true;
               });
    context.run();
    CHECK(is_called && pool.idle_count() == 1);
}

#ifdef HAS_COROUTINES
static net::awaitable<std::string> ask(vcp::pool &pool, std::string address, std::string text)
{
    const auto executor = co_await net::this_coro::executor;
    vcp::asio::stream stream(
        executor, co_await async_dial(executor, pool, "tcp", address, {}, net::use_awaitable));
    co_await net::async_write(stream, net::buffer(text), net::use_awaitable);
    std::string answer(text.size(), '\0');
    co_await net::async_read(stream, net::buffer(answer), net::use_awaitable);
    co_return answer;
}
#endif

TEST(a_coroutine_awaits_the_connection,
     "C++: asio: co_await of a dial returns the connection, or throws the error")
{
#ifdef HAS_COROUTINES
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(4).wait_timeout(vcp::forever));
    net::io_context context;
    int answers = 0;
    for (int i = 0; i < 100; i++) {
        const std::string text = "question " + std::to_string(i);
        net::co_spawn(context, ask(pool, server.address(), text),
                      [&answers, text](std::exception_ptr thrown, std::string answer) {
                          answers += thrown == nullptr && answer == text;
                      });
    }
    std::error_code refused;
    net::co_spawn(context, ask(pool, "127.0.0.1:1", "nobody"),
                  [&](std::exception_ptr thrown, const std::string &) {
                      try {
                          std::rethrow_exception(thrown);
                      } catch (const net_system_error &error) {
                          refused = error.code();
                      }
                  });
    context.run();
    CHECK(answers == 100 && refused == std::errc::connection_refused);
    CHECK(pool.stats().dials <= 5 && pool.conn_count() <= 4);
#else
    SKIP("no coroutines in this language");
#endif
}

TEST(a_coroutine_that_is_canceled_cancels_its_dial,
     "C++: asio: what cancels a coroutine cancels the dial that it awaits")
{
#ifdef HAS_COROUTINES
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(1).wait_timeout(vcp::forever));
    const vcp::conn held = pool.dial("tcp", server.address());
    net::io_context context;
    net::cancellation_signal signal;
    std::error_code ended;
    net::co_spawn(context, ask(pool, server.address(), "waits"),
                  net::bind_cancellation_slot(signal.slot(),
                                              [&](std::exception_ptr thrown, const std::string &) {
                                                  try {
                                                      std::rethrow_exception(thrown);
                                                  } catch (const net_system_error &error) {
                                                      ended = error.code();
                                                  }
                                              }));
    while (pool.stats().waiting == 0) {
        context.run_one();
    }
    signal.emit(net::cancellation_type::terminal);
    context.run();
    CHECK(ended == vcp::errc::canceled && pool.stats().waiting == 0);
#else
    SKIP("no coroutines in this language");
#endif
}
