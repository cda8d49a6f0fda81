// A pool of each adapter dials where nobody listens: its driver is linked and asked, and what it
// says of that is told.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <iostream>
#include <string>

#include <asio/io_context.hpp>
#include <vconnpool.hpp>
#include <vconnpool/asio.hpp>
#include <vconnpool/hiredis.h>
#include <vconnpool/libpq.h>
#include <vconnpool/mariadb.h>
#include <vconnpool/openssl.h>

static int failures = 0;

static void expect(const char *adapter, int wanted, int status, const std::string &message)
{
    std::cout << adapter << ": " << message << '\n';
    if (status != wanted) {
        std::cerr << adapter << ": " << status << " instead of " << wanted << '\n';
        failures++;
    }
}

// made is what the adapter's function for a new pool returned.
static void dial(const char *adapter, int wanted, int made, vcp_pool *pool, const char *address)
{
    vcp_conn *conn = nullptr;
    const int status = made == VCP_OK ? vcp_dial(pool, "tcp", address, &conn) : made;
    expect(adapter, wanted, status, vcp_last_error());
    if (made == VCP_OK) {
        vcp_pool_close(pool);
    }
}

static void dial_from_asio(int wanted, const char *address)
{
    asio::io_context context;
    vcp::pool pool;
    int status = VCP_OK;
    std::string message;
    vcp::asio::async_dial(context.get_executor(), pool, "tcp", address, {},
                          [&](std::error_code ec, vcp::conn) {
                              status = ec.value();
                              message = ec.message();
                          });
    context.run();
    expect("asio", wanted, status, message);
}

int main()
{
    // Bound, so that nobody else is there, and never listening: a connect is refused.
    sockaddr_in name{};
    socklen_t length = sizeof name;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    auto *const place = reinterpret_cast<sockaddr *>(&name);
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, place, length) != 0 || getsockname(fd, place, &length) != 0) {
        return 1;
    }
    const std::string text = "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
    const char *address = text.c_str();

    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    vcp_pool *pool = nullptr;
    int made = vcp_libpq_pool_new("user=nobody", nullptr, nullptr, nullptr, &pool);
    dial("libpq", VCP_ERR_CALLBACK, made, pool, address);
    made = vcp_mariadb_pool_new(nullptr, nullptr, nullptr, &pool);
    dial("mariadb", VCP_ERR_CALLBACK, made, pool, address);
    made = vcp_hiredis_pool_new(nullptr, nullptr, nullptr, nullptr, &pool);
    dial("hiredis", VCP_ERR_CONNECT, made, pool, address);
    made = vcp_openssl_pool_new(tls, nullptr, nullptr, &pool);
    dial("openssl", VCP_ERR_CONNECT, made, pool, address);
    dial_from_asio(VCP_ERR_CONNECT, address);
    SSL_CTX_free(tls);
    close(fd);
    return failures;
}
