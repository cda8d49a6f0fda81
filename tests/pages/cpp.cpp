// The pieces of docs/guide/cpp.md at work: a server that echoes answers each line with a line.
#include "check.h"

#include <asio.hpp>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vconnpool/asio.hpp>

using namespace std::chrono_literals;

static int logins;

/// Stands for the class of a driver that dials by itself.
class ledger {
public:
    ledger(std::string_view, std::chrono::milliseconds) { logins++; }
    int balance(int account) { return account * 2; }
};

#include "cpp.hpp"

TEST(a_connection_goes_back_unless_an_exception_unwinds_past_it,
     "docs/guide/cpp.md: Owners and exceptions")
{
    fixture f = fixture_new(NULL);
    vcp::pool pool;
    server_start_echo(&f.s);
    CHECK(ask(pool, f.s.address, "one\n") == "one\n");
    CHECK(ask(pool, f.s.address, "two\n") == "two\n");
    CHECK_EQ(pool.stats().dials, 1);
    CHECK_EQ(pool.idle_count(), 1);
    FIXTURE_END(&f);
}

TEST(each_form_tells_the_failure, "docs/guide/cpp.md: Errors in three forms")
{
    vcp::pool pool;
    show_three_forms(pool, "127.0.0.1:1");
}

TEST(a_session_is_opened_once, "docs/guide/cpp.md: Sessions")
{
    vcp::session_pool<ledger> pool = ledgers();
    CHECK_EQ(balance_of(pool, "ledger:4000", 21), 42);
    CHECK_EQ(balance_of(pool, "ledger:4000", 4), 8);
    CHECK_EQ(logins, 1);
}

TEST(a_coroutine_asks, "docs/guide/cpp.md: Asio")
{
    fixture f = fixture_new(NULL);
    vcp::pool pool;
    asio::io_context context;
    std::string answer;
    server_start_echo(&f.s);
    asio::co_spawn(context, ask_later(pool, f.s.address, "three\n"),
                   [&](std::exception_ptr, std::string said) { answer = said; });
    context.run();
    CHECK(answer == "three\n");
    CHECK_EQ(pool.idle_count(), 1);
    FIXTURE_END(&f);
}
