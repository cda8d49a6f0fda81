//! What every part of the header uses: status codes, errors, the version, times and enums, in the
//! order of the header; blank lines keep rustfmt from sorting it.

pub mod status;

pub mod error;

pub mod version;

pub mod times;

pub mod enums;
