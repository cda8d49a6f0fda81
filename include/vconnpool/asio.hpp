// vconnpool/asio.hpp - dials from Asio: callbacks, futures and coroutines over a pool.
//
//     asio::awaitable<void> ask(vcp::pool &pool)
//     {
//         auto executor = co_await asio::this_coro::executor;
//         vcp::asio::stream stream(executor, co_await vcp::asio::async_dial(
//                                                executor, pool, "tcp", "db.local:5432", {},
//                                                asio::use_awaitable));
//         co_await asio::async_write(stream, asio::buffer("hello"), asio::use_awaitable);
//     } // the connection goes back to the pool
//
// For standalone Asio. Define VCP_USE_BOOST_ASIO before the first #include for Boost.Asio, whose
// error codes are boost::system::error_code: they hold, and convert to, the std::error_code that
// this page speaks of. Either from 1.19 on, which is Boost 1.77. C++17; coroutines ask for C++20.
//
// An execution context has one queue for all its dials, whatever their pools, in a service of its
// own. Its descriptor is watched only while dials are in flight.
//
//  - Destroying the context cancels its dials, and calls no handler.
//  - Around fork(2), call notify_fork of the context, as Asio asks. In the child, dials that were
//    in flight end with errc::canceled; in the parent they go on.
//  - If memory runs out while an answer is passed on, std::terminate is called.
//
// MIT OR Apache-2.0.
#ifndef VCONNPOOL_ASIO_HPP
#define VCONNPOOL_ASIO_HPP

#include <fcntl.h>

#include <list>
#include <mutex>

#ifdef VCP_USE_BOOST_ASIO
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#else
#include <asio/bind_executor.hpp>
#include <asio/compose.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/system_executor.hpp>
#endif

#include <vconnpool.hpp>

/// Dials from Asio.
namespace vcp::asio {

#ifdef VCP_USE_BOOST_ASIO
namespace net = boost::asio;
using error_code = boost::system::error_code;
#else
namespace net = ::asio;
using error_code = std::error_code;
#endif

namespace detail {

/// What is dialed.
struct request {
    vcp_pool *pool;
    vcp::detail::text network;
    vcp::detail::text address;
    dial_options options;
};

/// A dial that has begun. Its address is the token that the library knows it by.
class pending_dial {
public:
    virtual ~pending_dial() = default;

    /// Posts the answer to the handler's executor.
    virtual void answer(std::error_code ec, conn connection) = 0;

    /// What the handler's cancellation slot fires; none if that is not connected.
    std::optional<cancel> token;

    /// Where the service keeps it.
    std::list<std::shared_ptr<pending_dial>>::iterator place;
};

/// The answer on its way to the handler.
template <typename Self> struct posted_answer {
    Self self;
    std::error_code ec;
    conn connection;

    using allocator_type = typename Self::allocator_type;
    allocator_type get_allocator() const noexcept { return self.get_allocator(); }
    void operator()() { self(ec, std::move(connection)); }
};

/// A dial that has begun, with its handler, in memory of the handler's allocator. Both executors
/// have work until it is answered.
template <typename Self> class pending_dial_of final : public pending_dial {
public:
    explicit pending_dial_of(Self &&self) : self_(std::move(self)), work_(self_.get_executor()) {}

    void answer(std::error_code ec, conn connection) override
    {
        const auto work = std::move(work_);
        net::post(work.get_executor(),
                  posted_answer<Self>{std::move(self_), ec, std::move(connection)});
    }

private:
    Self self_;
    net::executor_work_guard<typename Self::executor_type> work_;
};

/// The queue of an execution context, and its dials in flight.
class dial_service final : public net::execution_context::service {
public:
    using key_type = dial_service;
    static inline net::execution_context::id id;

    explicit dial_service(net::execution_context &context) : service(context) {}

    /// The service of the executor's context.
    template <typename Executor> static dial_service &of(const Executor &executor)
    {
        net::execution_context &context = net::query(executor, net::execution::context);
        if (!net::has_service<dial_service>(context)) {
            // Asio's own services come first: they are then shut down after this one, and are
            // ready before it after a fork.
            const net::posix::stream_descriptor first(executor);
        }
        return net::use_service<dial_service>(context);
    }

    /// Begins a dial. Its answer is posted, also one that is known at once.
    template <typename Self, typename Executor>
    void start(Self &self, const Executor &executor, const request &wanted)
    {
        using pending = pending_dial_of<Self>;
        using allocators = std::allocator_traits<typename Self::allocator_type>;
        typename allocators::template rebind_alloc<pending> allocator(self.get_allocator());
        auto slot = self.get_cancellation_state().slot();
        std::shared_ptr<pending_dial> one =
            std::allocate_shared<pending>(allocator, std::move(self));
        std::error_code ec;
        conn at_once;
        if (slot.is_connected() && wanted.options.raw().cancel == nullptr) {
            // The slot may fire at any time, even after the answer: an old handle ends nothing.
            vcp_cancel *const token = one->token.emplace(ec).handle();
            slot.assign([token](net::cancellation_type) { vcp_cancel_fire(token); });
        }
        if (!ec && is_listening(executor, ec)) {
            pending_dial *const begun = add(std::move(one));
            if (begin(begun, wanted, at_once, ec)) {
                const std::lock_guard<std::mutex> lock(mutex_);
                awaited_++; // another thread may have passed its answer on by now
                return watch();
            }
            one = remove(begun);
        }
        one->answer(ec, std::move(at_once));
    }

private:
    using dials = std::list<std::shared_ptr<pending_dial>>;

    /// Whether the answer comes through the queue. Else it is here: a connection or an error.
    bool begin(pending_dial *one, const request &wanted, conn &at_once, std::error_code &ec)
    {
        vcp_dial_options options = wanted.options.raw();
        options.cancel = one->token ? one->token->handle() : options.cancel;
        vcp_conn *connection = nullptr;
        const int result =
            vcp_dial_async(wanted.pool, wanted.network.c_str(), wanted.address.c_str(), &options,
                           queue_->handle(), one, &connection);
        const bool is_queued = result >= 0 && connection == nullptr; // VCP_DIAL_QUEUED
        if (is_queued || result == VCP_ERR_IN_PROGRESS) {
            return true;
        }
        vcp::detail::tried(result, ec);
        at_once = conn(connection);
        return false;
    }

    /// Makes the queue, and has the reactor know its descriptor, unless that was done before.
    template <typename Executor> bool is_listening(const Executor &executor, std::error_code &ec)
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!descriptor_) {
            // Its executor only counts work; one that always counts some would never let it end.
            descriptor_.emplace(net::any_io_executor(
                net::prefer(executor, net::execution::outstanding_work.untracked)));
        }
        if (!queue_ || !*queue_) {
            queue_.emplace(ec);
        }
        return !ec && (descriptor_->is_open() || add_descriptor(ec));
    }

    bool add_descriptor(std::error_code &ec)
    {
        const int fd = queue_->fd(ec);
        error_code failure;
        if (!ec) {
            descriptor_->assign(fd, failure);
            ec = failure;
        }
        return !ec;
    }

    pending_dial *add(std::shared_ptr<pending_dial> &&one)
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        dials_.push_front(std::move(one));
        dials_.front()->place = dials_.begin();
        return dials_.front().get();
    }

    std::shared_ptr<pending_dial> remove(const pending_dial *one)
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        std::shared_ptr<pending_dial> removed = std::move(*one->place);
        dials_.erase(removed->place);
        return removed;
    }

    /// Waits for the next answer, unless that is waited for already, or there will be none: such a
    /// wait would keep the context running.
    void watch() noexcept
    {
        if (is_watched_ || awaited_ <= 0 || !descriptor_->is_open()) {
            return;
        }
        is_watched_ = true;
        const auto wake = [this, fork = forks_](const error_code &) { drain(fork); };
        // On the thread that watches descriptors, not on the program's executor: that may be a
        // strand which is busy, and the answers of others would have to wait.
        descriptor_->async_wait(net::posix::stream_descriptor::wait_read,
                                net::bind_executor(net::system_executor(), wake));
    }

    /// Passes on all answers that there are. A wait that began before a fork is over.
    void drain(unsigned fork)
    {
        if (fork != forks_) {
            return;
        }
        std::ptrdiff_t count = 0;
        vcp_completion next{};
        while (vcp_queue_next(queue_->handle(), &next, sizeof next) > 0) {
            std::error_code ec;
            vcp::detail::tried(next.status, ec);
            remove(static_cast<pending_dial *>(next.token))->answer(ec, conn(next.conn));
            count++;
        }
        const std::lock_guard<std::mutex> lock(mutex_);
        is_watched_ = false;
        awaited_ -= count;
        watch();
    }

    /// Cancels all dials. Their handlers are destroyed, not called.
    void shutdown() override
    {
        dials abandoned;
        abandoned.swap(dials_);
        if (descriptor_) {
            descriptor_->release(); // it is the queue's, which closes it
        }
        descriptor_.reset();
        queue_.reset();
    }

    /// The descriptor of the queue differs in the child. Around the fork the reactor has neither.
    void notify_fork(net::execution_context::fork_event event) override
    {
        if (!descriptor_) {
            return;
        }
        if (event == net::execution_context::fork_prepare) {
            forks_++;
            is_watched_ = false;
            descriptor_->release();
            return;
        }
        std::error_code ec;
        add_descriptor(ec); // if it fails, the next dial tries again
        dials gone;
        if (event == net::execution_context::fork_child) {
            gone.swap(dials_);
            awaited_ = 0;
        }
        watch();
        for (const std::shared_ptr<pending_dial> &one : gone) {
            one->answer(errc::canceled, conn());
        }
    }

    std::mutex mutex_; // guards the following; around forks and at the end there is one thread
    std::optional<queue> queue_;
    std::optional<net::posix::stream_descriptor> descriptor_;
    dials dials_;
    std::ptrdiff_t awaited_ = 0; // for a moment below zero, while a dial begins
    bool is_watched_ = false;
    unsigned forks_ = 0;
};

/// The composed operation: it begins, and it ends on the handler's executor.
template <typename Executor, typename Borrowed> struct dial_operation {
    Executor executor;
    request wanted;

    template <typename Self> void operator()(Self &self)
    {
        self.reset_cancellation_state(net::enable_total_cancellation());
        // The operation moves away with its handler.
        const Executor own = executor;
        const request dialed = std::move(wanted);
        dial_service::of(own).start(self, own, dialed);
    }

    template <typename Self> void operator()(Self &self, const std::error_code &ec, conn connection)
    {
        self.complete(error_code(ec), Borrowed(std::move(connection)));
    }
};

} // namespace detail

/// Borrows a connection, as an operation of Asio: with a callback, asio::use_future,
/// asio::use_awaitable or any other completion token. The handler is given the error as a
/// std::error_code, and a vcp::conn; that of a session_pool<T, D> a vcp::session<T, D>. It is
/// called by its associated executor, else by `executor`, and never from inside async_dial.
///
/// A cancellation of any type ends the dial with errc::canceled (std::errc::operation_canceled); a
/// dial that was answered before succeeds all the same. A token in the options takes the place of
/// the handler's cancellation slot. The pool may be closed meanwhile.
template <typename Executor, typename Pool,
          typename Token = typename net::default_completion_token<Executor>::type>
auto async_dial(const Executor &executor, Pool &pool, std::string_view network,
                std::string_view address, const dial_options &options = {}, Token &&token = Token())
{
    using borrowed = typename Pool::borrowed;
    detail::dial_operation<Executor, borrowed> operation{
        executor, {pool.handle(), vcp::detail::text(network), vcp::detail::text(address), options}};
    return net::async_compose<Token, void(error_code, borrowed)>(std::move(operation), token,
                                                                 executor);
}

/// A borrowed connection as a socket of Asio, for asio::async_read and the like. The end of its
/// life takes the descriptor out of Asio, puts its blocking mode back (VCP_DIAL_NONBLOCKING spares
/// that), and gives the connection back as the end of a vcp::conn does. Never close() it.
class stream : public net::generic::stream_protocol::socket {
public:
    /// Takes over a borrowed connection.
    stream(const net::any_io_executor &executor, conn borrowed)
        : socket_type(executor, net::generic::stream_protocol(AF_UNSPEC, 0), borrowed.fd()),
          is_blocking_((fcntl(borrowed.fd(), F_GETFL) & O_NONBLOCK) == 0),
          connection_(std::move(borrowed))
    {
    }

    /// Takes over what the other holds.
    stream(stream &&) noexcept = default;
    stream &operator=(stream &&) = delete;

    /// Gives the connection back, or discards it if an exception unwinds past it.
    ~stream()
    {
        error_code ec;
        if (is_open() && is_blocking_) {
            native_non_blocking(false, ec);
        }
        release(ec);
    }

    /// The connection, to discard it, or to ask about it.
    conn &connection() noexcept { return connection_; }

private:
    using socket_type = net::generic::stream_protocol::socket;

    bool is_blocking_;
    conn connection_;
};

} // namespace vcp::asio

#endif
