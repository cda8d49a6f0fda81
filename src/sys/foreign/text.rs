//! The program's texts as it passed them: their length is not known yet, and often need not be.

use std::ffi::{c_char, CStr};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// A NUL-terminated text of the program's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a>(NonNull<c_char>, PhantomData<&'a CStr>);

impl<'a> Text<'a> {
    /// `None` for NULL.
    ///
    /// # Safety
    /// NULL, or NUL-terminated and unchanged for as long as the value lives.
    pub(crate) unsafe fn new(text: *const c_char) -> Option<Self> {
        NonNull::new(text.cast_mut()).map(|text| Self(text, PhantomData))
    }

    #[cfg(test)]
    pub(crate) fn of(text: &'a CStr) -> Self {
        // SAFETY: a reference is not null.
        Self(
            unsafe { NonNull::new_unchecked(text.as_ptr().cast_mut()) },
            PhantomData,
        )
    }

    /// Without the NUL.
    #[inline(always)]
    pub(crate) fn bytes(self) -> &'a [u8] {
        // SAFETY: NUL-terminated by the promise of `new`.
        unsafe { CStr::from_ptr(self.0.as_ptr()) }.to_bytes()
    }

    /// Compares byte by byte: for very short ones, whose length is not worth a strlen(3).
    #[inline(always)]
    pub(crate) fn is<const N: usize>(self, kept: &ShortText<N>) -> bool {
        let mut at = 0;
        loop {
            // SAFETY: all bytes before this one were the same and no NUL, so it is the text's, and
            // one of `kept`, whose last is a NUL.
            let (own, byte) = unsafe { (self.0.add(at).read() as u8, *kept.0.get_unchecked(at)) };
            if own != byte {
                return false;
            }
            if own == 0 {
                return true;
            }
            at += 1;
        }
    }
}

/// A text of fewer than `N` bytes, and NULs to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortText<const N: usize>([u8; N]);

impl<const N: usize> ShortText<N> {
    /// `None` if it is too long.
    pub(crate) fn new(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; N];
        bytes[..N - 1].get_mut(..text.len())?.copy_from_slice(text);
        Some(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_itself_and_no_other() {
        for (own, other, is_it) in [
            (c"ab", c"ab", true),
            (c"ab", c"abc", false),
            (c"abc", c"ab", false),
            (c"ab", c"a", false),
            (c"", c"", true),
            (c"", c"a", false),
            (c"abc", c"abd", false),
        ] {
            let text = Text::of(own);
            assert_eq!(text.bytes(), own.to_bytes());
            let kept = ShortText::<4>::new(other.to_bytes()).expect("short");
            assert_eq!(text.is(&kept), is_it, "{own:?} {other:?}");
        }
        assert!(ShortText::<4>::new(b"abcd").is_none());
    }
}
