//! Memory that was set aside: what the library lives on while malloc(3) fails.
//!
//! An array of the library's own data (.bss): its pages cost nothing before they are first touched,
//! and it is there however little the system has left. It has no lock, so a forked child never
//! finds it locked: which 64 bytes are taken stands in words of 64 bits, each changed by one
//! compare-exchange.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::ptr::NonNull;

use crate::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// What is taken is a multiple of this.
const GRAIN: usize = 64;
/// A block is what one word tells of.
const BLOCK: usize = 64 * GRAIN;
/// 1 MiB. A dial by name takes some 4 kB, most calls less, so it is enough for some 250 threads
/// that are at work inside the library when memory runs out.
const BLOCKS: usize = 256;

/// The bytes. Aligned as a block, so that every alignment up to that holds inside one.
#[repr(C, align(4096))]
struct Bytes(UnsafeCell<[u8; BLOCKS * BLOCK]>);

// SAFETY: a byte is reached by the one who has taken its grain.
unsafe impl Sync for Bytes {}

pub(super) struct Reserve {
    bytes: Bytes,
    /// A bit is set while its grain is taken.
    taken: [AtomicU64; BLOCKS],
}

/// The one of this process.
pub(super) static RESERVE: Reserve = Reserve::new();

/// `count` bits from `first` on.
fn bits(first: usize, count: usize) -> u64 {
    debug_assert!(count > 0 && first + count <= 64);
    (u64::MAX >> (64 - count)) << first
}

/// What is taken for so many bytes: some grains of one block, or whole blocks.
fn grains_taken(size: usize) -> usize {
    let grains = size.max(1).div_ceil(GRAIN);
    if grains > 64 {
        grains.next_multiple_of(64)
    } else {
        grains
    }
}

impl Reserve {
    const fn new() -> Self {
        Self {
            bytes: Bytes(UnsafeCell::new([0; BLOCKS * BLOCK])),
            taken: [const { AtomicU64::new(0) }; BLOCKS],
        }
    }

    fn base(&self) -> *mut u8 {
        self.bytes.0.get().cast()
    }

    pub(super) fn has(&self, place: *mut u8) -> bool {
        (place as usize).wrapping_sub(self.base() as usize) < BLOCKS * BLOCK
    }

    /// `None`: there is no room, or it is aligned more than a block.
    pub(super) fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.align() > BLOCK {
            return None;
        }
        let grains = grains_taken(layout.size());
        let first = if grains > 64 {
            self.take_blocks(grains / 64)? * 64
        } else {
            self.take_grains(grains, layout.align().div_ceil(GRAIN))?
        };
        // SAFETY: inside the array, because `first` and what follows it were free in it.
        NonNull::new(unsafe { self.base().add(first * GRAIN) })
    }

    /// So many grains of one block, the first of which is a multiple of `step`.
    fn take_grains(&self, grains: usize, step: usize) -> Option<usize> {
        (0..BLOCKS).find_map(|block| {
            let word = &self.taken[block];
            let mut taken = word.load(Relaxed);
            loop {
                let places = (0..=64 - grains).step_by(step);
                let first = places
                    .into_iter()
                    .find(|&first| taken & bits(first, grains) == 0)?;
                let wanted = taken | bits(first, grains);
                match word.compare_exchange_weak(taken, wanted, Acquire, Relaxed) {
                    Ok(_) => return Some(block * 64 + first),
                    Err(now) => taken = now,
                }
            }
        })
    }

    /// So many blocks, one behind the other.
    fn take_blocks(&self, count: usize) -> Option<usize> {
        let mut first = 0;
        while first + count <= BLOCKS {
            let all = &self.taken[first..first + count];
            let is_taken = |word: &AtomicU64| {
                let taken = word.compare_exchange(0, u64::MAX, Acquire, Relaxed);
                taken.is_err()
            };
            match all.iter().position(is_taken) {
                None => return Some(first),
                Some(at) => {
                    all[..at].iter().for_each(|word| word.store(0, Release));
                    first += at + 1;
                }
            }
        }
        None
    }

    /// # Safety
    /// `take` returned `place` for that layout, and nobody uses it any more.
    pub(super) unsafe fn give_back(&self, place: *mut u8, layout: Layout) {
        let first = (place as usize - self.base() as usize) / GRAIN;
        self.free(first, first + grains_taken(layout.size()));
    }

    /// Gives back what is behind the first `size` bytes.
    ///
    /// # Safety
    /// `take` returned `place` for that layout, `size` is not above its size, and nobody uses what
    /// is behind.
    pub(super) unsafe fn shrink(&self, place: *mut u8, layout: Layout, size: usize) {
        let first = (place as usize - self.base() as usize) / GRAIN;
        let (kept, taken) = (grains_taken(size), grains_taken(layout.size()));
        self.free(first + kept, first + taken);
    }

    /// Gives back those grains.
    fn free(&self, from: usize, to: usize) {
        let mut at = from;
        while at < to {
            let end = to.min((at / 64 + 1) * 64);
            self.taken[at / 64].fetch_and(!bits(at % 64, end - at), AcqRel);
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Reserve {
        fn is_free(&self) -> bool {
            self.taken.iter().all(|word| word.load(Relaxed) == 0)
        }
    }

    /// On the heap: it is larger than a test's stack may be.
    fn reserve() -> Box<Reserve> {
        // SAFETY: zeroes are an empty reserve.
        unsafe { Box::<Reserve>::new_zeroed().assume_init() }
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn what_is_taken_overlaps_nothing_and_comes_back() {
        let reserve = reserve();
        let sizes = [1, 64, 65, 1000, 4096, 4097, 9000, 0, 24, 300];
        for _ in 0..3 {
            let mut taken: Vec<(usize, Layout)> = Vec::new();
            for round in 0.. {
                let layout = layout(sizes[round % sizes.len()], 1 << (round % 10));
                let Some(place) = reserve.take(layout) else {
                    break;
                };
                let start = place.as_ptr() as usize;
                assert!(reserve.has(place.as_ptr()) && start % layout.align() == 0);
                let overlaps = |&(other, of): &(usize, Layout)| {
                    start < other + of.size() && other < start + layout.size()
                };
                assert!(!taken.iter().any(overlaps));
                taken.push((start, layout));
            }
            assert!(taken.len() > 300, "{}", taken.len());
            for (start, layout) in taken {
                // SAFETY: taken above with that layout.
                unsafe { reserve.give_back(start as *mut u8, layout) };
            }
        }
        let all = layout(BLOCKS * BLOCK, 4096);
        assert!(reserve.take(all).is_some(), "no grain was left taken");
        assert!(reserve.take(layout(1, 1)).is_none());
        assert!(reserve.take(layout(1, 2 * BLOCK)).is_none());
    }

    #[test]
    fn what_shrinks_gives_back_what_is_behind() {
        let reserve = reserve();
        for (large, small) in [(4000, 100), (9000, 5000), (9000, 4096), (9000, 1), (64, 64)] {
            let (large, small) = (layout(large, 8), layout(small, 8));
            let place = reserve.take(large).expect("there is room").as_ptr();
            // SAFETY: taken for the large layout; then it has the small one.
            unsafe {
                reserve.shrink(place, large, small.size());
                let taken = reserve
                    .taken
                    .iter()
                    .map(|word| word.load(Relaxed).count_ones());
                assert_eq!(taken.sum::<u32>() as usize, grains_taken(small.size()));
                reserve.give_back(place, small);
            }
            assert!(reserve.is_free());
        }
    }

    #[test]
    fn threads_take_different_grains() {
        let reserve = &*reserve();
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                scope.spawn(move || {
                    for round in 0..5000 {
                        let layout = layout(1 + (round * 37) % 6000, 8);
                        let place = reserve.take(layout).expect("there is room");
                        // SAFETY: this thread has taken so many bytes.
                        unsafe {
                            place.as_ptr().write_bytes(thread, layout.size());
                            std::thread::yield_now();
                            let last = place.as_ptr().add(layout.size() - 1);
                            assert_eq!(*place.as_ptr() + *last, 2 * thread);
                            reserve.give_back(place.as_ptr(), layout);
                        }
                    }
                });
            }
        });
        assert!(reserve.is_free());
    }
}
