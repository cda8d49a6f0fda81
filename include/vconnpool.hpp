// vconnpool.hpp - vconnpool.h for C++17: owners instead of handles, exceptions or error codes
// instead of numbers.
//
// The manual is vconnpool.h. This file says only what C++ adds to it.
//
//  - OWNERS. pool, conn, cancel and queue own what they name. They move, and are never copied. The
//    end of an owner's life closes what it holds; so does moving another owner into it. An owner
//    that was moved from, or closed, holds nothing: using it is the error invalid_handle, and
//    closing or firing it does nothing and succeeds.
//  - EXCEPTIONS DISCARD. A conn that is destroyed while an exception unwinds past it discards its
//    connection: half an answer must not reach the next borrower. It asks
//    std::uncaught_exceptions() when it borrows and when it dies. A conn that lives outside the
//    try block is not unwound past: call discard() in the catch block.
//  - ERRORS. Whatever can fail comes twice. Without a std::error_code it throws vcp::error, a
//    std::system_error whose what() is the whole message. With a std::error_code as its last
//    argument it sets that code, or clears it, and a failure returns nothing: 0, false, an empty
//    text or object, or -1 for a descriptor. vcp::last_error() has the message then. Under C++23
//    dial, read, read_full and write have a third form that returns std::expected.
//  - SESSIONS. session_pool<T> holds what a driver dials by itself (libpq, MariaDB): a callable of
//    yours opens a session and returns a std::unique_ptr, and a dial returns a session that gives
//    itself back.
//  - CODES. An error code compares equal to the library's own number and to the errno behind it:
//    ec == vcp::errc::connect and ec == std::errc::connection_refused hold at the same time. See
//    vcp::errc for how.
//  - TIMES are std::chrono::milliseconds. vcp::forever is "no limit".
//  - TEXT is std::string_view, and copied.
//  - CALLBACKS are std::function. One that throws refuses; its what() joins the message of the
//    dial, and no exception leaves it. They live until the pool's last callback has returned.
//  - Threads and lifetimes are as in C. std::bad_alloc is thrown by both forms.
//
// Header only; needs nothing but vconnpool.h and the standard library. <vconnpool/asio.hpp> dials
// from Asio. MIT OR Apache-2.0.
#ifndef VCONNPOOL_HPP
#define VCONNPOOL_HPP

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__has_include)
#if __has_include(<version>)
#include <version>
#endif
#endif
#ifdef __cpp_lib_span
#include <span>
#endif
#ifdef __cpp_lib_expected
#include <expected>
#endif

#include "vconnpool.h"

/// The C++ face of libvconnpool.
namespace vcp {

using std::chrono::milliseconds;

/// A time that means "no limit": no deadline for a dial, a read or a write, or no timeout for a
/// pool. pool_options says what it means for each of its times.
inline constexpr milliseconds forever{VCP_FOREVER};

/// A time for dial_options that means "what the pool's options say". It is their default.
inline constexpr milliseconds as_the_pool{VCP_POOL_DEFAULT};

/// A point in time for deadlines. On Linux it is on the clock of vcp_now_ms, CLOCK_MONOTONIC.
using time_point = std::chrono::steady_clock::time_point;

/// The failures of the library, one for each VCP_ERR_* of vconnpool.h, with the same number.
///
/// A std::error_code holds one int and a pointer to a category. The int of this library's codes is
/// the number of an errc, so ec.value() can be passed to vcp_strerror. The errno behind a failure
/// lives in the category: the library has one category for each errno, and category() for failures
/// without one. So a refused connection compares equal to vcp::errc::connect, which looks at the
/// value, and to std::errc::connection_refused, which asks the category. Two std::error_codes are
/// equal only if both their errc and their errno are.
enum class errc : int {
    /// A parameter or an option has a value that it must not have.
    invalid_argument = VCP_ERR_INVALID_ARGUMENT,
    /// The object holds nothing: it was moved from, closed, or failed to be made.
    invalid_handle = VCP_ERR_INVALID_HANDLE,
    /// The network is none of those that vcp_dial lists.
    unknown_network = VCP_ERR_UNKNOWN_NETWORK,
    /// The address does not have the form that its network asks for.
    invalid_address = VCP_ERR_INVALID_ADDRESS,
    /// The name has no address, or the resolver failed. error::number() is its EAI_* value.
    resolve = VCP_ERR_RESOLVE,
    /// No address could be connected to. The code carries the errno of the first address.
    connect = VCP_ERR_CONNECT,
    /// The deadline passed. error::phase() tells what the call was doing.
    timeout = VCP_ERR_TIMEOUT,
    /// The cancel token fired.
    canceled = VCP_ERR_CANCELED,
    /// The pool was closed before the call or while it ran.
    pool_closed = VCP_ERR_POOL_CLOSED,
    /// A limit of the pool is reached, and nothing idle could be closed to make room.
    pool_exhausted = VCP_ERR_POOL_EXHAUSTED,
    /// put or add: the pool has no room for another idle connection.
    idle_full = VCP_ERR_IDLE_FULL,
    /// A dial with VCP_DIAL_REUSE_ONLY, or get: nothing is idle.
    not_available = VCP_ERR_NOT_AVAILABLE,
    /// The connection was closed or detached, perhaps by C code.
    conn_closed = VCP_ERR_CONN_CLOSED,
    /// A read, a write or a wait failed. The code carries the errno.
    io = VCP_ERR_IO,
    /// A callback refused. error::number() is what it threw or returned.
    callback = VCP_ERR_CALLBACK,
    /// The system refused a descriptor or a thread. The code carries the errno.
    system = VCP_ERR_SYSTEM,
    /// An asynchronous dial goes on; its answer comes through the queue.
    in_progress = VCP_ERR_IN_PROGRESS,
    /// put or add: the descriptor is no live, clean, connected socket.
    not_reusable = VCP_ERR_NOT_REUSABLE,
    /// A read or a write without waiting finds nothing to move now.
    would_block = VCP_ERR_WOULD_BLOCK,
    /// Memory ran out, and nothing was changed.
    no_memory = VCP_ERR_NO_MEMORY,
    /// A bug in the library, contained.
    internal = VCP_ERR_INTERNAL
};

} // namespace vcp

/// Lets an errc be assigned to a std::error_code.
template <> struct std::is_error_code_enum<vcp::errc> : std::true_type {
};

namespace vcp {

namespace detail {

/// The category of the error codes that carry one errno. Which errno it is, its place in the table
/// of all categories tells.
class errno_category final : public std::error_category {
public:
    /// "vcp".
    const char *name() const noexcept override { return "vcp"; }

    /// The text of the status and, where there is one, of the errno behind it.
    std::string message(int status) const override
    {
        std::string text = vcp_strerror(status);
        if (number() != 0) {
            text += ": " + std::generic_category().message(number());
        }
        return text;
    }

    /// The condition of the errno behind the failure; without an errno, that of the status.
    std::error_condition default_error_condition(int status) const noexcept override
    {
        return number() != 0 ? std::error_condition(number(), std::generic_category())
                             : condition_of(status);
    }

    /// A failure is its status, its errno, and the standard condition of its status.
    bool equivalent(int status, const std::error_condition &condition) const noexcept override
    {
        return condition == default_error_condition(status) || condition == condition_of(status) ||
               condition == std::error_condition(status, without_errno());
    }

    /// The errno that the codes of this category carry, or 0.
    int number() const noexcept;

    /// The category of the codes that carry no errno.
    static const errno_category &without_errno() noexcept;

private:
    /// The standard condition that means the same as a status, or the status itself.
    static std::error_condition condition_of(int status) noexcept
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
        case errc::no_memory:
            return std::errc::not_enough_memory;
        default:
            return {status, without_errno()};
        }
    }
};

/// One category for each errno. Linux has 133, and 1133 on MIPS alone: one that is beyond the
/// table is told in the message only.
using errno_categories = std::array<errno_category, 256>;

/// The table of all categories. It is never destroyed: codes may be read while the process ends.
inline const errno_categories &all_categories() noexcept
{
    alignas(errno_categories) static unsigned char room[sizeof(errno_categories)];
    static const errno_categories *const all = ::new (static_cast<void *>(room)) errno_categories;
    return *all;
}

inline int errno_category::number() const noexcept
{
    return static_cast<int>(this - all_categories().data());
}

inline const errno_category &errno_category::without_errno() noexcept
{
    return all_categories().front();
}

/// The category of the codes that carry this errno.
inline const std::error_category &category_of(int number) noexcept
{
    const bool is_listed = number > 0 && number < static_cast<int>(all_categories().size());
    return all_categories()[is_listed ? static_cast<std::size_t>(number) : 0];
}

/// The category as one of this library's; nullptr if it is another's. What lies inside the table is
/// this library's: no run-time type information is needed.
inline const errno_category *own(const std::error_category &category) noexcept
{
    const std::less<const std::error_category *> is_before;
    const bool is_own = !is_before(&category, &all_categories().front()) &&
                        !is_before(&all_categories().back(), &category);
    return is_own ? static_cast<const errno_category *>(&category) : nullptr;
}

/// The errno behind this thread's last failure, which was of that status; 0 if it has none. The
/// numbers of resolve and callback are no errno.
inline int last_errno_of(errc status) noexcept
{
    switch (status) {
    case errc::connect:
    case errc::io:
    case errc::system:
    case errc::not_reusable:
        return vcp_last_errno();
    default:
        return 0;
    }
}

/// The code of this thread's last failure, which was of that status.
inline std::error_code last_code(errc status) noexcept
{
    return {static_cast<int>(status), category_of(last_errno_of(status))};
}

} // namespace detail

/// The category of the error codes that carry no errno, named "vcp". A code that carries an errno
/// has another category of that name; compare codes with errc, not their categories.
[[nodiscard]] inline const std::error_category &category() noexcept
{
    return detail::errno_category::without_errno();
}

/// The error code of a status, without an errno. It lets an errc be assigned to a std::error_code.
[[nodiscard]] inline std::error_code make_error_code(errc status) noexcept
{
    return {static_cast<int>(status), category()};
}

/// The condition that is met by every error code of a status, whatever errno it carries.
[[nodiscard]] inline std::error_condition make_error_condition(errc status) noexcept
{
    return {static_cast<int>(status), category()};
}

/// The errno that an error code of this library carries; 0 if it carries none, or is another
/// library's.
[[nodiscard]] inline int errno_of(const std::error_code &code) noexcept
{
    const detail::errno_category *const own = detail::own(code.category());
    return own != nullptr ? own->number() : 0;
}

/// Whether the code is this library's and of that status, whatever errno it carries.
[[nodiscard]] inline bool operator==(const std::error_code &code, errc status) noexcept
{
    return code.value() == static_cast<int>(status) && detail::own(code.category()) != nullptr;
}

/// Whether the code is this library's and of that status, whatever errno it carries.
[[nodiscard]] inline bool operator==(errc status, const std::error_code &code) noexcept
{
    return code == status;
}

/// Whether the code is another library's, or of another status.
[[nodiscard]] inline bool operator!=(const std::error_code &code, errc status) noexcept
{
    return !(code == status);
}

/// Whether the code is another library's, or of another status.
[[nodiscard]] inline bool operator!=(errc status, const std::error_code &code) noexcept
{
    return !(code == status);
}

/// The whole message of the last call of this thread that failed; "" before the first.
[[nodiscard]] inline std::string last_error()
{
    return vcp_last_error();
}

/// What a call throws when it fails: what() is the whole message, code() compares equal to an errc
/// and to the std::errc of the errno behind it.
class error : public std::system_error {
public:
    /// This thread's last failure, which was of that status.
    explicit error(errc status)
        : std::system_error(detail::last_code(status)), message_(vcp_last_error()),
          number_(vcp_last_errno()), phase_(vcp_last_phase())
    {
    }

    /// A failure of the program's own, to be thrown by a callback.
    error(errc status, std::string message)
        : std::system_error(make_error_code(status)), message_(std::move(message))
    {
    }

    /// The whole message, such as "dial tcp 127.0.0.1:1: connection refused".
    const char *what() const noexcept override { return message_.c_str(); }

    /// The number behind the failure: an errno; an EAI_* value if it is errc::resolve; what the
    /// callback threw or returned if it is errc::callback; 0 if there is none.
    [[nodiscard]] int number() const noexcept { return number_; }

    /// What the call was doing when its deadline passed, as a vcp_phase; VCP_PHASE_NONE if the
    /// failure is no timeout.
    [[nodiscard]] std::int32_t phase() const noexcept { return phase_; }

private:
    std::string message_;
    int number_ = 0;
    std::int32_t phase_ = VCP_PHASE_NONE;
};

namespace detail {

/// A point in time for C: in milliseconds, rounded up. The last one there is means none.
inline std::int64_t at_ms(time_point time) noexcept
{
    const auto since = std::chrono::ceil<milliseconds>(time.time_since_epoch()).count();
    return time == time_point::max() ? INT64_MAX : since;
}

/// The result of a C function; a failure is thrown.
template <typename Number> Number must(Number result)
{
    if (result < 0) {
        throw error(static_cast<errc>(result));
    }
    return result;
}

/// The result of a C function; a failure is set in `ec`, and `nothing` returned.
template <typename Number>
Number tried(Number result, std::error_code &ec, Number nothing = 0) noexcept
{
    if (result < 0) {
        ec = last_code(static_cast<errc>(result));
        return nothing;
    }
    ec.clear();
    return result;
}

/// The result of a C function, or nothing if it is the failure `none`; any other is thrown.
template <typename Value, typename Number>
std::optional<Value> must_unless(errc none, Number result)
{
    if (result == static_cast<int>(none)) {
        return std::nullopt;
    }
    return static_cast<Value>(must(result));
}

/// The result of a C function, or nothing if it failed. Any failure but `none` is set in `ec`.
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

#ifdef __cpp_lib_expected
/// What a call that sets an error code returns, or that code.
template <typename Call> auto expected(Call call)
{
    std::error_code ec;
    auto value = call(ec);
    using result = std::expected<decltype(value), std::error_code>;
    return ec ? result(std::unexpect, ec) : result(std::move(value));
}
#endif

/// Text for C. A NUL inside would cut it off there: it goes as the byte 0xFF, which is in no UTF-8,
/// and the text is refused.
class text {
public:
    /// Copies the text.
    explicit text(std::string_view view) : copy_(view)
    {
        std::replace(copy_.begin(), copy_.end(), '\0', '\xff');
    }

    /// The text, terminated.
    const char *c_str() const noexcept { return copy_.c_str(); }

private:
    std::string copy_;
};

/// Holds a handle, and ends what it names by a call of `end`.
template <typename Handle, int (*end)(Handle *)> class owner {
public:
    /// Takes over what the other holds.
    owner(owner &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

    /// Ends what this one holds, and takes over what the other holds.
    owner &operator=(owner &&other) noexcept
    {
        if (this != &other) {
            end(std::exchange(handle_, std::exchange(other.handle_, nullptr)));
        }
        return *this;
    }

    /// The handle, for functions of vconnpool.h; it stays this object's. nullptr if it holds none.
    [[nodiscard]] Handle *handle() const noexcept { return handle_; }

    /// Whether it holds anything.
    explicit operator bool() const noexcept { return handle_ != nullptr; }

protected:
    owner() noexcept = default;
    ~owner() { end(handle_); }

    Handle *handle_ = nullptr;
};

/// A token for C, where NULL means no token. One that was moved from was meant to be one: it goes
/// as a handle that never was, so that the call fails.
inline vcp_cancel *meant(vcp_cancel *token) noexcept
{
    constexpr std::uintptr_t never_a_handle = ~std::uintptr_t{0};
    return token != nullptr ? token : reinterpret_cast<vcp_cancel *>(never_a_handle);
}

/// Calls a function that works as snprintf until `out` is large enough; returns its last result.
template <typename Print> std::int64_t printed(Print print, std::string &out)
{
    for (;;) {
        const std::int64_t result =
            print(out.empty() ? nullptr : &out[0], out.empty() ? 0 : out.size() + 1);
        const auto length = result < 0 ? 0 : static_cast<std::size_t>(result);
        const bool is_whole = length <= out.size();
        out.resize(length);
        if (is_whole) {
            return result;
        }
    }
}

/// The length that a character has in UTF-8, told by its first byte; 0 if no character begins so.
inline std::size_t length_by(unsigned lead) noexcept
{
    const std::size_t of_several = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    return lead < 0x80 ? 1 : lead < 0xC2 ? 0 : of_several;
}

/// The length of the first character of a text in UTF-8 (RFC 3629, section 4); 0 if it is none.
inline std::size_t character(std::string_view text) noexcept
{
    const auto byte = [text](std::size_t at) -> unsigned {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    const unsigned lead = byte(0);
    const std::size_t length = length_by(lead);
    for (std::size_t at = 1; at < length; at++) {
        if (byte(at) >> 6 != 2) {
            return 0;
        }
    }
    const bool is_overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
    const bool is_beyond = (lead == 0xED && byte(1) >= 0xA0) || (lead == 0xF4 && byte(1) >= 0x90);
    return is_overlong || is_beyond ? 0 : length;
}

/// Tells the library why a callback refuses, in UTF-8 and in no more bytes than it takes. It needs
/// no memory: there may be none.
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

/// Runs a callback. Whatever it throws becomes a refusal: the value of a std::system_error's code,
/// and -1 for anything else.
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

/// A token that ends every dial, read, write and wait that carries it, now and later.
class cancel : public detail::owner<vcp_cancel, vcp_cancel_free> {
public:
    /// Makes a token. Throws vcp::error if the system has no descriptor for it.
    cancel() { detail::must(vcp_cancel_new(&handle_)); }

    /// Makes a token. A failure sets ec and leaves it empty.
    explicit cancel(std::error_code &ec) noexcept { detail::tried(vcp_cancel_new(&handle_), ec); }

    /// Fires the token, for ever: all that carry it end with errc::canceled. Any thread may call
    /// it, and so may a signal handler.
    void fire() noexcept { vcp_cancel_fire(handle_); }
};

/// A connection that another object gives back: the argument of a hook. conn gives itself back.
class conn_ref {
public:
    /// Refers to a connection that C code or the library has borrowed.
    explicit conn_ref(vcp_conn *handle = nullptr) noexcept : handle_(handle) {}

    /// The handle, for functions of vconnpool.h. nullptr if there is none.
    [[nodiscard]] vcp_conn *handle() const noexcept { return handle_; }

    /// Whether it refers to anything.
    explicit operator bool() const noexcept { return handle_ != nullptr; }

    /// The connection's descriptor, to do I/O on. It is borrowed: never close(2) it.
    int fd() const { return detail::must(vcp_conn_raw_fd(handle_)); }

    /// The connection's descriptor, to do I/O on, never to be closed. A failure sets ec and
    /// returns -1.
    int fd(std::error_code &ec) const noexcept
    {
        return detail::tried(vcp_conn_raw_fd(handle_), ec, -1);
    }

    /// Whether the connection came from the pool; false if it was dialed for this borrow.
    bool is_reused() const { return detail::must(vcp_conn_is_reused(handle_)) != 0; }

    /// Whether the connection came from the pool. A failure sets ec and returns false.
    bool is_reused(std::error_code &ec) const noexcept
    {
        return detail::tried(vcp_conn_is_reused(handle_), ec) != 0;
    }

    /// How often the connection has been borrowed, this time included.
    std::int64_t uses() const { return detail::must(vcp_conn_uses(handle_)); }

    /// How often the connection has been borrowed, this time included. A failure sets ec and
    /// returns 0.
    std::int64_t uses(std::error_code &ec) const noexcept
    {
        return detail::tried(vcp_conn_uses(handle_), ec);
    }

    /// Asked after a failed read or write, before the connection is given back: whether the same
    /// request deserves one more try on another connection. It does if this one was reused, ended
    /// by end of stream or an I/O error, and no byte was read in this borrow. Retry only what may
    /// be done twice: the server may have read the request.
    bool should_retry() const { return detail::must(vcp_conn_should_retry(handle_)) != 0; }

    /// Whether the same request deserves one more try on another connection. A failure sets ec and
    /// returns false.
    bool should_retry(std::error_code &ec) const noexcept
    {
        return detail::tried(vcp_conn_should_retry(handle_), ec) != 0;
    }

    /// Marks the connection as unfit for the next borrower: giving it back will really close it.
    void discard() { detail::must(vcp_conn_discard(handle_)); }

    /// Marks the connection as unfit for the next borrower. A failure sets ec.
    void discard(std::error_code &ec) noexcept { detail::tried(vcp_conn_discard(handle_), ec); }

    /// Sets how the pool checks this connection before it hands it out, for all of its life. It
    /// overrides the pool's option.
    void set_liveness(vcp_liveness liveness)
    {
        detail::must(vcp_conn_set_liveness(handle_, liveness));
    }

    /// Sets how the pool checks this connection before it hands it out. A failure sets ec.
    void set_liveness(vcp_liveness liveness, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_liveness(handle_, liveness), ec);
    }

    /// Lets a token end the reads, writes and waits of this borrow; nullptr: none. The token may be
    /// destroyed as soon as this has returned, and can then no longer be fired.
    void set_cancel(const cancel *token)
    {
        detail::must(vcp_conn_set_cancel(handle_, handle_of(token)));
    }

    /// Lets a token end the reads, writes and waits of this borrow. A failure sets ec.
    void set_cancel(const cancel *token, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_cancel(handle_, handle_of(token)), ec);
    }

    /// Reads at least one byte, waiting for it until the deadline; returns how many came, 0 at end
    /// of stream. A failed read and end of stream discard the connection.
    [[nodiscard]] std::size_t read(void *buffer, std::size_t size)
    {
        return static_cast<std::size_t>(detail::must(vcp_conn_read(handle_, buffer, size)));
    }

    /// Reads at least one byte, waiting for it until the deadline; returns how many came, 0 at end
    /// of stream. A failure sets ec and returns 0.
    [[nodiscard]] std::size_t read(void *buffer, std::size_t size, std::error_code &ec) noexcept
    {
        return static_cast<std::size_t>(detail::tried(vcp_conn_read(handle_, buffer, size), ec));
    }

    /// Reads exactly so many bytes, waiting for them until the deadline; returns their number, or 0
    /// if the stream ends before the first. If it ends later, that is errc::io. A failed read
    /// discards the connection.
    [[nodiscard]] std::size_t read_full(void *buffer, std::size_t size)
    {
        return static_cast<std::size_t>(detail::must(vcp_conn_read_full(handle_, buffer, size)));
    }

    /// Reads exactly so many bytes, waiting for them until the deadline; returns their number, or 0
    /// if the stream ends before the first. If it ends later, that is errc::io. A failure sets ec
    /// and returns 0.
    [[nodiscard]] std::size_t read_full(void *buffer, std::size_t size,
                                        std::error_code &ec) noexcept
    {
        return static_cast<std::size_t>(
            detail::tried(vcp_conn_read_full(handle_, buffer, size), ec));
    }

    /// Writes all of the buffer, waiting for room until the deadline. A failed write discards the
    /// connection.
    void write(const void *buffer, std::size_t size)
    {
        detail::must(vcp_conn_write(handle_, buffer, size));
    }

    /// Writes all of the buffer, waiting for room until the deadline. A failure sets ec.
    void write(const void *buffer, std::size_t size, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_write(handle_, buffer, size), ec);
    }

    /// Writes all of the text, waiting for room until the deadline. A failed write discards the
    /// connection.
    void write(std::string_view text) { write(text.data(), text.size()); }

    /// Writes all of the text, waiting for room until the deadline. A failure sets ec.
    void write(std::string_view text, std::error_code &ec) noexcept
    {
        write(text.data(), text.size(), ec);
    }

    /// Reads what is there, without waiting; returns how many bytes came, 0 at end of stream, and
    /// nothing if it would have to wait.
    [[nodiscard]] std::optional<std::size_t> try_read(void *buffer, std::size_t size)
    {
        return detail::must_unless<std::size_t>(errc::would_block,
                                                vcp_conn_try_read(handle_, buffer, size));
    }

    /// Reads what is there, without waiting; returns how many bytes came, 0 at end of stream, and
    /// nothing if it would have to wait. A failure sets ec and returns nothing.
    [[nodiscard]] std::optional<std::size_t> try_read(void *buffer, std::size_t size,
                                                      std::error_code &ec) noexcept
    {
        return detail::tried_unless<std::size_t>(errc::would_block,
                                                 vcp_conn_try_read(handle_, buffer, size), ec);
    }

    /// Writes what there is room for, without waiting; returns how many bytes went, and nothing if
    /// it would have to wait.
    [[nodiscard]] std::optional<std::size_t> try_write(const void *buffer, std::size_t size)
    {
        return detail::must_unless<std::size_t>(errc::would_block,
                                                vcp_conn_try_write(handle_, buffer, size));
    }

    /// Writes what there is room for, without waiting; returns how many bytes went, and nothing if
    /// it would have to wait. A failure sets ec and returns nothing.
    [[nodiscard]] std::optional<std::size_t> try_write(const void *buffer, std::size_t size,
                                                       std::error_code &ec) noexcept
    {
        return detail::tried_unless<std::size_t>(errc::would_block,
                                                 vcp_conn_try_write(handle_, buffer, size), ec);
    }

#ifdef __cpp_lib_span
    /// Reads at least one byte, waiting for it until the deadline; returns how many came, 0 at end
    /// of stream. A failed read and end of stream discard the connection.
    [[nodiscard]] std::size_t read(std::span<std::byte> buffer)
    {
        return read(buffer.data(), buffer.size());
    }

    /// Reads at least one byte, waiting for it until the deadline; returns how many came, 0 at end
    /// of stream. A failure sets ec and returns 0.
    [[nodiscard]] std::size_t read(std::span<std::byte> buffer, std::error_code &ec) noexcept
    {
        return read(buffer.data(), buffer.size(), ec);
    }

    /// Reads until the buffer is full, waiting until the deadline; returns its size, or 0 if the
    /// stream ends before the first byte. If it ends later, that is errc::io. A failed read
    /// discards the connection.
    [[nodiscard]] std::size_t read_full(std::span<std::byte> buffer)
    {
        return read_full(buffer.data(), buffer.size());
    }

    /// Reads until the buffer is full, waiting until the deadline; returns its size, or 0 if the
    /// stream ends before the first byte. If it ends later, that is errc::io. A failure sets ec and
    /// returns 0.
    [[nodiscard]] std::size_t read_full(std::span<std::byte> buffer, std::error_code &ec) noexcept
    {
        return read_full(buffer.data(), buffer.size(), ec);
    }

    /// Writes all of the bytes, waiting for room until the deadline. A failed write discards the
    /// connection.
    void write(std::span<const std::byte> bytes)
    {
        write(bytes.data(), bytes.size());
    }

    /// Writes all of the bytes, waiting for room until the deadline. A failure sets ec.
    void write(std::span<const std::byte> bytes, std::error_code &ec) noexcept
    {
        write(bytes.data(), bytes.size(), ec);
    }
#endif

#ifdef __cpp_lib_expected
    /// Reads at least one byte, waiting for it until the deadline; returns how many came, 0 at end
    /// of stream, or the error code.
    [[nodiscard]] std::expected<std::size_t, std::error_code> read_expected(void *buffer,
                                                                            std::size_t size)
    {
        return detail::expected([&](std::error_code &ec) { return read(buffer, size, ec); });
    }

    /// Reads at least one byte, waiting for it until the deadline; returns how many came, 0 at end
    /// of stream, or the error code.
    [[nodiscard]] std::expected<std::size_t, std::error_code> read_expected(
        std::span<std::byte> buffer)
    {
        return read_expected(buffer.data(), buffer.size());
    }

    /// Reads exactly so many bytes, waiting for them until the deadline; returns their number, 0 if
    /// the stream ends before the first, or the error code.
    [[nodiscard]] std::expected<std::size_t, std::error_code> read_full_expected(void *buffer,
                                                                                 std::size_t size)
    {
        return detail::expected([&](std::error_code &ec) { return read_full(buffer, size, ec); });
    }

    /// Reads until the buffer is full, waiting until the deadline; returns its size, 0 if the
    /// stream ends before the first byte, or the error code.
    [[nodiscard]] std::expected<std::size_t, std::error_code> read_full_expected(
        std::span<std::byte> buffer)
    {
        return read_full_expected(buffer.data(), buffer.size());
    }

    /// Writes all of the buffer, waiting for room until the deadline; returns its size, or the
    /// error code.
    [[nodiscard]] std::expected<std::size_t, std::error_code> write_expected(const void *buffer,
                                                                             std::size_t size)
    {
        return detail::expected([&](std::error_code &ec) {
            write(buffer, size, ec);
            return size;
        });
    }

    /// Writes all of the text, waiting for room until the deadline; returns its size, or the error
    /// code.
    [[nodiscard]] std::expected<std::size_t, std::error_code> write_expected(std::string_view text)
    {
        return write_expected(text.data(), text.size());
    }

    /// Writes all of the bytes, waiting for room until the deadline; returns their number, or the
    /// error code.
    [[nodiscard]] std::expected<std::size_t, std::error_code> write_expected(
        std::span<const std::byte> bytes)
    {
        return write_expected(bytes.data(), bytes.size());
    }
#endif

    /// Waits until one of the events asked for holds, VCP_READABLE and VCP_WRITABLE as bits;
    /// returns the bits that hold. The deadlines of what is asked for and the token end the wait.
    int wait(int events)
    {
        return detail::must(vcp_conn_wait(handle_, events));
    }

    /// Waits until one of the events asked for holds, VCP_READABLE and VCP_WRITABLE as bits;
    /// returns the bits that hold. A failure sets ec and returns 0.
    int wait(int events, std::error_code &ec) noexcept
    {
        return detail::tried(vcp_conn_wait(handle_, events), ec);
    }

    /// Gives the reads, writes and waits of this borrow so much time in all, from now; forever: no
    /// limit. It does not bind I/O on the descriptor.
    void set_deadline(milliseconds left)
    {
        detail::must(vcp_conn_set_deadline(handle_, left.count()));
    }

    /// Gives the reads, writes and waits of this borrow so much time in all, from now. A failure
    /// sets ec.
    void set_deadline(milliseconds left, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_deadline(handle_, left.count()), ec);
    }

    /// Gives the reads of this borrow so much time in all, from now; forever: no limit.
    void set_read_deadline(milliseconds left)
    {
        detail::must(vcp_conn_set_read_deadline(handle_, left.count()));
    }

    /// Gives the reads of this borrow so much time in all, from now. A failure sets ec.
    void set_read_deadline(milliseconds left, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_read_deadline(handle_, left.count()), ec);
    }

    /// Gives the writes of this borrow so much time in all, from now; forever: no limit.
    void set_write_deadline(milliseconds left)
    {
        detail::must(vcp_conn_set_write_deadline(handle_, left.count()));
    }

    /// Gives the writes of this borrow so much time in all, from now. A failure sets ec.
    void set_write_deadline(milliseconds left, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_write_deadline(handle_, left.count()), ec);
    }

    /// Lets the reads, writes and waits of this borrow end at that time; time_point::max(): no
    /// limit. A time that is past has passed.
    void set_deadline_at(time_point when)
    {
        detail::must(vcp_conn_set_deadline_at(handle_, detail::at_ms(when)));
    }

    /// Lets the reads, writes and waits of this borrow end at that time. A failure sets ec.
    void set_deadline_at(time_point when, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_set_deadline_at(handle_, detail::at_ms(when)), ec);
    }

    /// Ends one direction or both, as shutdown(2): SHUT_RD, SHUT_WR or SHUT_RDWR. The connection is
    /// discarded.
    void shutdown(int how)
    {
        detail::must(vcp_conn_shutdown(handle_, how));
    }

    /// Ends one direction or both, as shutdown(2). The connection is discarded. A failure sets ec.
    void shutdown(int how, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_shutdown(handle_, how), ec);
    }

    /// Tells the library what I/O on the descriptor came to, as recv(2) tells it: so many bytes
    /// were read, 0 at end of stream, -1 for a failure with that errno. It is then as if read()
    /// had met it.
    void report(std::int64_t result, int error_number = 0)
    {
        detail::must(vcp_conn_report(handle_, result, error_number));
    }

    /// Tells the library what I/O on the descriptor came to, as recv(2) tells it. A failure of this
    /// call sets ec.
    void report(std::int64_t result, int error_number, std::error_code &ec) noexcept
    {
        detail::tried(vcp_conn_report(handle_, result, error_number), ec);
    }

    /// How long the connection had been idle before this borrow; 0 if it was dialed for it.
    milliseconds idle_time() const
    {
        return milliseconds(detail::must(vcp_conn_idle_ms(handle_)));
    }

    /// How long the connection had been idle before this borrow. A failure sets ec and returns 0.
    milliseconds idle_time(std::error_code &ec) const noexcept
    {
        return milliseconds(detail::tried(vcp_conn_idle_ms(handle_), ec));
    }

    /// How long ago the connection was opened, put or added.
    milliseconds age() const
    {
        return milliseconds(detail::must(vcp_conn_age_ms(handle_)));
    }

    /// How long ago the connection was opened, put or added. A failure sets ec and returns 0.
    milliseconds age(std::error_code &ec) const noexcept
    {
        return milliseconds(detail::tried(vcp_conn_age_ms(handle_), ec));
    }

    /// The connection's own address; "" for a unix socket without a name.
    std::string local_address() const
    {
        return told(vcp_conn_local_address);
    }

    /// The connection's own address. A failure sets ec and returns "".
    std::string local_address(std::error_code &ec) const
    {
        return told(vcp_conn_local_address, ec);
    }

    /// The peer's address, as it was when the connection was opened; "" for a peer without a name.
    std::string remote_address() const
    {
        return told(vcp_conn_remote_address);
    }

    /// The peer's address, as it was when the connection was opened. A failure sets ec and returns
    /// "".
    std::string remote_address(std::error_code &ec) const
    {
        return told(vcp_conn_remote_address, ec);
    }

    /// The network that was dialed, such as "tcp".
    std::string network() const
    {
        return told(vcp_conn_network);
    }

    /// The network that was dialed. A failure sets ec and returns "".
    std::string network(std::error_code &ec) const
    {
        return told(vcp_conn_network, ec);
    }

    /// The address that was dialed, before the rewrite callback, in its shortest form.
    std::string address() const
    {
        return told(vcp_conn_address);
    }

    /// The address that was dialed, before the rewrite callback. A failure sets ec and returns "".
    std::string address(std::error_code &ec) const
    {
        return told(vcp_conn_address, ec);
    }

    /// The reuse tag that was dialed with; "" without one.
    std::string reuse_tag() const
    {
        return told(vcp_conn_reuse_tag);
    }

    /// The reuse tag that was dialed with. A failure sets ec and returns "".
    std::string reuse_tag(std::error_code &ec) const
    {
        return told(vcp_conn_reuse_tag, ec);
    }

    /// Lets an object ride on the connection, through idle periods too: a TLS session, a parser. It
    /// is deleted before the descriptor closes; its destructor must not throw. What was there
    /// before is deleted now. If this fails, the new object is deleted now.
    template <typename T> void set_data(std::unique_ptr<T> data)
    {
        detail::must(keep(data));
    }

    /// Lets an object ride on the connection, through idle periods too. A failure sets ec and
    /// deletes the object now.
    template <typename T> void set_data(std::unique_ptr<T> data, std::error_code &ec) noexcept
    {
        detail::tried(keep(data), ec);
    }

    /// The object that rides on the connection, which must be of this type: what set_data was
    /// given, or the session of a driver. nullptr if there is none.
    template <typename T> [[nodiscard]] T *data() const noexcept
    {
        return static_cast<T *>(vcp_conn_data(handle_));
    }

protected:
    vcp_conn *handle_;

private:
    static vcp_cancel *handle_of(const cancel *token) noexcept
    {
        return token != nullptr ? detail::meant(token->handle()) : nullptr;
    }

    template <typename T> int keep(std::unique_ptr<T> &data) noexcept
    {
        const auto free_data = [](void *held) { delete static_cast<T *>(held); };
        const int result = vcp_conn_set_data(handle_, data.get(), free_data);
        if (result >= 0) {
            static_cast<void>(data.release());
        }
        return result;
    }

    template <typename Function> std::int64_t print(Function function, std::string &out) const
    {
        return detail::printed(
            [&](char *buffer, std::size_t size) { return function(handle_, buffer, size); }, out);
    }

    template <typename Function> std::string told(Function function) const
    {
        std::string out;
        detail::must(print(function, out));
        return out;
    }

    template <typename Function> std::string told(Function function, std::error_code &ec) const
    {
        std::string out;
        detail::tried(print(function, out), ec);
        return out;
    }
};

/// A borrowed connection. The end of its life gives it back, or discards it if an exception unwinds
/// past it: std::uncaught_exceptions() has grown since the connection was borrowed.
class [[nodiscard]] conn : public conn_ref {
public:
    /// Holds no connection.
    conn() noexcept = default;

    /// Takes over a connection that C code has borrowed.
    explicit conn(vcp_conn *handle) noexcept : conn_ref(handle) {}

    /// Takes over what the other holds, with the time of its borrow.
    conn(conn &&other) noexcept
        : conn_ref(std::exchange(other.handle_, nullptr)), exceptions_(fewest(other))
    {
    }

    /// Gives back what this one holds, or discards it as the destructor would, and takes over what
    /// the other holds.
    conn &operator=(conn &&other) noexcept
    {
        if (this != &other) {
            give_back();
            handle_ = std::exchange(other.handle_, nullptr);
            exceptions_ = fewest(other);
        }
        return *this;
    }

    conn(const conn &) = delete;
    conn &operator=(const conn &) = delete;

    /// Gives the connection back. If an exception unwinds past it, the connection is discarded
    /// first, so that what is left of an answer reaches nobody.
    ~conn() { give_back(); }

    /// Gives the connection back now, whether or not an exception unwinds.
    void close() { detail::must(vcp_conn_close(release())); }

    /// Gives the connection back now, whether or not an exception unwinds. A failure sets ec.
    void close(std::error_code &ec) noexcept { detail::tried(vcp_conn_close(release()), ec); }

    /// Takes the connection out of the pool and returns its descriptor, which is the caller's to
    /// close. A failure throws, and leaves the connection as it was.
    [[nodiscard]] int detach() { return left(detail::must(vcp_conn_detach(handle_))); }

    /// Takes the connection out of the pool and returns its descriptor, which is the caller's to
    /// close. A failure sets ec, returns -1, and leaves the connection as it was.
    [[nodiscard]] int detach(std::error_code &ec) noexcept
    {
        return left(detail::tried(vcp_conn_detach(handle_), ec, -1));
    }

    /// Hands the connection over to C code, which has to call vcp_conn_close.
    [[nodiscard]] vcp_conn *release() noexcept { return std::exchange(handle_, nullptr); }

private:
    void give_back() noexcept
    {
        if (handle_ != nullptr && std::uncaught_exceptions() > exceptions_) {
            vcp_conn_discard(handle_);
        }
        vcp_conn_close(release());
    }

    int left(int fd) noexcept
    {
        if (fd >= 0) {
            handle_ = nullptr;
        }
        return fd;
    }

    /// The count belongs to a thread and to a moment. A connection that is borrowed in a destructor
    /// while an exception unwinds, and moved out of it to live on, meets the next exception with
    /// the smaller count of its new home.
    static int fewest(const conn &other) noexcept
    {
        return std::min(other.exceptions_, std::uncaught_exceptions());
    }

    /// How many exceptions were on their way in this thread when the connection was borrowed.
    int exceptions_ = std::uncaught_exceptions();
};

/// How one dial is done: vcp_dial_options. Each setter changes one field and returns the options.
class dial_options {
public:
    /// All defaults: the pool's times, no token, no tag, no label, no flags.
    dial_options() { detail::must(vcp_dial_options_init(&raw_, sizeof raw_)); }

    /// How long the dial may take in all, from its beginning: waiting, resolving, connecting and
    /// the hooks. as_the_pool, forever, or a time.
    dial_options &timeout(milliseconds time) noexcept
    {
        return set(raw_.timeout_ms, std::int64_t{time.count()});
    }

    /// How long the dial waits at a limit. as_the_pool, forever (as long as the dial may take), 0
    /// (it fails at once), or a time.
    dial_options &wait_timeout(milliseconds time) noexcept
    {
        return set(raw_.wait_timeout_ms, std::int64_t{time.count()});
    }

    /// When the dial ends, if its timeout does not end it earlier; time_point::max(): never.
    dial_options &deadline_at(time_point when) noexcept
    {
        return set(raw_.deadline_at_ms, detail::at_ms(when));
    }

    /// The token that ends the dial. It must live until the dial has begun.
    dial_options &cancel_by(const cancel &token) noexcept
    {
        return set(raw_.cancel, detail::meant(token.handle()));
    }

    /// A part of the destination: connections are reused only under the tag they were dialed with.
    dial_options &reuse_tag(std::string_view tag)
    {
        tag_.emplace(tag);
        return *this;
    }

    /// A name for the borrower, in events and leak reports.
    dial_options &label(std::string_view name)
    {
        label_.emplace(name);
        return *this;
    }

    /// The VCP_DIAL_* bits, such as VCP_DIAL_FRESH.
    dial_options &flags(std::uint32_t bits) noexcept { return set(raw_.flags, bits); }

    /// The C struct. Its texts are valid as long as these options live and are not changed.
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

/// What the program does in a dial, and hears of a pool. Those that are empty are not called.
///
/// A callback that throws refuses. Its what() joins the message of the dial, in 1,024 bytes at
/// most, with '?' for each byte that is no UTF-8. error::number() of the dial is then the value of
/// the code of a std::system_error, and -1 for anything else; a positive value that `dial` throws
/// comes as its negative, because the positive numbers of `dial` are descriptors.
struct callbacks {
    /// Says where to dial instead, in a fresh dial. Returns the address.
    std::function<std::string(std::string_view network, std::string_view address)> rewrite;

    /// Replaces getaddrinfo(3). Returns literal IPs. timeout is what is left for the dial, or
    /// forever.
    std::function<std::vector<std::string>(std::string_view network, std::string_view host,
                                           milliseconds timeout)>
        resolve;

    /// Replaces resolving and connecting. Returns a connected descriptor, which the pool then owns.
    /// timeout is what is left for the dial, or forever.
    std::function<int(std::string_view network, std::string_view address, milliseconds timeout)>
        dial;

    /// Called after socket(2), before bind(2) and connect(2).
    std::function<void(std::string_view network, std::string_view address, int fd)> control;

    /// Called after a fresh connect: a TLS handshake, a login. If it throws, the dial fails.
    std::function<void(conn_ref connection, int fd)> on_open;

    /// Called before a connection from the pool is handed out. If it throws, that one is closed and
    /// another is tried.
    std::function<void(conn_ref connection, int fd)> on_reuse;

    /// Called before a connection that was given back is kept. If it throws, the connection is
    /// closed.
    std::function<void(conn_ref connection, int fd)> on_release;

    /// Called about each idle connection every pool_options::on_idle_every, on a thread of the
    /// library: a ping. Both must be set. If it throws, the connection is closed.
    std::function<void(conn_ref connection, int fd)> on_idle;

    /// Told what has happened in the pool. What it throws is lost.
    std::function<void(const vcp_event &event)> on_event;
};

namespace detail {

/// vcp_rewrite_fn of callbacks.
inline int call_rewrite(void *user, const char *network, const char *address, char *out,
                        std::size_t size)
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

/// vcp_resolve_fn of callbacks.
inline int call_resolve(void *user, const char *network, const char *host, std::int64_t timeout,
                        vcp_resolved *out)
{
    return contained([&] {
        const auto &resolve = static_cast<callbacks *>(user)->resolve;
        for (const std::string &ip : resolve(network, host, milliseconds(timeout))) {
            must(vcp_resolved_add(out, text(ip).c_str()));
        }
        return 0;
    });
}

/// vcp_dial_fn of callbacks.
inline int call_dial(void *user, const char *network, const char *address, std::int64_t timeout)
{
    int fd = -1;
    const int refusal = contained([&] {
        fd = static_cast<callbacks *>(user)->dial(network, address, milliseconds(timeout));
        return 0;
    });
    // A positive refusal would be taken for a descriptor.
    return refusal == 0 ? fd : refusal > 0 ? -refusal : refusal;
}

/// vcp_control_fn of callbacks.
inline int call_control(void *user, const char *network, const char *address, int fd)
{
    return contained([&] {
        static_cast<callbacks *>(user)->control(network, address, fd);
        return 0;
    });
}

/// vcp_conn_hook_fn of callbacks: on_open.
inline int call_on_open(void *user, vcp_conn *connection, int fd)
{
    return contained([&] {
        static_cast<callbacks *>(user)->on_open(conn_ref(connection), fd);
        return 0;
    });
}

/// vcp_conn_hook_fn of callbacks: on_reuse.
inline int call_on_reuse(void *user, vcp_conn *connection, int fd)
{
    return contained([&] {
        static_cast<callbacks *>(user)->on_reuse(conn_ref(connection), fd);
        return 0;
    });
}

/// vcp_conn_hook_fn of callbacks: on_release.
inline int call_on_release(void *user, vcp_conn *connection, int fd)
{
    return contained([&] {
        static_cast<callbacks *>(user)->on_release(conn_ref(connection), fd);
        return 0;
    });
}

/// vcp_conn_hook_fn of callbacks: on_idle.
inline int call_on_idle(void *user, vcp_conn *connection, int fd)
{
    return contained([&] {
        static_cast<callbacks *>(user)->on_idle(conn_ref(connection), fd);
        return 0;
    });
}

/// vcp_event_fn of callbacks.
inline void call_on_event(void *user, const vcp_event *event) noexcept
{
    try {
        static_cast<callbacks *>(user)->on_event(*event);
    } catch (...) {
        // An event cannot be refused: the exception ends here.
    }
}

} // namespace detail

/// What a pool is made with: vcp_pool_options. Each setter changes one field and returns the
/// options; raw() reaches those that have none. A value that is wrong is told by the pool.
class pool_options {
public:
    /// All defaults: 8 idle connections per destination for 90 s, no limit, 30 s for a dial.
    pool_options() { detail::must(vcp_pool_options_init(&raw_, sizeof raw_)); }

    /// [8] How many idle connections are kept for one destination. 0 keeps none.
    pool_options &max_idle_per_address(std::uint32_t most) noexcept
    {
        return set(raw_.max_idle_per_address, most);
    }

    /// [0] How many idle connections are kept in all. 0: no limit.
    pool_options &max_idle(std::uint32_t most) noexcept { return set(raw_.max_idle, most); }

    /// [0] How many connections there may be in all: idle, borrowed and being dialed. 0: no limit.
    pool_options &max_conns(std::uint32_t most) noexcept { return set(raw_.max_conns, most); }

    /// [0] How many connections there may be to one destination. 0: no limit.
    pool_options &max_conns_per_address(std::uint32_t most) noexcept
    {
        return set(raw_.max_conns_per_address, most);
    }

    /// [0] How many dials to one destination may be in flight. The others wait for their turn. 0:
    /// no limit.
    pool_options &max_dials_per_address(std::uint32_t most) noexcept
    {
        return set(raw_.max_dials_per_address, most);
    }

    /// [0] How many dials may wait at a limit. One more fails with errc::pool_exhausted. 0: no
    /// limit.
    pool_options &max_waiters(std::uint32_t most) noexcept { return set(raw_.max_waiters, most); }

    /// [0] How many idle connections are dialed ahead, in the background, for a destination that
    /// was borrowed lately.
    pool_options &min_idle_per_address(std::uint32_t least) noexcept
    {
        return set(raw_.min_idle_per_address, least);
    }

    /// [0] How often one connection may be borrowed, the first time included. 0: no limit.
    pool_options &max_uses(std::uint32_t most) noexcept { return set(raw_.max_uses, most); }

    /// [10] Each connection's lifetime is shortened by a random part of it, up to so many percent.
    pool_options &lifetime_jitter_percent(std::uint32_t percent) noexcept
    {
        return set(raw_.lifetime_jitter_percent, percent);
    }

    /// [0] How long a dial waits at a limit. 0: it fails at once. forever: as long as the dial may
    /// take.
    pool_options &wait_timeout(milliseconds time) noexcept
    {
        return set(raw_.wait_timeout_ms, time);
    }

    /// [90 s] How long a connection may be idle before it is closed. 0 and forever: no limit.
    pool_options &idle_timeout(milliseconds time) noexcept
    {
        return set(raw_.idle_timeout_ms, time);
    }

    /// [0] How old a connection may become before it is closed. 0 and forever: no limit.
    pool_options &max_lifetime(milliseconds time) noexcept
    {
        return set(raw_.max_lifetime_ms, time);
    }

    /// [30 s] How long a dial may take in all: waiting, resolving, connecting and the hooks. 0 and
    /// forever: no limit.
    pool_options &dial_timeout(milliseconds time) noexcept
    {
        return set(raw_.dial_timeout_ms, time);
    }

    /// [5 s] How long on_release and on_idle may take. forever: no limit. 0 is refused.
    pool_options &hook_timeout(milliseconds time) noexcept
    {
        return set(raw_.hook_timeout_ms, time);
    }

    /// [0] on_reuse is called only for connections that have been idle for at least this long. 0:
    /// for all; forever: for none.
    pool_options &on_reuse_after(milliseconds time) noexcept
    {
        return set(raw_.on_reuse_after_ms, time);
    }

    /// [false] Whether on_release runs on a thread of the library, so that giving back does not
    /// wait for it.
    pool_options &on_release_in_background(bool is_on) noexcept
    {
        return set<std::int32_t>(raw_.on_release_in_background, is_on);
    }

    /// [0] How often on_idle is called for each idle connection. 0 and forever: never. A ping does
    /// not renew idle_timeout: raise that too.
    pool_options &on_idle_every(milliseconds time) noexcept { return set(raw_.on_idle_ms, time); }

    /// [250 ms] How long the first address of a name is tried alone before the next one joins the
    /// race (RFC 8305, section 5). forever: one address after another.
    pool_options &fallback_delay(milliseconds time) noexcept
    {
        return set(raw_.fallback_delay_ms, time);
    }

    /// [15 s] How long a connection is silent before TCP sends a keep-alive probe (TCP_KEEPIDLE).
    /// forever: no probes.
    pool_options &keepalive_idle(milliseconds time) noexcept
    {
        return set(raw_.keepalive_idle_ms, time);
    }

    /// [15 s] How long TCP waits between keep-alive probes (TCP_KEEPINTVL). forever is refused.
    pool_options &keepalive_interval(milliseconds time) noexcept
    {
        return set(raw_.keepalive_interval_ms, time);
    }

    /// [9] How many keep-alive probes go unanswered before TCP gives the connection up
    /// (TCP_KEEPCNT).
    pool_options &keepalive_count(std::uint32_t probes) noexcept
    {
        return set(raw_.keepalive_count, probes);
    }

    /// [0] How long sent bytes may stay unacknowledged before TCP gives the connection up
    /// (TCP_USER_TIMEOUT). 0 and forever: the system's own limit.
    pool_options &user_timeout(milliseconds time) noexcept
    {
        return set(raw_.user_timeout_ms, time);
    }

    /// [0] How long the addresses of a name are remembered. 0: each fresh dial asks. forever: as
    /// long as there is room.
    pool_options &dns_cache(milliseconds time) noexcept
    {
        return set(raw_.dns_cache_ms, or_longest(time));
    }

    /// [0] How long dials to a destination fail at once after one has failed; then one is let
    /// through. 0: never. forever: none is ever let through.
    pool_options &fail_fast(milliseconds time) noexcept
    {
        return set(raw_.fail_fast_ms, or_longest(time));
    }

    /// [0] How long a connection may be borrowed before it is reported as leaked, once. 0 and
    /// forever: it is never reported.
    pool_options &leak_threshold(milliseconds time) noexcept
    {
        return set(raw_.leak_threshold_ms, time);
    }

    /// [VCP_LIVENESS_STRICT] How an idle connection is checked before it is handed out.
    pool_options &liveness(vcp_liveness mode) noexcept
    {
        return set<std::int32_t>(raw_.liveness, mode);
    }

    /// [VCP_REUSE_LIFO] Which idle connection is handed out first: the last one given back, or the
    /// first.
    pool_options &reuse_order(vcp_reuse_order order) noexcept
    {
        return set<std::int32_t>(raw_.reuse_order, order);
    }

    /// [false] Whether each connection that is given back is checked to be the pool's own socket
    /// still, and put into its blocking mode again.
    pool_options &verify_release(bool is_on) noexcept
    {
        return set<std::int32_t>(raw_.verify_release, is_on);
    }

    /// [true] Whether small writes are sent at once (TCP_NODELAY).
    pool_options &no_delay(bool is_on) noexcept { return set<std::int32_t>(raw_.no_delay, is_on); }

    /// [false] Whether descriptors are handed out in non-blocking mode.
    pool_options &nonblocking(bool is_on) noexcept
    {
        return set<std::int32_t>(raw_.nonblocking, is_on);
    }

    /// [none] The address that connections are dialed from: an IP, an IP and a port, or a path.
    pool_options &local_address(std::string_view address)
    {
        local_address_.emplace(address);
        return *this;
    }

    /// [""] The pool's name in descriptions, metrics and leak reports.
    pool_options &name(std::string_view name_of_pool)
    {
        name_.emplace(name_of_pool);
        return *this;
    }

    /// [none] What the program does in a dial, and hears of the pool. The functions are copied into
    /// each pool that is made, and live until its last callback has returned.
    pool_options &call(callbacks functions)
    {
        callbacks_ = std::move(functions);
        return *this;
    }

    /// The C struct, to set what has no setter here. The pool sets its texts, user and callbacks.
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

    /// For C, forever is "off" where it is asked for how long something is remembered.
    static milliseconds or_longest(milliseconds time) noexcept
    {
        return time == forever ? milliseconds::max() : time;
    }

    static void set_callbacks(vcp_pool_options &options, const callbacks &functions) noexcept
    {
        options.rewrite = functions.rewrite ? detail::call_rewrite : nullptr;
        options.resolve = functions.resolve ? detail::call_resolve : nullptr;
        options.dial = functions.dial ? detail::call_dial : nullptr;
        options.control = functions.control ? detail::call_control : nullptr;
        options.on_open = functions.on_open ? detail::call_on_open : nullptr;
        options.on_reuse = functions.on_reuse ? detail::call_on_reuse : nullptr;
        options.on_release = functions.on_release ? detail::call_on_release : nullptr;
        options.on_idle = functions.on_idle ? detail::call_on_idle : nullptr;
        options.on_event = functions.on_event ? detail::call_on_event : nullptr;
    }

    /// Makes a pool that calls these functions, which are callbacks or more, and deletes them after
    /// its last callback. open_session, if there is one, is given the callbacks as its user.
    template <typename Functions> int make(std::unique_ptr<Functions> functions,
                                           vcp_session_fn open_session, vcp_pool **handle) const
    {
        vcp_pool_options options = raw_;
        options.local_address = local_address_ ? local_address_->c_str() : nullptr;
        options.name = name_ ? name_->c_str() : nullptr;
        set_callbacks(options, *functions);
        if (open_session != nullptr) {
            options.open_session = open_session;
        }
        options.user = static_cast<callbacks *>(functions.get());
        options.free_user = [](void *user) {
            delete static_cast<Functions *>(static_cast<callbacks *>(user));
        };
        const int result = vcp_pool_new(&options, handle);
        if (result >= 0) {
            static_cast<void>(functions.release()); // free_user deletes them
        }
        return result;
    }

    int make(vcp_pool **handle) const
    {
        return make(std::make_unique<callbacks>(callbacks_), nullptr, handle);
    }

    vcp_pool_options raw_;
    std::optional<detail::text> local_address_;
    std::optional<detail::text> name_;
    callbacks callbacks_;
};

/// The answer of an asynchronous dial.
struct completion {
    /// What dial_async was called with.
    void *token = nullptr;
    /// The connection, borrowed; empty if the dial failed.
    conn connection;
    /// Why the dial failed; clear if it did not.
    std::error_code ec;
    /// The failure in full; "" if there is none.
    std::string message;
};

/// Where the answers of asynchronous dials arrive. The end of its life cancels the dials in flight
/// for it, and gives back the connections of answers that were not fetched.
class queue : public detail::owner<vcp_queue, vcp_queue_free> {
public:
    /// Makes a queue. Throws vcp::error if the system has no descriptor for it.
    queue() { detail::must(vcp_queue_new(&handle_)); }

    /// Makes a queue. A failure sets ec and leaves it empty.
    explicit queue(std::error_code &ec) noexcept { detail::tried(vcp_queue_new(&handle_), ec); }

    /// A descriptor that is readable while an answer waits, for epoll, poll and event loops. Never
    /// read, write or close it.
    int fd() const { return detail::must(vcp_queue_fd(handle_)); }

    /// A descriptor that is readable while an answer waits. A failure sets ec and returns -1.
    int fd(std::error_code &ec) const noexcept
    {
        return detail::tried(vcp_queue_fd(handle_), ec, -1);
    }

    /// The oldest answer that waits, or nothing. It never blocks.
    [[nodiscard]] std::optional<completion> next()
    {
        vcp_completion raw{};
        const int count = detail::must(vcp_queue_next(handle_, &raw, sizeof raw));
        return owned(count, raw);
    }

    /// The oldest answer that waits, or nothing. It never blocks. A failure of this call, not of
    /// the dial, sets ec.
    [[nodiscard]] std::optional<completion> next(std::error_code &ec)
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

/// A pool of connections to any number of destinations, for all threads. The end of its life closes
/// it; connections may outlive it, and are really closed when they are given back.
class pool : public detail::owner<vcp_pool, vcp_pool_close> {
public:
    /// What a dial borrows.
    using borrowed = conn;

    /// Makes a pool with all defaults.
    pool() : pool(pool_options()) {}

    /// Takes over a pool that C code has made, such as an adapter's.
    explicit pool(vcp_pool *handle) noexcept { handle_ = handle; }

    /// Makes a pool with all defaults. A failure sets ec and leaves it empty.
    explicit pool(std::error_code &ec) : pool(pool_options(), ec) {}

    /// Makes a pool. Throws errc::invalid_argument if an option is wrong.
    explicit pool(const pool_options &options) { detail::must(options.make(&handle_)); }

    /// Makes a pool. A failure sets ec and leaves it empty.
    pool(const pool_options &options, std::error_code &ec)
    {
        detail::tried(options.make(&handle_), ec);
    }

    /// Borrows a connection: an idle one of that network, address and reuse tag, else a new one.
    [[nodiscard]] conn dial(std::string_view network, std::string_view address,
                            const dial_options &options = {})
    {
        vcp_conn *connection = nullptr;
        detail::must(begin(network, address, options, &connection));
        return conn(connection);
    }

    /// Borrows a connection: an idle one of that network and address, else a new one. A failure
    /// sets ec and returns an empty conn.
    [[nodiscard]] conn dial(std::string_view network, std::string_view address, std::error_code &ec)
    {
        return dial(network, address, dial_options(), ec);
    }

    /// Borrows a connection: an idle one of that network, address and reuse tag, else a new one. A
    /// failure sets ec and returns an empty conn.
    [[nodiscard]] conn dial(std::string_view network, std::string_view address,
                            const dial_options &options, std::error_code &ec)
    {
        vcp_conn *connection = nullptr;
        detail::tried(begin(network, address, options, &connection), ec);
        return conn(connection);
    }

#ifdef __cpp_lib_expected
    /// Borrows a connection: an idle one of that network, address and reuse tag, else a new one.
    /// Returns the connection or the error code.
    [[nodiscard]] std::expected<conn, std::error_code> dial_expected(
        std::string_view network, std::string_view address, const dial_options &options = {})
    {
        return detail::expected(
            [&](std::error_code &ec) { return dial(network, address, options, ec); });
    }
#endif

    /// Borrows a connection without ever blocking: returns one that can be had at once, or nothing.
    /// Then the answer comes through the queue, with the token.
    [[nodiscard]] std::optional<conn> dial_async(std::string_view network, std::string_view address,
                                                 const dial_options &options, queue &answers,
                                                 void *token)
    {
        vcp_conn *connection = nullptr;
        const int result = begin_async(network, address, options, answers, token, &connection);
        return at_once(connection, detail::must_unless<int>(errc::in_progress, result));
    }

    /// Borrows a connection without ever blocking: returns one that can be had at once, or nothing.
    /// Then the answer comes through the queue, with the token, unless ec was set by a failure.
    [[nodiscard]] std::optional<conn> dial_async(std::string_view network, std::string_view address,
                                                 const dial_options &options, queue &answers,
                                                 void *token, std::error_code &ec)
    {
        vcp_conn *connection = nullptr;
        const int result = begin_async(network, address, options, answers, token, &connection);
        return at_once(connection, detail::tried_unless<int>(errc::in_progress, result, ec));
    }

    /// Dials until so many connections to the destination are idle, or a limit is reached; returns
    /// how many are idle.
    int warm(std::string_view network, std::string_view address, std::uint32_t count,
             const dial_options &options = {})
    {
        return detail::must(fill(network, address, count, options));
    }

    /// Dials until so many connections to the destination are idle, or a limit is reached; returns
    /// how many are idle. A failure sets ec and returns 0.
    int warm(std::string_view network, std::string_view address, std::uint32_t count,
             std::error_code &ec)
    {
        return warm(network, address, count, dial_options(), ec);
    }

    /// Dials until so many connections to the destination are idle, or a limit is reached; returns
    /// how many are idle. A failure sets ec and returns 0.
    int warm(std::string_view network, std::string_view address, std::uint32_t count,
             const dial_options &options, std::error_code &ec)
    {
        return detail::tried(fill(network, address, count, options), ec);
    }

    /// Gives the pool a connected socket, filed under that destination. The descriptor is the
    /// pool's then; if this throws, it is still the caller's.
    void put(int fd, std::string_view network, std::string_view address,
             std::string_view reuse_tag = {})
    {
        detail::must(give(fd, network, address, reuse_tag));
    }

    /// Gives the pool a connected socket, filed under that destination without a reuse tag. A
    /// failure sets ec, and the descriptor is still the caller's.
    void put(int fd, std::string_view network, std::string_view address, std::error_code &ec)
    {
        put(fd, network, address, {}, ec);
    }

    /// Gives the pool a connected socket, filed under that destination. A failure sets ec, and the
    /// descriptor is still the caller's.
    void put(int fd, std::string_view network, std::string_view address, std::string_view reuse_tag,
             std::error_code &ec)
    {
        detail::tried(give(fd, network, address, reuse_tag), ec);
    }

    /// Gives the pool a connected socket, filed under the address of its peer. The descriptor is
    /// the pool's then; if this throws, it is still the caller's.
    void add(int fd)
    {
        detail::must(vcp_pool_add(handle_, fd));
    }

    /// Gives the pool a connected socket, filed under the address of its peer. A failure sets ec,
    /// and the descriptor is still the caller's.
    void add(int fd, std::error_code &ec) noexcept
    {
        detail::tried(vcp_pool_add(handle_, fd), ec);
    }

    /// Takes an idle connection out of the pool and returns its descriptor, which is the caller's
    /// to close; nothing if none is idle. It never dials.
    [[nodiscard]] std::optional<int> get(std::string_view network, std::string_view address,
                                         std::string_view reuse_tag = {})
    {
        return detail::must_unless<int>(errc::not_available, take(network, address, reuse_tag));
    }

    /// Takes an idle connection without a reuse tag out of the pool and returns its descriptor,
    /// which is the caller's to close; nothing if none is idle. A failure sets ec.
    [[nodiscard]] std::optional<int> get(std::string_view network, std::string_view address,
                                         std::error_code &ec)
    {
        return get(network, address, {}, ec);
    }

    /// Takes an idle connection out of the pool and returns its descriptor, which is the caller's
    /// to close; nothing if none is idle. A failure sets ec.
    [[nodiscard]] std::optional<int> get(std::string_view network, std::string_view address,
                                         std::string_view reuse_tag, std::error_code &ec)
    {
        return detail::tried_unless<int>(errc::not_available, take(network, address, reuse_tag),
                                         ec);
    }

    /// Closes all idle connections. What is borrowed is kept as before when it is given back.
    void close_idle()
    {
        detail::must(vcp_pool_close_idle(handle_));
    }

    /// Closes all idle connections. A failure sets ec.
    void close_idle(std::error_code &ec) noexcept
    {
        detail::tried(vcp_pool_close_idle(handle_), ec);
    }

    /// Closes the idle connections to one address under all its tags, and those that are borrowed
    /// now when they are given back.
    void evict(std::string_view network, std::string_view address)
    {
        detail::must(drop(network, address));
    }

    /// Closes the idle connections to one address under all its tags, and those that are borrowed
    /// now when they are given back. A failure sets ec.
    void evict(std::string_view network, std::string_view address, std::error_code &ec)
    {
        detail::tried(drop(network, address), ec);
    }

    /// Closes all idle connections, and those that are borrowed now when they are given back: the
    /// network changed.
    void evict()
    {
        detail::must(vcp_pool_evict(handle_, nullptr, nullptr));
    }

    /// Closes all idle connections, and those that are borrowed now when they are given back. A
    /// failure sets ec.
    void evict(std::error_code &ec) noexcept
    {
        detail::tried(vcp_pool_evict(handle_, nullptr, nullptr), ec);
    }

    /// Shuts every borrowed socket down, so that the I/O of its borrower ends. The pool is still to
    /// be closed.
    void abort()
    {
        detail::must(vcp_pool_abort(handle_));
    }

    /// Shuts every borrowed socket down, so that the I/O of its borrower ends. A failure sets ec.
    void abort(std::error_code &ec) noexcept
    {
        detail::tried(vcp_pool_abort(handle_), ec);
    }

    /// Lets nobody borrow any more, closes the idle connections, and waits so long for the borrowed
    /// ones; returns how many are still out. The pool is still to be closed.
    std::int64_t drain(milliseconds time)
    {
        return detail::must(vcp_pool_drain(handle_, time.count()));
    }

    /// Lets nobody borrow any more, closes the idle connections, and waits so long for the borrowed
    /// ones; returns how many are still out. A failure sets ec and returns 0.
    std::int64_t drain(milliseconds time, std::error_code &ec) noexcept
    {
        return detail::tried(vcp_pool_drain(handle_, time.count()), ec);
    }

    /// Closes the pool now. Dials that wait or are in flight end with errc::pool_closed.
    void close()
    {
        detail::must(vcp_pool_close(std::exchange(handle_, nullptr)));
    }

    /// Closes the pool now. A failure sets ec.
    void close(std::error_code &ec) noexcept
    {
        detail::tried(vcp_pool_close(std::exchange(handle_, nullptr)), ec);
    }

    /// Changes the limits of the pool while it works, and how long it keeps connections: it takes
    /// the options from max_idle_per_address to min_idle_per_address, as a whole, and does not look
    /// at the others. If this throws, nothing has changed.
    void set_limits(const pool_options &options)
    {
        detail::must(vcp_pool_set_limits(handle_, &options.raw_));
    }

    /// Changes the limits of the pool while it works, and how long it keeps connections. A failure
    /// sets ec, and nothing has changed.
    void set_limits(const pool_options &options, std::error_code &ec) noexcept
    {
        detail::tried(vcp_pool_set_limits(handle_, &options.raw_), ec);
    }

    /// How many connections there are, idle and borrowed.
    std::int64_t conn_count() const
    {
        return detail::must(vcp_pool_conn_count(handle_));
    }

    /// How many connections there are, idle and borrowed. A failure sets ec and returns 0.
    std::int64_t conn_count(std::error_code &ec) const noexcept
    {
        return detail::tried(vcp_pool_conn_count(handle_), ec);
    }

    /// How many connections are idle.
    std::int64_t idle_count() const
    {
        return detail::must(vcp_pool_idle_count(handle_, nullptr, nullptr));
    }

    /// How many connections are idle. A failure sets ec and returns 0.
    std::int64_t idle_count(std::error_code &ec) const noexcept
    {
        return detail::tried(vcp_pool_idle_count(handle_, nullptr, nullptr), ec);
    }

    /// How many connections to one address are idle, under all its tags.
    std::int64_t idle_count(std::string_view network, std::string_view address) const
    {
        return detail::must(idle_at(network, address));
    }

    /// How many connections to one address are idle, under all its tags. A failure sets ec and
    /// returns 0.
    std::int64_t idle_count(std::string_view network, std::string_view address,
                            std::error_code &ec) const
    {
        return detail::tried(idle_at(network, address), ec);
    }

    /// The pool's counters and gauges.
    vcp_stats stats() const
    {
        vcp_stats all{};
        detail::must(vcp_pool_stats(handle_, &all, sizeof all));
        return all;
    }

    /// The pool's counters and gauges. A failure sets ec and returns zeros.
    vcp_stats stats(std::error_code &ec) const noexcept
    {
        vcp_stats all{};
        detail::tried(vcp_pool_stats(handle_, &all, sizeof all), ec);
        return all;
    }

    /// The pool's state as text for a person, JSON, or OpenMetrics.
    std::string describe(vcp_format format = VCP_FORMAT_TEXT) const
    {
        std::string out;
        detail::must(report(format, out));
        return out;
    }

    /// The pool's state as text for a person. A failure sets ec and returns "".
    std::string describe(std::error_code &ec) const
    {
        return describe(VCP_FORMAT_TEXT, ec);
    }

    /// The pool's state as text for a person, JSON, or OpenMetrics. A failure sets ec and returns
    /// "".
    std::string describe(vcp_format format, std::error_code &ec) const
    {
        std::string out;
        detail::tried(report(format, out), ec);
        return out;
    }

protected:
    /// Makes a pool of sessions. A failure throws.
    template <typename Functions>
    pool(const pool_options &options, std::unique_ptr<Functions> functions, vcp_session_fn open)
    {
        detail::must(options.make(std::move(functions), open, &handle_));
    }

    /// Makes a pool of sessions. A failure sets ec and leaves it empty.
    template <typename Functions> pool(const pool_options &options,
                                       std::unique_ptr<Functions> functions, vcp_session_fn open,
                                       std::error_code &ec)
    {
        detail::tried(options.make(std::move(functions), open, &handle_), ec);
    }

    /// What the options say that the program does in a dial, and hears of the pool.
    static const callbacks &functions_of(const pool_options &options) noexcept
    {
        return options.callbacks_;
    }

private:
    using text = detail::text;

    int begin(std::string_view network, std::string_view address, const dial_options &options,
              vcp_conn **connection)
    {
        const vcp_dial_options raw = options.raw();
        return vcp_dial_with(handle_, text(network).c_str(), text(address).c_str(), &raw,
                             connection);
    }

    int begin_async(std::string_view network, std::string_view address, const dial_options &options,
                    queue &answers, void *token, vcp_conn **connection)
    {
        const vcp_dial_options raw = options.raw();
        return vcp_dial_async(handle_, text(network).c_str(), text(address).c_str(), &raw,
                              answers.handle(), token, connection);
    }

    /// With VCP_DIAL_QUEUED a success is no connection yet.
    static std::optional<conn> at_once(vcp_conn *connection, std::optional<int> result)
    {
        const bool is_here = result && connection != nullptr;
        return is_here ? std::optional<conn>(conn(connection)) : std::nullopt;
    }

    int fill(std::string_view network, std::string_view address, std::uint32_t count,
             const dial_options &options)
    {
        const vcp_dial_options raw = options.raw();
        return vcp_pool_warm(handle_, text(network).c_str(), text(address).c_str(), &raw, count);
    }

    int give(int fd, std::string_view network, std::string_view address, std::string_view reuse_tag)
    {
        return vcp_pool_put(handle_, fd, text(network).c_str(), text(address).c_str(),
                            text(reuse_tag).c_str());
    }

    int take(std::string_view network, std::string_view address, std::string_view reuse_tag)
    {
        return vcp_pool_get(handle_, text(network).c_str(), text(address).c_str(),
                            text(reuse_tag).c_str());
    }

    int drop(std::string_view network, std::string_view address)
    {
        return vcp_pool_evict(handle_, text(network).c_str(), text(address).c_str());
    }

    std::int64_t idle_at(std::string_view network, std::string_view address) const
    {
        return vcp_pool_idle_count(handle_, text(network).c_str(), text(address).c_str());
    }

    std::int64_t report(vcp_format format, std::string &out) const
    {
        return detail::printed(
            [&](char *buffer, std::size_t size) {
                return vcp_pool_describe(handle_, format, buffer, size);
            },
            out);
    }
};

/// What the opener of a session_pool is asked for. Its texts are valid during the call.
struct session_request {
    /// The network of the destination, such as "tcp".
    std::string_view network;
    /// Where to dial: the address of the destination, or what the rewrite callback made of it.
    std::string_view address;
    /// The reuse tag of the destination; "" without one. A user or a database, say.
    std::string_view reuse_tag;
    /// The label of the borrower; "" without one.
    std::string_view label;
    /// What is left of the dial's time, or forever. Nothing ends the opener earlier.
    milliseconds timeout;
};

namespace detail {

/// How a session of type T rides on a connection, as the one pointer that C keeps. A deleter
/// without state is made anew when the session ends: the pointer is the session's own. A deleter
/// with state has to ride along: the pointer is that of a std::unique_ptr.
template <typename T, typename D> class session_data {
    static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T>,
                  "a session is one object");
    static_assert(std::is_same_v<typename std::unique_ptr<T, D>::pointer, T *>,
                  "a session is held by a plain pointer");

public:
    using owner = std::unique_ptr<T, D>;

    /// Whether the pointer is the session's own.
    static constexpr bool is_bare = std::is_empty_v<D> && std::is_default_constructible_v<D>;

    /// The session behind the pointer; nullptr if there is none.
    static T *get(void *data) noexcept
    {
        if constexpr (is_bare) {
            return static_cast<T *>(data);
        } else {
            return data != nullptr ? static_cast<owner *>(data)->get() : nullptr;
        }
    }

    /// The owner of the session behind the pointer, which nobody else owns from now on.
    static owner take(void *data) noexcept
    {
        if constexpr (is_bare) {
            return owner(static_cast<T *>(data));
        } else {
            const std::unique_ptr<owner> whole(static_cast<owner *>(data));
            return std::move(*whole);
        }
    }

    /// vcp_free_fn: ends the session.
    static void end(void *data) noexcept { static_cast<void>(take(data)); }

    /// Fills a vcp_session that C takes over by a call of `give`, whose result it returns. If C
    /// does not take it over, the session stays with its owner.
    template <typename Give> static int lend(owner &session, vcp_session &filled, Give give)
    {
        filled.free_data = end;
        if constexpr (is_bare) {
            filled.data = session.get();
            const int result = give();
            if (result >= 0) {
                static_cast<void>(session.release());
            }
            return result;
        } else {
            const bool is_there = session != nullptr;
            auto whole = std::make_unique<owner>(std::move(session));
            filled.data = is_there ? whole.get() : nullptr;
            const int result = give();
            if (result >= 0) {
                static_cast<void>(whole.release());
            } else {
                // A deleter that is a lambda cannot be assigned.
                session.~owner();
                ::new (static_cast<void *>(&session)) owner(std::move(*whole));
            }
            return result;
        }
    }
};

/// A function object without state, which C cannot pass on and which therefore stands here. It is
/// the one that the first call brings.
template <typename Function> const Function &stateless(const Function *first = nullptr) noexcept
{
    static_assert(std::is_empty_v<Function> && std::is_trivially_destructible_v<Function>,
                  "fd is given the session and nothing else: a lambda that captures nothing");
    static const Function only = *first;
    return only;
}

/// vcp_session_fd_fn of a function object. What it throws is -1: the session is closed.
template <typename T, typename D, typename Fd> int call_fd(void *data) noexcept
{
    try {
        return stateless<Fd>()(*session_data<T, D>::get(data));
    } catch (...) {
        return -1;
    }
}

/// What a session_pool calls.
template <typename Open> struct session_callbacks : callbacks {
    session_callbacks(const callbacks &functions, Open opener, vcp_session_fd_fn socket)
        : callbacks(functions), open(std::move(opener)), fd(socket)
    {
    }

    Open open;
    vcp_session_fd_fn fd;
};

/// vcp_session_fn of an opener.
template <typename T, typename D, typename Open>
int call_open(void *user, const vcp_session_request *request, vcp_session *session)
{
    return contained([&] {
        auto &calls = *static_cast<session_callbacks<Open> *>(static_cast<callbacks *>(user));
        const session_request wanted{request->network, request->address, request->reuse_tag,
                                     request->label, milliseconds(request->timeout_ms)};
        std::unique_ptr<T, D> opened = calls.open(wanted);
        if (opened == nullptr) {
            throw std::runtime_error("the opener returned no session");
        }
        session->fd = calls.fd;
        return session_data<T, D>::lend(opened, *session, [] { return 0; });
    });
}

/// The std::unique_ptr that an opener returns.
template <typename Open> using opened_by =
    std::decay_t<std::invoke_result_t<Open &, const session_request &>>;

/// A borrowed session: as the connection under it, without what a driver does itself.
template <typename T, typename D, typename Connection> class typed_session : protected Connection {
public:
    using Connection::Connection;
    using Connection::handle;
    using Connection::operator bool;
    using Connection::address;
    using Connection::age;
    using Connection::discard;
    using Connection::fd;
    using Connection::idle_time;
    using Connection::is_reused;
    using Connection::local_address;
    using Connection::network;
    using Connection::remote_address;
    using Connection::report;
    using Connection::reuse_tag;
    using Connection::set_cancel;
    using Connection::set_deadline;
    using Connection::set_deadline_at;
    using Connection::set_liveness;
    using Connection::set_read_deadline;
    using Connection::set_write_deadline;
    using Connection::should_retry;
    using Connection::uses;
    using Connection::wait;

    /// The session. nullptr if this holds none, or was borrowed before a fork by the parent.
    [[nodiscard]] T *get() const noexcept
    {
        return session_data<T, D>::get(vcp_conn_data(this->handle_));
    }

    /// The session, which must be there.
    T &operator*() const noexcept { return *get(); }

    /// The session, which must be there.
    T *operator->() const noexcept { return get(); }
};

} // namespace detail

/// A session that another object gives back: in a hook of a session_pool, it is what
/// session_ref<T, D>(connection) refers to. session gives itself back.
template <typename T, typename D = std::default_delete<T>> class session_ref
    : public detail::typed_session<T, D, conn_ref> {
public:
    /// Refers to the session of a connection, which must be one of a session_pool<T, D>.
    explicit session_ref(conn_ref connection) noexcept
        : detail::typed_session<T, D, conn_ref>(connection.handle())
    {
    }
};

/// A borrowed session: *session is what the opener returned. The end of its life gives it back, or
/// discards it if an exception unwinds past it. What the driver met, such as a broken connection,
/// the pool hears by report() and discard().
template <typename T, typename D = std::default_delete<T>> class [[nodiscard]] session
    : public detail::typed_session<T, D, conn> {
    using base = detail::typed_session<T, D, conn>;

public:
    /// Holds no session.
    session() noexcept = default;

    /// Takes over a session that C code has borrowed.
    explicit session(vcp_conn *handle) noexcept : base(handle) {}

    /// Takes over a borrowed connection, such as that of a completion, which must be one of a
    /// session_pool<T, D>.
    explicit session(conn &&connection) noexcept { conn::operator=(std::move(connection)); }

    using conn::close;
    using conn::release;

    /// Takes the session out of the pool: it is the caller's. A failure throws, and leaves it as it
    /// was.
    [[nodiscard]] std::unique_ptr<T, D> detach()
    {
        void *const data = vcp_conn_data(this->handle_);
        static_cast<void>(conn::detach());
        return detail::session_data<T, D>::take(data);
    }

    /// Takes the session out of the pool: it is the caller's. A failure sets ec, returns nothing,
    /// and leaves it as it was.
    [[nodiscard]] std::optional<std::unique_ptr<T, D>> detach(std::error_code &ec) noexcept
    {
        void *const data = vcp_conn_data(this->handle_);
        static_cast<void>(conn::detach(ec));
        if (ec) {
            return std::nullopt;
        }
        return detail::session_data<T, D>::take(data);
    }
};

/// A pool of sessions that a driver dials by itself: of T, each ended by a D. It has the limits,
/// the waiting, the ageing, the hooks and the events of every pool. A driver's descriptor stays the
/// driver's: the pool watches it and shuts it down, and does nothing else to it.
///
///     struct finish {
///         void operator()(PGconn *session) const { PQfinish(session); }
///     };
///     vcp::session_pool<PGconn, finish> pool(
///         vcp::pool_options().max_conns(8).wait_timeout(1s),
///         [](const vcp::session_request &wanted) { return log_in(wanted); },
///         [](PGconn &session) { return PQsocket(&session); });
///     vcp::session<PGconn, finish> session = pool.dial("tcp", "db.local:5432");
///     PQexec(session.get(), "...");
///
/// The opener is given a session_request and returns a std::unique_ptr<T, D>. It is called by the
/// thread that dials, or by one of the library, by several at once. If it throws, or returns
/// nullptr, it refuses, as a callback does. It has to keep to the time that it is given.
///
/// The third argument, which may be left out, tells the socket that a session has at this moment,
/// or -1: int(T &). The pool asks it after opening and after on_open, when put, at a give-back
/// (before on_release if there is one, and after it), after on_reuse, and after on_idle. It must
/// not wait, and captures nothing. Without it sessions are neither watched nor checked; on_reuse
/// and on_idle can do that.
///
/// A D without state, such as std::default_delete, costs nothing: the connection's data is the T
/// itself, and conn_ref::data<T>() in a hook is the session. With another D it is
/// session_ref<T, D>(connection).get().
template <typename T, typename D = std::default_delete<T>> class session_pool : private pool {
    using owner = std::unique_ptr<T, D>;
    using text = detail::text;
    template <typename Open> using if_opens =
        std::enable_if_t<std::is_invocable_r_v<owner, Open &, const session_request &>, int>;
    template <typename Fd> using if_tells =
        std::enable_if_t<std::is_invocable_r_v<int, const Fd &, T &>, int>;

public:
    /// What a dial borrows.
    using borrowed = session<T, D>;

    /// Makes a pool whose sessions do not tell their sockets.
    template <typename Open, if_opens<Open> = 0>
    session_pool(const pool_options &options, Open open)
        : session_pool(options, std::move(open), vcp_session_fd_fn{nullptr})
    {
    }

    /// Makes a pool whose sessions do not tell their sockets. A failure sets ec and leaves it
    /// empty.
    template <typename Open, if_opens<Open> = 0>
    session_pool(const pool_options &options, Open open, std::error_code &ec)
        : session_pool(options, std::move(open), vcp_session_fd_fn{nullptr}, ec)
    {
    }

    /// Makes a pool whose sessions tell their sockets.
    template <typename Open, typename Fd, if_opens<Open> = 0, if_tells<Fd> = 0>
    session_pool(const pool_options &options, Open open, const Fd &fd)
        : session_pool(options, std::move(open), teller(fd))
    {
    }

    /// Makes a pool whose sessions tell their sockets. A failure sets ec and leaves it empty.
    template <typename Open, typename Fd, if_opens<Open> = 0, if_tells<Fd> = 0>
    session_pool(const pool_options &options, Open open, const Fd &fd, std::error_code &ec)
        : session_pool(options, std::move(open), teller(fd), ec)
    {
    }

    using pool::handle;
    using pool::operator bool;
    using pool::abort;
    using pool::close;
    using pool::close_idle;
    using pool::conn_count;
    using pool::describe;
    using pool::drain;
    using pool::evict;
    using pool::idle_count;
    using pool::set_limits;
    using pool::stats;
    using pool::warm;

    /// Borrows a session: an idle one of that network, address and reuse tag, else a new one.
    [[nodiscard]] session<T, D> dial(std::string_view network, std::string_view address,
                                     const dial_options &options = {})
    {
        return session<T, D>(pool::dial(network, address, options));
    }

    /// Borrows a session: an idle one of that network and address, else a new one. A failure sets
    /// ec and returns an empty session.
    [[nodiscard]] session<T, D> dial(std::string_view network, std::string_view address,
                                     std::error_code &ec)
    {
        return session<T, D>(pool::dial(network, address, ec));
    }

    /// Borrows a session: an idle one of that network, address and reuse tag, else a new one. A
    /// failure sets ec and returns an empty session.
    [[nodiscard]] session<T, D> dial(std::string_view network, std::string_view address,
                                     const dial_options &options, std::error_code &ec)
    {
        return session<T, D>(pool::dial(network, address, options, ec));
    }

#ifdef __cpp_lib_expected
    /// Borrows a session: an idle one of that network, address and reuse tag, else a new one.
    /// Returns the session or the error code.
    [[nodiscard]] std::expected<session<T, D>, std::error_code> dial_expected(
        std::string_view network, std::string_view address, const dial_options &options = {})
    {
        return detail::expected(
            [&](std::error_code &ec) { return dial(network, address, options, ec); });
    }
#endif

    /// Borrows a session without ever blocking: returns one that can be had at once, or nothing.
    /// Then the answer comes through the queue, with the token, and its connection makes a session.
    [[nodiscard]] std::optional<session<T, D>> dial_async(std::string_view network,
                                                          std::string_view address,
                                                          const dial_options &options,
                                                          queue &answers, void *token)
    {
        return typed(pool::dial_async(network, address, options, answers, token));
    }

    /// Borrows a session without ever blocking: returns one that can be had at once, or nothing.
    /// Then the answer comes through the queue, with the token, unless ec was set by a failure.
    [[nodiscard]] std::optional<session<T, D>> dial_async(std::string_view network,
                                                          std::string_view address,
                                                          const dial_options &options,
                                                          queue &answers, void *token,
                                                          std::error_code &ec)
    {
        return typed(pool::dial_async(network, address, options, answers, token, ec));
    }

    /// Gives the pool a session that the program opened, filed under that destination. If this
    /// throws, the session is still the caller's.
    void put(std::unique_ptr<T, D> &&opened, std::string_view network, std::string_view address,
             std::string_view reuse_tag = {})
    {
        detail::must(give(opened, network, address, reuse_tag));
    }

    /// Gives the pool a session that the program opened, filed under that destination without a
    /// reuse tag. A failure sets ec, and the session is still the caller's.
    void put(std::unique_ptr<T, D> &&opened, std::string_view network, std::string_view address,
             std::error_code &ec)
    {
        put(std::move(opened), network, address, {}, ec);
    }

    /// Gives the pool a session that the program opened, filed under that destination. A failure
    /// sets ec, and the session is still the caller's.
    void put(std::unique_ptr<T, D> &&opened, std::string_view network, std::string_view address,
             std::string_view reuse_tag, std::error_code &ec)
    {
        detail::tried(give(opened, network, address, reuse_tag), ec);
    }

private:
    template <typename Open>
    session_pool(const pool_options &options, Open open, vcp_session_fd_fn fd)
        : pool(options, calls(options, std::move(open), fd), detail::call_open<T, D, Open>), fd_(fd)
    {
    }

    template <typename Open>
    session_pool(const pool_options &options, Open open, vcp_session_fd_fn fd, std::error_code &ec)
        : pool(options, calls(options, std::move(open), fd), detail::call_open<T, D, Open>, ec),
          fd_(fd)
    {
    }

    template <typename Open>
    static auto calls(const pool_options &options, Open open, vcp_session_fd_fn fd)
    {
        return std::make_unique<detail::session_callbacks<Open>>(functions_of(options),
                                                                 std::move(open), fd);
    }

    template <typename Fd> static vcp_session_fd_fn teller(const Fd &fd) noexcept
    {
        detail::stateless<Fd>(&fd);
        return detail::call_fd<T, D, Fd>;
    }

    static std::optional<session<T, D>> typed(std::optional<conn> at_once)
    {
        return at_once ? std::optional<session<T, D>>(std::move(*at_once)) : std::nullopt;
    }

    int give(owner &opened, std::string_view network, std::string_view address,
             std::string_view reuse_tag)
    {
        const text at[] = {text(network), text(address), text(reuse_tag)};
        vcp_session filled{};
        detail::must(vcp_session_init(&filled, sizeof filled));
        filled.fd = fd_;
        return detail::session_data<T, D>::lend(opened, filled, [&] {
            return vcp_pool_put_session(handle(), &filled, at[0].c_str(), at[1].c_str(),
                                        at[2].c_str());
        });
    }

    vcp_session_fd_fn fd_;
};

/// session_pool pool(options, open, fd): T and D are those of what the opener returns.
template <typename Open, typename... Others> session_pool(const pool_options &, Open, Others &&...)
    -> session_pool<typename detail::opened_by<Open>::element_type,
                    typename detail::opened_by<Open>::deleter_type>;

} // namespace vcp

#endif
