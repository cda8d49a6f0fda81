//! What a dial names, as it was passed, and as it is kept.
#![forbid(unsafe_code)]

use crate::sys::text::{Short, Text};

/// Longer addresses are kept on the heap, and these not at all.
const SHORT: usize = 40;
const TOO_LONG: usize = 1 << 11;
/// The longest network's name has ten letters ("unixpacket"); those of raw IP protocols may have more, and are parsed each time.
const NETWORK: usize = 12;

/// A dial's pool, by its handle, and network, address and tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) pool: usize,
    pub(crate) network: Text<'a>,
    pub(crate) address: &'a [u8],
    pub(crate) tag: Option<&'a [u8]>,
}

impl Key<'_> {
    /// Of what most keys differ in.
    pub(super) fn hash(&self, seed: u64) -> u64 {
        let hash = mix(seed ^ self.pool as u64, self.address);
        let hash = self.tag.map_or(hash, |tag| mix(hash, tag));
        hash ^ hash >> 32
    }
}

/// Eight bytes at a time, the last of them twice rather than one by one (as wyhash does).
fn mix(hash: u64, bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(ODD);
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

/// Network, address and tag as they were passed.
#[derive(Debug)]
pub(super) struct Words {
    network: Short<NETWORK>,
    /// Of the address, if it is short and there is no tag; else the rest has it.
    length: u8,
    address: [u8; SHORT],
    rest: Option<Box<Rest>>,
}

/// A long address, or one with a tag.
#[derive(Debug)]
struct Rest {
    address: Box<[u8]>,
    tag: Option<Box<[u8]>>,
}

impl Words {
    /// `None` for what is not to be kept: a zone's interface may come anew under another number.
    pub(super) fn new(key: &Key<'_>) -> Option<Self> {
        let Key { address, tag, .. } = *key;
        let length = address.len() + tag.map_or(0, <[u8]>::len);
        if length > TOO_LONG || address.contains(&b'%') {
            return None;
        }
        let mut words = Self {
            network: Short::new(key.network.bytes())?,
            length: 0,
            address: [0; SHORT],
            rest: None,
        };
        match words.address.get_mut(..address.len()) {
            Some(place) if tag.is_none() => {
                place.copy_from_slice(address);
                words.length = address.len() as u8;
            }
            _ => {
                words.rest = Some(Box::new(Rest {
                    address: address.into(),
                    tag: tag.map(Box::from),
                }));
            }
        }
        Some(words)
    }

    #[inline(always)]
    pub(super) fn is(&self, key: &Key<'_>) -> bool {
        let is_address = match (&self.rest, key.tag) {
            (None, None) => {
                let own = self.address.get(..self.length.into());
                own.is_some_and(|own| are_same(own, key.address))
            }
            (Some(rest), tag) => rest.is(key.address, tag),
            (None, Some(_)) => false,
        };
        is_address && key.network.is_one_of_few(&self.network)
    }
}

impl Rest {
    #[cold]
    fn is(&self, address: &[u8], tag: Option<&[u8]>) -> bool {
        self.tag.as_deref() == tag && *self.address == *address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>(pool: usize, network: &'a std::ffi::CStr, address: &'a str) -> Key<'a> {
        Key {
            pool,
            network: Text::of(network),
            address: address.as_bytes(),
            tag: None,
        }
    }

    #[test]
    fn a_text_is_known_whole_and_no_other() {
        let long = "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz:1";
        for address in [
            "a:1",
            "a.b.c:80",
            "a.b.c.d.e.f:8080",
            "127.0.0.1:12345",
            long,
        ] {
            for tag in [None, Some(&b"x"[..])] {
                let it = Key {
                    tag,
                    ..key(1, c"tcp", address)
                };
                let kept = Words::new(&it).expect("not too long");
                assert!(kept.is(&it));
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
                    assert!(!kept.is(&Key { address, ..it }), "{address:?}");
                }
                for network in [c"tcp4", c"tc", c""] {
                    let network = Text::of(network);
                    assert!(!kept.is(&Key { network, ..it }));
                }
                for other in [None, Some(&b"x"[..]), Some(b"xy"), Some(b"")] {
                    assert_eq!(kept.is(&Key { tag: other, ..it }), other == tag);
                }
            }
        }
        assert!(Words::new(&key(1, c"tcp", "[fe80::1%eth0]:1")).is_none());
    }

    #[test]
    fn hashes_tell_keys_apart() {
        let mut hashes: Vec<u64> = (0..1000)
            .map(|port| key(1, c"tcp", &format!("127.0.0.1:{port}")).hash(1) & 0xffff)
            .collect();
        hashes
            .extend((2..1000).map(|pool| key(pool << 27, c"tcp", "127.0.0.1:80").hash(1) & 0xffff));
        hashes.sort_unstable();
        hashes.dedup();
        // Of 1998 keys in 65,536 places about 1,968 are alone, if they fall at random.
        assert!(hashes.len() > 1900, "{}", hashes.len());
    }
}
