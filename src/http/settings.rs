//! What an administrator can set about the SCIM front: where it listens and
//! what it puts up with. Every limit has a default that suits the identity
//! providers (reliability: S-19, S-20, S-26).

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use super::origin;

/// Settings of the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Addresses to listen on; port 0 takes any free port.
    pub listen: Vec<SocketAddr>,
    /// The address under which clients reach this server, for `Location` and
    /// `meta.location`; a path in it is kept. Without it the `Host` header is used.
    pub public_url: Option<String>,
    /// Threads that serve requests; by default one for each core.
    pub workers: Option<NonZeroUsize>,
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// Open connections in total; more wait in the kernel's queue.
    pub max_connections: usize,
    /// How long a client may take to send the request line and the headers.
    pub header_timeout: Duration,
    /// How long a client may take to send a whole body; less than
    /// `request_timeout`, which would otherwise speak first.
    pub body_timeout: Duration,
    /// How long a whole request may take. More than every connection's
    /// `sync_wait`, or answers would be cut off that were on their way.
    pub request_timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// How long a stop waits for requests that are under way.
    pub shutdown_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            public_url: None,
            workers: None,
            body_limit: 1024 * 1024,
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(25),
            request_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(15),
        }
    }
}

impl Settings {
    /// What cannot work, each as (key, what is wrong and what to do).
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.listen.is_empty() {
            found.push((
                "listen",
                "names no address; give one like \"127.0.0.1:8080\"".into(),
            ));
        }
        if let Some(Err(why)) = self.public_url.as_deref().map(origin::public) {
            found.push(("public_url", why));
        }
        if self.body_limit < 1024 {
            found.push((
                "body_limit",
                "is below 1024 bytes, which no user fits into".into(),
            ));
        }
        if self.max_connections == 0 {
            found.push(("max_connections", "is 0, so nobody could connect".into()));
        }
        for (key, time) in [
            ("header_timeout", self.header_timeout),
            ("body_timeout", self.body_timeout),
            ("request_timeout", self.request_timeout),
        ] {
            if time.is_zero() {
                found.push((key, "is 0 seconds, so no request could be served".into()));
            }
        }
        if self.body_timeout >= self.request_timeout {
            found.push((
                "body_timeout",
                "is not less than request_timeout; lower the one or raise the other".into(),
            ));
        }
        found
    }
}
