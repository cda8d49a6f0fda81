//! What a forked child does with the table that it finds.

use super::super::word::{HAS_WAITER, OCCUPIED, PINS};
use super::*;

/// The epoch of a parent process.
fn parents() -> u32 {
    fork::epoch() + 7
}

fn as_in_a_child<T: Kept>(owned: &Owned<T>) {
    owned.slot().made_in.store(parents(), Relaxed);
}

#[test]
fn what_lives_on_keeps_its_handle_and_loses_the_pins_of_threads_that_are_gone() {
    kept!(Value(u32));
    let (vacant, kept) = (Value::insert(0), Value::insert(1));
    let lent = Value::insert(2);
    for one in [&vacant, &kept, &lent] {
        as_in_a_child(one);
    }
    let vacant_slot = vacant.slot();
    vacant_slot.word.fetch_and(!OCCUPIED, Relaxed);
    vacant.forget();
    let slot = lent.slot();
    let handle = lent.lend();
    std::mem::forget(Value::pin(handle));
    slot.word.fetch_or(HAS_WAITER, Relaxed);

    Value::table().adopt(fork::epoch(), Inherited::Lives);
    assert!(!kept.is_inherited() && vacant_slot.is_inherited());
    assert_eq!(slot.word.load(Relaxed) & (PINS | HAS_WAITER), 0);
    assert_eq!(Value::pin(handle).expect("live").0, 2);
    assert_eq!(Value::take_back(handle).expect("live").0, 2);
    assert_eq!(kept.0, 1);
}

/// A value of which its table knows whether the library lent it.
#[derive(Debug)]
struct Borrowable {
    number: u32,
    is_lent_to_callback: bool,
}

impl Kept for Borrowable {
    fn table() -> &'static Table<Self> {
        static TABLE: Table<Borrowable> = Table::new(HandleKind::Conn);
        &TABLE
    }

    fn is_lent_to_callback(&self) -> bool {
        self.is_lent_to_callback
    }
}

fn inherited(number: u32, is_lent_to_callback: bool) -> Owned<Borrowable> {
    let conn = Borrowable {
        number,
        is_lent_to_callback,
    };
    let owned = Borrowable::table().insert(conn).expect("there is memory");
    as_in_a_child(&owned);
    owned
}

fn taken(is_wanted: impl Fn(&Borrowable) -> bool) -> Vec<u32> {
    let mut numbers = Vec::new();
    Borrowable::table().take_inherited(is_wanted, |conn| numbers.push(conn.number));
    numbers
}

#[test]
fn what_ends_is_shown_once_to_who_wants_it_or_had_it() {
    let (idle, other) = (inherited(1, false), inherited(2, false));
    let handle = inherited(3, false).lend();
    std::mem::forget(Borrowable::table().pin(handle));
    let callbacks = inherited(4, true).lend();
    let own = inherited(5, false);
    Borrowable::table().adopt(fork::epoch(), Inherited::Ends);
    own.slot().made_in.store(fork::epoch(), Relaxed);

    assert_eq!(Borrowable::table().pin(handle).err(), Some(Stale::Closed));
    assert_eq!(taken(|conn| conn.number != 2), [1, 4]);
    assert_eq!(taken(|_| true), [2], "each once");
    let none = taken(|conn| panic!("{conn:?} was taken"));
    assert!(none.is_empty());
    assert!(Borrowable::table().take_lent(callbacks).is_none(), "taken");
    let before = handle - (1 << GENERATION_SHIFT);
    let next = handle + (1 << GENERATION_SHIFT);
    for wrong in [0, before, next] {
        assert!(Borrowable::table().take_lent(wrong).is_none(), "{wrong:#x}");
    }
    let found = Borrowable::table()
        .take_lent(handle)
        .expect("its borrower asks");
    assert_eq!(found.number, 3);
    assert!(Borrowable::table().take_lent(handle).is_none(), "once");
    let own = own.lend();
    assert!(
        Borrowable::table().take_lent(own).is_none(),
        "not inherited"
    );
    drop(Borrowable::table().take_back(own, |_| {}).expect("live"));
    // A call that a callback brought into the child drops these.
    drop((idle, other));
    let slots = Borrowable::table().used.load(Relaxed);
    assert_eq!(inherited(6, false).index(), 4, "the one that was free");
    assert_eq!(Borrowable::table().used.load(Relaxed), slots);
}

#[test]
fn what_was_never_lent_is_no_borrowers() {
    kept!(Value(u32));
    let owned = Value::insert(1);
    as_in_a_child(&owned);
    let handle = owned.lend();
    let owned = Value::take_back(handle).expect("live");
    Value::table().adopt(fork::epoch(), Inherited::Ends);
    assert!(Value::table().take_lent(handle).is_none());
    let mut shown = 0;
    Value::table().take_inherited(|_| true, |_| shown += 1);
    assert_eq!(shown, 1);
    owned.forget();
}

#[test]
fn an_inherited_owner_leaves_the_slot_as_it_is() {
    kept!(Value(Arc<()>));
    let count = Arc::new(());
    let owned = Value::insert(count.clone());
    assert!(!owned.is_inherited());
    as_in_a_child(&owned);
    assert!(owned.is_inherited());
    drop(owned);
    assert_eq!(Arc::strong_count(&count), 2);
}
