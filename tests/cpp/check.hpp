// check.hpp - what the tests of vconnpool.hpp share. A failed check prints where and what, and ends
// the process.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <type_traits>

#include <vconnpool.hpp>

using namespace std::chrono_literals;

// A test is TEST(name, "subject: the rule that it shows") { ... }, as in C. The library's threads
// may outlive the last one.
#define AFTER_THE_TESTS()
#include "test.h"

// The expression must throw a vcp::error of that code.
template <typename Body> vcp::error thrown_by(vcp::errc code, int line, Body body)
{
    try {
        body();
    } catch (const vcp::error &thrown) {
        check_true(__FILE__, line, thrown.what(), thrown.code() == code);
        return thrown;
    }
    check_failed(__FILE__, line, "nothing was thrown");
    std::abort();
}
#define THROWS(code, expression) \
    thrown_by(vcp::errc::code, __LINE__, [&] { static_cast<void>(expression); })

// Accepts, and echoes on each connection, one after another.
class echo_server {
public:
    echo_server()
    {
        sockaddr_in name{};
        socklen_t length = sizeof name;
        name.sin_family = AF_INET;
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CHECK(fd_ >= 0 && bind(fd_, reinterpret_cast<sockaddr *>(&name), sizeof name) == 0 &&
              listen(fd_, 64) == 0);
        CHECK(getsockname(fd_, reinterpret_cast<sockaddr *>(&name), &length) == 0);
        address_ = "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
        thread_ = std::thread([this] { serve(); });
    }
    ~echo_server()
    {
        shutdown(fd_, SHUT_RDWR);
        thread_.join();
        ::close(fd_);
    }
    const std::string &address() const { return address_; }

private:
    void serve()
    {
        std::vector<pollfd> all{{fd_, POLLIN, 0}};
        while (poll(all.data(), all.size(), -1) > 0) {
            for (std::size_t i = all.size(); i-- > 1;) {
                char bytes[256];
                if (all[i].revents != 0) {
                    const ssize_t count = recv(all[i].fd, bytes, sizeof bytes, 0);
                    if (count <= 0 || send(all[i].fd, bytes, static_cast<std::size_t>(count),
                                           MSG_NOSIGNAL) != count) {
                        ::close(all[i].fd);
                        all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
                    }
                }
            }
            if (all[0].revents != 0) {
                const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
                if (fd < 0) {
                    break;
                }
                all.push_back({fd, POLLIN, 0});
            }
        }
        for (std::size_t i = 1; i < all.size(); i++) {
            ::close(all[i].fd);
        }
    }

    int fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::string address_;
    std::thread thread_;
};

inline void echo(vcp::conn_ref &conn, const std::string &text)
{
    std::string back(text.size(), '\0');
    conn.write(text);
    for (std::size_t have = 0; have < back.size();) {
        const std::size_t count = conn.read(&back[have], back.size() - have);
        CHECK(count > 0);
        have += count;
    }
    CHECK(back == text);
}

#endif
