//! From HTTP to the simulated world and back: routing, the bearer check, the
//! switches, and the ways in which an answer can fail to arrive.
//!
//! A call runs in a task of its own, so that it is finished also when its
//! caller has given up, as a real application would.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Extensions,
    http::{
        StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER},
    },
    rt,
    web::{Bytes, Data},
};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Company, Failure, Faults, Shared,
    log::{Answered, Call},
    stage::Incoming,
};

/// How long a call hangs that is never answered: longer than any client waits.
const FOREVER: Duration = Duration::from_secs(600);

/// The most bytes of an answer that the log is given.
const NOTED: usize = 128 * 1024;

/// The most characters of a header that it is given.
const WORD: usize = 100;

/// The outcome of a call beyond the rate limit, told apart from a 429 that a
/// rule gave.
const OVER_LIMIT: &str = "over_limit";

pub(super) fn switch(shared: &Shared, faults: Faults) {
    shared.live().lag(Duration::from_millis(faults.read_lag_ms));
    shared.faults().replace(faults);
}

pub(super) fn seed(shared: &Shared, company: &Company) {
    shared.live().seed(company);
}

/// Keeps a second handle of a connection, to end it without an answer.
pub(super) fn remember_socket(connection: &dyn Any, data: &mut Extensions) {
    #[cfg(unix)]
    if let Some(stream) = connection.downcast_ref::<rt::net::TcpStream>() {
        use std::os::fd::AsFd;
        if let Ok(handle) = stream.as_fd().try_clone_to_owned() {
            data.insert(std::net::TcpStream::from(handle));
        }
    }
    #[cfg(not(unix))]
    let _ = (connection, data);
}

/// Every request outside the control interface.
pub(super) async fn answer(request: HttpRequest, body: Bytes) -> HttpResponse {
    let Some(shared) = request.app_data::<Data<Shared>>() else {
        return HttpResponse::InternalServerError().finish();
    };
    let shared = shared.clone().into_inner();
    let uri = request.uri();
    let routed = shared.live().route(request.method(), uri.path());
    let (operation, targets) = routed.unwrap_or(("unknown", Vec::new()));
    let kind = text(request.headers(), &CONTENT_TYPE);
    let credential = text(request.headers(), &AUTHORIZATION);
    let scheme = credential.split_once(' ').map(|(scheme, _)| scheme);
    let mut tokens = shared.tokens.iter();
    let key = tokens.position(|token| shared.live().admits(request.headers(), token));
    let call = Incoming {
        operation,
        key: key.unwrap_or_default(),
        targets,
        content_type: kind.to_owned(),
        query: pairs(uri.query().unwrap_or_default()),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let sequence = shared.log().begin(Call {
        sequence: 0,
        at: now(),
        started_ms: elapsed(&shared),
        operation: call.operation.into(),
        method: request.method().to_string(),
        path: uri.path().into(),
        query: uri.query().unwrap_or_default().into(),
        scheme: scheme.unwrap_or_default().chars().take(WORD).collect(),
        content_type: kind.chars().take(WORD).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        outcome: "in flight".into(),
        ..Call::default()
    });
    if key.is_none() {
        let stamp = shared.live().stamp(sequence);
        let reply = refused(&shared, call.operation, 401, "Authentication failed");
        shared
            .log()
            .end(sequence, reply.noted(), "refused", elapsed(&shared));
        return Reply { stamp, ..reply }.into_response();
    }
    let sent = rt::spawn(run(shared, call, sequence)).await;
    match sent {
        Ok(Sent::Reply(reply)) => reply.into_response(),
        Ok(Sent::Cut) => {
            if let Some(socket) = request.conn_data::<std::net::TcpStream>() {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
            HttpResponse::InternalServerError().force_close().finish()
        }
        Ok(Sent::Nothing) => {
            rt::time::sleep(FOREVER).await;
            HttpResponse::GatewayTimeout().force_close().finish()
        }
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// What goes back over the wire.
#[derive(Debug)]
enum Sent {
    Reply(Reply),
    /// The connection ends.
    Cut,
    /// The caller waits.
    Nothing,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
    retry_after: Option<String>,
    location: Option<String>,
    stamp: Option<(&'static str, String)>,
    truncated: bool,
}

impl Reply {
    fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            kind: "application/json",
            body: match status {
                204 => Vec::new(),
                _ => body.to_string().into_bytes(),
            },
            retry_after: None,
            location: None,
            stamp: None,
            truncated: false,
        }
    }

    /// What the log keeps of it; less than there may be of it.
    fn noted(&self) -> Answered {
        let some = &self.body[..self.body.len().min(NOTED)];
        Answered {
            status: Some(self.status),
            media: if self.status == 204 { "" } else { self.kind },
            body: String::from_utf8_lossy(some).into_owned(),
        }
    }

    fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::IM_A_TEAPOT);
        let mut builder = HttpResponse::build(status);
        if self.status != 204 {
            builder.insert_header((CONTENT_TYPE, self.kind));
        }
        if let Some((name, value)) = self.stamp {
            builder.insert_header((name, value));
        }
        if let Some(wait) = self.retry_after {
            builder.insert_header((RETRY_AFTER, wait));
        }
        if let Some(location) = self.location {
            builder.insert_header((LOCATION, location));
        }
        if !self.truncated {
            return builder.body(self.body);
        }
        let half = Bytes::copy_from_slice(&self.body[..self.body.len() / 2]);
        let broken = std::io::Error::other("broken off on purpose");
        builder
            .no_chunking(self.body.len() as u64)
            .streaming(futures_util::stream::iter([Ok(half), Err(broken)]))
    }
}

async fn run(shared: Arc<Shared>, call: Incoming, sequence: u64) -> Sent {
    let stamp = shared.live().stamp(sequence);
    let (latency, failure) = {
        let mut faults = shared.faults();
        let writes = shared.live().writes(call.operation);
        let failure = faults.strike(&call, writes, Instant::now());
        (faults.latency(), failure)
    };
    if !latency.is_zero() {
        rt::time::sleep(latency).await;
    }
    let (sent, outcome) = match failure {
        None => {
            let reply = perform(&shared, &call);
            let outcome = match reply.status {
                400.. => "refused",
                _ if shared.live().writes(call.operation) => "applied",
                _ => "read",
            };
            (Sent::Reply(reply), outcome)
        }
        Some(strike) => {
            let (sent, outcome) = fail(&shared, &call, strike.failure);
            let outcome = if strike.over_limit {
                OVER_LIMIT
            } else {
                outcome
            };
            (sent, outcome)
        }
    };
    let mut sent = sent;
    let noted = match &mut sent {
        Sent::Reply(reply) => {
            reply.stamp = stamp;
            reply.noted()
        }
        Sent::Cut | Sent::Nothing => Answered::default(),
    };
    shared.log().end(sequence, noted, outcome, elapsed(&shared));
    sent
}

fn fail(shared: &Arc<Shared>, call: &Incoming, failure: Failure) -> (Sent, &'static str) {
    let broken = || refused(shared, call.operation, 500, "Internal server error");
    match failure {
        Failure::ErrorBefore => (Sent::Reply(broken()), "error_before"),
        Failure::ErrorAfter => {
            perform(shared, call);
            (Sent::Reply(broken()), "error_after")
        }
        Failure::ResetBefore => (Sent::Cut, "reset_before"),
        Failure::ResetAfter => {
            perform(shared, call);
            (Sent::Cut, "reset_after")
        }
        Failure::Silent => (Sent::Nothing, "silent"),
        Failure::SilentAfter => {
            perform(shared, call);
            (Sent::Nothing, "silent_after")
        }
        Failure::Late { after_ms } => {
            let (shared, call) = (shared.clone(), call.clone());
            rt::spawn(async move {
                rt::time::sleep(Duration::from_millis(after_ms)).await;
                perform(&shared, &call);
            });
            (Sent::Cut, "late")
        }
        Failure::Truncated => {
            let mut reply = perform(shared, call);
            reply.truncated = true;
            (Sent::Reply(reply), "truncated")
        }
        Failure::Status {
            status,
            retry_after,
        } => {
            let mut reply = refused(shared, call.operation, status, "Refused");
            reply.retry_after = retry_after;
            (Sent::Reply(reply), "status")
        }
        Failure::WebPage => {
            perform(shared, call);
            let mut reply = Reply::json(200, &Value::Null);
            reply.kind = "text/html";
            reply.body = b"<html><body>Maintenance</body></html>".to_vec();
            (Sent::Reply(reply), "web_page")
        }
        Failure::WrongTypes => {
            perform(shared, call);
            let body = shared.live().nonsense();
            (Sent::Reply(Reply::json(200, &body)), "wrong_types")
        }
        Failure::Redirect { location } => {
            let mut reply = Reply::json(302, &Value::Null);
            reply.location = Some(location);
            (Sent::Reply(reply), "redirect")
        }
        Failure::Huge { bytes } => {
            perform(shared, call);
            let mut reply = Reply::json(200, &Value::Null);
            reply.body = vec![b' '; bytes];
            (Sent::Reply(reply), "huge")
        }
        Failure::LeftOut { ids } => {
            let mut reply = perform(shared, call);
            let mut body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
            leave_out(&mut body, &ids);
            reply.body = body.to_string().into_bytes();
            (Sent::Reply(reply), "left_out")
        }
        Failure::Garbled { ids } => {
            let mut reply = perform(shared, call);
            let mut body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
            garble(&mut body, &ids);
            reply.body = body.to_string().into_bytes();
            (Sent::Reply(reply), "garbled")
        }
    }
}

/// Takes entries off the lists of an answer, and off its count.
fn leave_out(body: &mut Value, ids: &[String]) {
    let Value::Object(answer) = body else { return };
    let mut left_out = 0;
    for list in answer.values_mut().filter_map(Value::as_array_mut) {
        let before = list.len();
        list.retain(|entry| !is_named(entry, ids));
        left_out += before - list.len();
    }
    if let Some(count) = answer.get("count").and_then(Value::as_u64) {
        let count = count.saturating_sub(left_out as u64);
        answer.insert("count".into(), count.into());
    }
}

/// Makes numbers of what entries of the lists of an answer say.
fn garble(body: &mut Value, ids: &[String]) {
    let Value::Object(answer) = body else { return };
    let lists = answer.values_mut().filter_map(Value::as_array_mut);
    for entry in lists.flatten().filter(|entry| is_named(entry, ids)) {
        let Value::Object(entry) = entry else {
            continue;
        };
        for (_, value) in entry.iter_mut().filter(|(key, _)| *key != "id") {
            *value = 7.into();
        }
    }
}

fn is_named(entry: &Value, ids: &[String]) -> bool {
    let places = ["/id", "/email", "/relationships/user/data/attributes/email"];
    let mut keys = places.iter().filter_map(|at| entry.pointer(at)?.as_str());
    keys.any(|key| ids.iter().any(|id| id == key))
}

/// Decides the call and makes its changes.
fn perform(shared: &Shared, call: &Incoming) -> Reply {
    let faults = shared.faults().faults.clone();
    let mut live = shared.live();
    let (status, body) = live.perform(call, &faults);
    Reply {
        kind: live.media(call.operation),
        ..Reply::json(status, &body)
    }
}

fn refused(shared: &Shared, operation: &str, status: u16, message: &str) -> Reply {
    let live = shared.live();
    Reply {
        kind: live.media(operation),
        ..Reply::json(status, &live.refusal(status, message))
    }
}

fn elapsed(shared: &Shared) -> u64 {
    u64::try_from(shared.started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn now() -> String {
    Timestamp::now().to_string()
}

/// The parts of a query.
fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decode(&key.replace('+', " ")),
                decode(&value.replace('+', " ")),
            )
        })
        .collect()
}

/// The parts of a path.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(decode).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let digits = text.get(place + 1..place + 3);
        match digits.map(|digits| u8::from_str_radix(digits, 16)) {
            Some(Ok(byte)) if bytes[place] == b'%' => {
                out.push(byte);
                place += 3;
            }
            _ => {
                out.push(bytes[place]);
                place += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
