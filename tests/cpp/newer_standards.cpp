// vconnpool.hpp: what C++20 and C++23 add. Under an older standard these tests do nothing.
#include "check.hpp"

#include <array>

#ifdef __cpp_lib_span
template <typename Size> static std::span<const std::byte> bytes_of(const char *text, Size size)
{
    return std::as_bytes(std::span<const char>(text, size));
}

static bool holds(std::span<const std::byte> bytes, std::string_view text)
{
    return bytes.size() == text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}
#endif

TEST(spans_of_bytes_are_read_and_written,
     "C++: hpp: C++20: read, read_full and write take spans of bytes")
{
#ifdef __cpp_lib_span
    const echo_server server;
    vcp::pool pool;
    std::array<std::byte, 16> room{};
    std::error_code ec = vcp::errc::io;
    vcp::conn conn = pool.dial("tcp", server.address());
    conn.write(bytes_of("hello", 5U));
    CHECK(conn.wait(VCP_READABLE) == VCP_READABLE);
    std::size_t count = conn.read(room);
    CHECK(holds(std::span(room).first(count), "hello"));
    conn.write(bytes_of("again", 5U), ec);
    CHECK(!ec);
    count = conn.read(std::span(room).first(2), ec);
    CHECK(!ec && holds(std::span(room).first(count), "ag"));
    const std::size_t rest = conn.read_full(std::span(room).first(3));
    CHECK(holds(std::span(room).first(rest), "ain"));
    conn.write(bytes_of("whole", 5U));
    count = conn.read_full(std::span(room).first(5), ec);
    CHECK(!ec && holds(std::span(room).first(count), "whole"));
    conn.set_deadline(0ms);
    CHECK(conn.read(std::span<std::byte>(room), ec) == 0 && ec == vcp::errc::timeout);
    THROWS(timeout, conn.write(bytes_of("late", 4U)));
#endif
}

TEST(expected_holds_the_value_or_the_code,
     "C++: hpp: C++23: dial, read, read_full and write have std::expected forms")
{
#ifdef __cpp_lib_expected
    const echo_server server;
    vcp::pool pool(vcp::pool_options().max_conns(1));
    std::array<std::byte, 16> room{};
    {
        std::expected<vcp::conn, std::error_code> conn =
            pool.dial_expected("tcp", server.address());
        CHECK(conn.has_value() && *conn);
        const std::expected<std::size_t, std::error_code> sent = conn->write_expected("hello");
        CHECK(sent == std::size_t{5});
        const std::expected<std::size_t, std::error_code> got = conn->read_expected(room);
        CHECK(got.has_value() && holds(std::span(room).first(*got), "hello"));
        CHECK(conn->write_expected(bytes_of("x", 1U)) == std::size_t{1});
        CHECK(conn->read_expected(room.data(), room.size()) == std::size_t{1});
        CHECK(conn->write_expected("whole").has_value());
        CHECK(conn->read_full_expected(std::span(room).first(5)) == std::size_t{5});
        CHECK(holds(std::span(room).first(5), "whole"));
        CHECK(conn->read_full_expected(room.data(), 0) == std::size_t{0});
        const auto full = pool.dial_expected("tcp", server.address());
        CHECK(!full && full.error() == vcp::errc::pool_exhausted);
        conn->set_deadline(0ms);
        const auto late = conn->read_expected(room);
        CHECK(!late && late.error() == vcp::errc::timeout);
        CHECK(late.error() == std::errc::timed_out);
        CHECK(!conn->write_expected("late", 4));
    }
    CHECK(pool.conn_count() == 0);
    const auto labelled = vcp::dial_options().label("with options");
    CHECK(pool.dial_expected("tcp", server.address(), labelled).has_value());
    CHECK(pool.idle_count() == 1);
#endif
}

TEST(expected_holds_a_session_or_the_code,
     "C++: session_pool: C++23: dial has a std::expected form")
{
#ifdef __cpp_lib_expected
    vcp::session_pool<int> pool(vcp::pool_options().max_conns(1), [](const vcp::session_request &) {
        return std::make_unique<int>(7);
    });
    const std::expected<vcp::session<int>, std::error_code> session =
        pool.dial_expected("tcp", "db.test:1");
    CHECK(session.has_value() && **session == 7);
    const auto full = pool.dial_expected("tcp", "db.test:1");
    CHECK(!full && full.error() == vcp::errc::pool_exhausted);
#endif
}
