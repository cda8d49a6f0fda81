// pages - vconnpool.hpp: a pool, connections that give themselves back, errors as exceptions.
//
//     pages host:port [requests]
#include <cstdlib>
#include <iostream>
#include <string>
#include <vconnpool.hpp>

using namespace std::chrono_literals;

// One page, or an exception.
static std::string get(vcp::pool &pool, const std::string &address)
{
    vcp::conn conn = pool.dial("tcp", address);
    conn.set_deadline(5s);
    conn.write("GET / HTTP/1.1\r\nHost: " + address + "\r\n\r\n");
    std::string text;
    char bytes[4096];
    for (;;) {
        const std::size_t count = conn.read(bytes, sizeof bytes);
        if (count == 0) {
            throw std::runtime_error("the answer is cut off");
        }
        text.append(bytes, count);
        const std::size_t body = text.find("\r\n\r\n");
        const std::size_t length = text.find("\r\nContent-Length: ");
        if (body != std::string::npos && length != std::string::npos &&
            text.size() >= body + 4 + std::stoul(text.substr(length + 18))) {
            return text.substr(
                body +
                4); // and the connection goes back; a failed read or write would have discarded it
        }
    }
}

int main(int argc, char **argv)
{
    const int requests = argc > 2 ? std::atoi(argv[2]) : 100;
    if (argc < 2 || requests < 1) {
        std::cerr << "usage: pages host:port [requests]\n";
        return 2;
    }
    try {
        vcp::pool pool(vcp::pool_options().max_conns(4).wait_timeout(1s));
        std::size_t bytes = 0;
        for (int i = 0; i < requests; i++) {
            bytes += get(pool, argv[1]).size();
        }
        std::cout << requests << " requests, " << bytes << " bytes, " << pool.stats().dials
                  << " connections\n";
        return 0;
    } catch (const std::exception &thrown) {
        std::cerr << "pages: " << thrown.what() << "\n";
        return 1;
    }
}
