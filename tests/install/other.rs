//! Another Rust library behind C, which brings a standard library of its own: threads, a panic.

#[no_mangle]
pub extern "C" fn other_library_works() -> i32 {
    std::panic::set_hook(Box::new(|_| {}));
    let thread = std::thread::spawn(|| std::panic::catch_unwind(|| panic!("{}", "caught")));
    let caught = thread.join().expect("the panic was caught in its thread");
    i32::from(caught.is_err())
}
