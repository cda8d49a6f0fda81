// The C++ of docs/guide/other-adapters.md at work: nobody listens, and the borrower is told so.

#include <cstdio>
#include <cstdlib>
#include <vconnpool.hpp>

#include "acme.h"

#include "other-adapters.hpp"

int main()
{
    acme_sessions pool = acme_pool("app", "secret");
    try {
        pay_order(pool, "127.0.0.1:1");
    } catch (const std::exception &error) {
        const bool is_right = std::string(error.what()).find("nobody listens") != std::string::npos;
        std::printf("%s\n", error.what());
        return is_right ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return EXIT_FAILURE;
}
