// asio_check.hpp - what the tests of vconnpool/asio.hpp share, for either Asio.
#ifndef ASIO_CHECK_HPP
#define ASIO_CHECK_HPP

#ifdef VCP_USE_BOOST_ASIO
#include <boost/asio.hpp>
#else
#include <asio.hpp>
#endif
#include <vconnpool/asio.hpp>

#include "check.hpp"

#if defined(ASIO_HAS_CO_AWAIT) || defined(BOOST_ASIO_HAS_CO_AWAIT)
#define HAS_COROUTINES 1
#endif

namespace net = vcp::asio::net;
using vcp::asio::async_dial;

#ifdef VCP_USE_BOOST_ASIO
using net_system_error = boost::system::system_error;
#else
using net_system_error = std::system_error;
#endif

// Threads that run a context until this ends.
class threads_that_run {
public:
    threads_that_run(net::io_context &context, int count) : work_(net::make_work_guard(context))
    {
        for (int i = 0; i < count; i++) {
            threads_.emplace_back([&context] { context.run(); });
        }
    }
    ~threads_that_run()
    {
        work_.reset();
        for (std::thread &one : threads_) {
            one.join();
        }
    }

private:
    net::executor_work_guard<net::io_context::executor_type> work_;
    std::vector<std::thread> threads_;
};

#endif
