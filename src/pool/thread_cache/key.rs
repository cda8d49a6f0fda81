//! What a dial names: as it was passed ([`KeyRef`]), and as a thread remembers it ([`OwnedKey`]).
#![forbid(unsafe_code)]

use crate::sys::foreign::text::{ShortText, Text};

/// Address and tag of most dials fit: a host name of a cluster, a port and a user's name do. Longer
/// ones are not remembered, and take the slow path. An entry of the cache has 128 bytes so.
const MOST_BYTES: usize = 78;
/// With a NUL: "tcp4" and "unix" fit.
const NETWORK_BYTES: usize = 8;

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
    pub(super) fn hash(&self, seed: u64) -> u32 {
        hash(self.pool, self.address, self.tag.unwrap_or_default(), seed)
    }
}

/// Of what most keys differ in.
fn hash(pool: usize, address: &[u8], tag: &[u8], seed: u64) -> u32 {
    let mut hash = mix(seed ^ pool as u64, address);
    if !tag.is_empty() {
        hash = mix(hash, tag);
    }
    (hash ^ hash >> 32) as u32
}

/// A key with texts of its own: the program's may change as soon as a callback runs.
#[derive(Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct OwnedKey {
    pub(super) pool: usize,
    network: ShortText<NETWORK_BYTES>,
    address_length: u8,
    tag_length: u8,
    /// Address, tag, and NULs to the end.
    text: [u8; MOST_BYTES],
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
            network: ShortText::new(key.network.bytes())?,
            address_length: address.len() as u8,
            tag_length: tag.len() as u8,
            text,
        })
    }

    fn address(&self) -> &[u8] {
        let length = usize::from(self.address_length);
        self.text.get(..length).unwrap_or_default()
    }

    fn tag(&self) -> &[u8] {
        let from = usize::from(self.address_length);
        let tag = from..from + usize::from(self.tag_length);
        self.text.get(tag).unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn is(&self, key: &KeyRef<'_>) -> bool {
        let length = key.address.len();
        let Some(address) = self.text.get(..length) else {
            return false;
        };
        self.pool == key.pool
            && usize::from(self.address_length) == length
            && are_same(address, key.address)
            && match key.tag {
                None => self.tag_length == 0,
                Some(tag) => self.tag() == tag,
            }
            && key.network.is(&self.network)
    }

    pub(super) fn hash(&self, seed: u64) -> u32 {
        hash(self.pool, self.address(), self.tag(), seed)
    }
}

/// Eight bytes at a time, the last of them twice rather than one by one, each step folded (as
/// wyhash does): so no two texts fall together under more than a few of the seeds.
fn mix(hash: u64, bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| {
        let wide = u128::from(hash.rotate_left(23) ^ word) * u128::from(MULTIPLIER);
        (wide >> 64) as u64 ^ wide as u64
    };
    let hash = hash ^ bytes.len() as u64;
    let Some(last) = bytes.last_chunk() else {
        // Fewer than eight.
        let word = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(&first), Some(&last)) => {
                u64::from(u32::from_le_bytes(first)) << 32 | u64::from(u32::from_le_bytes(last))
            }
            _ => bytes
                .iter()
                .fold(1, |word, &byte| word << 8 | u64::from(byte)),
        };
        return step(hash, word);
    };
    let mut hash = step(hash, u64::from_le_bytes(*last));
    let mut rest = bytes;
    while let Some((word, more)) = rest.split_first_chunk() {
        hash = step(hash, u64::from_le_bytes(*word));
        rest = more;
    }
    hash
}

/// Eight bytes at a time, the last of them twice rather than one by one.
#[inline(always)]
fn are_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (Some(last), Some(others)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) else {
        return one == other;
    };
    let (mut rest, mut others_rest) = (one, other);
    while let (Some((word, more)), Some((others, others_more))) = (
        rest.split_first_chunk::<8>(),
        others_rest.split_first_chunk::<8>(),
    ) {
        if word != others {
            return false;
        }
        (rest, others_rest) = (more, others_more);
    }
    last == others
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
    fn a_key_is_known_whole_and_no_other() {
        let long = "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz:1";
        for address in [
            "a:1",
            "a.b.c:80",
            "a.b.c.d.e.f:8080",
            "127.0.0.1:12345",
            long,
        ] {
            for tag in [None, Some(&b"x"[..])] {
                let it = KeyRef {
                    tag,
                    ..key(1, c"tcp", address)
                };
                let kept = OwnedKey::new(&it).expect("not too long");
                assert!(kept.is(&it));
                assert_eq!(kept.hash(7), it.hash(7));
                assert!(!kept.is(&KeyRef { pool: 2, ..it }));
                let longer = format!("{address}2");
                let bytes = address.as_bytes();
                let others = (0..bytes.len()).map(|at| {
                    let mut other = bytes.to_vec();
                    other[at] ^= 1;
                    other
                });
                let others = others.chain([bytes[1..].to_vec(), longer.into_bytes()]);
                for other in others {
                    let address = &other[..];
                    assert!(!kept.is(&KeyRef { address, ..it }), "{address:?}");
                }
                for network in [c"tcp4", c"tc", c"", c"unixpacket"] {
                    let network = Text::of(network);
                    assert!(!kept.is(&KeyRef { network, ..it }));
                }
                for other in [None, Some(&b"x"[..]), Some(b"xy"), Some(b"")] {
                    let is_same = other.unwrap_or_default() == tag.unwrap_or_default();
                    assert_eq!(kept.is(&KeyRef { tag: other, ..it }), is_same);
                }
            }
        }
    }

    #[test]
    fn what_is_too_long_or_has_a_zone_is_not_kept() {
        let fits = "a".repeat(MOST_BYTES);
        let kept = OwnedKey::new(&key(1, c"tcp", &fits)).expect("it fits");
        assert!(kept.is(&key(1, c"tcp", &fits)));
        assert!(!kept.is(&key(1, c"tcpx", &fits)));
        assert!(OwnedKey::new(&key(1, c"tcp", &format!("{fits}a"))).is_none());
        assert!(OwnedKey::new(&key(1, c"unixpacket", "/a")).is_none());
        assert!(OwnedKey::new(&key(1, c"tcp", &"a".repeat(300))).is_none());
        assert!(OwnedKey::new(&key(1, c"tcp", "[fe80::1%eth0]:1")).is_none());
    }

    #[test]
    fn a_seed_keeps_texts_apart_that_fall_together_under_another() {
        // Of these the highest bits that differ go through a product unchanged, unless it is
        // folded.
        let pair = |seed: u64| {
            let one = key(1, c"tcp", "12345671xya45678:80");
            let other = key(1, c"tcp", "1234567qxyA45678:80");
            one.hash(seed) == other.hash(seed)
        };
        let mut seed = 1u64;
        let mut same = 0;
        for _ in 0..2000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            same += u32::from(pair(seed));
        }
        assert!(same < 5, "{same}");
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
