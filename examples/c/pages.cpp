// pages - vconnpool.hpp: connections that give themselves back, and errors that are exceptions.
//
//     pages host:port [requests]
//
// Every tenth request asks for a page that is not there. get() throws as soon as it has seen the
// status, with the rest of the answer still on its way. The exception unwinds past the connection,
// which therefore discards itself: what is left of the answer reaches no other request.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vconnpool.hpp>

using namespace std::chrono_literals;

// The server has no such page.
class no_page : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Reads on until the text has this in it; returns where it ends.
static std::size_t read_until(vcp::conn &conn, std::string &text, const std::string &end)
{
    char bytes[4096];
    while (text.find(end) == std::string::npos) {
        const std::size_t count = conn.read(bytes, sizeof bytes);
        if (count == 0) {
            throw std::runtime_error("the answer is cut off");
        }
        text.append(bytes, count);
    }
    return text.find(end) + end.size();
}

// Reads on until the text is so long.
static void read_to(vcp::conn &conn, std::string &text, std::size_t size)
{
    const std::size_t had = text.size();
    text.resize(std::max(had, size));
    for (std::size_t got = had; got < size;) {
        const std::size_t count = conn.read(&text[got], size - got);
        if (count == 0) {
            throw std::runtime_error("the answer is cut off");
        }
        got += count;
    }
}

// One page, or an exception.
static std::string get(vcp::pool &pool, const std::string &address, const std::string &path)
{
    vcp::conn conn = pool.dial("tcp", address);
    conn.set_deadline(5s);
    conn.write("GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\n\r\n");
    std::string text;
    const std::size_t status = read_until(conn, text, "HTTP/1.1 ");
    read_to(conn, text, status + 3);
    if (text.substr(status, 3) != "200") {
        throw no_page(text.substr(status, 3)); // past conn, which is discarded
    }
    const std::size_t body = read_until(conn, text, "\r\n\r\n");
    const std::size_t length = text.find("\r\nContent-Length: ");
    if (length > body) {
        throw std::runtime_error("an answer without its length");
    }
    read_to(conn, text, body + std::stoul(text.substr(length + 18)));
    return text.substr(body); // conn has read its whole answer: it goes back to the pool
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
        int missing = 0;
        for (int i = 0; i < requests; i++) {
            try {
                bytes += get(pool, argv[1], i % 10 == 9 ? "/no/such/page" : "/").size();
            } catch (const no_page &) {
                missing++;
            }
        }
        const vcp_stats stats = pool.stats();
        std::cout << requests << " requests, " << bytes << " bytes, " << missing << " missing, "
                  << stats.dials << " connections, " << stats.closed_discarded << " discarded\n";
        return 0;
    } catch (const std::system_error &thrown) {
        const bool is_down = thrown.code() == std::errc::connection_refused;
        std::cerr << "pages: " << thrown.what() << (is_down ? " (is the server up?)\n" : "\n");
        return 1;
    } catch (const std::exception &thrown) {
        std::cerr << "pages: " << thrown.what() << "\n";
        return 1;
    }
}
