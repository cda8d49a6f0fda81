// The cycle over Poco::ObjectPool: no key, no check, no expiry, up to 8 idle; AMOUNT are.
#include "bench.h"

#include <Poco/ObjectPool.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::size_t most_idle = 8;

struct Conn {
    int fd;
};

class Factory : public Poco::PoolableObjectFactory<Conn> {
public:
    explicit Factory(const char *address) : address(address) {}

    Conn *createObject() { return new Conn{connect_to(address)}; }

    void destroyObject(Conn *conn)
    {
        close(conn->fd);
        delete conn;
    }

private:
    const char *address;
};

using Pool = Poco::ObjectPool<Conn, Conn *, Factory>;

Pool *pool;

Conn *take()
{
    Conn *conn = pool->borrowObject();
    if (conn == nullptr)
        fail("borrowObject");
    return conn;
}

void borrow_and_return(uint64_t count)
{
    while (count-- > 0)
        pool->returnObject(take());
}

void fill_pool(uint32_t count)
{
    std::vector<Conn *> taken;
    while (count-- > 0)
        taken.push_back(take());
    for (Conn *conn : taken)
        pool->returnObject(conn);
}

} // namespace

int main(int argc, char **argv)
{
    const char *const variants[] = {"keyless", nullptr};
    variant_of(argc, argv, variants);
    Pool whole(Factory(argv[1]), most_idle, most_idle);
    pool = &whole;
    fill_pool(amount_of(argv));
    return answer_kept_runs(borrow_and_return);
}
