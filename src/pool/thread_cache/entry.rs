//! What a thread knows of one key, in one cache line, or in two if the key is long.
#![forbid(unsafe_code)]

use super::bytes::are_same;
use super::key::{CachedNetwork, KeyRef, OwnedKey, MOST_BYTES};
use crate::handle::{CachedSlot, Offer, SlotId};
use crate::pool::conn::Conn;

/// So many bytes of address and tag stand in the entry: "255.255.255.255:65535" does, and most
/// names in a cluster's own domain.
const SHORT: usize = 24;
/// The others.
pub(super) const REST: usize = 63;

const _: () = assert!(SHORT + REST == MOST_BYTES);
const _: () = assert!(size_of::<CacheLine>() == 64);

/// One cache line of a cache.
#[derive(Debug)]
pub(super) enum CacheLine {
    Entry(CacheEntry),
    /// What does not fit into the entry before it; or nothing's.
    Rest([u8; REST]),
}

/// What a thread knows of one key.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct CacheEntry {
    pub(super) pool: usize,
    /// The connection that it used last, which knows the destination that the key means.
    slot: CachedSlot<Conn>,
    /// The fast path may borrow it until it has been idle for so many milliseconds; 0: not at all.
    limit: u32,
    network: CachedNetwork,
    address_length: u8,
    tag_length: u8,
    /// Address, tag, and NULs to the end.
    text: [u8; SHORT],
    /// Last, where a [`CacheLine::Rest`] has its mark.
    pub(super) has_rest: bool,
}

impl CacheEntry {
    /// With what does not fit.
    pub(super) fn new(
        key: &OwnedKey,
        slot: CachedSlot<Conn>,
        limit: u32,
    ) -> (Self, Option<[u8; REST]>) {
        let (mut text, mut rest) = ([0; SHORT], [0; REST]);
        let (head, tail) = key.text.split_at(SHORT);
        text.copy_from_slice(head);
        rest.copy_from_slice(tail);
        let has_rest = usize::from(key.address_length) + usize::from(key.tag_length) > SHORT;
        let entry = Self {
            pool: key.pool,
            slot,
            limit,
            network: key.network,
            address_length: key.address_length,
            tag_length: key.tag_length,
            text,
            has_rest,
        };
        (entry, has_rest.then_some(rest))
    }

    pub(super) fn key(&self, rest: &[u8; REST]) -> OwnedKey {
        let mut text = [0; MOST_BYTES];
        let (head, tail) = text.split_at_mut(SHORT);
        head.copy_from_slice(&self.text);
        if self.has_rest {
            tail.copy_from_slice(rest);
        }
        OwnedKey {
            pool: self.pool,
            network: self.network,
            address_length: self.address_length,
            tag_length: self.tag_length,
            text,
        }
    }

    /// Whether it is that key's, if that is a short one.
    #[inline(always)]
    pub(super) fn is(&self, key: &KeyRef<'_>) -> bool {
        let length = key.address.len();
        let Some((address, behind)) = self.text.split_at_checked(length) else {
            return false;
        };
        self.pool == key.pool
            && usize::from(self.address_length) == length
            && are_same(address, key.address)
            && match key.tag {
                None => self.tag_length == 0,
                Some(tag) => behind.get(..self.tag_length.into()) == Some(tag),
            }
            && self.network.is(key.network)
    }

    /// Whether it is that key's, if that is a long one.
    #[inline(never)]
    pub(super) fn is_long(&self, rest: &[u8; REST], key: &KeyRef<'_>) -> bool {
        let tag = key.tag.unwrap_or_default();
        self.pool == key.pool
            && usize::from(self.address_length) == key.address.len()
            && usize::from(self.tag_length) == tag.len()
            && self.holds(rest, 0, key.address)
            && self.holds(rest, key.address.len(), tag)
            && self.network.is(key.network)
    }

    fn holds(&self, rest: &[u8; REST], at: usize, bytes: &[u8]) -> bool {
        let here = SHORT.saturating_sub(at).min(bytes.len());
        let (head, tail) = bytes.split_at(here);
        let behind = at.saturating_sub(SHORT);
        let own_head = self.text.get(at..at + here).unwrap_or_default();
        let own_tail = rest.get(behind..behind + tail.len()).unwrap_or_default();
        are_same(own_head, head) && are_same(own_tail, tail)
    }

    /// What there is to borrow by the fast path, at time `now`.
    #[inline(always)]
    pub(crate) fn offer(&self, now: impl FnOnce() -> u64) -> Option<Offer> {
        self.slot.offer(self.limit, now)
    }

    /// Borrows it, if it is there still; with its new handle.
    #[inline(always)]
    pub(crate) fn borrow(&mut self, offer: &Offer) -> Option<usize> {
        self.slot.borrow(offer)
    }

    pub(super) fn slot_id(&self) -> SlotId {
        self.slot.slot_id()
    }

    /// What the fast path may borrow, or had from here and has not given back.
    pub(super) fn cached(&self) -> Option<CachedSlot<Conn>> {
        (self.limit > 0).then_some(self.slot)
    }

    /// From then on it leads to another connection; where it led to.
    pub(super) fn replace(
        &mut self,
        slot: CachedSlot<Conn>,
        limit: u32,
    ) -> Option<CachedSlot<Conn>> {
        let before = self.cached();
        (self.slot, self.limit) = (slot, limit);
        before
    }
}
