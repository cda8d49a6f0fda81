//! The one error type inside; `ffi` turns it into a `vcp_status` and the thread's last error.
#![forbid(unsafe_code)]

use std::any::Any;
use std::borrow::Cow;
use std::fmt::{self, Write};

/// The failures of the C contract, with their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[allow(missing_docs)]
pub(crate) enum Status {
    InvalidArgument = -1,
    InvalidHandle = -2,
    UnknownNetwork = -3,
    InvalidAddress = -4,
    Resolve = -5,
    Connect = -6,
    Timeout = -7,
    Canceled = -8,
    PoolClosed = -9,
    PoolExhausted = -10,
    IdleFull = -11,
    NotAvailable = -12,
    ConnClosed = -13,
    Io = -14,
    Callback = -15,
    System = -16,
    NotReusable = -18,
    WouldBlock = -19,
    NoMemory = -20,
    Internal = -99,
}

/// What was going on when a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub(crate) enum Phase {
    None = 0,
    Waiting = 1,
    Resolving = 2,
    Connecting = 3,
    Opening = 4,
    Reading = 5,
    Writing = 6,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Phase::None => "",
            Phase::Waiting => "waiting",
            Phase::Resolving => "resolving",
            Phase::Connecting => "connecting",
            Phase::Opening => "opening",
            Phase::Reading => "reading",
            Phase::Writing => "writing",
        }
    }
}

/// A failure: what the C caller gets to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) status: Status,
    /// errno; the EAI_* value for Resolve, the callback's number for Callback; 0 where there is
    /// none.
    pub(crate) number: i32,
    /// Phase::None for everything but a Timeout.
    pub(crate) phase: Phase,
    pub(crate) message: Cow<'static, str>,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(status: Status, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            number: 0,
            phase: Phase::None,
            message: message.into(),
        }
    }

    pub(crate) fn invalid_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Status::InvalidArgument, message)
    }

    /// Takes no memory itself.
    pub(crate) fn no_memory() -> Self {
        Self::new(Status::NoMemory, "out of memory")
    }

    /// A bug of the library, contained: what the panic said.
    pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let what = text.unwrap_or_default();
        Self::new(Status::Internal, format!("a bug in libvconnpool: {what}"))
    }

    /// The deadline passed; `detail` may add what had been tried by then.
    pub(crate) fn timeout(phase: Phase, detail: &str) -> Self {
        let between = if detail.is_empty() { "" } else { "; " };
        Self {
            phase,
            ..Self::new(
                Status::Timeout,
                format!("deadline passed while {}{between}{detail}", phase.name()),
            )
        }
    }

    /// With the number that `vcp_last_errno` will tell.
    pub(crate) fn numbered(self, number: i32) -> Self {
        Self { number, ..self }
    }

    /// With what was asked for in front: `dial tcp db:5432: connection refused`.
    pub(crate) fn of(self, what: impl fmt::Display) -> Self {
        Self {
            message: text(format_args!("{what}: {}", self.message)).into(),
            ..self
        }
    }
}

/// As `format!`, which finds room for a longer text step by step.
pub(crate) fn text(text: fmt::Arguments<'_>) -> String {
    let mut message = String::with_capacity(USUAL_LENGTH);
    let _ = message.write_fmt(text);
    message
}

/// Most messages are shorter.
const USUAL_LENGTH: usize = 160;

/// A message on one line: control characters, which a callback's text or an address may hold,
/// become spaces. So it holds no NUL either.
pub(crate) fn one_line(message: &str) -> Cow<'_, str> {
    let shown = |letter: char| if letter.is_control() { ' ' } else { letter };
    if may_hold_control(message.as_bytes()) {
        Cow::Owned(message.chars().map(shown).collect())
    } else {
        Cow::Borrowed(message)
    }
}

/// Looks at every byte, several at once. Those of U+0080 to U+009F begin with C2.
fn may_hold_control(message: &[u8]) -> bool {
    let may_be = |byte: u8| byte < b' ' || byte == 0x7f || byte == 0xc2;
    message.iter().fold(false, |any, &byte| any | may_be(byte))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_spaces_and_nothing_else_does() {
        for code in 0..0x300 {
            let letter = char::from_u32(code).expect("no surrogate");
            let expected = if letter.is_control() { ' ' } else { letter };
            let message = format!("a long message, and {letter} in it");
            assert_eq!(
                one_line(&message),
                format!("a long message, and {expected} in it")
            );
        }
        assert!(matches!(one_line("plain"), Cow::Borrowed("plain")));
    }
}
