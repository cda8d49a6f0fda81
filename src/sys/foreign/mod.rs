//! What belongs to the C program: its texts, its descriptors, the pointers that ride on
//! connections, and the sessions of its drivers.

mod conn_fd;
mod program_fd;
mod session_fd;
pub(crate) mod text;
mod user_data;

pub(crate) use self::conn_fd::ConnFd;
pub(crate) use self::program_fd::ProgramFd;
pub(crate) use self::session_fd::SessionFd;
pub(crate) use self::user_data::UserData;
