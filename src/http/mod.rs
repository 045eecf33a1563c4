//! The SCIM front: HTTP in, one call of a bridge's session, HTTP out.
//!
//! A guard stands around the router (`front`): it judges the path (`target`),
//! lets in who has a token, and leaves the session for the handlers, which
//! cannot be written without one (`caller`). Handlers are one call and a
//! reply (`users`, `groups`, `bulk`, `search`, `discovery`, `catalog`; `reply`, `page`,
//! `members`), all told in one document (`openapi`). Every refusal, also
//! actix's own, is a SCIM Error (`failure`).
//!
//! Left out on purpose: TLS and HTTP/2, which a proxy in front does better;
//! compression; `/Me`.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use actix_web::{HttpServer, dev::Server};

use crate::bridge::Bridge;

mod body;
mod bulk;
mod caller;
mod catalog;
mod discovery;
mod failure;
mod front;
mod groups;
mod members;
mod offers;
mod openapi;
mod origin;
mod page;
mod reply;
mod revoking;
mod room;
mod routes;
mod search;
mod settings;
mod target;
mod unread;
mod users;
mod version;

pub use routes::self_test;
pub use settings::Settings;

/// Binds every address and makes the server, which runs when it is awaited.
/// Signals are left to the caller: stop it through [`Server::handle`].
/// Returns the addresses that were bound, in the order of the settings.
pub fn server(bridge: Arc<Bridge>, settings: Settings) -> io::Result<(Server, Vec<SocketAddr>)> {
    let invalid = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
    if let Some((key, why)) = settings.problems().into_iter().next() {
        return Err(invalid(format!("{key} {why}")));
    }
    let front = front::Front::new(bridge, settings, process_start()).map_err(invalid)?;
    let front = Arc::new(front);
    let settings = &front.settings;
    let workers = match settings.workers {
        Some(workers) => workers.get(),
        None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let routed = Arc::clone(&front);
    let mut server = HttpServer::new(move || routes::app(Arc::clone(&routed)))
        .workers(workers)
        .max_connections(settings.max_connections.div_ceil(workers))
        .client_request_timeout(settings.header_timeout)
        .keep_alive(settings.keep_alive)
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .tcp_nodelay(true)
        .disable_signals();
    for address in &settings.listen {
        server = server.bind(address).map_err(|fault| {
            io::Error::new(fault.kind(), format!("cannot listen on {address}: {fault}"))
        })?;
    }
    let bound = server.addrs();
    Ok((server.run(), bound))
}

/// Sets the request ids of this process apart from those of an earlier one;
/// decides nothing.
fn process_start() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
