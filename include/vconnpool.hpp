// vconnpool.hpp - vconnpool.h for C++17: owners instead of handles, exceptions or error codes instead of numbers.
//
// The manual is vconnpool.h. Here is only what C++ adds to it:
//
//  - pool, conn, cancel and queue own what they name: moved, never copied; closed at the end of their lives, and when another is moved
//    into them. An object that was moved from, or closed, holds nothing: using it is error invalid_handle, never undefined. Only close()
//    and fire() of one do nothing and succeed, as vcp_pool_close(NULL) does.
//  - What can fail comes twice: as it is, it throws vcp::error (a std::system_error with the whole message); with a std::error_code as
//    the last argument it sets that, or clears it, and a failure returns nothing: 0, false, an empty text or object, -1 for a descriptor.
//    vcp::last_error() has the message then. Once there are the options and their setters (what is wrong with them, the pool or the
//    dial tells that they are for), and what cannot fail: moves, destructors, handle(), data(), release(), fire().
//  - Times are std::chrono::milliseconds; vcp::forever is "no deadline". Text is std::string_view, and copied.
//  - Callbacks are std::function. One that throws refuses; what() joins the message of the dial, and no exception leaves it (what on_event
//    throws is lost). They are kept until the pool's last callback has returned.
//  - Threads, errors and lifetimes are as in C. Only memory that cannot be had (std::bad_alloc) is thrown by both forms.
//
// Header only, nothing but vconnpool.h and the standard library. Licence: MIT OR Apache-2.0.
#ifndef VCONNPOOL_HPP
#define VCONNPOOL_HPP

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "vconnpool.h"

namespace vcp {

using std::chrono::milliseconds;

/// No deadline; no limit, wherever a time is taken (pool_options says what that means for each).
inline constexpr milliseconds forever{-1};
/// In dial_options: the pool's own time. The default.
inline constexpr milliseconds as_the_pool = milliseconds::min();

/// vcp_status as an error code enum: ec == vcp::errc::timeout.
enum class errc : int {
    invalid_argument = VCP_ERR_INVALID_ARGUMENT,
    invalid_handle = VCP_ERR_INVALID_HANDLE,
    unknown_network = VCP_ERR_UNKNOWN_NETWORK,
    invalid_address = VCP_ERR_INVALID_ADDRESS,
    resolve = VCP_ERR_RESOLVE,
    connect = VCP_ERR_CONNECT,
    timeout = VCP_ERR_TIMEOUT,
    canceled = VCP_ERR_CANCELED,
    pool_closed = VCP_ERR_POOL_CLOSED,
    pool_exhausted = VCP_ERR_POOL_EXHAUSTED,
    idle_full = VCP_ERR_IDLE_FULL,
    not_available = VCP_ERR_NOT_AVAILABLE,
    conn_closed = VCP_ERR_CONN_CLOSED,
    io = VCP_ERR_IO,
    callback = VCP_ERR_CALLBACK,
    system = VCP_ERR_SYSTEM,
    in_progress = VCP_ERR_IN_PROGRESS,
    not_reusable = VCP_ERR_NOT_REUSABLE,
    would_block = VCP_ERR_WOULD_BLOCK,
    internal = VCP_ERR_INTERNAL
};

/// The category of errc, named "vcp". Timeouts, cancellation and the like compare equal to std::errc's conditions.
inline const std::error_category &category() noexcept
{
    class vcp_category final : public std::error_category {
    public:
        const char *name() const noexcept override { return "vcp"; }
        std::string message(int status) const override { return vcp_strerror(status); }
        std::error_condition default_error_condition(int status) const noexcept override
        {
            switch (static_cast<errc>(status)) {
            case errc::invalid_argument:
                return std::errc::invalid_argument;
            case errc::timeout:
                return std::errc::timed_out;
            case errc::canceled:
                return std::errc::operation_canceled;
            case errc::would_block:
                return std::errc::operation_would_block;
            case errc::in_progress:
                return std::errc::operation_in_progress;
            case errc::io:
                return std::errc::io_error;
            default:
                return {status, *this};
            }
        }
    };
    static const vcp_category one;
    return one;
}

inline std::error_code make_error_code(errc status) noexcept
{
    return {static_cast<int>(status), category()};
}

/// This thread's last failure in full.
inline std::string last_error()
{
    return vcp_last_error();
}

/// A failed call. what() is the whole message, code() the vcp_status.
class error : public std::system_error {
public:
    explicit error(errc status)
        : std::system_error(make_error_code(status)), message_(vcp_last_error()), number_(vcp_last_errno()),
          phase_(vcp_last_phase())
    {
    }
    error(errc status, std::string message)
        : std::system_error(make_error_code(status)), message_(std::move(message))
    {
    }
    const char *what() const noexcept override { return message_.c_str(); }
    /// What is behind it: an errno, for errc::resolve an EAI_* value, for errc::callback what the callback threw (see callbacks); 0: nothing.
    int number() const noexcept { return number_; }
    /// Of a timeout: a vcp_phase.
    std::int32_t phase() const noexcept { return phase_; }

private:
    std::string message_;
    int number_ = 0;
    std::int32_t phase_ = VCP_PHASE_NONE;
};

namespace detail {

/// What a C function returned: a failure is thrown.
template <typename Number> Number must(Number result)
{
    if (result < 0) {
        throw error(static_cast<errc>(result));
    }
    return result;
}

/// The same: a failure is set, and `nothing` returned.
template <typename Number> Number tried(Number result, std::error_code &ec, Number nothing = 0) noexcept
{
    if (result < 0) {
        ec = make_error_code(static_cast<errc>(result));
        return nothing;
    }
    ec.clear();
    return result;
}

/// must, where one failure is none: there is nothing now.
template <typename Value, typename Number> std::optional<Value> must_unless(errc none, Number result)
{
    if (result == static_cast<int>(none)) {
        return std::nullopt;
    }
    return static_cast<Value>(must(result));
}

template <typename Value, typename Number>
std::optional<Value> tried_unless(errc none, Number result, std::error_code &ec) noexcept
{
    if (result == static_cast<int>(none)) {
        ec.clear();
        return std::nullopt;
    }
    const Number value = tried(result, ec);
    return ec ? std::nullopt : std::optional<Value>(static_cast<Value>(value));
}

/// C's text. A NUL inside would cut it: it goes as a byte that no UTF-8 has, so that the text is refused.
class text {
public:
    explicit text(std::string_view view) : copy_(view) { std::replace(copy_.begin(), copy_.end(), '\0', '\xff'); }
    const char *c_str() const noexcept { return copy_.c_str(); }

private:
    std::string copy_;
};

/// Holds a handle, and ends what it names.
template <typename Handle, int (*end)(Handle *)> class owner {
public:
    owner(owner &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    owner &operator=(owner &&other) noexcept
    {
        if (this != &other) {
            end(std::exchange(handle_, std::exchange(other.handle_, nullptr)));
        }
        return *this;
    }
    Handle *handle() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

protected:
    owner() noexcept = default;
    ~owner() { end(handle_); }

    Handle *handle_ = nullptr;
};

/// For C a token that is NULL is no token. One that was moved from was meant to be one: it goes as a handle that never was.
inline vcp_cancel *meant(vcp_cancel *token) noexcept
{
    return token != nullptr ? token : reinterpret_cast<vcp_cancel *>(~std::uintptr_t{0});
}

/// Calls a function that works as snprintf, until `out` is large enough; what it returned last.
template <typename Tell> std::int64_t told(Tell tell, std::string &out)
{
    for (;;) {
        const std::int64_t result = tell(out.empty() ? nullptr : &out[0], out.empty() ? 0 : out.size() + 1);
        const auto length = result < 0 ? 0 : static_cast<std::size_t>(result);
        const bool is_whole = length <= out.size();
        out.resize(length);
        if (is_whole) {
            return result;
        }
    }
}

/// How many bytes the first character of a text has in UTF-8 (RFC 3629, section 4); 0: it is none.
inline std::size_t character(std::string_view text) noexcept
{
    const auto byte = [text](std::size_t at) -> unsigned {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    const unsigned lead = byte(0);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    for (std::size_t at = 1; at < length; at++) {
        if (byte(at) >> 6 != 2) {
            return 0;
        }
    }
    const bool is_overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
    const bool is_beyond = (lead == 0xED && byte(1) >= 0xA0) || (lead == 0xF4 && byte(1) >= 0x90);
    return is_overlong || is_beyond ? 0 : length;
}

/// Says why a callback refuses, in UTF-8 and in no more bytes than C takes. No memory is needed: there may be none.
inline void say(std::string_view what) noexcept
{
    char said[1024 + 1];
    std::size_t size = 0;
    while (!what.empty()) {
        const std::size_t length = character(what);
        const std::size_t step = length > 0 ? length : 1;
        if (size + step >= sizeof said) {
            break;
        }
        std::memcpy(said + size, length > 0 ? what.data() : "?", step);
        size += step;
        what.remove_prefix(step);
    }
    said[size] = '\0';
    vcp_set_callback_error(said);
}

/// Runs a callback; whatever it throws becomes a refusal, and its number.
template <typename Body> int contained(Body body) noexcept
{
    try {
        return body();
    } catch (const std::system_error &thrown) {
        say(thrown.what());
        const int value = thrown.code().value();
        return value != 0 ? value : -1;
    } catch (const std::exception &thrown) {
        say(thrown.what());
    } catch (...) {
        say("an exception that is no std::exception");
    }
    return -1;
}

} // namespace detail

/// A token that ends dials, reads, writes and waits that carry it.
class cancel : public detail::owner<vcp_cancel, vcp_cancel_free> {
public:
    cancel() { detail::must(vcp_cancel_new(&handle_)); }
    explicit cancel(std::error_code &ec) noexcept { detail::tried(vcp_cancel_new(&handle_), ec); }

    /// From any thread, and from a signal handler.
    void fire() noexcept { vcp_cancel_fire(handle_); }
};

/// What conn and a hook's argument have in common: everything but ending the borrow.
class conn_ref {
public:
    explicit conn_ref(vcp_conn *handle = nullptr) noexcept : handle_(handle) {}

    vcp_conn *handle() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

    /// The descriptor: borrowed, never to be closed.
    int fd() const { return detail::must(vcp_conn_raw_fd(handle_)); }
    int fd(std::error_code &ec) const noexcept { return detail::tried(vcp_conn_raw_fd(handle_), ec, -1); }
    bool is_reused() const { return detail::must(vcp_conn_is_reused(handle_)) != 0; }
    bool is_reused(std::error_code &ec) const noexcept { return detail::tried(vcp_conn_is_reused(handle_), ec) != 0; }
    std::int64_t uses() const { return detail::must(vcp_conn_uses(handle_)); }
    std::int64_t uses(std::error_code &ec) const noexcept { return detail::tried(vcp_conn_uses(handle_), ec); }
    bool should_retry() const { return detail::must(vcp_conn_should_retry(handle_)) != 0; }
    bool should_retry(std::error_code &ec) const noexcept
    {
        return detail::tried(vcp_conn_should_retry(handle_), ec) != 0;
    }
    void discard() { detail::must(vcp_conn_discard(handle_)); }
    void discard(std::error_code &ec) noexcept { detail::tried(vcp_conn_discard(handle_), ec); }
    void set_liveness(vcp_liveness liveness) { detail::must(vcp_conn_set_liveness(handle_, liveness)); }
    void set_liveness(vcp_liveness liveness, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_liveness(handle_, liveness), ec);
    }
    /// nullptr: none. The token must not be freed by the caller before it is passed; afterwards it may.
    void set_cancel(const cancel *token) { detail::must(vcp_conn_set_cancel(handle_, handle_of(token))); }
    void set_cancel(const cancel *token, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_cancel(handle_, handle_of(token)), ec);
    }

    /// At least one byte; 0 at end of stream.
    std::size_t read(void *buffer, std::size_t size)
    {
        return static_cast<std::size_t>(detail::must(vcp_conn_read(handle_, buffer, size)));
    }
    std::size_t read(void *buffer, std::size_t size, std::error_code &ec) noexcept
    {
        return static_cast<std::size_t>(detail::tried(vcp_conn_read(handle_, buffer, size), ec));
    }
    /// All of it.
    void write(const void *buffer, std::size_t size) { detail::must(vcp_conn_write(handle_, buffer, size)); }
    void write(const void *buffer, std::size_t size, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_write(handle_, buffer, size), ec);
    }
    void write(std::string_view text) { write(text.data(), text.size()); }
    void write(std::string_view text, std::error_code &ec) noexcept { write(text.data(), text.size(), ec); }
    /// Nothing, and no error: it would have to wait.
    std::optional<std::size_t> try_read(void *buffer, std::size_t size)
    {
        return detail::must_unless<std::size_t>(errc::would_block, vcp_conn_try_read(handle_, buffer, size));
    }
    std::optional<std::size_t> try_read(void *buffer, std::size_t size, std::error_code &ec) noexcept
    {
        return detail::tried_unless<std::size_t>(errc::would_block, vcp_conn_try_read(handle_, buffer, size), ec);
    }
    std::optional<std::size_t> try_write(const void *buffer, std::size_t size)
    {
        return detail::must_unless<std::size_t>(errc::would_block, vcp_conn_try_write(handle_, buffer, size));
    }
    std::optional<std::size_t> try_write(const void *buffer, std::size_t size, std::error_code &ec) noexcept
    {
        return detail::tried_unless<std::size_t>(errc::would_block, vcp_conn_try_write(handle_, buffer, size), ec);
    }
    /// VCP_READABLE and VCP_WRITABLE bits; those that hold.
    int wait(int events) { return detail::must(vcp_conn_wait(handle_, events)); }
    int wait(int events, std::error_code &ec) noexcept { return detail::tried(vcp_conn_wait(handle_, events), ec); }

    void set_deadline(milliseconds left) { detail::must(vcp_conn_set_deadline(handle_, left.count())); }
    void set_deadline(milliseconds left, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_deadline(handle_, left.count()), ec);
    }
    void set_read_deadline(milliseconds left) { detail::must(vcp_conn_set_read_deadline(handle_, left.count())); }
    void set_read_deadline(milliseconds left, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_read_deadline(handle_, left.count()), ec);
    }
    void set_write_deadline(milliseconds left) { detail::must(vcp_conn_set_write_deadline(handle_, left.count())); }
    void set_write_deadline(milliseconds left, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_write_deadline(handle_, left.count()), ec);
    }

    std::string local_address() const { return tell(vcp_conn_local_address); }
    std::string local_address(std::error_code &ec) const { return tell(vcp_conn_local_address, ec); }
    std::string remote_address() const { return tell(vcp_conn_remote_address); }
    std::string remote_address(std::error_code &ec) const { return tell(vcp_conn_remote_address, ec); }
    std::string network() const { return tell(vcp_conn_network); }
    std::string network(std::error_code &ec) const { return tell(vcp_conn_network, ec); }
    std::string address() const { return tell(vcp_conn_address); }
    std::string address(std::error_code &ec) const { return tell(vcp_conn_address, ec); }
    std::string reuse_tag() const { return tell(vcp_conn_reuse_tag); }
    std::string reuse_tag(std::error_code &ec) const { return tell(vcp_conn_reuse_tag, ec); }

    /// Rides on the connection, and is deleted with it (its destructor must not throw); at once if this fails.
    template <typename T> void set_data(std::unique_ptr<T> data) { detail::must(keep(data)); }
    template <typename T> void set_data(std::unique_ptr<T> data, std::error_code &ec) noexcept
    {
        detail::tried(keep(data), ec);
    }
    /// What set_data was given, as the same type; nullptr if there is none.
    template <typename T> T *data() const noexcept { return static_cast<T *>(vcp_conn_data(handle_)); }

protected:
    vcp_conn *handle_;

private:
    static vcp_cancel *handle_of(const cancel *token) noexcept
    {
        return token != nullptr ? detail::meant(token->handle()) : nullptr;
    }
    template <typename T> int keep(std::unique_ptr<T> &data) noexcept
    {
        const int result =
            vcp_conn_set_data(handle_, data.get(), [](void *held) { delete static_cast<T *>(held); });
        if (result >= 0) {
            data.release();
        }
        return result;
    }
    template <typename Function> std::int64_t ask(Function function, std::string &out) const
    {
        return detail::told([&](char *buffer, std::size_t size) { return function(handle_, buffer, size); }, out);
    }
    template <typename Function> std::string tell(Function function) const
    {
        std::string out;
        detail::must(ask(function, out));
        return out;
    }
    template <typename Function> std::string tell(Function function, std::error_code &ec) const
    {
        std::string out;
        detail::tried(ask(function, out), ec);
        return out;
    }
};

/// A borrowed connection, given back at the end of its life.
class conn : public conn_ref {
public:
    conn() noexcept = default;
    /// Takes over what C code has borrowed.
    explicit conn(vcp_conn *handle) noexcept : conn_ref(handle) {}
    conn(conn &&other) noexcept : conn_ref(std::exchange(other.handle_, nullptr)) {}
    conn &operator=(conn &&other) noexcept
    {
        if (this != &other) {
            vcp_conn_close(std::exchange(handle_, std::exchange(other.handle_, nullptr)));
        }
        return *this;
    }
    conn(const conn &) = delete;
    conn &operator=(const conn &) = delete;
    ~conn() { vcp_conn_close(handle_); }

    /// Gives it back now.
    void close() { detail::must(vcp_conn_close(std::exchange(handle_, nullptr))); }
    void close(std::error_code &ec) noexcept { detail::tried(vcp_conn_close(std::exchange(handle_, nullptr)), ec); }
    /// The descriptor is the caller's from now on. A failure leaves the connection as it was.
    int detach() { return left(detail::must(vcp_conn_detach(handle_))); }
    int detach(std::error_code &ec) noexcept { return left(detail::tried(vcp_conn_detach(handle_), ec, -1)); }
    /// For C code, which closes it.
    vcp_conn *release() noexcept { return std::exchange(handle_, nullptr); }

private:
    int left(int fd) noexcept
    {
        if (fd >= 0) {
            handle_ = nullptr;
        }
        return fd;
    }
};

/// vcp_dial_options. Each setter changes one field and returns the options.
class dial_options {
public:
    dial_options() { detail::must(vcp_dial_options_init(&raw_, sizeof raw_)); }

    /// as_the_pool, forever, or from the beginning of the dial.
    dial_options &timeout(milliseconds time) noexcept { return set(raw_.timeout_ms, std::int64_t{time.count()}); }
    /// as_the_pool, forever (as long as the dial may take), or so long at a limit.
    dial_options &wait_timeout(milliseconds time) noexcept
    {
        return set(raw_.wait_timeout_ms, std::int64_t{time.count()});
    }
    /// The token must live until the dial has begun.
    dial_options &cancel_by(const cancel &token) noexcept { return set(raw_.cancel, detail::meant(token.handle())); }
    dial_options &reuse_tag(std::string_view tag)
    {
        tag_.emplace(tag);
        return *this;
    }
    dial_options &label(std::string_view name)
    {
        label_.emplace(name);
        return *this;
    }
    /// VCP_DIAL_* bits.
    dial_options &flags(std::uint32_t bits) noexcept { return set(raw_.flags, bits); }

    /// Valid as long as these options live and are not changed.
    vcp_dial_options raw() const noexcept
    {
        vcp_dial_options options = raw_;
        options.reuse_tag = tag_ ? tag_->c_str() : nullptr;
        options.label = label_ ? label_->c_str() : nullptr;
        return options;
    }

private:
    template <typename Field> dial_options &set(Field &field, Field value) noexcept
    {
        field = value;
        return *this;
    }

    vcp_dial_options raw_;
    std::optional<detail::text> tag_;
    std::optional<detail::text> label_;
};

/// What the program may do in a dial, and hear of a pool. Empty ones are not called. A callback that throws refuses: what() joins the
/// message (1,024 bytes at the most, and '?' for what is no UTF-8), and error::number() is the value of the code of a
/// std::system_error, -1 for anything else. A positive value that dial throws comes as its negative: dial's positive numbers are
/// descriptors.
struct callbacks {
    std::function<std::string(std::string_view network, std::string_view address)> rewrite;
    /// Literal IPs. timeout is forever without a deadline.
    std::function<std::vector<std::string>(std::string_view network, std::string_view host, milliseconds timeout)> resolve;
    /// A connected descriptor.
    std::function<int(std::string_view network, std::string_view address, milliseconds timeout)> dial;
    std::function<void(std::string_view network, std::string_view address, int fd)> control;
    std::function<void(conn_ref connection, int fd)> on_open;
    std::function<void(conn_ref connection, int fd)> on_reuse;
    std::function<void(conn_ref connection, int fd)> on_release;
    /// What it throws is lost.
    std::function<void(const vcp_event &event)> on_event;
};

namespace detail {

inline int call_rewrite(void *user, const char *network, const char *address, char *out, std::size_t size)
{
    return contained([&] {
        const std::string there = static_cast<callbacks *>(user)->rewrite(network, address);
        if (there.size() >= size) {
            throw std::length_error("the rewritten address is too long");
        }
        std::memcpy(out, text(there).c_str(), there.size() + 1);
        return 0;
    });
}

inline int call_resolve(void *user, const char *network, const char *host, std::int64_t timeout, vcp_resolved *out)
{
    return contained([&] {
        for (const std::string &ip : static_cast<callbacks *>(user)->resolve(network, host, milliseconds(timeout))) {
            must(vcp_resolved_add(out, text(ip).c_str()));
        }
        return 0;
    });
}

inline int call_dial(void *user, const char *network, const char *address, std::int64_t timeout)
{
    int fd = -1;
    const int refusal = contained([&] {
        fd = static_cast<callbacks *>(user)->dial(network, address, milliseconds(timeout));
        return 0;
    });
    // A positive one would be a descriptor.
    return refusal == 0 ? fd : refusal > 0 ? -refusal : refusal;
}

inline int call_control(void *user, const char *network, const char *address, int fd)
{
    return contained([&] {
        static_cast<callbacks *>(user)->control(network, address, fd);
        return 0;
    });
}

inline int call_on_open(void *user, vcp_conn *connection, int fd)
{
    return contained([&] {
        static_cast<callbacks *>(user)->on_open(conn_ref(connection), fd);
        return 0;
    });
}

inline int call_on_reuse(void *user, vcp_conn *connection, int fd)
{
    return contained([&] {
        static_cast<callbacks *>(user)->on_reuse(conn_ref(connection), fd);
        return 0;
    });
}

inline int call_on_release(void *user, vcp_conn *connection, int fd)
{
    return contained([&] {
        static_cast<callbacks *>(user)->on_release(conn_ref(connection), fd);
        return 0;
    });
}

inline void call_on_event(void *user, const vcp_event *event) noexcept
{
    try {
        static_cast<callbacks *>(user)->on_event(*event);
    } catch (...) {
        // It refuses nothing: there is nobody to tell.
    }
}

} // namespace detail

/// vcp_pool_options. Each setter changes one field and returns the options; raw() reaches those that have none.
///
/// forever is, for wait_timeout: as long as the dial may take; idle_timeout, max_lifetime, dial_timeout: no end; fallback_delay: one address
/// after another; keepalive_idle: no probes; user_timeout: no limit but the system's; dns_cache: as long as there is room; fail_fast: after one
/// failure no dial to that destination is tried again; leak_threshold: nothing is a leak. keepalive_interval has no such value, and the pool
/// is refused.
class pool_options {
public:
    pool_options() { detail::must(vcp_pool_options_init(&raw_, sizeof raw_)); }

    pool_options &max_idle_per_address(std::uint32_t most) noexcept { return set(raw_.max_idle_per_address, most); }
    pool_options &max_idle(std::uint32_t most) noexcept { return set(raw_.max_idle, most); }
    pool_options &max_conns(std::uint32_t most) noexcept { return set(raw_.max_conns, most); }
    pool_options &max_conns_per_address(std::uint32_t most) noexcept { return set(raw_.max_conns_per_address, most); }
    pool_options &max_dials_per_address(std::uint32_t most) noexcept { return set(raw_.max_dials_per_address, most); }
    pool_options &max_waiters(std::uint32_t most) noexcept { return set(raw_.max_waiters, most); }
    pool_options &min_idle_per_address(std::uint32_t least) noexcept { return set(raw_.min_idle_per_address, least); }
    pool_options &max_uses(std::uint32_t most) noexcept { return set(raw_.max_uses, most); }
    pool_options &lifetime_jitter_percent(std::uint32_t percent) noexcept
    {
        return set(raw_.lifetime_jitter_percent, percent);
    }
    pool_options &wait_timeout(milliseconds time) noexcept { return set(raw_.wait_timeout_ms, time); }
    pool_options &idle_timeout(milliseconds time) noexcept { return set(raw_.idle_timeout_ms, or_none(time)); }
    pool_options &max_lifetime(milliseconds time) noexcept { return set(raw_.max_lifetime_ms, or_none(time)); }
    pool_options &dial_timeout(milliseconds time) noexcept { return set(raw_.dial_timeout_ms, or_none(time)); }
    pool_options &fallback_delay(milliseconds time) noexcept { return set(raw_.fallback_delay_ms, time); }
    pool_options &keepalive_idle(milliseconds time) noexcept { return set(raw_.keepalive_idle_ms, time); }
    pool_options &keepalive_interval(milliseconds time) noexcept { return set(raw_.keepalive_interval_ms, time); }
    pool_options &keepalive_count(std::uint32_t probes) noexcept { return set(raw_.keepalive_count, probes); }
    pool_options &user_timeout(milliseconds time) noexcept { return set(raw_.user_timeout_ms, or_none(time)); }
    pool_options &dns_cache(milliseconds time) noexcept { return set(raw_.dns_cache_ms, or_longest(time)); }
    pool_options &fail_fast(milliseconds time) noexcept { return set(raw_.fail_fast_ms, or_longest(time)); }
    pool_options &leak_threshold(milliseconds time) noexcept { return set(raw_.leak_threshold_ms, or_none(time)); }
    pool_options &liveness(vcp_liveness mode) noexcept { return set<std::int32_t>(raw_.liveness, mode); }
    pool_options &reuse_order(vcp_reuse_order order) noexcept { return set<std::int32_t>(raw_.reuse_order, order); }
    pool_options &verify_release(bool is_on) noexcept { return set<std::int32_t>(raw_.verify_release, is_on); }
    pool_options &no_delay(bool is_on) noexcept { return set<std::int32_t>(raw_.no_delay, is_on); }
    pool_options &nonblocking(bool is_on) noexcept { return set<std::int32_t>(raw_.nonblocking, is_on); }
    pool_options &local_address(std::string_view address)
    {
        local_address_.emplace(address);
        return *this;
    }
    pool_options &name(std::string_view name_of_pool)
    {
        name_.emplace(name_of_pool);
        return *this;
    }
    pool_options &call(callbacks functions)
    {
        callbacks_ = std::move(functions);
        return *this;
    }

    /// The C struct. Its texts, user and callbacks are set by the pool.
    vcp_pool_options &raw() noexcept { return raw_; }

private:
    friend class pool;

    template <typename Field> pool_options &set(Field &field, Field value) noexcept
    {
        field = value;
        return *this;
    }
    pool_options &set(std::int64_t &field, milliseconds time) noexcept
    {
        field = time.count();
        return *this;
    }
    static milliseconds or_none(milliseconds time) noexcept { return time == forever ? milliseconds::zero() : time; }
    static milliseconds or_longest(milliseconds time) noexcept { return time == forever ? milliseconds::max() : time; }

    int make(vcp_pool **handle) const
    {
        vcp_pool_options options = raw_;
        auto functions = std::make_unique<callbacks>(callbacks_);
        options.local_address = local_address_ ? local_address_->c_str() : nullptr;
        options.name = name_ ? name_->c_str() : nullptr;
        options.rewrite = functions->rewrite ? detail::call_rewrite : nullptr;
        options.resolve = functions->resolve ? detail::call_resolve : nullptr;
        options.dial = functions->dial ? detail::call_dial : nullptr;
        options.control = functions->control ? detail::call_control : nullptr;
        options.on_open = functions->on_open ? detail::call_on_open : nullptr;
        options.on_reuse = functions->on_reuse ? detail::call_on_reuse : nullptr;
        options.on_release = functions->on_release ? detail::call_on_release : nullptr;
        options.on_event = functions->on_event ? detail::call_on_event : nullptr;
        options.user = functions.get();
        options.free_user = [](void *user) { delete static_cast<callbacks *>(user); };
        const int result = vcp_pool_new(&options, handle);
        if (result >= 0) {
            functions.release();
        }
        return result;
    }

    vcp_pool_options raw_;
    std::optional<detail::text> local_address_;
    std::optional<detail::text> name_;
    callbacks callbacks_;
};

/// The answer of an asynchronous dial.
struct completion {
    void *token = nullptr;
    /// Empty if the dial failed.
    conn connection;
    std::error_code ec;
    /// The failure in full.
    std::string message;
};

/// Where the answers of asynchronous dials arrive. Its end cancels the dials in flight for it.
class queue : public detail::owner<vcp_queue, vcp_queue_free> {
public:
    queue() { detail::must(vcp_queue_new(&handle_)); }
    explicit queue(std::error_code &ec) noexcept { detail::tried(vcp_queue_new(&handle_), ec); }

    /// Readable while a completion waits.
    int fd() const { return detail::must(vcp_queue_fd(handle_)); }
    int fd(std::error_code &ec) const noexcept { return detail::tried(vcp_queue_fd(handle_), ec, -1); }
    /// Nothing, and no error: none waits.
    std::optional<completion> next()
    {
        vcp_completion raw{};
        const int count = detail::must(vcp_queue_next(handle_, &raw, sizeof raw));
        return owned(count, raw);
    }
    std::optional<completion> next(std::error_code &ec)
    {
        vcp_completion raw{};
        const int count = detail::tried(vcp_queue_next(handle_, &raw, sizeof raw), ec);
        return owned(count, raw);
    }

private:
    static std::optional<completion> owned(int count, const vcp_completion &raw)
    {
        if (count == 0) {
            return std::nullopt;
        }
        completion one;
        one.token = raw.token;
        one.connection = conn(raw.conn);
        detail::tried(raw.status, one.ec);
        if (one.ec) {
            one.message = vcp_last_error();
        }
        return one;
    }
};

/// A pool, closed at the end of its life. Connections may outlive it.
class pool : public detail::owner<vcp_pool, vcp_pool_close> {
public:
    pool() : pool(pool_options()) {}
    explicit pool(std::error_code &ec) : pool(pool_options(), ec) {}
    explicit pool(const pool_options &options) { detail::must(options.make(&handle_)); }
    pool(const pool_options &options, std::error_code &ec) { detail::tried(options.make(&handle_), ec); }

    conn dial(std::string_view network, std::string_view address, const dial_options &options = {})
    {
        vcp_conn *connection = nullptr;
        detail::must(begin(network, address, options, &connection));
        return conn(connection);
    }
    conn dial(std::string_view network, std::string_view address, std::error_code &ec)
    {
        return dial(network, address, dial_options(), ec);
    }
    conn dial(std::string_view network, std::string_view address, const dial_options &options, std::error_code &ec)
    {
        vcp_conn *connection = nullptr;
        detail::tried(begin(network, address, options, &connection), ec);
        return conn(connection);
    }

    /// A connection at once, or nothing: then the answer comes through the queue, with token.
    std::optional<conn> dial_async(std::string_view network, std::string_view address, const dial_options &options,
                                   queue &answers, void *token)
    {
        vcp_conn *connection = nullptr;
        const int result = begin_async(network, address, options, answers, token, &connection);
        return at_once(connection, detail::must_unless<int>(errc::in_progress, result));
    }
    std::optional<conn> dial_async(std::string_view network, std::string_view address, const dial_options &options,
                                   queue &answers, void *token, std::error_code &ec)
    {
        vcp_conn *connection = nullptr;
        const int result = begin_async(network, address, options, answers, token, &connection);
        return at_once(connection, detail::tried_unless<int>(errc::in_progress, result, ec));
    }

    /// Dials until so many are idle; how many are.
    int warm(std::string_view network, std::string_view address, std::uint32_t count, const dial_options &options = {})
    {
        return detail::must(fill(network, address, count, options));
    }
    int warm(std::string_view network, std::string_view address, std::uint32_t count, std::error_code &ec)
    {
        return warm(network, address, count, dial_options(), ec);
    }
    int warm(std::string_view network, std::string_view address, std::uint32_t count, const dial_options &options,
             std::error_code &ec)
    {
        return detail::tried(fill(network, address, count, options), ec);
    }
    /// Takes the descriptor, if it does not fail.
    void put(int fd, std::string_view network, std::string_view address, std::string_view reuse_tag = {})
    {
        detail::must(give(fd, network, address, reuse_tag));
    }
    void put(int fd, std::string_view network, std::string_view address, std::error_code &ec)
    {
        put(fd, network, address, {}, ec);
    }
    void put(int fd, std::string_view network, std::string_view address, std::string_view reuse_tag, std::error_code &ec)
    {
        detail::tried(give(fd, network, address, reuse_tag), ec);
    }
    void add(int fd) { detail::must(vcp_pool_add(handle_, fd)); }
    void add(int fd, std::error_code &ec) noexcept { detail::tried(vcp_pool_add(handle_, fd), ec); }
    /// An idle one's descriptor, which is the caller's. Nothing, and no error: none is idle.
    std::optional<int> get(std::string_view network, std::string_view address, std::string_view reuse_tag = {})
    {
        return detail::must_unless<int>(errc::not_available, take(network, address, reuse_tag));
    }
    std::optional<int> get(std::string_view network, std::string_view address, std::error_code &ec)
    {
        return get(network, address, {}, ec);
    }
    std::optional<int> get(std::string_view network, std::string_view address, std::string_view reuse_tag,
                           std::error_code &ec)
    {
        return detail::tried_unless<int>(errc::not_available, take(network, address, reuse_tag), ec);
    }

    void close_idle() { detail::must(vcp_pool_close_idle(handle_)); }
    void close_idle(std::error_code &ec) noexcept { detail::tried(vcp_pool_close_idle(handle_), ec); }
    void evict(std::string_view network, std::string_view address)
    {
        detail::must(vcp_pool_evict(handle_, detail::text(network).c_str(), detail::text(address).c_str()));
    }
    void evict(std::string_view network, std::string_view address, std::error_code &ec)
    {
        detail::tried(vcp_pool_evict(handle_, detail::text(network).c_str(), detail::text(address).c_str()), ec);
    }
    /// Everywhere: the network changed.
    void evict() { detail::must(vcp_pool_evict(handle_, nullptr, nullptr)); }
    void evict(std::error_code &ec) noexcept { detail::tried(vcp_pool_evict(handle_, nullptr, nullptr), ec); }
    void abort() { detail::must(vcp_pool_abort(handle_)); }
    void abort(std::error_code &ec) noexcept { detail::tried(vcp_pool_abort(handle_), ec); }
    /// How many are still out.
    std::int64_t drain(milliseconds time) { return detail::must(vcp_pool_drain(handle_, time.count())); }
    std::int64_t drain(milliseconds time, std::error_code &ec) noexcept
    {
        return detail::tried(vcp_pool_drain(handle_, time.count()), ec);
    }
    void close() { detail::must(vcp_pool_close(std::exchange(handle_, nullptr))); }
    void close(std::error_code &ec) noexcept { detail::tried(vcp_pool_close(std::exchange(handle_, nullptr)), ec); }

    std::int64_t conn_count() const { return detail::must(vcp_pool_conn_count(handle_)); }
    std::int64_t conn_count(std::error_code &ec) const noexcept { return detail::tried(vcp_pool_conn_count(handle_), ec); }
    std::int64_t idle_count() const { return detail::must(vcp_pool_idle_count(handle_, nullptr, nullptr)); }
    std::int64_t idle_count(std::error_code &ec) const noexcept
    {
        return detail::tried(vcp_pool_idle_count(handle_, nullptr, nullptr), ec);
    }
    std::int64_t idle_count(std::string_view network, std::string_view address) const
    {
        return detail::must(
            vcp_pool_idle_count(handle_, detail::text(network).c_str(), detail::text(address).c_str()));
    }
    std::int64_t idle_count(std::string_view network, std::string_view address, std::error_code &ec) const
    {
        return detail::tried(
            vcp_pool_idle_count(handle_, detail::text(network).c_str(), detail::text(address).c_str()), ec);
    }
    vcp_stats stats() const
    {
        vcp_stats all{};
        detail::must(vcp_pool_stats(handle_, &all, sizeof all));
        return all;
    }
    vcp_stats stats(std::error_code &ec) const noexcept
    {
        vcp_stats all{};
        detail::tried(vcp_pool_stats(handle_, &all, sizeof all), ec);
        return all;
    }
    std::string describe(vcp_format format = VCP_FORMAT_TEXT) const
    {
        std::string out;
        detail::must(report(format, out));
        return out;
    }
    std::string describe(std::error_code &ec) const { return describe(VCP_FORMAT_TEXT, ec); }
    std::string describe(vcp_format format, std::error_code &ec) const
    {
        std::string out;
        detail::tried(report(format, out), ec);
        return out;
    }

private:
    int begin(std::string_view network, std::string_view address, const dial_options &options, vcp_conn **connection)
    {
        const vcp_dial_options raw = options.raw();
        return vcp_dial_with(handle_, detail::text(network).c_str(), detail::text(address).c_str(), &raw, connection);
    }
    int begin_async(std::string_view network, std::string_view address, const dial_options &options, queue &answers,
                    void *token, vcp_conn **connection)
    {
        const vcp_dial_options raw = options.raw();
        return vcp_dial_async(handle_, detail::text(network).c_str(), detail::text(address).c_str(), &raw,
                              answers.handle(), token, connection);
    }
    /// With VCP_DIAL_QUEUED a success is no connection yet.
    static std::optional<conn> at_once(vcp_conn *connection, std::optional<int> result)
    {
        return result && connection != nullptr ? std::optional<conn>(conn(connection)) : std::nullopt;
    }
    int fill(std::string_view network, std::string_view address, std::uint32_t count, const dial_options &options)
    {
        const vcp_dial_options raw = options.raw();
        return vcp_pool_warm(handle_, detail::text(network).c_str(), detail::text(address).c_str(), &raw, count);
    }
    int give(int fd, std::string_view network, std::string_view address, std::string_view reuse_tag)
    {
        return vcp_pool_put(handle_, fd, detail::text(network).c_str(), detail::text(address).c_str(),
                            detail::text(reuse_tag).c_str());
    }
    int take(std::string_view network, std::string_view address, std::string_view reuse_tag)
    {
        return vcp_pool_get(handle_, detail::text(network).c_str(), detail::text(address).c_str(),
                            detail::text(reuse_tag).c_str());
    }
    std::int64_t report(vcp_format format, std::string &out) const
    {
        return detail::told(
            [&](char *buffer, std::size_t size) { return vcp_pool_describe(handle_, format, buffer, size); }, out);
    }
};

} // namespace vcp

namespace std {
template <> struct is_error_code_enum<vcp::errc> : true_type {
};
} // namespace std

#endif
