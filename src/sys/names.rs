//! Numbers that the system knows by name: services(5), protocols(5), interfaces
//! (if_nametoindex(3)).
//!
//! Where malloc(3) fails nobody is asked: glibc 2.36 ends the process by a null pointer in its name
//! service (nss/nsswitch.c) when it gets no memory.
//!
//! Small machines come without /etc/services and /etc/protocols; the few names that every program
//! expects are built in as Go's net package does, and serve where the system knows none.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::ptr;

use super::memory;

extern "C" {
    // getservbyname(3), getprotobyname(3): the reentrant forms are not in the libc crate.
    fn getservbyname_r(
        name: *const libc::c_char,
        protocol: *const libc::c_char,
        entry: *mut libc::servent,
        text: *mut libc::c_char,
        size: libc::size_t,
        found: *mut *mut libc::servent,
    ) -> libc::c_int;
    fn getprotobyname_r(
        name: *const libc::c_char,
        entry: *mut libc::protoent,
        text: *mut libc::c_char,
        size: libc::size_t,
        found: *mut *mut libc::protoent,
    ) -> libc::c_int;
}

const SERVICES: [(&str, u16); 14] = [
    ("domain", 53),
    ("ftp", 21),
    ("ftps", 990),
    ("gopher", 70),
    ("http", 80),
    ("https", 443),
    ("imap", 143),
    ("imaps", 993),
    ("pop3", 110),
    ("pop3s", 995),
    ("smtp", 25),
    ("submissions", 465),
    ("ssh", 22),
    ("telnet", 23),
];

const PROTOCOLS: [(&str, u8); 5] = [
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("ipv6-icmp", 58),
];

/// The entries of services(5) and protocols(5) are short; a longer one answers ERANGE and counts as
/// unknown.
const ENTRY_BYTES: usize = 4096;

/// The port of a service; `protocol` is "tcp" or "udp". May read files and ask name services: it
/// can block.
pub(crate) fn service_port(name: &str, protocol: &str) -> Option<u16> {
    known_service(name, protocol).or_else(|| builtin(&SERVICES, name))
}

fn known_service(name: &str, protocol: &str) -> Option<u16> {
    let c_name = CString::new(name).ok()?;
    let c_protocol = CString::new(protocol).ok()?;
    let mut entry = MaybeUninit::<libc::servent>::uninit();
    let mut text = [0 as libc::c_char; ENTRY_BYTES];
    let mut found: *mut libc::servent = ptr::null_mut();
    if memory::is_short() {
        return None;
    }
    // SAFETY: every pointer is valid for the call; `found` points to `entry` when the name is
    // known, else is NULL.
    unsafe {
        getservbyname_r(
            c_name.as_ptr(),
            c_protocol.as_ptr(),
            entry.as_mut_ptr(),
            text.as_mut_ptr(),
            text.len(),
            &mut found,
        );
        found
            .as_ref()
            .map(|entry| u16::from_be(entry.s_port as u16))
    }
}

/// The number of an IP protocol.
pub(crate) fn protocol_number(name: &str) -> Option<u8> {
    known_protocol(name).or_else(|| builtin(&PROTOCOLS, name))
}

fn known_protocol(name: &str) -> Option<u8> {
    let c_name = CString::new(name).ok()?;
    let mut entry = MaybeUninit::<libc::protoent>::uninit();
    let mut text = [0 as libc::c_char; ENTRY_BYTES];
    let mut found: *mut libc::protoent = ptr::null_mut();
    if memory::is_short() {
        return None;
    }
    // SAFETY: as above.
    let number = unsafe {
        getprotobyname_r(
            c_name.as_ptr(),
            entry.as_mut_ptr(),
            text.as_mut_ptr(),
            text.len(),
            &mut found,
        );
        found.as_ref().map(|entry| entry.p_proto)
    };
    number.and_then(|number| u8::try_from(number).ok())
}

fn builtin<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    let entry = table
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(entry.1)
}

/// The index of a network interface, by name or by number as in `fe80::1%eth0` and `fe80::1%2` (RFC
/// 4007).
pub(crate) fn interface_index(zone: &str) -> Option<u32> {
    let name = CString::new(zone).ok()?;
    // SAFETY: a NUL-terminated name; 0 means that there is none.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => zone.parse().ok().filter(|&index| index != 0),
        index => Some(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_every_program_expects_are_known_without_any_file() {
        assert_eq!(builtin(&SERVICES, "HTTP"), Some(80));
        assert_eq!(builtin(&PROTOCOLS, "ipv6-icmp"), Some(58));
        assert_eq!(builtin(&SERVICES, "no-such-service"), None);
    }

    #[test]
    fn the_loopback_interface_has_an_index_by_name_and_by_number() {
        let index = interface_index("lo").expect("lo exists");
        assert_eq!(interface_index(&index.to_string()), Some(index));
        assert_eq!(interface_index("no-such-zone"), None);
        assert_eq!(interface_index("0"), None);
    }
}
