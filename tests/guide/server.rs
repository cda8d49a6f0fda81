//! A web server for the programs of the pages: HTTP/1.1, keep-alive, one answer for every request.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";

/// Answers until the client hangs up.
fn serve(mut client: TcpStream) {
    let mut asked = Vec::new();
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        asked.extend_from_slice(&bytes[..count]);
        while let Some(end) = asked.windows(4).position(|four| four == b"\r\n\r\n") {
            asked.drain(..end + 4);
            if client.write_all(ANSWER).is_err() {
                return;
            }
        }
    }
}

/// Starts it on a free port, for as long as the process lives. Returns the port.
pub(crate) fn start() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || serve(client));
        }
    });
    port
}
