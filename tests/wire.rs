//! A front to shout at: a bridge on port 0 with a store in a
//! temporary folder, and a client that writes bytes and reads an answer.
//!
//! The client knows no more of HTTP than tests need, so that they can also
//! send what no proper client would.

use std::{fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use drawbridge::{
    bridge::{Bridge, Policy, Setup, token::Tokens},
    http, store,
    upstream::{Upstream, opsera},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The token of every bridge under test.
pub(crate) const TOKEN: &str = "db1_tests-only-0123456789abcdefghijklmnopqrstuvwxyz";

/// A running bridge; it stops when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    handle: actix_web::dev::ServerHandle,
    folder: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A bridge with these connections, each before an application that cannot be
/// reached: every write stays open and is answered as accepted.
pub(crate) async fn unreachable(connections: &[&str], settings: http::Settings) -> Running {
    let upstream = opsera::Settings::default();
    before_nothing(connections, upstream, Policy::default(), settings).await
}

/// The same with one connection of a policy of its own, save how long answers
/// wait. Roles that the application does not know are kept.
pub(crate) async fn with_policy(policy: Policy) -> Running {
    let upstream = opsera::Settings {
        unknown_roles: opsera::settings::UnknownRoles::Local,
        ..opsera::Settings::default()
    };
    before_nothing(&["acme"], upstream, policy, http::Settings::default()).await
}

async fn before_nothing(
    connections: &[&str],
    upstream: opsera::Settings,
    policy: Policy,
    settings: http::Settings,
) -> Running {
    let upstream = opsera::Settings {
        base_url: "http://127.0.0.1:9".into(),
        token: opsera::settings::TokenSource::Literal("test".into()),
        allow_plain_http: true,
        ..upstream
    };
    let upstream = opsera::open(upstream).unwrap();
    running(connections, &upstream, policy, settings).await
}

async fn running(
    connections: &[&str],
    upstream: &Arc<dyn Upstream>,
    policy: Policy,
    settings: http::Settings,
) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(&folder.path().join("test.db")).unwrap();
    let setups = connections.iter().map(|name| Setup {
        name: (*name).to_owned(),
        upstream: Arc::clone(upstream),
        policy: Policy {
            request_budget: 1_000_000,
            sync_wait: Duration::from_millis(20),
            ..policy.clone()
        },
        tokens: Tokens::fixed(TOKEN).unwrap(),
    });
    let engine = tokio::runtime::Handle::current();
    let bridge = Bridge::start(
        store,
        setups.collect(),
        engine,
        drawbridge::bridge::switch::Switch::none(),
    )
    .await
    .unwrap();
    let settings = http::Settings {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        workers: std::num::NonZeroUsize::new(1),
        ..settings
    };
    http::self_test(Arc::clone(&bridge), &settings)
        .await
        .unwrap();
    let (server, bound) = http::server(bridge, settings).unwrap();
    let handle = server.handle();
    tokio::spawn(server);
    Running {
        address: bound[0],
        handle,
        folder,
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The stop command is sent at once; only its end would need awaiting.
        drop(self.handle.stop(false));
    }
}

impl Running {
    /// A connection of somebody else to the store.
    pub(crate) fn store(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("test.db")).unwrap()
    }

    /// Sends a request with the token; `more` are further header lines.
    pub(crate) async fn ask(&self, method: &str, path: &str, more: &[&str], body: &str) -> Answer {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n",
            self.address
        );
        for line in more {
            request.push_str(line);
            request.push_str("\r\n");
        }
        if !body.is_empty() {
            let _ = write!(request, "Content-Length: {}\r\n", body.len());
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.send(request.as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    /// Writes bytes and reads until the server closes or the answer is whole.
    pub(crate) async fn send(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut read = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(Ok(count)) =
            tokio::time::timeout(Duration::from_secs(20), stream.read(&mut chunk)).await
        {
            read.extend_from_slice(&chunk[..count]);
            if count == 0 || Answer::is_whole(&read, request.starts_with(b"HEAD")) {
                break;
            }
        }
        Answer::parse(&read)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(n, _)| n == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {} {:?}", self.status, self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks that this is a SCIM Error of this status; returns its detail.
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        let kind = self.header("content-type").unwrap();
        assert!(kind.starts_with("application/scim+json"), "{kind}");
        let schemas = serde_json::json!(["urn:ietf:params:scim:api:messages:2.0:Error"]);
        assert_eq!(body["schemas"], schemas);
        assert_eq!(body["status"], status.to_string());
        body["detail"].as_str().unwrap().to_owned()
    }

    fn is_whole(read: &[u8], head_only: bool) -> bool {
        let Some(end) = end_of_head(read) else {
            return false;
        };
        let answer = Self::head(&read[..end]);
        if head_only || answer.status == 204 || answer.status == 304 {
            return true;
        }
        match answer.header("content-length") {
            Some(length) => read.len() - end >= length.parse::<usize>().unwrap(),
            None => read.ends_with(b"0\r\n\r\n"),
        }
    }

    fn parse(read: &[u8]) -> Self {
        let end = end_of_head(read).expect("no answer");
        let mut answer = Self::head(&read[..end]);
        answer.body = if answer.header("transfer-encoding") == Some("chunked") {
            unchunked(&read[end..])
        } else {
            read[end..].to_vec()
        };
        answer
    }

    fn head(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.filter_map(|line| line.split_once(':'));
        Self {
            status: status.parse().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect(),
            body: Vec::new(),
        }
    }
}

fn end_of_head(read: &[u8]) -> Option<usize> {
    read.windows(4)
        .position(|w| w == b"\r\n\r\n")
        .map(|at| at + 4)
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
    whole
}
