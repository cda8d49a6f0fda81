//! What a dial names, as it was passed, and as it is kept.
#![forbid(unsafe_code)]

use crate::sys::foreign::text::{Short, Text};

/// Longer addresses and networks are kept on the heap, and these not at all. (With the NUL: "tcp4" is short, "unixpacket" is not.)
const SHORT: usize = 47;
const NETWORK: usize = 8;
const TOO_LONG: usize = 1 << 11;

/// A dial's pool, by its handle, and network, address and tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) pool: usize,
    pub(crate) network: Text<'a>,
    pub(crate) address: &'a [u8],
    pub(crate) tag: Option<&'a [u8]>,
}

impl Key<'_> {
    pub(super) fn hash(&self, seed: u64) -> u64 {
        hash(self.pool, self.address, self.tag, seed)
    }
}

/// Of what most keys differ in.
fn hash(pool: usize, address: &[u8], tag: Option<&[u8]>, seed: u64) -> u64 {
    let hash = mix(seed ^ pool as u64, address);
    let hash = tag.map_or(hash, |tag| mix(hash, tag));
    hash ^ hash >> 32
}

/// A key with texts of its own: the program's may change as soon as a callback runs.
#[derive(Debug)]
pub(crate) struct Named {
    pub(super) pool: usize,
    pub(super) text: Words,
}

impl Named {
    /// `None` for what no hint is kept of.
    pub(crate) fn new(key: &Key<'_>) -> Option<Self> {
        let text = Words::new(key)?;
        Some(Self {
            pool: key.pool,
            text,
        })
    }

    pub(super) fn hash(&self, seed: u64) -> u64 {
        let (address, tag) = match &self.text.rest {
            Some(rest) => (&*rest.address, rest.tag.as_deref()),
            None => (self.text.short_address(), None),
        };
        hash(self.pool, address, tag, seed)
    }
}

/// Eight bytes at a time, the last of them twice rather than one by one, each step folded (as wyhash does): so no two texts fall together
/// under more than a few of the seeds.
fn mix(hash: u64, bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| {
        let wide = u128::from(hash.rotate_left(23) ^ word) * u128::from(ODD);
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

/// Network, address and tag as they were passed. Of a short address without a tag all that is compared comes first.
#[derive(Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Words {
    network: Short<NETWORK>,
    /// Of the address; `AMONG_THE_REST`: the rest has everything.
    length: u8,
    address: [u8; SHORT],
    rest: Option<Box<Rest>>,
}

const AMONG_THE_REST: u8 = u8::MAX;

/// Long ones, and those with a tag.
#[derive(Debug, PartialEq, Eq)]
struct Rest {
    network: Box<[u8]>,
    address: Box<[u8]>,
    tag: Option<Box<[u8]>>,
}

impl Words {
    /// `None` for what is not to be kept: a zone's interface may come anew under another number.
    pub(super) fn new(key: &Key<'_>) -> Option<Self> {
        let Key { address, tag, .. } = *key;
        let length = address.len() + tag.map_or(0, <[u8]>::len);
        let network = key.network.bytes();
        if length > TOO_LONG || network.len() > TOO_LONG || address.contains(&b'%') {
            return None;
        }
        let mut short = [0; SHORT];
        let place = short.get_mut(..address.len()).filter(|_| tag.is_none());
        match (Short::new(network), place) {
            (Some(network), Some(place)) => {
                place.copy_from_slice(address);
                Some(Self {
                    network,
                    length: address.len() as u8,
                    address: short,
                    rest: None,
                })
            }
            _ => Some(Self {
                network: Short::new(b"")?,
                length: AMONG_THE_REST,
                address: [0; SHORT],
                rest: Some(Box::new(Rest {
                    network: network.into(),
                    address: address.into(),
                    tag: tag.map(Box::from),
                })),
            }),
        }
    }

    /// Without those that are kept among the rest.
    fn short_address(&self) -> &[u8] {
        self.address.get(..self.length.into()).unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn is(&self, key: &Key<'_>) -> bool {
        match self.address.get(..self.length.into()) {
            Some(own) => {
                key.tag.is_none()
                    && are_same(own, key.address)
                    && key.network.is_one_of_few(&self.network)
            }
            None => self.rest.as_ref().is_some_and(|rest| rest.is(key)),
        }
    }
}

impl Rest {
    #[cold]
    fn is(&self, key: &Key<'_>) -> bool {
        self.tag.as_deref() == key.tag
            && *self.address == *key.address
            && *self.network == *key.network.bytes()
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
                for network in [c"tcp4", c"tc", c"", c"unixpacket"] {
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
    fn a_copy_has_the_hash_of_what_it_was_made_of() {
        let long = "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz:1";
        for address in ["a:1", "127.0.0.1:12345", long] {
            for tag in [None, Some(&b""[..]), Some(b"x")] {
                let it = Key {
                    tag,
                    ..key(1, c"tcp", address)
                };
                let copy = Named::new(&it).expect("not too long");
                assert_eq!(copy.hash(7), it.hash(7));
                assert!(copy.text.is(&it));
            }
        }
    }

    #[test]
    fn a_seed_keeps_texts_apart_that_fall_together_under_another() {
        // Of these the highest bits that differ go through a product unchanged, unless it is folded.
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
