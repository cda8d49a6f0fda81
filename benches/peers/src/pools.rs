//! The peers, each with `amount` connections at the most, all of them open.

use std::future::Future;
use std::io;
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::connector::Connector;
use crate::setup::Setup;

const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A pool of asynchronous connections.
pub(crate) trait Peer: Send + Sync + 'static {
    type Held: DerefMut<Target = TcpStream> + Send;
    fn take(&self) -> impl Future<Output = Self::Held> + Send;
}

/// What makes connections for any of them.
pub(crate) struct Maker(Arc<Connector>);

pub(crate) fn r2d2(setup: &Setup) -> r2d2::Pool<Maker> {
    r2d2::Pool::builder()
        .max_size(u32::try_from(setup.amount).expect("few"))
        .test_on_check_out(false)
        .connection_timeout(LONGEST_WAIT)
        .build(Maker(setup.connector.clone()))
        .expect("r2d2")
}

impl r2d2::ManageConnection for Maker {
    type Connection = std::net::TcpStream;
    type Error = io::Error;

    fn connect(&self) -> io::Result<Self::Connection> {
        self.0.connect()
    }

    fn is_valid(&self, _: &mut Self::Connection) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Self::Connection) -> bool {
        false
    }
}

pub(crate) type Deadpool = deadpool::managed::Pool<Maker>;

pub(crate) fn deadpool(setup: &Setup) -> Deadpool {
    let pool = Deadpool::builder(Maker(setup.connector.clone()))
        .max_size(setup.amount)
        .build()
        .expect("deadpool");
    setup.open_all(pool)
}

impl deadpool::managed::Manager for Maker {
    type Type = TcpStream;
    type Error = io::Error;

    async fn create(&self) -> io::Result<TcpStream> {
        self.0.open().await
    }

    async fn recycle(
        &self,
        _: &mut TcpStream,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<io::Error> {
        Ok(())
    }
}

impl Peer for Deadpool {
    type Held = deadpool::managed::Object<Maker>;

    async fn take(&self) -> Self::Held {
        self.get().await.expect("deadpool")
    }
}

pub(crate) fn bb8(setup: &Setup) -> bb8::Pool<Maker> {
    let builder = bb8::Pool::builder()
        .max_size(u32::try_from(setup.amount).expect("few"))
        .test_on_check_out(false)
        .connection_timeout(LONGEST_WAIT);
    let pool = builder.build(Maker(setup.connector.clone()));
    let pool = setup.runtime.block_on(pool).expect("bb8");
    setup.open_all(pool)
}

impl bb8::ManageConnection for Maker {
    type Connection = TcpStream;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<TcpStream> {
        self.0.open().await
    }

    async fn is_valid(&self, _: &mut TcpStream) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, _: &mut TcpStream) -> bool {
        false
    }
}

impl Peer for bb8::Pool<Maker> {
    type Held = bb8::PooledConnection<'static, Maker>;

    async fn take(&self) -> Self::Held {
        self.get_owned().await.expect("bb8")
    }
}

pub(crate) type Unmanaged = deadpool::unmanaged::Pool<TcpStream>;

/// deadpool's pool of what it is given: it neither makes connections nor asks about them.
pub(crate) fn unmanaged(setup: &Setup) -> Unmanaged {
    let open = || setup.runtime.block_on(setup.connector.open());
    let conns: io::Result<Vec<_>> = (0..setup.amount).map(|_| open()).collect();
    Unmanaged::from(conns.expect("connect"))
}

impl Peer for Unmanaged {
    type Held = deadpool::unmanaged::Object<TcpStream>;

    async fn take(&self) -> Self::Held {
        self.get().await.expect("deadpool")
    }
}

impl Setup {
    /// A pool that connector when it is asked to has all its connections afterwards.
    fn open_all<P: Peer>(&self, pool: P) -> P {
        self.runtime.block_on(async {
            let mut held = Vec::new();
            for _ in 0..self.amount {
                held.push(pool.take().await);
            }
        });
        pool
    }
}
