// vconnpool.hpp: session_pool, over a driver of the test's own.
#include <sys/wait.h>

#include <atomic>

#include "check.hpp"

// A session as a driver would have it: a socket that it opened itself, and its peer.
struct session_of_a_driver {
    std::string user;
    int fd = -1;
    int peer = -1;

    explicit session_of_a_driver(std::string_view name) : user(name)
    {
        int both[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0);
        fd = both[0];
        peer = both[1];
        opened++;
    }
    session_of_a_driver(const session_of_a_driver &) = delete;
    session_of_a_driver &operator=(const session_of_a_driver &) = delete;
    ~session_of_a_driver()
    {
        CHECK(::close(fd) == 0 && (peer < 0 || ::close(peer) == 0));
        ended++;
    }

    static inline std::atomic<int> opened{0};
    static inline std::atomic<int> ended{0};
};
using driver = session_of_a_driver;

constexpr auto open_driver = [](const vcp::session_request &wanted) {
    return std::make_unique<driver>(wanted.reuse_tag);
};
constexpr auto fd_of_driver = [](const driver &one) { return one.fd; };

// How many sessions were opened and are not ended.
static int alive()
{
    return driver::opened - driver::ended;
}

static void count_anew()
{
    CHECK(alive() == 0);
    driver::opened = 0;
    driver::ended = 0;
}

static vcp::dial_options as_user(std::string_view user)
{
    return vcp::dial_options().reuse_tag(user);
}

TEST(a_dial_opens_a_session_or_returns_an_idle_one,
     "C++: session_pool: a dial returns what the opener opened, or an idle session of the same "
     "destination and tag")
{
    count_anew();
    vcp::session_pool<driver> pool(vcp::pool_options(), open_driver, fd_of_driver);
    {
        const vcp::session<driver> first = pool.dial("tcp", "db.test:1", as_user("alice"));
        CHECK(first && first->user == "alice" && &*first == first.get());
        CHECK(first.fd() == first->fd && !first.is_reused() && first.address() == "db.test:1");
        const vcp::session<driver> second = pool.dial("tcp", "db.test:1", as_user("bob"));
        CHECK(second->user == "bob" && second.reuse_tag() == "bob");
    }
    CHECK(pool.idle_count() == 2 && alive() == 2);
    const vcp::session<driver> again = pool.dial("tcp", "db.test:1", as_user("alice"));
    CHECK(again.is_reused() && again->user == "alice" && driver::opened == 2);
    pool.close();
    CHECK(!pool && alive() == 1);
}

TEST(the_opener_is_told_what_is_wanted,
     "C++: session_pool: the opener is told destination, tag, label and the time that is left")
{
    bool is_asked = false;
    vcp::callbacks calls;
    calls.rewrite = [](std::string_view, std::string_view) { return std::string("other.test:2"); };
    // An opener that can only be moved; T and D are deduced.
    vcp::session_pool pool(
        vcp::pool_options().call(calls),
        [&is_asked, mark = std::make_unique<int>(1)](const vcp::session_request &wanted) {
            CHECK(wanted.network == "tcp" && wanted.address == "other.test:2");
            CHECK(wanted.reuse_tag == "carol" && wanted.label == "a test" && *mark == 1);
            CHECK(wanted.timeout > 5s && wanted.timeout <= 10s);
            is_asked = true;
            return open_driver(wanted);
        });
    static_assert(std::is_same_v<decltype(pool), vcp::session_pool<driver>>, "");
    const auto session =
        pool.dial("tcp", "db.test:1", as_user("carol").label("a test").timeout(10s));
    CHECK(is_asked && session->user == "carol");
    THROWS(not_available, session.fd());
}

TEST(a_session_ends_once, "C++: session_pool: each session is ended by its deleter, once")
{
    {
        vcp::session_pool<driver> pool(vcp::pool_options().max_idle_per_address(1), open_driver,
                                       fd_of_driver);
        vcp::session<driver> kept = pool.dial("tcp", "db.test:1");
        vcp::session<driver> too_many = pool.dial("tcp", "db.test:1");
        vcp::session<driver> discarded = pool.dial("tcp", "db.test:1");
        CHECK(alive() == 3);
        discarded.discard();
        discarded.close();
        CHECK(alive() == 2 && !discarded && discarded.get() == nullptr);
        kept.close();
        too_many = vcp::session<driver>();
        CHECK(alive() == 1 && pool.idle_count() == 1);
        try {
            const vcp::session<driver> half_done = pool.dial("tcp", "db.test:1");
            throw std::runtime_error("in the middle of a query");
        } catch (const std::runtime_error &) {
        }
        CHECK(alive() == 0 && pool.conn_count() == 0);
        const vcp::session<driver> broken = pool.dial("tcp", "db.test:1");
        broken->user = "gone";
        CHECK(alive() == 1);
    }
    CHECK(alive() == 0);
}

TEST(
    an_opener_that_throws_refuses,
    "C++: session_pool: an opener that throws, or returns no session, refuses; what it threw joins "
    "the message")
{
    enum class how { as_error, as_code, as_nothing } next = how::as_error;
    vcp::session_pool pool(vcp::pool_options(), [&](const vcp::session_request &wanted) {
        auto opened = open_driver(wanted);
        switch (next) {
        case how::as_error:
            throw std::runtime_error("password authentication failed");
        case how::as_code:
            throw std::system_error(std::make_error_code(std::errc::permission_denied));
        case how::as_nothing:
            opened.reset();
        }
        return opened;
    });
    const vcp::error refused = THROWS(callback, pool.dial("tcp", "db.test:1"));
    CHECK(std::strstr(refused.what(), "password authentication failed") != nullptr);
    CHECK(refused.number() == -1);
    next = how::as_code;
    CHECK(THROWS(callback, pool.dial("tcp", "db.test:1")).number() == EACCES);
    next = how::as_nothing;
    std::error_code ec;
    const auto none = pool.dial("tcp", "db.test:1", ec);
    CHECK(!none && ec == vcp::errc::callback);
    CHECK(vcp::last_error().find("no session") != std::string::npos);
    CHECK(pool.conn_count() == 0 && pool.stats().dial_failures == 3 && alive() == 0);
}

struct counts {
    int *count;
    void operator()(driver *session) const
    {
        *count += 1;
        delete session;
    }
};

// Opens, gives back, reuses in a hook, detaches and puts, with any deleter.
template <typename D, typename Make> static void lives_and_dies(Make make)
{
    using pool_of_it = vcp::session_pool<driver, D>;
    int seen = 0;
    vcp::callbacks calls;
    calls.on_reuse = [&seen](vcp::conn_ref conn, int fd) {
        const vcp::session_ref<driver, D> session(conn);
        CHECK(session->fd == fd && session.uses() >= 1);
        seen++;
    };
    pool_of_it pool(
        vcp::pool_options().max_conns(1).call(calls),
        [make](const vcp::session_request &) { return make(); }, fd_of_driver);
    pool.dial("tcp", "db.test:1").close();
    vcp::session<driver, D> session = pool.dial("tcp", "db.test:1");
    CHECK(seen == 1 && driver::opened == 1);
    std::unique_ptr<driver, D> own = session.detach();
    CHECK(!session && own->fd >= 0 && pool.conn_count() == 0);
    pool.put(std::move(own), "tcp", "db.test:1", "tagged");
    CHECK(own == nullptr && pool.idle_count() == 1);
    // What cannot be put stays the caller's.
    session = pool.dial("tcp", "db.test:1", as_user("tagged"));
    std::unique_ptr<driver, D> another = make();
    std::error_code ec;
    pool.put(std::move(another), "tcp", "db.test:1", ec);
    CHECK(ec == vcp::errc::pool_exhausted && another != nullptr && another->peer >= 0);
    CHECK(seen == 2 && alive() == 2);
    std::optional<std::unique_ptr<driver, D>> gone = session.detach(ec);
    CHECK(!ec && gone.has_value() && *gone != nullptr);
    CHECK(!session.detach(ec).has_value() && ec == vcp::errc::invalid_handle);
}

template <typename D, typename Make> static void lives_and_leaves_nothing(Make make)
{
    count_anew();
    lives_and_dies<D>(make);
    CHECK(alive() == 0 && driver::opened == 2);
}

TEST(a_deleter_may_be_anything,
     "C++: session_pool: a deleter may be empty, have state, be a function or a lambda; a session "
     "that cannot be put stays the caller's")
{
    int count = 0;
    const auto lambda = [&count](driver *session) { counts{&count}(session); };
    using lambda_type = std::remove_const_t<decltype(lambda)>;
    using function = void (*)(driver *);
    lives_and_leaves_nothing<std::default_delete<driver>>(
        [] { return std::make_unique<driver>(""); });
    lives_and_leaves_nothing<counts>(
        [&] { return std::unique_ptr<driver, counts>(new driver(""), counts{&count}); });
    lives_and_leaves_nothing<lambda_type>(
        [&] { return std::unique_ptr<driver, lambda_type>(new driver(""), lambda); });
    lives_and_leaves_nothing<function>([] {
        return std::unique_ptr<driver, function>(new driver(""),
                                                 [](driver *session) { delete session; });
    });
    CHECK(count == 4);
}

TEST(an_empty_deleter_costs_nothing,
     "C++: session_pool: with an empty deleter the connection's data is the session itself")
{
    static_assert(sizeof(vcp::session<driver>) == sizeof(vcp::conn), "");
    static_assert(std::is_nothrow_move_constructible_v<vcp::session<driver>>, "");
    static_assert(!std::is_copy_constructible_v<vcp::session<driver>>, "");
    vcp::session_pool<driver> pool(vcp::pool_options(), open_driver);
    const vcp::session<driver> session = pool.dial("tcp", "db.test:1");
    CHECK(vcp_conn_data(session.handle()) == session.get());
    CHECK(vcp::conn_ref(session.handle()).data<driver>() == session.get());
}

TEST(a_session_whose_peer_hangs_up_is_closed,
     "C++: session_pool: a session that tells its socket is watched; one whose fd throws is closed")
{
    bool is_broken = false;
    struct fragile : driver {
        bool *is_broken;
        fragile(std::string_view name, bool *broken) : driver(name), is_broken(broken) {}
    };
    vcp::session_pool<fragile> pool(
        vcp::pool_options(),
        [&](const vcp::session_request &wanted) {
            return std::make_unique<fragile>(wanted.reuse_tag, &is_broken);
        },
        [](fragile &session) {
            return *session.is_broken ? throw std::runtime_error("no socket") : session.fd;
        });
    vcp::session<fragile> session = pool.dial("tcp", "db.test:1");
    CHECK(::close(std::exchange(session->peer, -1)) == 0);
    session.close();
    EVENTUALLY(alive() == 0 && pool.conn_count() == 0, 5000);
    session = pool.dial("tcp", "db.test:1");
    is_broken = true;
    session.close();
    CHECK(alive() == 0 && pool.conn_count() == 0);
}

TEST(hooks_look_after_idle_sessions,
     "C++: session_pool: on_release in the background, on_idle and on_reuse_after look after "
     "sessions")
{
    std::atomic<int> rolled_back{0};
    std::atomic<int> pinged{0};
    std::atomic<int> asked{0};
    vcp::callbacks calls;
    calls.on_release = [&](vcp::conn_ref conn, int) {
        CHECK(conn.data<driver>()->user == "dave");
        rolled_back++;
    };
    calls.on_idle = [&](vcp::conn_ref conn, int) {
        if (conn.data<driver>()->user == "dave" && ++pinged == 2) {
            throw std::runtime_error("no answer to a ping");
        }
    };
    calls.on_reuse = [&](vcp::conn_ref, int) { asked++; };
    vcp::session_pool<driver> pool(vcp::pool_options()
                                       .call(calls)
                                       .on_release_in_background(true)
                                       .on_reuse_after(60s)
                                       .on_idle_every(20ms),
                                   open_driver, fd_of_driver);
    pool.dial("tcp", "db.test:1", as_user("dave")).close();
    EVENTUALLY(rolled_back == 1, 5000);
    EVENTUALLY(alive() == 0 && pool.conn_count() == 0, 5000);
    CHECK(pinged == 2 && asked == 0 && pool.stats().closed_hook == 1);
}

TEST(an_asynchronous_dial_answers_with_a_session,
     "C++: session_pool: the answer of an asynchronous dial makes a session, or is one at once")
{
    vcp::session_pool<driver> pool(vcp::pool_options(), open_driver, fd_of_driver);
    vcp::queue queue;
    std::error_code ec;
    CHECK(!pool.dial_async("tcp", "db.test:1", {}, queue, &ec).has_value());
    pollfd one{queue.fd(), POLLIN, 0};
    CHECK(poll(&one, 1, 10000) == 1);
    std::optional<vcp::completion> answer = queue.next();
    CHECK(answer && answer->token == &ec && !answer->ec);
    vcp::session<driver> session(std::move(answer->connection));
    CHECK(session->fd == session.fd() && !answer->connection);
    session.close();
    std::optional<vcp::session<driver>> at_once =
        pool.dial_async("tcp", "db.test:1", {}, queue, nullptr, ec);
    CHECK(!ec && at_once.has_value() && at_once->is_reused());
}

TEST(the_opener_lives_until_its_last_call,
     "C++: session_pool: opener and callbacks live until the pool and its last session are gone")
{
    const auto sentinel = std::make_shared<int>(0);
    {
        vcp::session<driver> session;
        {
            vcp::session_pool<driver> pool(
                vcp::pool_options(),
                [sentinel](const vcp::session_request &wanted) { return open_driver(wanted); },
                fd_of_driver);
            session = pool.dial("tcp", "db.test:1");
        }
        CHECK(alive() == 1 && sentinel.use_count() == 2);
    }
    CHECK(alive() == 0 && sentinel.use_count() == 1);
}

TEST(wrong_options_leave_an_empty_pool,
     "C++: session_pool: a wrong option is an exception or an error code, and the opener is "
     "destroyed")
{
    const auto sentinel = std::make_shared<int>(0);
    const auto opener = [sentinel](const vcp::session_request &wanted) {
        return open_driver(wanted);
    };
    std::error_code ec;
    vcp::callbacks calls;
    calls.dial = [](std::string_view, std::string_view, vcp::milliseconds) { return -1; };
    const auto wrong = vcp::pool_options().call(calls);
    const vcp::session_pool first(wrong, opener, ec);
    CHECK(!first && ec == vcp::errc::invalid_argument);
    const vcp::session_pool second(wrong, opener, fd_of_driver, ec);
    CHECK(!second && ec == vcp::errc::invalid_argument);
    THROWS(invalid_argument, vcp::session_pool<driver>(wrong, opener));
    THROWS(invalid_argument,
           vcp::session_pool<driver>(vcp::pool_options().nonblocking(true), opener, fd_of_driver));
    CHECK(sentinel.use_count() == 2);
}

TEST(a_forked_child_has_no_session_of_its_parent,
     "C++: session_pool: in a forked child a session of the parent is nullptr and is never ended")
{
    count_anew();
    vcp::session_pool<driver> pool(vcp::pool_options(), open_driver, fd_of_driver);
    pool.dial("tcp", "db.test:2").close();
    {
        vcp::session<driver> session = pool.dial("tcp", "db.test:1");
        const pid_t child = fork();
        if (child == 0) {
            alarm(30);
            const bool is_gone = session.get() == nullptr && pool.idle_count() == 0;
            session = pool.dial("tcp", "db.test:1");
            const bool is_new = !session.is_reused() && driver::opened == 3;
            _exit(is_gone && is_new && driver::ended == 0 ? 0 : 1);
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        CHECK(session->fd == session.fd());
    }
    CHECK(pool.idle_count() == 2 && alive() == 2);
}

TEST(a_pool_that_c_code_made_can_be_owned,
     "C++: hpp: a pool takes over the handle of a pool that C code made")
{
    const echo_server server;
    vcp_pool *made = nullptr;
    CHECK(vcp_pool_new(nullptr, &made) == VCP_OK);
    {
        vcp::pool pool(made);
        vcp::conn conn = pool.dial("tcp", server.address());
        echo(conn, "through C");
    }
    CHECK(vcp_pool_close(made) == VCP_ERR_POOL_CLOSED);
}
