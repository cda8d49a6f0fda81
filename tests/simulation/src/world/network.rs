//! Servers, each after its script: how it answers a connect, a request, and when it ends or resets
//! connections, goes down and comes back.

use std::net::SocketAddr;

use super::files::{FileId, ALL, IN};
use super::sockets::{SocketState, Unread};
use super::time::MS;
use super::World;

/// How a server meets a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// After so many nanoseconds; 0: connect(2) itself returns 0.
    Accepts(u64),
    /// After so long, with ECONNREFUSED or EHOSTUNREACH.
    Fails(u64, i32),
    /// connect(2) itself fails.
    Unreachable,
    Silent,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) greeting: Greeting,
    /// A request is echoed after so long; `None`: never.
    pub(crate) echo_after: Option<u64>,
    /// One in so many connections meets an end, a reset or stray bytes by itself.
    pub(crate) mischief: u32,
    /// Within so long.
    pub(crate) mischief_within_ms: u32,
    pub(crate) is_down: bool,
}

/// What happens at its time.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Connected(FileId),
    ConnectFailed(FileId, i32),
    Arrives(FileId, Vec<u8>),
    Ends(FileId),
    Resets(FileId),
    /// The server at that place in the list goes down, its connections with it.
    GoesDown(usize),
    ComesUp(usize),
}

/// What getaddrinfo(3) says of a host, and how long that takes.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) host: String,
    pub(crate) takes: u64,
    /// Addresses, or an EAI_* value.
    pub(crate) answer: Result<Vec<SocketAddr>, i32>,
}

#[derive(Default)]
pub(crate) struct Network {
    pub(crate) servers: Vec<Server>,
    /// Of several for one host any is the answer.
    pub(crate) names: Vec<Name>,
    /// Connections that were made.
    pub(crate) accepted: u64,
}

impl Network {
    fn server(&self, at: SocketAddr) -> Option<&Server> {
        self.servers.iter().find(|server| server.at == at)
    }
}

impl World {
    pub(crate) fn server_greets(&self, at: SocketAddr) -> Option<Greeting> {
        let server = self.network.server(at)?;
        (!server.is_down).then_some(server.greeting)
    }

    /// The socket is a driver's, which the library never closes and never changes.
    pub(crate) fn set_drivers(&mut self, number: i32, is_drivers: bool) {
        if let Ok(file) = self.descriptors.file(number) {
            if let Some(socket) = self.files.socket(file) {
                socket.is_drivers = is_drivers;
            }
        }
    }

    pub(crate) fn is_drivers(&mut self, number: i32) -> bool {
        let file = self.descriptors.file(number).ok();
        let socket = file.and_then(|file| self.files.socket(file));
        socket.is_some_and(|socket| socket.is_drivers)
    }

    pub(crate) fn look_up(&mut self, host: &str) -> Name {
        let names = self.network.names.iter().filter(|name| name.host == host);
        let names: Vec<Name> = names.cloned().collect();
        if names.is_empty() {
            return Name {
                host: host.to_owned(),
                takes: 0,
                answer: Err(libc::EAI_NONAME),
            };
        }
        self.random.pick(&names)
    }
}

impl World {
    /// connect(2): true when it is done, or errno.
    pub(crate) fn connect(&mut self, file: FileId, to: SocketAddr) -> Result<bool, i32> {
        let greeting = match self.network.server(to) {
            None => Greeting::Unreachable,
            Some(server) if server.is_down => Greeting::Fails(0, libc::ECONNREFUSED),
            Some(server) => server.greeting,
        };
        let socket = self.files.socket(file).ok_or(libc::ENOTSOCK)?;
        match socket.state {
            SocketState::Fresh => {}
            SocketState::Connecting => return Err(libc::EALREADY),
            SocketState::Connected if !socket.is_told => {
                socket.is_told = true;
                return Ok(true);
            }
            SocketState::Connected => return Err(libc::EISCONN),
            SocketState::Failed => {
                return Err(match socket.take_error() {
                    0 => libc::ECONNABORTED,
                    errno => errno,
                });
            }
        }
        socket.to = Some(to);
        match greeting {
            Greeting::Unreachable => return Err(libc::ENETUNREACH),
            Greeting::Accepts(0) => {
                socket.is_told = true;
                self.accept(file);
                return Ok(true);
            }
            _ => socket.state = SocketState::Connecting,
        }
        match greeting {
            Greeting::Accepts(after) => self.after(after, Event::Connected(file)),
            Greeting::Fails(after, errno) => {
                self.after(after, Event::ConnectFailed(file, errno));
            }
            _ => {}
        }
        Ok(false)
    }

    fn accept(&mut self, file: FileId) {
        self.network.accepted += 1;
        let Some(socket) = self.files.socket(file) else {
            return;
        };
        socket.state = SocketState::Connected;
        let Some(to) = socket.to else { return };
        let Some(server) = self.network.server(to).cloned() else {
            return;
        };
        if self.random.one_in(server.mischief) {
            // Where no time slips, a dial has heard by then that it is connected: it must succeed.
            let least = u32::from(self.chances.slip == 0);
            let within = server.mischief_within_ms;
            let after = u64::from(self.random.between(least, within)) * MS;
            let event = match self.random.up_to(3) {
                0 => Event::Ends(file),
                1 => Event::Resets(file),
                _ => Event::Arrives(file, b"stray".to_vec()),
            };
            self.after(after, event);
        }
    }

    /// The client has sent bytes.
    pub(crate) fn answer(&mut self, file: FileId, bytes: &[u8]) {
        let to = self.files.socket(file).and_then(|socket| socket.to);
        let server = to.and_then(|to| self.network.server(to));
        let after = server.and_then(|server| server.echo_after);
        if let Some(after) = after {
            self.after(after, Event::Arrives(file, bytes.to_vec()));
        }
    }

    fn is_up_for(&mut self, file: FileId) -> bool {
        let is_open = self.files.get(file).is_open;
        is_open && self.state_of(file) == Some(SocketState::Connected)
    }

    fn state_of(&mut self, file: FileId) -> Option<SocketState> {
        self.files.socket(file).map(|socket| socket.state)
    }

    pub(super) fn happen_in_network(&mut self, event: Event) {
        match event {
            Event::GoesDown(server) => self.go_down(server),
            Event::ComesUp(server) => self.network.servers[server].is_down = false,
            Event::Connected(file) | Event::ConnectFailed(file, _) => {
                if self.files.get(file).is_open
                    && self.state_of(file) == Some(SocketState::Connecting)
                {
                    self.end_connect(file, &event);
                }
            }
            Event::Arrives(file, ref bytes) => {
                if self.is_up_for(file) {
                    self.arrive(file, bytes);
                }
            }
            Event::Ends(file) => self.end_stream(file, false),
            Event::Resets(file) => self.end_stream(file, true),
        }
    }

    fn end_connect(&mut self, file: FileId, event: &Event) {
        match *event {
            Event::ConnectFailed(_, errno) => {
                if let Some(socket) = self.files.socket(file) {
                    socket.state = SocketState::Failed;
                    socket.error = errno;
                }
            }
            _ => self.accept(file),
        }
        self.notify(file, ALL);
    }

    fn unread(&self) -> Unread {
        Unread {
            moment: self.moment,
            rests: self.rests,
        }
    }

    fn arrive(&mut self, file: FileId, bytes: &[u8]) {
        let unread = self.unread();
        if let Some(socket) = self.files.socket(file) {
            if socket.has_end || socket.is_shut_read {
                return;
            }
            socket.received.extend(bytes);
            socket.note_unread(unread, false);
        }
        self.notify(file, IN);
    }

    fn end_stream(&mut self, file: FileId, is_reset: bool) {
        if !self.is_up_for(file) {
            return;
        }
        let unread = self.unread();
        if let Some(socket) = self.files.socket(file) {
            socket.has_end = true;
            socket.note_unread(unread, true);
            if is_reset {
                socket.state = SocketState::Failed;
                socket.error = libc::ECONNRESET;
            }
        }
        self.notify(file, ALL);
    }

    fn go_down(&mut self, number: usize) {
        self.network.servers[number].is_down = true;
        let at = self.network.servers[number].at;
        let there = self.files.sockets();
        let there = there.filter(|(_, socket)| socket.to == Some(at));
        let there: Vec<FileId> = there.map(|(file, _)| file).collect();
        for file in there {
            let is_reset = self.random.one_in(2);
            self.end_stream(file, is_reset);
        }
    }

    /// The client's side is closed: what is on its way to it is lost.
    pub(super) fn leave_network(&mut self, file: FileId) {
        self.timeline.events.retain(|(_, event)| {
            !matches!(event,
                Event::Connected(of)
                | Event::ConnectFailed(of, _)
                | Event::Arrives(of, _)
                | Event::Ends(of)
                | Event::Resets(of) if *of == file)
        });
    }
}
