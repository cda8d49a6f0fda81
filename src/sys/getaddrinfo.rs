//! getaddrinfo(3): the system's resolver, so that nsswitch.conf, /etc/hosts and search domains keep
//! working.

use std::ffi::CString;
use std::net::SocketAddr;
use std::ptr;

use super::memory;
use super::sockaddr::RawAddress;
use crate::values::address_list::add_address;
use crate::values::endpoint::Endpoint;

/// glibc's netdb.h: the name has no address of that family.
pub(crate) const EAI_ADDRFAMILY: i32 = -9;
/// glibc's netdb.h: the name exists and has no address.
const EAI_NODATA: i32 = -5;

/// True when an EAI_* value says that there is no such name or no address of it: the only failure
/// that may be cached.
pub(crate) fn says_no_such_name(code: i32) -> bool {
    matches!(code, libc::EAI_NONAME | EAI_NODATA | EAI_ADDRFAMILY)
}

/// Why a name could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolveFailure {
    /// EAI_* (getaddrinfo(3)).
    pub(crate) code: i32,
    /// What gai_strerror says of it, or strerror for EAI_SYSTEM.
    pub(crate) text: String,
}

impl ResolveFailure {
    pub(crate) fn new(code: i32) -> Self {
        let text = if code == libc::EAI_SYSTEM {
            super::errno_text(super::errno(&std::io::Error::last_os_error()))
        } else {
            // SAFETY: gai_strerror returns static text for every number.
            let text = unsafe { std::ffi::CStr::from_ptr(libc::gai_strerror(code)) };
            text.to_string_lossy().to_lowercase()
        };
        Self { code, text }
    }
}

/// The addresses of `host` with port 0, both families, in the system's order (RFC 6724). Blocks for
/// as long as the resolver likes.
///
/// One call with AF_UNSPEC: two calls by family would lose that order and, with search domains, can
/// answer for two different hosts.
///
/// Not made where malloc(3) fails: glibc 2.36 then ends the process by a null pointer
/// (nss/nsswitch.c) or keeps a lock for ever (resolv/resolv_conf.c, get_locked_global).
pub(crate) fn resolve(host: &str) -> Result<Vec<SocketAddr>, ResolveFailure> {
    let name = CString::new(host).map_err(|_| ResolveFailure::new(libc::EAI_NONAME))?;
    // SAFETY: all zeroes is a valid addrinfo: no pointers, AF_UNSPEC, no flags.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = libc::AF_UNSPEC;
    // One entry per address instead of one per socket type.
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    if memory::is_short() {
        return Err(ResolveFailure::new(libc::EAI_MEMORY));
    }
    // SAFETY: the name is NUL-terminated, and `list` is an out parameter.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &hints, &mut list) };
    if code != 0 {
        return Err(ResolveFailure::new(code));
    }
    // A defect: the list is freed before it is read (tests/planted).
    #[cfg(feature = "plant-use-after-free")]
    // SAFETY: none. That is the defect.
    unsafe {
        libc::freeaddrinfo(list)
    };
    let mut addresses = Vec::new();
    let mut at = list;
    while !at.is_null() {
        // SAFETY: a node of the list that getaddrinfo made; its address is as long as it says.
        let (raw, next) = unsafe {
            (
                RawAddress::copied_from((*at).ai_addr, (*at).ai_addrlen),
                (*at).ai_next,
            )
        };
        if let Some(Endpoint::Inet(address)) = raw.endpoint() {
            add_address(&mut addresses, address);
        }
        at = next;
    }
    // SAFETY: the list came from getaddrinfo and is freed once.
    unsafe { libc::freeaddrinfo(list) };
    Ok(addresses)
}
