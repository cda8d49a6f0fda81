//! In the place of std's: `thread_local!` of simulated threads, and a `cfg!` that asks at run time
//! whether a defect is built in.

macro_rules! thread_local {
    ($($(#[$attribute:meta])* $visible:vis static $name:ident: $type:ty = const $init:block;)*) => {
        $(
            $(#[$attribute])*
            $visible static $name: crate::sync::LocalKey<$type> =
                crate::sync::LocalKey::new(|| $init);
        )*
    };
}

macro_rules! cfg {
    // A constant asks for it. The simulation has no weak memory, and cannot find it.
    (feature = "plant-data-race") => {
        false
    };
    (feature = $defect:literal) => {
        crate::world::planted::is_planted($defect)
    };
    ($($asked:tt)*) => {
        core::cfg!($($asked)*)
    };
}
