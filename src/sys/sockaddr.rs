//! `Endpoint` to and from the kernel's socket addresses: ip(7), ipv6(7), unix(7).

use std::mem::{size_of, MaybeUninit};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::values::endpoint::{Endpoint, UnixName};

const UNIX_PATH_OFFSET: usize = size_of::<libc::sa_family_t>();

/// A socket address with its length, as bind(2) and connect(2) take it.
pub(crate) struct RawAddress {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl RawAddress {
    fn empty() -> Self {
        Self {
            // SAFETY: all zeroes is a valid sockaddr_storage (family AF_UNSPEC).
            storage: unsafe { MaybeUninit::zeroed().assume_init() },
            length: size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        }
    }

    /// The address of no name: binding to it lets the kernel choose an abstract one (unix(7),
    /// autobind).
    pub(crate) fn unix_autobind() -> Self {
        let mut raw = Self::empty();
        raw.storage.ss_family = libc::AF_UNIX as libc::sa_family_t;
        raw.length = UNIX_PATH_OFFSET as libc::socklen_t;
        raw
    }

    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        (&self.storage as *const libc::sockaddr_storage).cast()
    }

    pub(crate) fn len(&self) -> libc::socklen_t {
        self.length
    }

    /// Lets `fill` write an address, as getsockname(2) does.
    pub(crate) fn filled_by(
        fill: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> std::io::Result<()>,
    ) -> std::io::Result<Self> {
        let mut raw = Self::empty();
        let address: *mut libc::sockaddr_storage = &mut raw.storage;
        fill(address.cast(), &mut raw.length)?;
        Ok(raw)
    }

    /// Copies the address that `address` points to.
    ///
    /// # Safety
    /// `address` must point to `length` readable bytes.
    pub(crate) unsafe fn copied_from(
        address: *const libc::sockaddr,
        length: libc::socklen_t,
    ) -> Self {
        let mut raw = Self::empty();
        raw.length = length.min(raw.length);
        let to: *mut libc::sockaddr_storage = &mut raw.storage;
        // SAFETY: the source is as long as the caller says, and the copy no longer than the
        // storage.
        unsafe {
            std::ptr::copy_nonoverlapping(
                address.cast::<u8>(),
                to.cast::<u8>(),
                raw.length as usize,
            )
        };
        raw
    }

    /// The endpoint this address names; `None` for another family, or a Unix socket without a name.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says which member of the storage is there; alignment is the
                // storage's.
                let v4 = unsafe { &*self.as_ptr().cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some(Endpoint::Inet(SocketAddr::V4(SocketAddrV4::new(
                    ip,
                    u16::from_be(v4.sin_port),
                ))))
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { &*self.as_ptr().cast::<libc::sockaddr_in6>() };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(Endpoint::Inet(match ip.to_ipv4_mapped() {
                    Some(v4) => SocketAddr::V4(SocketAddrV4::new(v4, port)),
                    None => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id)),
                }))
            }
            libc::AF_UNIX => {
                let length = (self.length as usize).checked_sub(UNIX_PATH_OFFSET)?;
                // SAFETY: as above.
                let unix = unsafe { &*self.as_ptr().cast::<libc::sockaddr_un>() };
                let bytes: Vec<u8> = unix
                    .sun_path
                    .iter()
                    .take(length)
                    .map(|&c| c as u8)
                    .collect();
                UnixName::from_kernel(&bytes).map(Endpoint::Unix)
            }
            _ => None,
        }
    }
}

impl From<&Endpoint> for RawAddress {
    fn from(endpoint: &Endpoint) -> Self {
        let mut raw = Self::empty();
        let to: *mut libc::sockaddr_storage = &mut raw.storage;
        match endpoint {
            Endpoint::Inet(SocketAddr::V4(v4)) => {
                // SAFETY: a sockaddr_in fits into the storage, and zeroes are valid for its
                // padding.
                let raw_v4 = unsafe { &mut *to.cast::<libc::sockaddr_in>() };
                raw_v4.sin_family = libc::AF_INET as libc::sa_family_t;
                raw_v4.sin_port = v4.port().to_be();
                raw_v4.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
                raw.length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            Endpoint::Inet(SocketAddr::V6(v6)) => {
                // SAFETY: as above.
                let raw_v6 = unsafe { &mut *to.cast::<libc::sockaddr_in6>() };
                raw_v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                raw_v6.sin6_port = v6.port().to_be();
                raw_v6.sin6_addr.s6_addr = v6.ip().octets();
                raw_v6.sin6_scope_id = v6.scope_id();
                raw.length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
            Endpoint::Unix(name) => {
                let bytes = name.kernel_bytes();
                // SAFETY: as above; UnixName is at most 107 bytes, sun_path has 108.
                let raw_unix = unsafe { &mut *to.cast::<libc::sockaddr_un>() };
                raw_unix.sun_family = libc::AF_UNIX as libc::sa_family_t;
                for (to, from) in raw_unix.sun_path.iter_mut().zip(&bytes) {
                    *to = *from as libc::c_char;
                }
                // An abstract name is as long as it is; a path is told with its NUL (unix(7)).
                let end = bytes.len() + usize::from(!name.is_abstract());
                raw.length = (UNIX_PATH_OFFSET + end) as libc::socklen_t;
            }
        }
        raw
    }
}
