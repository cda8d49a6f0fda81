// vconnpool.hpp: an error code is the library's own number and the errno behind it at once.
#include "check.hpp"

#include <map>

// The code that a call sets.
template <typename Call> static std::error_code code_of(Call call)
{
    std::error_code ec;
    call(ec);
    return ec;
}
#define CODE_OF(call) code_of([&](std::error_code &ec) { static_cast<void>(call); })

// An address of this machine where nothing listens: the port of a socket that only is bound.
class nobody {
public:
    nobody()
    {
        sockaddr_in name{};
        socklen_t length = sizeof name;
        name.sin_family = AF_INET;
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto *const generic = reinterpret_cast<sockaddr *>(&name);
        CHECK(fd_ >= 0 && bind(fd_, generic, sizeof name) == 0);
        CHECK(getsockname(fd_, generic, &length) == 0);
        address_ = "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
    }
    ~nobody() { ::close(fd_); }
    const std::string &address() const { return address_; }

private:
    int fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::string address_;
};

TEST(a_refused_connection_is_both,
     "C++: hpp: a refused connection is errc::connect and std::errc::connection_refused")
{
    const nobody there;
    vcp::pool pool;
    const std::error_code code = CODE_OF(pool.dial("tcp", there.address(), ec));
    CHECK(code == vcp::errc::connect && vcp::errc::connect == code);
    CHECK(code == std::errc::connection_refused && std::errc::connection_refused == code);
    CHECK(!(code != vcp::errc::connect) && !(code != std::errc::connection_refused));
    CHECK(code != vcp::errc::timeout && vcp::errc::timeout != code && code != std::errc::timed_out);
    CHECK(code.value() == VCP_ERR_CONNECT && vcp::errno_of(code) == ECONNREFUSED);
    CHECK(code.category().name() == std::string("vcp"));
    CHECK(code.message().find(std::strerror(ECONNREFUSED)) != std::string::npos);
    const vcp::error thrown = THROWS(connect, pool.dial("tcp", there.address()));
    CHECK(thrown.code() == code && thrown.number() == ECONNREFUSED);
    CHECK(thrown.code() == std::errc::connection_refused);
    CHECK(code == vcp::make_error_condition(vcp::errc::connect));
}

TEST(a_timeout_is_both, "C++: hpp: a timeout is errc::timeout and std::errc::timed_out")
{
    const echo_server server;
    vcp::pool pool;
    vcp::conn conn = pool.dial("tcp", server.address());
    conn.set_deadline(1ms);
    char byte = 0;
    const std::error_code code = CODE_OF(conn.read(&byte, 1, ec));
    CHECK(code == vcp::errc::timeout && code == std::errc::timed_out && vcp::errno_of(code) == 0);
    CHECK(code.category() == vcp::category() && code == vcp::make_error_code(vcp::errc::timeout));
}

TEST(a_fired_token_is_both,
     "C++: hpp: a fired token is errc::canceled and std::errc::operation_canceled")
{
    const echo_server server;
    vcp::pool pool;
    vcp::cancel token;
    token.fire();
    const auto carries = vcp::dial_options().cancel_by(token);
    const std::error_code code = CODE_OF(pool.dial("tcp", server.address(), carries, ec));
    CHECK(code == vcp::errc::canceled && code == std::errc::operation_canceled);
}

TEST(a_failed_read_is_both, "C++: hpp: a failed read is errc::io and the std::errc of its errno")
{
    const echo_server server;
    vcp::pool pool;
    vcp::conn conn = pool.dial("tcp", server.address());
    // Another socket under its number, which is not connected: the kernel says ENOTCONN.
    const int number = conn.fd();
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && dup2(fd, number) == number && ::close(fd) == 0);
    char byte = 0;
    const std::error_code code = CODE_OF(conn.read(&byte, 1, ec));
    CHECK(code == vcp::errc::io && code == std::errc::not_connected && code == std::errc::io_error);
    CHECK(vcp::errno_of(code) == ENOTCONN);
    conn.close();
    ::close(number); // the pool leaves the number of another file alone
}

// EAI_* values and the numbers of callbacks are no errno.
TEST(other_numbers_are_no_errno, "C++: hpp: EAI_* values and the numbers of callbacks are no errno")
{
    vcp::callbacks calls;
    calls.rewrite = [](std::string_view, std::string_view) -> std::string {
        throw std::system_error(std::make_error_code(std::errc::timed_out));
    };
    vcp::pool pool(vcp::pool_options().call(calls));
    const std::error_code refused = CODE_OF(pool.dial("tcp", "alias.test:1", ec));
    CHECK(refused == vcp::errc::callback && refused != std::errc::timed_out);
    CHECK(vcp::errno_of(refused) == 0 && vcp_last_errno() == ETIMEDOUT);
    vcp::pool plain;
    const std::error_code family = CODE_OF(plain.dial("tcp4", "[::1]:80", ec));
    CHECK(family == vcp::errc::resolve && vcp::errno_of(family) == 0 && vcp_last_errno() < 0);
}

TEST(every_status_has_a_text_and_is_itself,
     "C++: hpp: every status is a code of its own, with a text")
{
    for (int status = VCP_ERR_NO_MEMORY; status < 0; status++) {
        const std::error_code ec = static_cast<vcp::errc>(status);
        CHECK(ec && ec == static_cast<vcp::errc>(status) && ec.message() == vcp_strerror(status));
        CHECK(ec == vcp::make_error_condition(static_cast<vcp::errc>(status)));
        CHECK(ec != vcp::errc::internal);
    }
    const std::error_code would_block = vcp::errc::would_block;
    CHECK(would_block == std::errc::operation_would_block);
    CHECK(would_block == std::errc::resource_unavailable_try_again);
    const std::error_code argument = vcp::errc::invalid_argument;
    CHECK(argument == std::errc::invalid_argument);
    const std::error_code memory = vcp::errc::no_memory;
    CHECK(memory == std::errc::not_enough_memory);
    const std::error_code running = vcp::errc::in_progress;
    CHECK(running == std::errc::operation_in_progress);
}

// A number is the library's only together with its category.
TEST(the_codes_of_others_are_not_the_librarys,
     "C++: hpp: codes of other libraries are never this library's")
{
    const std::error_code theirs(VCP_ERR_CONNECT, std::generic_category());
    CHECK(theirs != vcp::errc::connect && vcp::errno_of(theirs) == 0);
    const std::error_code refused = std::make_error_code(std::errc::connection_refused);
    CHECK(refused != vcp::errc::connect && !(std::error_code() == vcp::errc::connect));
    CHECK(!std::error_code() && std::error_code() != vcp::errc::internal);
}

// Two failures of one kind are one key, and those of another errno are another.
TEST(codes_are_keys, "C++: hpp: codes are keys: one for each status and errno")
{
    const nobody there;
    vcp::pool pool;
    std::map<std::error_code, int> seen;
    for (int i = 0; i < 3; i++) {
        seen[CODE_OF(pool.dial("tcp", there.address(), ec))]++;
    }
    seen[vcp::errc::connect]++;
    CHECK(seen.size() == 2 && seen[vcp::errc::connect] == 1);
}

TEST(codes_of_asynchronous_dials_are_both,
     "C++: hpp: the code of a completion is both errc and std::errc")
{
    const nobody there;
    vcp::pool pool;
    vcp::queue queue;
    CHECK(!pool.dial_async("tcp", there.address(), {}, queue, nullptr));
    pollfd one{queue.fd(), POLLIN, 0};
    CHECK(poll(&one, 1, 10000) == 1);
    const std::optional<vcp::completion> answer = queue.next();
    CHECK(answer && answer->ec == vcp::errc::connect);
    CHECK(answer->ec == std::errc::connection_refused);
}
