//! What belongs to the C program: its texts, and the pointers that ride on connections.

pub(crate) mod text;
mod user_data;

pub(crate) use self::user_data::{ProgramFd, UserData};
