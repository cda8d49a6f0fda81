//! What belongs to the C program: its texts, its descriptors, and the pointers that ride on
//! connections.

mod program_fd;
pub(crate) mod text;
mod user_data;

pub(crate) use self::program_fd::ProgramFd;
pub(crate) use self::user_data::UserData;
