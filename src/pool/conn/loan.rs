//! Who has borrowed a connection, and since when.
#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use crate::pool::conn::Conn;
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::endpoint::Endpoint;

/// Who borrowed a connection, and since when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loan {
    pub(crate) label: Option<Arc<str>>,
    /// Zero: nobody wants to know.
    pub(crate) since: Time,
}

impl Loan {
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or_default()
    }
}

/// What is known of a connection on loan, without holding on to it.
#[derive(Debug)]
pub(crate) struct LoanInfo {
    pub(crate) destination: Arc<Destination>,
    pub(crate) remote: Option<Arc<Endpoint>>,
    pub(crate) fd: RawFd,
    pub(crate) loan: Loan,
}

impl LoanInfo {
    pub(crate) fn of(conn: &Conn) -> Self {
        Self {
            destination: conn.shared_destination().clone(),
            remote: conn.shared_remote().cloned(),
            fd: conn.raw_fd(),
            loan: conn.loan(),
        }
    }
}
