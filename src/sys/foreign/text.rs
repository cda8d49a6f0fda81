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
        Self(NonNull::from(text).cast(), PhantomData)
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
        // SAFETY: all bytes before this one were the same and no NUL, so it is the text's.
        let is_same = |at| unsafe { self.0.add(at).read() as u8 == kept.0[at] };
        let has_begin = is_same(0) && is_same(1) && is_same(2) && is_same(3);
        has_begin && (kept.0[3] == 0 || self.has_end(kept))
    }

    /// The first four bytes are the same, and no NUL.
    #[inline(never)]
    fn has_end<const N: usize>(self, kept: &ShortText<N>) -> bool {
        for (at, &byte) in kept.0.iter().enumerate().skip(4) {
            // SAFETY: as above.
            let own = unsafe { self.0.add(at).read() as u8 };
            if own != byte {
                return false;
            }
            if own == 0 {
                return true;
            }
        }
        false
    }
}

/// A text of three bytes or more and fewer than `N`, and NULs to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortText<const N: usize>([u8; N]);

impl<const N: usize> ShortText<N> {
    /// Panics at another length: for what is written down in the source.
    pub(crate) const fn new(text: &str) -> Self {
        let text = text.as_bytes();
        assert!(text.len() >= 3 && text.len() < N);
        let mut bytes = [0; N];
        let mut at = 0;
        while at < text.len() {
            bytes[at] = text[at];
            at += 1;
        }
        Self(bytes)
    }

    pub(crate) fn as_text(&self) -> Text<'_> {
        Text(NonNull::from(&self.0).cast(), PhantomData)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_itself_and_no_other() {
        for (own, other, is_it) in [
            (c"abc", c"abc", true),
            (c"abcde", c"abcde", true),
            (c"abc", c"abcd", false),
            (c"abcd", c"abc", false),
            (c"abcd", c"abcde", false),
            (c"abcde", c"abcd", false),
            (c"ab", c"abc", false),
            (c"", c"abc", false),
            (c"abc", c"abd", false),
            (c"abcde", c"abcdf", false),
        ] {
            let text = Text::of(own);
            assert_eq!(text.bytes(), own.to_bytes());
            let kept = ShortText::<8>::new(other.to_str().expect("ASCII"));
            assert_eq!(text.is(&kept), is_it, "{own:?} {other:?}");
            assert_eq!(kept.as_text().bytes(), other.to_bytes());
        }
    }
}
