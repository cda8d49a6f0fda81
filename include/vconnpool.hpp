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
//  - CODES. An error code compares equal to the library's own number and to the errno behind it:
//    ec == vcp::errc::connect and ec == std::errc::connection_refused hold at the same time. See
//    vcp::errc for how.
//  - TIMES are std::chrono::milliseconds. vcp::forever is "no limit".
//  - TEXT is std::string_view, and copied.
//  - CALLBACKS are std::function. One that throws refuses; its what() joins the message of the
//    dial, and no exception leaves it. They live until the pool's last callback has returned.
//  - Threads and lifetimes are as in C. std::bad_alloc is thrown by both forms.
//
// Header only; needs nothing but vconnpool.h and the standard library. MIT OR Apache-2.0.
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
    /// Memory ran out, and nothing was changed. This version aborts the process instead.
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

    /// The object that rides on the connection: what set_data was given, which must have been of
    /// this type. nullptr if there is none.
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

    /// [5 s] How long on_release may take. forever: no limit. 0 is refused.
    pool_options &hook_timeout(milliseconds time) noexcept
    {
        return set(raw_.hook_timeout_ms, time);
    }

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
        options.on_event = functions.on_event ? detail::call_on_event : nullptr;
    }

    int make(vcp_pool **handle) const
    {
        vcp_pool_options options = raw_;
        auto functions = std::make_unique<callbacks>(callbacks_);
        options.local_address = local_address_ ? local_address_->c_str() : nullptr;
        options.name = name_ ? name_->c_str() : nullptr;
        set_callbacks(options, *functions);
        options.user = functions.get();
        options.free_user = [](void *user) { delete static_cast<callbacks *>(user); };
        const int result = vcp_pool_new(&options, handle);
        if (result >= 0) {
            static_cast<void>(functions.release()); // free_user deletes them
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
    /// Makes a pool with all defaults.
    pool() : pool(pool_options()) {}

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

} // namespace vcp

#endif
