// program.c by vconnpool.hpp: a dial, and a second one that gets its connection.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <iostream>
#include <string>

#include <vconnpool.hpp>

// A connection is complete once it is in the backlog: nobody has to accept it.
static std::string listen_on_a_free_port()
{
    sockaddr_in name{};
    socklen_t length = sizeof name;
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    auto *const address = reinterpret_cast<sockaddr *>(&name);
    if (fd < 0 || bind(fd, address, length) != 0 || listen(fd, 8) != 0 ||
        getsockname(fd, address, &length) != 0) {
        throw std::runtime_error("no listener");
    }
    return "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
}

int main()
{
    const std::string address = listen_on_a_free_port();
    vcp::pool pool;
    const bool first = pool.dial("tcp", address).is_reused();
    const bool second = pool.dial("tcp", address).is_reused();
    if (first || !second) {
        std::cerr << "dials: " << first << ", then " << second << '\n';
        return 1;
    }
    return 0;
}
