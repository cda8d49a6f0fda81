//! The system's names of services, protocols and interfaces, asked once each.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::sync::Mutex;
use crate::sys::{memory, names};
use crate::values::address::Address;
use crate::values::error::{Error, Result};
use crate::values::host_port::Names;

/// Services that are remembered at the most, and protocols. A program that names more pays a
/// look-up for each of the others.
const MOST_NAMES: usize = 256;

/// [`Names`] as this machine knows them.
#[derive(Debug)]
pub(crate) struct SystemNames {
    /// (service, protocol) → port. Guards itself alone.
    services: Mutex<BTreeMap<(String, String), u16>>,
    /// Guards itself alone.
    protocols: Mutex<BTreeMap<String, u8>>,
}

impl SystemNames {
    pub(crate) const fn new() -> Self {
        Self {
            services: Mutex::new(BTreeMap::new()),
            protocols: Mutex::new(BTreeMap::new()),
        }
    }

    /// [`Address::parse`] with these names. Where memory is short nobody is asked for one: that
    /// nothing is known of it says nothing.
    pub(crate) fn parse(&self, network: &str, address: &str) -> Result<Address> {
        Address::parse(network, address, self).map_err(|error| {
            if memory::is_short() {
                Error::no_memory()
            } else {
                error
            }
        })
    }

    /// Gives the memory back.
    pub(crate) fn forget(&self) {
        self.services.lock().clear();
        self.protocols.lock().clear();
    }
}

/// [`Names`] without what the system may take its time to answer.
#[derive(Debug)]
pub(crate) struct NamesAtHand<'a> {
    names: &'a SystemNames,
    lacked_one: Cell<bool>,
}

impl<'a> NamesAtHand<'a> {
    pub(crate) fn new(names: &'a SystemNames) -> Self {
        Self {
            names,
            lacked_one: Cell::new(false),
        }
    }

    /// A name was not at hand: what was said of the address says nothing.
    pub(crate) fn lacked_one(&self) -> bool {
        self.lacked_one.get()
    }

    fn lacks<T>(&self) -> Option<T> {
        self.lacked_one.set(true);
        None
    }
}

impl Names for NamesAtHand<'_> {
    fn service(&self, name: &str, protocol: &str) -> Option<u16> {
        let key = (name.to_owned(), protocol.to_owned());
        let port = self.names.services.lock().get(&key).copied();
        port.or_else(|| self.lacks())
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        // A number needs nobody.
        let known = || self.names.protocols.lock().get(name).copied();
        name.parse().ok().or_else(known).or_else(|| self.lacks())
    }

    fn interface(&self, zone: &str) -> Option<u32> {
        // if_nametoindex(3) is one ioctl(2).
        self.names.interface(zone)
    }
}

impl Names for SystemNames {
    fn service(&self, name: &str, protocol: &str) -> Option<u16> {
        let key = (name.to_owned(), protocol.to_owned());
        if let Some(&port) = self.services.lock().get(&key) {
            return Some(port);
        }
        let port = names::service_port(name, protocol)?;
        let mut services = self.services.lock();
        if services.len() < MOST_NAMES {
            services.insert(key, port);
        }
        Some(port)
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        if let Some(&number) = self.protocols.lock().get(name) {
            return Some(number);
        }
        let number = names::protocol_number(name)?;
        let mut protocols = self.protocols.lock();
        if protocols.len() < MOST_NAMES {
            protocols.insert(name.to_owned(), number);
        }
        Some(number)
    }

    fn interface(&self, zone: &str) -> Option<u32> {
        names::interface_index(zone)
    }
}
