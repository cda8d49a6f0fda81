//! `thread_local!` of simulated threads, in the place of std's.

macro_rules! thread_local {
    ($($(#[$attribute:meta])* $visible:vis static $name:ident: $type:ty = const $init:block;)*) => {
        $(
            $(#[$attribute])*
            $visible static $name: crate::sync::LocalKey<$type> =
                crate::sync::LocalKey::new(|| $init);
        )*
    };
}
