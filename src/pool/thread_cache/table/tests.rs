//! A thread's cache from outside: what it finds, forgets, and takes.
#![forbid(unsafe_code)]

use super::*;
use crate::sys::foreign::text::Text;
use crate::values::address::Address;
use crate::values::endpoint::Endpoint;
use crate::values::network::{Family, Network};

fn key(pool: usize, address: &str) -> KeyRef<'_> {
    KeyRef {
        pool,
        network: Text::of(c"tcp"),
        address: address.as_bytes(),
        tag: None,
    }
}

fn add(cache: &mut ThreadCache, key: &KeyRef<'_>) {
    let key = OwnedKey::new(key).expect("short enough");
    cache.remember(&key, CachedSlot::vacant(), 0);
}

fn addresses(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|i| format!("127.0.{}.{}:80", i >> 8, i & 255))
}

/// One that needs two lines.
fn long(address: &str) -> String {
    format!("{address}.a-service.a-namespace.svc.cluster.local")
}

#[test]
fn each_is_found_and_no_other() {
    let mut cache = ThreadCache::EMPTY;
    let all: Vec<String> = addresses(5000)
        .flat_map(|address| [long(&address), address])
        .collect();
    for address in &all {
        assert!(cache.find(&key(7, address)).is_none());
        add(&mut cache, &key(7, address));
        assert!(cache.find(&key(7, address)).is_some());
    }
    for address in &all {
        assert!(cache.find(&key(7, address)).is_some());
        assert!(cache.find(&key(8, address)).is_none());
    }
    for pool in 8..20 {
        add(&mut cache, &key(pool, &long("b:80")));
        add(&mut cache, &key(pool, "a:80"));
    }
    cache.retain(|entry| entry.pool > 13);
    for address in &all {
        assert!(cache.find(&key(7, address)).is_none());
    }
    for pool in 8..20 {
        for address in ["a:80", &long("b:80")] {
            let is_known = cache.find(&key(pool, address)).is_some();
            assert_eq!(is_known, pool > 13, "{pool}");
        }
    }
    cache.retain(|_| false);
    assert_eq!((cache.lines.bytes(), cache.buckets.bytes()), (0, 0));
}

#[test]
fn a_key_is_known_whole_and_no_other() {
    let in_two_lines = "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz:1";
    for address in [
        "a:1",
        "a.b.c:80",
        "a.b.c.d.e.f:8080",
        "127.0.0.1:12345",
        "255.255.255.255:65535123",
        "255.255.255.255:655351234",
        in_two_lines,
    ] {
        for tag in [
            None,
            Some(&b"x"[..]),
            Some(b"a tag in two lines or behind 1"),
        ] {
            let it = KeyRef {
                tag,
                ..key(1, address)
            };
            let mut cache = ThreadCache::EMPTY;
            add(&mut cache, &it);
            let mut is_known = |key: KeyRef<'_>| {
                let line_is = cache.lines.is_short(0, &key) || cache.lines.is_long(0, &key);
                assert_eq!(cache.find(&key).is_some(), line_is);
                line_is
            };
            assert!(is_known(it));
            assert!(!is_known(KeyRef { pool: 2, ..it }));
            let longer = format!("{address}2");
            let bytes = address.as_bytes();
            let others = (0..bytes.len()).map(|at| {
                let mut other = bytes.to_vec();
                other[at] ^= 1;
                other
            });
            for other in others.chain([bytes[1..].to_vec(), longer.into_bytes()]) {
                let address = &other[..];
                assert!(!is_known(KeyRef { address, ..it }), "{address:?}");
            }
            for network in [c"tcp4", c"tc", c"", c"unixpacket", c"udp"] {
                let network = Text::of(network);
                assert!(!is_known(KeyRef { network, ..it }));
            }
            let tags: [&[u8]; 4] = [b"", b"x", b"xy", b"a tag in two lines or behind 2"];
            for other in tags.map(Some).into_iter().chain([None, tag]) {
                let is_same = other.unwrap_or_default() == tag.unwrap_or_default();
                assert_eq!(is_known(KeyRef { tag: other, ..it }), is_same);
            }
        }
    }
}

#[test]
fn the_oldest_make_room_and_the_memory_stays_within_two_mebibytes() {
    // Every third needs two lines.
    let all: Vec<String> = addresses(2 * lines::MOST)
        .enumerate()
        .map(|(i, address)| if i % 3 == 0 { long(&address) } else { address })
        .collect();
    let mut cache = ThreadCache::EMPTY;
    for address in &all {
        add(&mut cache, &key(7, address));
    }
    let known: Vec<bool> = all
        .iter()
        .map(|address| cache.find(&key(7, address)).is_some())
        .collect();
    let first = known.iter().position(|&is_known| is_known);
    let first = first.expect("the newest are known");
    assert!(known[first..].iter().all(|&is_known| is_known));
    let kept = known.len() - first;
    assert!(kept.abs_diff(lines::MOST * 3 / 4) <= 2, "{kept}");
    let pools = size_of::<usize>() * cache.pools.capacity();
    let memory = cache.lines.bytes() + cache.buckets.bytes() + pools;
    assert!(memory <= 2 << 20, "{memory}");
}

#[test]
fn what_makes_room_is_told_to_come_back_by_the_slow_path() {
    let mut cache = ThreadCache::EMPTY;
    let remember = |cache: &mut ThreadCache, address: &str| {
        let key = OwnedKey::new(&key(7, address)).expect("short enough");
        cache.remember(&key, CachedSlot::vacant(), 1)
    };
    for address in addresses(lines::MOST) {
        assert_eq!(remember(&mut cache, &address), [None; 2]);
    }
    let replaced = remember(&mut cache, &long("a:80"));
    assert!(replaced.iter().all(Option::is_some));
    let replaced = remember(&mut cache, "a:80").map(|one| one.is_some());
    assert_eq!(replaced, [true, false]);
}

#[test]
fn the_newest_key_is_known_without_its_connection() {
    let endpoint = Endpoint::Inet(([127, 0, 0, 1], 80).into());
    let address = Address::of_endpoint(Network::Tcp(Family::Any), endpoint);
    let destination = Arc::new(Destination::new(address, ""));
    let mut cache = ThreadCache::EMPTY;
    let meaning = |cache: &mut ThreadCache, address: &str| {
        cache.find(&key(7, address))?;
        cache.newest_meaning()
    };
    add(&mut cache, &key(7, "a:80"));
    assert_eq!(meaning(&mut cache, "a:80"), None);
    add(&mut cache, &key(7, "127.0.0.1:80"));
    cache.note_meaning(&destination);
    assert_eq!(meaning(&mut cache, "a:80"), None);
    assert_eq!(
        meaning(&mut cache, "127.0.0.1:80").as_ref(),
        Some(&destination)
    );
    add(&mut cache, &key(8, "b:80"));
    cache.retain(|entry| entry.pool == 8);
    assert_eq!(cache.newest_meaning(), None);
    assert_eq!(Arc::strong_count(&destination), 1);
}
