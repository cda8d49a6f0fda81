//! Hash and equality of short texts, several bytes at a time.
#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

/// Three words hold texts of these lengths, one after another or in part over each other: nearly
/// all addresses with a port. They take one way whatever their length, which no processor has to
/// guess.
const THREE_WORDS: RangeInclusive<usize> = 8..=24;

#[inline(always)]
fn three_words(bytes: &[u8]) -> Option<[u64; 3]> {
    if !THREE_WORDS.contains(&bytes.len()) {
        return None;
    }
    let last = bytes.len() - 8;
    let word = |at| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    Some([word(0)?, word(last / 2)?, word(last)?])
}

/// Both factors depend on the seed, and the product is folded (as wyhash does): so no two texts
/// fall together under more than a few of the seeds.
#[inline(always)]
fn step(hash: u64, word: u64, other: u64) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let wide = u128::from(hash ^ word) * u128::from(hash.rotate_left(23) ^ MULTIPLIER ^ other);
    (wide >> 64) as u64 ^ wide as u64
}

#[inline(always)]
pub(super) fn mix(hash: u64, bytes: &[u8]) -> u64 {
    let hash = hash ^ bytes.len() as u64;
    match three_words(bytes) {
        Some([first, middle, last]) => step(step(hash, first, last), middle, 0),
        None => mix_others(hash, bytes),
    }
}

#[inline(never)]
fn mix_others(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = hash;
    let mut rest = bytes;
    while let Some((word, more)) = rest.split_first_chunk() {
        hash = step(hash, u64::from_le_bytes(*word), 0);
        rest = more;
    }
    let few = rest.iter();
    step(
        hash,
        few.fold(1, |word, &byte| word << 8 | u64::from(byte)),
        0,
    )
}

#[inline(always)]
pub(super) fn are_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (three_words(one), three_words(other)) {
        (Some([a, b, c]), Some([x, y, z])) => (a ^ x) | (b ^ y) | (c ^ z) == 0,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_if_every_byte_is() {
        for length in 0..100 {
            let text: Vec<u8> = (0..length).collect();
            assert!(are_same(&text, &text.clone()));
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 0x80;
                assert!(!are_same(&text, &other));
                assert!(!are_same(&text, &text[..at]));
                assert_ne!(mix(1, &text), mix(1, &other));
                assert_ne!(mix(1, &text), mix(1, &text[..at]));
            }
        }
    }

    #[test]
    fn a_seed_keeps_texts_apart_that_fall_together_under_another() {
        // Of the first pair the highest bits that differ go through a product unchanged, unless it
        // is folded.
        let pairs: [[&[u8]; 2]; 3] = [
            [b"12345671xya45678:80", b"1234567qxyA45678:80"],
            [&[0; 16], b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"],
            [&[0xff; 40], &[0x7f; 40]],
        ];
        for [one, other] in pairs {
            let mut seed = 1u64;
            let mut same = 0;
            for _ in 0..2000 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                same += u32::from(mix(seed, one) as u32 == mix(seed, other) as u32);
            }
            assert!(same < 5, "{same}");
        }
    }
}
