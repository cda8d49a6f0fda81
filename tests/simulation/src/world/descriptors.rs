//! The table of descriptors: the lowest free number is given out, as POSIX has it, so that numbers
//! come back soon and belong to somebody else then.

use std::io;

use super::files::{FileId, Kind};
use super::{trace, violated, with, World};

/// 0, 1 and 2 are the program's own.
const FIRST: usize = 3;
/// As RLIMIT_NOFILE.
const MOST: usize = 256;

#[derive(Default)]
pub(crate) struct Descriptors {
    numbers: Vec<Option<FileId>>,
}

pub(crate) fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Descriptors {
    pub(crate) fn file(&self, number: i32) -> io::Result<FileId> {
        let index = usize::try_from(number).ok();
        let index = index.and_then(|number| number.checked_sub(FIRST));
        let found = index.and_then(|index| self.numbers.get(index).copied().flatten());
        found.ok_or_else(|| error(libc::EBADF))
    }

    fn add(&mut self, file: FileId) -> i32 {
        let free = self.numbers.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.numbers.push(None);
            self.numbers.len() - 1
        });
        self.numbers[index] = Some(file);
        (index + FIRST) as i32
    }

    /// Numbers that are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = (i32, FileId)> + '_ {
        let all = self.numbers.iter().enumerate();
        all.filter_map(|(index, file)| Some(((index + FIRST) as i32, (*file)?)))
    }
}

impl World {
    /// A new file with a number.
    pub(crate) fn open(&mut self, kind: Kind) -> io::Result<i32> {
        if self.random.one_in(self.chances.fault) {
            let errno = self.random.pick(&[libc::EMFILE, libc::ENFILE]);
            return Err(error(errno));
        }
        if self.descriptors.open().count() >= MOST {
            return Err(error(libc::EMFILE));
        }
        let file = self.files.add(kind);
        Ok(self.descriptors.add(file))
    }

    fn close(&mut self, number: i32) -> io::Result<()> {
        let file = self.descriptors.file(number)?;
        if self.is_drivers(number) {
            violated("the library closes a driver's descriptor");
        }
        self.descriptors.numbers[number as usize - FIRST] = None;
        self.close_file(file);
        Ok(())
    }
}

/// Where std, compiled with assertions, asks whether an `OwnedFd` still is open (F_GETFD).
#[no_mangle]
extern "C" fn fcntl(number: libc::c_int, command: libc::c_int, argument: usize) -> libc::c_int {
    if !super::is_running() || (number as usize) < FIRST {
        // SAFETY: the caller's own call.
        return unsafe { libc::syscall(libc::SYS_fcntl, number, command, argument) } as libc::c_int;
    }
    with(|world| world.descriptors.file(number).map_or(-1, |_| 0))
}

/// Where std closes an `OwnedFd`: during a history every number above 2 is the world's.
#[no_mangle]
extern "C" fn close(number: libc::c_int) -> libc::c_int {
    if !super::is_running() || (number as usize) < FIRST {
        // SAFETY: a number that the caller owns.
        return unsafe { libc::syscall(libc::SYS_close, number) } as libc::c_int;
    }
    super::step();
    trace::line(|| format!("close({number})"));
    match with(|world| world.close(number)) {
        Ok(()) => 0,
        // Whoever else has opened that number would have lost it.
        Err(_) => super::violated("a descriptor is closed twice"),
    }
}
