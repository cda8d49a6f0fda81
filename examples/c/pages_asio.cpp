// pages_asio - vconnpool/asio.hpp: a coroutine for each request, all in one thread.
//
//     pages_asio host:port [requests]
//
// All requests begin at once; the pool lets four of them through at a time. The program needs
// C++20 and Asio (Debian: libasio-dev).
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <vconnpool/asio.hpp>

using asio::use_awaitable;

// Asio works without blocking: the pool hands descriptors out that way.
static vcp::dial_options nonblocking()
{
    return vcp::dial_options().flags(VCP_DIAL_NONBLOCKING);
}

// The length that an answer's head tells.
static std::size_t length_of(const std::string &head)
{
    const std::string_view name = "\r\nContent-Length: ";
    const std::size_t at = head.find(name);
    if (head.compare(0, 12, "HTTP/1.1 200") != 0 || at == std::string::npos) {
        throw std::runtime_error(head.substr(0, head.find('\r')));
    }
    return std::stoul(head.substr(at + name.size()));
}

// One page, or an exception, which discards the connection that it unwinds past.
static asio::awaitable<std::size_t> get(vcp::pool &pool, std::string address)
{
    const auto executor = co_await asio::this_coro::executor;
    vcp::asio::stream stream(executor,
                             co_await vcp::asio::async_dial(executor, pool, "tcp", address,
                                                            nonblocking(), use_awaitable));
    const std::string request = "GET / HTTP/1.1\r\nHost: " + address + "\r\n\r\n";
    co_await asio::async_write(stream, asio::buffer(request), use_awaitable);
    std::string text;
    const std::size_t head = co_await asio::async_read_until(stream, asio::dynamic_buffer(text),
                                                             "\r\n\r\n", use_awaitable);
    const std::size_t length = length_of(text);
    const std::size_t missing = head + length - text.size();
    co_await asio::async_read(stream, asio::dynamic_buffer(text), asio::transfer_exactly(missing),
                              use_awaitable);
    co_return length;
}

int main(int argc, char **argv)
{
    const int requests = argc > 2 ? std::atoi(argv[2]) : 100;
    if (argc < 2 || requests < 1) {
        std::cerr << "usage: pages_asio host:port [requests]\n";
        return 2;
    }
    try {
        vcp::pool pool(vcp::pool_options().max_conns(4).wait_timeout(vcp::forever));
        asio::io_context context;
        std::size_t bytes = 0;
        for (int i = 0; i < requests; i++) {
            asio::co_spawn(context, get(pool, argv[1]),
                           [&bytes](std::exception_ptr failure, std::size_t length) {
                               if (failure) {
                                   std::rethrow_exception(failure); // out of run()
                               }
                               bytes += length;
                           });
        }
        context.run();
        const vcp_stats stats = pool.stats();
        std::cout << requests << " requests, " << bytes << " bytes, " << stats.dials
                  << " connections, " << stats.waits << " waited\n";
        return 0;
    } catch (const std::exception &thrown) {
        std::cerr << "pages_asio: " << thrown.what() << "\n";
        return 1;
    }
}
