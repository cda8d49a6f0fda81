//! What a dial names: as it was passed ([`KeyRef`]), and as a thread remembers it ([`OwnedKey`]).
#![forbid(unsafe_code)]

use super::bytes::mix;
use crate::sys::foreign::text::{ShortText, Text};

/// Address and tag of nearly every dial fit. Longer ones are not remembered, and take the slow
/// path.
pub(super) const MOST_BYTES: usize = 87;

/// By number: the networks that are remembered. Raw ones, whose protocols have names of their own,
/// are not.
static NETWORKS: [ShortText<16>; 9] = [
    ShortText::new("tcp"),
    ShortText::new("tcp4"),
    ShortText::new("tcp6"),
    ShortText::new("unix"),
    ShortText::new("unixpacket"),
    ShortText::new("unixgram"),
    ShortText::new("udp"),
    ShortText::new("udp4"),
    ShortText::new("udp6"),
];

/// A network's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CachedNetwork(u8);

impl CachedNetwork {
    fn new(network: Text<'_>) -> Option<Self> {
        let at = NETWORKS.iter().position(|one| network.is(one))?;
        Some(Self(at as u8))
    }

    fn name(self) -> &'static ShortText<16> {
        &NETWORKS[usize::from(self.0)]
    }

    #[inline(always)]
    pub(super) fn is(self, network: Text<'_>) -> bool {
        match NETWORKS.get(usize::from(self.0)) {
            Some(own) => network.is(own),
            None => false,
        }
    }
}

/// A dial's pool, by its handle, and network, address and tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyRef<'a> {
    pub(crate) pool: usize,
    pub(crate) network: Text<'a>,
    pub(crate) address: &'a [u8],
    /// `None` is the same tag as an empty one.
    pub(crate) tag: Option<&'a [u8]>,
}

impl KeyRef<'_> {
    /// Of what most keys differ in.
    #[inline(always)]
    pub(super) fn hash(&self, seed: u64) -> u32 {
        let mut hash = mix(seed ^ self.pool as u64, self.address);
        if let Some(tag) = self.tag.filter(|tag| !tag.is_empty()) {
            hash = mix(hash, tag);
        }
        (hash ^ hash >> 32) as u32
    }
}

/// A key with texts of its own: the program's may change as soon as a callback runs.
#[derive(Debug)]
pub(crate) struct OwnedKey {
    pub(super) pool: usize,
    pub(super) network: CachedNetwork,
    pub(super) address_length: u8,
    pub(super) tag_length: u8,
    /// Address, tag, and NULs to the end.
    pub(super) text: [u8; MOST_BYTES],
}

impl OwnedKey {
    /// `None` for what is not remembered: texts that are too long, and addresses with a zone, whose
    /// interface may come anew under another number.
    pub(crate) fn new(key: &KeyRef<'_>) -> Option<Self> {
        let (address, tag) = (key.address, key.tag.unwrap_or_default());
        let mut text = [0; MOST_BYTES];
        let (head, tail) = text.split_at_mut_checked(address.len())?;
        head.copy_from_slice(address);
        tail.get_mut(..tag.len())?.copy_from_slice(tag);
        if address.contains(&b'%') {
            return None;
        }
        Some(Self {
            pool: key.pool,
            network: CachedNetwork::new(key.network)?,
            address_length: address.len() as u8,
            tag_length: tag.len() as u8,
            text,
        })
    }

    pub(super) fn as_ref(&self) -> KeyRef<'_> {
        let (address, behind) = self.text.split_at(self.address_length.into());
        let (tag, _) = behind.split_at(self.tag_length.into());
        KeyRef {
            pool: self.pool,
            network: self.network.name().as_text(),
            address,
            tag: Some(tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>(pool: usize, network: &'a std::ffi::CStr, address: &'a str) -> KeyRef<'a> {
        KeyRef {
            pool,
            network: Text::of(network),
            address: address.as_bytes(),
            tag: None,
        }
    }

    #[test]
    fn what_is_too_long_or_raw_or_has_a_zone_is_not_kept() {
        let fits = "a".repeat(MOST_BYTES);
        for network in [c"tcp", c"unixpacket", c"udp6"] {
            let it = key(1, network, &fits);
            let kept = OwnedKey::new(&it).expect("it fits");
            assert_eq!(kept.as_ref().hash(7), it.hash(7));
            assert_eq!(kept.as_ref().network.bytes(), network.to_bytes());
        }
        assert!(OwnedKey::new(&key(1, c"tcp", &format!("{fits}a"))).is_none());
        assert!(OwnedKey::new(&key(1, c"ip4:1", "127.0.0.1")).is_none());
        assert!(OwnedKey::new(&key(1, c"tcp", &"a".repeat(300))).is_none());
        assert!(OwnedKey::new(&key(1, c"tcp", "[fe80::1%eth0]:1")).is_none());
    }

    #[test]
    fn hashes_tell_keys_apart() {
        let low = |key: KeyRef<'_>| key.hash(1) & 0xffff;
        let mut hashes: Vec<u32> = (0..1000)
            .map(|port| low(key(1, c"tcp", &format!("127.0.0.1:{port}"))))
            .collect();
        hashes.extend((2..1000).map(|pool| low(key(pool << 27, c"tcp", "127.0.0.1:80"))));
        hashes.sort_unstable();
        hashes.dedup();
        // Of 1998 keys in 65,536 places about 1,968 are alone, if they fall at random.
        assert!(hashes.len() > 1900, "{}", hashes.len());
    }
}
