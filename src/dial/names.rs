//! The system's names of services, protocols and interfaces, asked once each.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::sync::Mutex;
use crate::sys::names;
use crate::values::address::Names;

/// So many services are remembered; a program that names more pays a look-up for each of the others.
const MOST_SERVICES: usize = 256;

/// [`Names`] as this machine knows them.
#[derive(Debug)]
pub(crate) struct SystemNames {
    /// (service, protocol) → port. Guards itself alone.
    services: Mutex<BTreeMap<(String, String), u16>>,
}

impl SystemNames {
    pub(crate) const fn new() -> Self {
        Self {
            services: Mutex::new(BTreeMap::new()),
        }
    }

    /// Gives the memory back.
    pub(crate) fn forget(&self) {
        self.services.lock().clear();
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
        if services.len() < MOST_SERVICES {
            services.insert(key, port);
        }
        Some(port)
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        names::protocol_number(name)
    }

    fn interface(&self, zone: &str) -> Option<u32> {
        names::interface_index(zone)
    }
}
