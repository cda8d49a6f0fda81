//! An array that grows without ever moving or unmapping an element, so that any thread, and a
//! forked child, may look at any index at any time without a lock.

use std::mem::size_of;
use std::ptr::NonNull;

use crate::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire},
};
use crate::sys::memory;

/// Chunk `n` has `FIRST << n` elements.
const FIRST: u32 = 64;
const CHUNKS: usize = 26;

/// A type for which zeroed memory is a valid value.
///
/// # Safety
/// It must be so, and the type must need no drop.
pub(super) unsafe trait Zeroable: Sync {}

/// Elements 0 to 2^32 - 65, zeroed until they are written to.
pub(super) struct Chunked<T>([AtomicPtr<T>; CHUNKS]);

impl<T: Zeroable> Chunked<T> {
    pub(super) const fn new() -> Self {
        Self([const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS])
    }

    #[inline(always)]
    fn locate(index: u32) -> Option<(usize, usize)> {
        let number = index.checked_add(FIRST)?;
        let chunk = number.ilog2() - FIRST.ilog2();
        Some((chunk as usize, (number - (FIRST << chunk)) as usize))
    }

    /// The element, if its chunk was ever made.
    #[inline(always)]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let (chunk, offset) = Self::locate(index)?;
        let base = NonNull::new(self.0.get(chunk)?.load(Acquire))?;
        // SAFETY: a published chunk has `FIRST << chunk` zeroed elements and is never unmapped;
        // `offset` is below that.
        Some(unsafe { base.add(offset).as_ref() })
    }

    /// Shows every element of the chunks that were ever made.
    pub(super) fn each(&self, mut show: impl FnMut(&T)) {
        for (chunk, place) in self.0.iter().enumerate() {
            if let Some(base) = NonNull::new(place.load(Acquire)) {
                for offset in 0..(FIRST as usize) << chunk {
                    // SAFETY: as in `get`.
                    show(unsafe { base.add(offset).as_ref() });
                }
            }
        }
    }

    /// The element; its chunk is made if need be. `None`: there is no memory.
    pub(super) fn get_or_map(&self, index: u32) -> Option<&T> {
        let (chunk, _) = Self::locate(index)?;
        let place = self.0.get(chunk)?;
        if place.load(Acquire).is_null() {
            let length = (FIRST as usize * size_of::<T>()) << chunk;
            let fresh = memory::map_forever(length).ok()?;
            let nobody = std::ptr::null_mut();
            if place
                .compare_exchange(nobody, fresh.as_ptr().cast(), AcqRel, Acquire)
                .is_err()
            {
                memory::unmap_unseen(fresh, length);
            }
        }
        self.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::Ordering::Release;

    #[test]
    fn indexes_find_their_chunk() {
        assert_eq!(Chunked::<Word>::locate(0), Some((0, 0)));
        assert_eq!(Chunked::<Word>::locate(63), Some((0, 63)));
        assert_eq!(Chunked::<Word>::locate(64), Some((1, 0)));
        assert_eq!(Chunked::<Word>::locate(191), Some((1, 127)));
        assert_eq!(Chunked::<Word>::locate(u32::MAX), None);
        let last = u32::MAX - FIRST;
        assert_eq!(
            Chunked::<Word>::locate(last).map(|(chunk, _)| chunk),
            Some(CHUNKS - 1)
        );
    }

    struct Word(crate::sync::atomic::AtomicU32);
    // SAFETY: an atomic integer.
    unsafe impl Zeroable for Word {}

    #[test]
    fn an_element_stays_where_it_is_while_the_array_grows() {
        let array = Chunked::<Word>::new();
        assert!(array.get(5).is_none());
        let first: *const Word = array.get_or_map(5).expect("there is memory");
        array.get_or_map(5).expect("mapped").0.store(7, Release);
        for index in [64, 1000, 100_000] {
            array.get_or_map(index).expect("there is memory");
        }
        assert!(std::ptr::eq(first, array.get(5).expect("mapped")));
        assert_eq!(array.get(5).expect("mapped").0.load(Acquire), 7);
    }

    #[test]
    fn each_chunk_has_room_for_all_its_elements() {
        let array = Chunked::<Word>::new();
        let lasts = (0..12).map(|chunk| (FIRST << (chunk + 1)) - FIRST - 1);
        for index in lasts.clone() {
            array
                .get_or_map(index)
                .expect("there is memory")
                .0
                .store(index, Release);
        }
        let (mut shown, mut sum) = (0, 0);
        array.each(|word| {
            shown += 1;
            sum += u64::from(word.0.load(Acquire));
        });
        assert_eq!(shown, (FIRST << 12) - FIRST);
        assert_eq!(sum, lasts.map(u64::from).sum::<u64>());
    }
}
