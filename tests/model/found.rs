//! What random sequences have found, each as short as it can be and named for its cause.
#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::Duration;

use super::destinations::destinations;
use super::fake::{Facts, Fake};
use super::reference::{Late, Rules};
use super::steps::Step;
use crate::pool::state::answer::{Effects, LateBinding, Refusal, Request, Reuse, Take};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::State;
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::options::{Keeping, Limits, ReuseOrder};

const NOW: Time = Time::from_nanos(1_000_000_000);

pub(super) fn unlimited() -> Rules {
    Rules {
        limits: Limits {
            max_idle_per_address: 8,
            max_idle: None,
            max_conns: None,
            max_conns_per_address: None,
            max_dials_per_address: None,
            max_waiters: None,
        },
        keeping: Keeping {
            idle_timeout: None,
            max_lifetime: None,
            lifetime_jitter_percent: 10,
            max_uses: None,
            min_idle_per_address: 0,
            reuse_order: ReuseOrder::Fifo,
        },
        fail_fast: Some(Duration::from_millis(100)),
        on_idle: None,
        is_observed: false,
    }
}

/// Without limits, and with the fast path.
pub(super) fn unlimited_and_plain() -> Rules {
    let mut rules = unlimited();
    rules.make_plain();
    rules
}

fn take(to: usize, reuse: Reuse) -> Step {
    let may_wait = true;
    Step::Take {
        to,
        reuse,
        may_wait,
    }
}

fn begins(takes: LateBinding) -> Step {
    Step::DialBegins {
        which: 0,
        takes,
        unfit: 0,
    }
}

fn put() -> Step {
    Step::Put {
        to: 0,
        percent: 100,
        can_be_built: true,
    }
}

fn goes_well(rules: &Rules, steps: &[Step]) {
    assert_eq!(super::failure(&destinations(), rules, steps), None);
}

/// The answer of a dial that failed was closed for a waiter's slot, though the dial's own slot was
/// free, or the waiter was refused.
#[test]
fn an_answer_nobody_fetched_is_not_closed_for_a_slot_that_nobody_needs() {
    let mut rules = unlimited();
    rules.limits.max_dials_per_address = Some(1);
    let steps = [
        take(0, Reuse::Allowed),
        begins(LateBinding::GivenBack),
        put(),
        take(0, Reuse::Never),
        Step::DialFailed(0, true),
    ];
    goes_well(&rules, &steps);
    rules.fail_fast = None;
    goes_well(&rules, &steps);
}

/// A waiter that was refused while another destination's numbers changed left its own behind for
/// ever.
#[test]
fn a_destination_is_forgotten_with_its_last_refused_waiter() {
    let mut rules = unlimited();
    rules.limits.max_conns = Some(1);
    let steps = [
        take(1, Reuse::Never),
        take(0, Reuse::Allowed),
        take(0, Reuse::Never),
        take(1, Reuse::Never),
        begins(LateBinding::Off),
        Step::DialFailed(0, true),
        Step::Leave(1),
        Step::WakeUp(0, Late::InTime),
    ];
    goes_well(&rules, &steps);
}

/// A borrower that had found several dead was refused for a failed dial of somebody else's, though
/// more were idle.
#[test]
fn where_dials_fail_at_once_the_idle_ones_are_trusted() {
    let steps = [
        take(0, Reuse::Allowed),
        begins(LateBinding::GivenBack),
        Step::DialFailed(0, true),
        put(),
        take(0, Reuse::Allowed),
        put(),
        Step::TakeAnother {
            who: 0,
            cause: CloseCause::DirtyAtBorrow,
            distrusts_idle: true,
        },
    ];
    goes_well(&unlimited(), &steps);
}

/// A refused caller was told of an idle connection that was out.
#[test]
fn the_numbers_of_a_refusal_count_what_is_out_as_borrowed() {
    let mut rules = unlimited();
    rules.make_plain();
    rules.limits.max_conns_per_address = Some(1);
    goes_well(&rules, &[put(), Step::QuickBorrow(0), put()]);
}

/// A dial that takes only what is given back missed one that came back from a loan to its shelf.
#[test]
fn a_quick_return_answers_a_dial_in_flight() {
    let mut rules = unlimited();
    rules.make_plain();
    let steps = [
        take(0, Reuse::Allowed),
        put(),
        Step::QuickBorrow(0),
        begins(LateBinding::GivenBack),
        Step::QuickReturn {
            who: 0,
            has_data: false,
            held_up: Duration::ZERO,
        },
    ];
    goes_well(&rules, &steps);
}

/// The one that had been put on the shelf first was closed, though it had been used since.
#[test]
fn a_fresh_dial_closes_the_longest_idle_of_its_destination() {
    let mut rules = unlimited();
    rules.make_plain();
    rules.limits.max_conns_per_address = Some(2);
    let back = Step::QuickReturn {
        who: 0,
        has_data: false,
        held_up: Duration::ZERO,
    };
    let steps = [
        put(),
        put(),
        Step::QuickBorrow(0),
        back,
        take(0, Reuse::Never),
    ];
    goes_well(&rules, &steps);
}

/// An idle connection of that destination, in a pool whose fast path is open.
fn put_idle(state: &mut State<Fake>, id: u64, to: &Arc<Destination>) -> Rc<Facts> {
    let mut facts = None;
    let build = |destination_id, _| {
        let conn = Fake::new(id, destination_id, Time::NEVER, true);
        facts = Some(conn.facts().clone());
        Ok::<_, Refusal>(conn)
    };
    let admitted = state.admit(to, build, NOW, &mut Effects::none());
    assert!(admitted.is_ok());
    facts.expect("it was admitted")
}

/// An evict of one address took the fast path from every destination.
#[test]
fn an_evict_leaves_other_destinations_their_fast_path() {
    let rules = unlimited_and_plain();
    let [at, tagged, elsewhere] = destinations();
    let mut state = State::new(rules.limits, rules.keeping, None);
    let evicted = [&at, &tagged].map(|to| put_idle(&mut state, 1, to));
    let other = put_idle(&mut state, 3, &elsewhere);
    let mut effects = Effects::none();
    let unfinished = state.evict(Some(&at.address), NOW, &mut effects);
    assert!(unfinished.is_nothing());
    assert_eq!(effects.closes.len(), evicted.len());
    assert!(other.can_be_borrowed());
    assert_eq!(other.looks.get(), 0);
}

/// A refused dial looked at every idle connection of the pool.
#[test]
fn a_refusal_at_a_limit_per_address_looks_at_no_other_destination() {
    let rules = unlimited_and_plain();
    let [full, _, elsewhere] = destinations();
    let limits = Limits {
        max_conns_per_address: Some(1),
        ..rules.limits
    };
    let mut state = State::new(limits, rules.keeping, None);
    let other = put_idle(&mut state, 1, &elsewhere);
    let own = put_idle(&mut state, 2, &full);
    own.borrow();
    let request = Request {
        destination: &full,
        reuse: Reuse::Allowed,
        may_wait: false,
        distrusts_idle: false,
        has_waited: false,
    };
    let (_, taken) = state.take(request, NOW, || 0, &mut Effects::none());
    let Take::Refused(Refusal::Exhausted(why)) = taken else {
        panic!("{taken:?}");
    };
    assert_eq!((why.idle, why.borrowed), (0, 1));
    assert!(other.can_be_borrowed());
    assert_eq!(other.looks.get(), 0);
}

/// One look takes so many, and the engine comes back for the others at once.
#[test]
fn very_many_that_rest_are_armed_in_several_looks() {
    let mut rules = unlimited();
    rules.limits.max_idle_per_address = 1100;
    let [at, ..] = destinations();
    let mut state = State::new(rules.limits, rules.keeping, None);
    let idle: Vec<_> = (0..1100).map(|id| put_idle(&mut state, id, &at)).collect();
    let now = NOW.after(Duration::from_secs(1));
    let mut look = || {
        let reaped = state.reap(now, &mut Effects::none());
        for &id in &reaped.to_arm {
            assert!(!idle[id as usize].is_armed.replace(true));
        }
        (reaped.to_arm.len(), reaped.next)
    };
    assert_eq!(look(), (1024, now));
    assert_eq!(look(), (76, Time::NEVER));
}
