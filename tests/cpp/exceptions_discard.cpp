// vconnpool.hpp: a connection that an exception unwinds past is discarded, and no other.
#include "check.hpp"

static vcp::pool_options with_room()
{
    return vcp::pool_options().max_idle_per_address(8);
}

// How many connections were closed because their borrower discarded them.
static std::uint64_t discarded(const vcp::pool &pool)
{
    return pool.stats().closed_discarded;
}

struct broken_answer {};

TEST(an_exception_that_unwinds_past_a_connection_discards_it,
     "C++: hpp: an exception discards the connection that it unwinds past: half an answer reaches "
     "nobody")
{
    const echo_server server;
    vcp::pool pool(with_room());
    try {
        vcp::conn conn = pool.dial("tcp", server.address());
        conn.write("half of it is never read");
        throw broken_answer();
    } catch (const broken_answer &) {
    }
    CHECK(pool.conn_count() == 0 && discarded(pool) == 1);
    vcp::conn next = pool.dial("tcp", server.address());
    CHECK(!next.is_reused());
    echo(next, "a clean answer");
}

TEST(a_connection_that_outlives_the_try_block_is_kept,
     "C++: hpp: a connection that outlives the try block, or is borrowed in its handler, is kept")
{
    const echo_server server;
    vcp::pool pool(with_room());
    {
        const vcp::conn conn = pool.dial("tcp", server.address());
        try {
            throw broken_answer();
        } catch (const broken_answer &) {
            const vcp::conn inside = pool.dial("tcp", server.address());
        }
    }
    CHECK(pool.idle_count() == 2 && discarded(pool) == 0);
}

struct logs_over_the_pool {
    vcp::pool &pool;
    const std::string &address;
    ~logs_over_the_pool()
    {
        CHECK(std::uncaught_exceptions() == 1);
        vcp::conn conn = pool.dial("tcp", address);
        echo(conn, "what went wrong");
    }
};

TEST(a_connection_borrowed_while_an_exception_unwinds_is_kept,
     "C++: hpp: a connection borrowed by a destructor while an exception unwinds is kept")
{
    const echo_server server;
    vcp::pool pool(with_room());
    try {
        const logs_over_the_pool last_words{pool, server.address()};
        throw broken_answer();
    } catch (const broken_answer &) {
    }
    CHECK(pool.idle_count() == 1 && discarded(pool) == 0);
}

struct throws_and_catches {
    vcp::pool &pool;
    const std::string &address;
    ~throws_and_catches()
    {
        try {
            const vcp::conn conn = pool.dial("tcp", address);
            throw broken_answer();
        } catch (const broken_answer &) {
        }
    }
};

TEST(a_second_exception_inside_the_first_discards_too,
     "C++: hpp: a second exception, inside a destructor, discards what it unwinds past")
{
    const echo_server server;
    vcp::pool pool(with_room());
    try {
        const throws_and_catches inner{pool, server.address()};
        throw broken_answer();
    } catch (const broken_answer &) {
    }
    CHECK(pool.conn_count() == 0 && discarded(pool) == 1);
}

struct assigns_over {
    vcp::conn &held;
    vcp::conn &other;
    ~assigns_over() { held = std::move(other); }
};

TEST(move_assignment_discards_what_it_replaces_during_an_exception,
     "C++: hpp: move assignment while an exception unwinds discards what it replaces")
{
    const echo_server server;
    vcp::pool pool(with_room());
    vcp::conn held = pool.dial("tcp", server.address());
    vcp::conn other = pool.dial("tcp", server.address());
    try {
        const assigns_over at_the_end{held, other};
        throw broken_answer();
    } catch (const broken_answer &) {
    }
    CHECK(discarded(pool) == 1 && pool.conn_count() == 1 && held && !other);
    // The one that was moved in survived the exception: it is kept.
    held = vcp::conn();
    CHECK(discarded(pool) == 1 && pool.idle_count() == 1);
}

TEST(a_moved_connection_remembers_when_it_was_borrowed,
     "C++: hpp: a moved connection remembers when it was borrowed")
{
    const echo_server server;
    vcp::pool pool(with_room());
    try {
        vcp::conn first = pool.dial("tcp", server.address());
        const vcp::conn second = std::move(first);
        throw broken_answer();
    } catch (const broken_answer &) {
    }
    CHECK(discarded(pool) == 1);
    try {
        std::optional<vcp::conn> held;
        held = pool.dial("tcp", server.address());
        throw broken_answer();
    } catch (const broken_answer &) {
    }
    CHECK(discarded(pool) == 2 && pool.conn_count() == 0);
}

struct borrows_for_later {
    vcp::pool &pool;
    const std::string &address;
    std::optional<vcp::conn> &later;
    ~borrows_for_later() { later = pool.dial("tcp", address); }
};

// It was borrowed while one exception was on its way, and kept when the next one came.
TEST(a_connection_borrowed_during_one_exception_is_discarded_by_the_next,
     "C++: hpp: a connection borrowed during one exception is discarded by the next")
{
    const echo_server server;
    vcp::pool pool(with_room());
    std::optional<vcp::conn> later;
    try {
        const borrows_for_later last{pool, server.address(), later};
        throw broken_answer();
    } catch (const broken_answer &) {
    }
    CHECK(later && discarded(pool) == 0);
    try {
        const vcp::conn moved = std::move(*later);
        throw broken_answer();
    } catch (const broken_answer &) {
    }
    CHECK(discarded(pool) == 1);
}

struct closes_by_itself {
    vcp::conn &conn;
    ~closes_by_itself() { conn.close(); }
};

TEST(an_explicit_close_gives_back_even_during_an_exception,
     "C++: hpp: close() gives back even while an exception unwinds")
{
    const echo_server server;
    vcp::pool pool(with_room());
    try {
        vcp::conn conn = pool.dial("tcp", server.address());
        const closes_by_itself fit{conn};
        throw broken_answer();
    } catch (const broken_answer &) {
    }
    CHECK(pool.idle_count() == 1 && discarded(pool) == 0);
}

TEST(answers_of_asynchronous_dials_are_discarded_too,
     "C++: hpp: an exception discards the connection of a completion too")
{
    const echo_server server;
    vcp::pool pool(with_room());
    vcp::queue queue;
    const vcp::dial_options queued = vcp::dial_options().flags(VCP_DIAL_QUEUED);
    CHECK(!pool.dial_async("tcp", server.address(), queued, queue, nullptr));
    pollfd one{queue.fd(), POLLIN, 0};
    CHECK(poll(&one, 1, 10000) == 1);
    try {
        const std::optional<vcp::completion> answer = queue.next();
        CHECK(answer && answer->connection);
        throw broken_answer();
    } catch (const broken_answer &) {
    }
    CHECK(pool.conn_count() == 0 && discarded(pool) == 1);
}
