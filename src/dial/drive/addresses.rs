//! The addresses that a dial tries: that of a literal, or those that its source finds, as they
//! come.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use super::dial::Dial;
use crate::dial::caller::DialCaller;
use crate::dial::race::happy_eyeballs::RESOLUTION_DELAY;
use crate::dial::race::order::{self, FirstFamily};
use crate::dial::resolve::source::{AddressSource, KnownAddresses};
use crate::sys::{self, clock};
use crate::values::address::{Address, Target};
use crate::values::clock::Time;
use crate::values::endpoint::Endpoint;
use crate::values::error::{Error, Result, Status};
use crate::values::network::Family;

impl Dial {
    pub(super) fn find_addresses(&mut self, caller: &dyn DialCaller) -> Result<()> {
        match &self.address().target {
            Target::Literal(literal) if self.is_usable_as_it_is(literal) => {
                let literal = literal.clone();
                self.offer_only(literal);
                Ok(())
            }
            Target::Literal(Endpoint::Inet(literal)) => self.complete(vec![*literal]),
            Target::Literal(unix) => {
                self.add_usable(vec![unix.clone()]);
                self.end_of_addresses()
            }
            Target::Name { .. } => self.ask_for_addresses(caller),
        }
    }

    fn is_usable_as_it_is(&self, literal: &Endpoint) -> bool {
        let fits = match literal {
            Endpoint::Inet(address) => order::fits(address, self.family()),
            Endpoint::Unix(_) => true,
        };
        fits && self.dialer.settings.local_address.is_none()
    }

    /// The whole race for one literal address.
    fn offer_only(&mut self, literal: Endpoint) {
        self.endpoints = vec![literal];
        self.attempts = vec![None];
        self.failures = vec![None];
        self.race.offer(1, [0]);
        self.race.complete();
    }

    fn ask_for_addresses(&mut self, caller: &dyn DialCaller) -> Result<()> {
        let Address {
            network, target, ..
        } = self.address();
        let Target::Name { host, .. } = target else {
            return Ok(());
        };
        let names = &self.dialer.name_service;
        let source = AddressSource::ask(names, *network, host, self.deadline, caller);
        self.source = Some(source);
        self.poll_source(caller)
    }

    /// Takes over what has arrived.
    pub(super) fn poll_source(&mut self, caller: &dyn DialCaller) -> Result<()> {
        let Some(source) = &self.source else {
            return Ok(());
        };
        let known = match source.poll() {
            Ok(known) => known,
            Err(error)
                if error.status == Status::System && self.make_room_once(error.number, caller) =>
            {
                return self.ask_for_addresses(caller);
            }
            Err(_) if source.failed_for_another(clock::now()) => {
                return self.ask_for_addresses(caller);
            }
            Err(error) => {
                source.remember_failure(&error);
                return Err(error);
            }
        };
        let KnownAddresses {
            addresses,
            ipv6_came_late,
            is_complete,
        } = known;
        self.ipv6_came_late = ipv6_came_late;
        if is_complete {
            source.remember(&addresses);
            self.source = None;
            return self.complete(addresses);
        }
        self.add_addresses(addresses);
        if self.takes_both_families()
            && !self.endpoints.is_empty()
            && !self.endpoints.iter().any(Endpoint::is_ipv6)
        {
            let now = clock::now();
            let first = *self.first_arrival.get_or_insert(now);
            self.race.hold_until(first.after(RESOLUTION_DELAY));
        } else {
            self.race.hold_until(Time::default());
        }
        Ok(())
    }

    fn family(&self) -> Family {
        self.address().network.family().unwrap_or(Family::Any)
    }

    /// IPv6 is worth waiting for.
    fn takes_both_families(&self) -> bool {
        self.family() == Family::Any && self.dialer.settings.local_address.is_none()
    }

    fn complete(&mut self, addresses: Vec<SocketAddr>) -> Result<()> {
        self.add_addresses(addresses);
        self.race.hold_until(Time::default());
        self.end_of_addresses()
    }

    fn end_of_addresses(&mut self) -> Result<()> {
        self.race.complete();
        if let (Some(local), true, true) = (
            &self.dialer.settings.local_address,
            self.endpoints.is_empty(),
            self.has_left_out,
        ) {
            let local = local.endpoint.text(local.has_port);
            let message = format!("no address of the family of local_address {local}");
            return Err(Error::new(Status::Connect, message).numbered(libc::EADDRNOTAVAIL));
        }
        if self.endpoints.is_empty() {
            let what = match &self.address().target {
                Target::Name { host, .. } => {
                    format!("{host} has no {} address", self.address().network)
                }
                Target::Literal(_) => format!("not a {} address", self.address().network),
            };
            return Err(
                Error::new(Status::Resolve, what).numbered(sys::getaddrinfo::EAI_ADDRFAMILY)
            );
        }
        Ok(())
    }

    /// Adds what is new and fits the network, and orders anew what was not tried yet.
    fn add_addresses(&mut self, addresses: Vec<SocketAddr>) {
        let port = match self.address().target {
            Target::Name { port, .. } => Some(port),
            Target::Literal(_) => None,
        };
        let with_port = |mut address: SocketAddr| {
            port.into_iter().for_each(|port| address.set_port(port));
            address
        };
        let family = self.family();
        let fitting = addresses
            .into_iter()
            .map(with_port)
            .filter(|one| order::fits(one, family));
        let new: Vec<_> = fitting
            .map(Endpoint::Inet)
            .filter(|one| !self.endpoints.contains(one))
            .collect();
        if !new.is_empty() {
            self.add_usable(new);
        }
    }

    /// Without the addresses that `local_address` cannot reach.
    fn add_usable(&mut self, new: Vec<Endpoint>) {
        let local = self.dialer.settings.local_address.as_ref();
        let (usable, unusable): (Vec<_>, Vec<_>) = new
            .into_iter()
            .partition(|to| local.is_none_or(|local| to.is_of_the_family_of(&local.endpoint)));
        self.has_left_out |= !unusable.is_empty();
        self.endpoints.extend(usable);
        let known = self.endpoints.len();
        self.attempts.resize_with(known, || None);
        self.failures.resize(known, None);
        let order = self.order(known);
        self.race.offer(known, order);
    }

    fn order(&self, known: usize) -> Vec<usize> {
        let tried =
            |number: &usize| self.attempts[*number].is_some() || self.failures[*number].is_some();
        let untried = (0..known).filter(|number| !tried(number));
        let addresses = untried
            .clone()
            .filter_map(|number| match &self.endpoints[number] {
                Endpoint::Inet(address) => Some(*address),
                Endpoint::Unix(_) => None,
            });
        let first_family = if self.ipv6_came_late {
            FirstFamily::Ipv6
        } else {
            FirstFamily::OfFirstAddress
        };
        let mut ordered = order::interleave(addresses.collect(), first_family);
        if ordered.is_empty() {
            return untried.collect();
        }
        self.dialer.failed.move_to_end(&mut ordered, clock::now());
        let number = |address: &SocketAddr| {
            self.endpoints
                .iter()
                .position(|one| *one == Endpoint::Inet(*address))
        };
        ordered.iter().filter_map(number).collect()
    }
}
