//! From HTTP to the simulated world and back: routing, the bearer check, the
//! switches, and the ways in which an answer can fail to arrive.
//!
//! A call runs in a task of its own, so that it is finished also when its
//! caller has given up, as a real application would.

use std::{
    any::Any,
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Extensions,
    http::{
        StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER},
    },
    rt,
    web::{Bytes, Data},
};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Company, Failure, Faults, Shared,
    log::Call,
    routes::{pairs, route},
    world::{Change, Decision, State, World},
    world_members::Batch,
};

/// How long a call hangs that is never answered: longer than any client waits.
const FOREVER: Duration = Duration::from_secs(600);

/// The outcome of a call beyond the rate limit, told apart from a 429 that a
/// rule gave.
const OVER_LIMIT: &str = "over_limit";

/// The world, and an older one for reads while read lag is on.
#[derive(Debug)]
pub(super) struct Live {
    world: World,
    lag: Duration,
    older: Option<World>,
    waiting: VecDeque<(Instant, Vec<Change>)>,
}

impl Live {
    pub(super) fn new(company: &Company) -> Self {
        Self {
            world: World::new(company, &now()),
            lag: Duration::ZERO,
            older: None,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn state(&self) -> State {
        self.world.state()
    }

    fn commit(&mut self, changes: Vec<Change>) {
        if self.older.is_some() {
            let due = Instant::now() + self.lag;
            self.waiting.push_back((due, changes.clone()));
        }
        self.world.commit(changes);
    }

    /// What reads see.
    fn seen(&mut self) -> &World {
        let Some(older) = &mut self.older else {
            return &self.world;
        };
        let now = Instant::now();
        while self.waiting.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, changes)) = self.waiting.pop_front() {
                older.commit(changes);
            }
        }
        older
    }

    fn lag(&mut self, lag: Duration) {
        if lag.is_zero() {
            self.older = None;
            self.waiting.clear();
        } else if self.older.is_none() {
            self.older = Some(self.world.clone());
        }
        self.lag = lag;
    }
}

pub(super) fn switch(shared: &Shared, faults: Faults) {
    shared.live().lag(Duration::from_millis(faults.read_lag_ms));
    shared.faults().replace(faults);
}

pub(super) fn seed(shared: &Shared, company: &Company) {
    let lag = Duration::from_millis(shared.faults().faults.read_lag_ms);
    let mut live = shared.live();
    *live = Live::new(company);
    live.lag(lag);
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
    let routed = route(request.method(), uri.path());
    let call = Incoming {
        operation: routed.as_ref().map_or("unknown", |routed| routed.0),
        target: routed.and_then(|routed| routed.1).unwrap_or_default(),
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
        body: String::from_utf8_lossy(&body).into_owned(),
        duration_ms: None,
        status: None,
        outcome: "in flight".into(),
    });
    if !is_authorized(&request, &shared.token) {
        shared
            .log()
            .end(sequence, Some(401), "refused", elapsed(&shared));
        return reply(401, &Decision::refuse(401, "Authentication failed").body);
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

/// A request, understood.
#[derive(Debug, Clone)]
struct Incoming {
    operation: &'static str,
    /// The group, user or person in the path.
    target: String,
    query: Vec<(String, String)>,
    body: Value,
}

impl Incoming {
    fn is_write(&self) -> bool {
        !matches!(
            self.operation,
            "get_group"
                | "list_groups"
                | "get_members"
                | "search_user"
                | "get_user"
                | "list_users"
                | "list_people"
                | "get_person"
                | "unknown"
        )
    }

    fn asked(&self, key: &str) -> Option<&str> {
        let found = self.query.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }
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
    truncated: bool,
}

impl Reply {
    fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            kind: "application/json",
            body: body.to_string().into_bytes(),
            retry_after: None,
            location: None,
            truncated: false,
        }
    }

    fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::IM_A_TEAPOT);
        let mut builder = HttpResponse::build(status);
        builder.insert_header((CONTENT_TYPE, self.kind));
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
    let (latency, failure) = {
        let mut faults = shared.faults();
        let failure = faults.strike(call.operation, call.is_write(), Instant::now());
        (faults.latency(), failure)
    };
    if !latency.is_zero() {
        rt::time::sleep(latency).await;
    }
    let (sent, outcome) = match failure {
        None => {
            let decision = perform(&shared, &call);
            let outcome = match decision.status {
                400.. => "refused",
                _ if call.is_write() => "applied",
                _ => "read",
            };
            let reply = Reply::json(decision.status, &decision.body);
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
    let status = match &sent {
        Sent::Reply(reply) => Some(reply.status),
        Sent::Cut | Sent::Nothing => None,
    };
    shared
        .log()
        .end(sequence, status, outcome, elapsed(&shared));
    sent
}

fn fail(shared: &Arc<Shared>, call: &Incoming, failure: Failure) -> (Sent, &'static str) {
    let broken = || Reply::json(500, &Decision::refuse(500, "Internal server error").body);
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
            let decision = perform(shared, call);
            let mut reply = Reply::json(decision.status, &decision.body);
            reply.truncated = true;
            (Sent::Reply(reply), "truncated")
        }
        Failure::Status {
            status,
            retry_after,
        } => {
            let mut reply = Reply::json(status, &Decision::refuse(status, "Refused").body);
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
            let body =
                serde_json::json!({ "message": 5, "result": { "added": "all" }, "members": 7 });
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
    }
}

/// Decides the call and makes its changes.
fn perform(shared: &Shared, call: &Incoming) -> Decision {
    let faults = shared.faults().faults.clone();
    let mut live = shared.live();
    if !call.is_write() {
        return decide(live.seen(), call, &faults);
    }
    let mut decision = decide(&live.world, call, &faults);
    live.commit(std::mem::take(&mut decision.changes));
    decision
}

fn decide(world: &World, call: &Incoming, faults: &Faults) -> Decision {
    let now = now();
    let (target, body) = (call.target.as_str(), &call.body);
    match call.operation {
        "create_group" => world.create_group(body, faults),
        "get_group" => world.get_group(target),
        "delete_group" => world.delete_group(target),
        "list_groups" => world.list_groups(call.asked("name"), call.asked("id")),
        "get_members" => world.get_members(target),
        "replace_members" => world.change_members(Batch::Replace, target, body, faults),
        "remove_members" => world.change_members(Batch::Remove, target, body, faults),
        "add_members" => world.change_members(Batch::Add, target, body, faults),
        "search_user" => world.search_user(call.asked("email")),
        "create_user" => world.create_user(body, faults, &now),
        "get_user" => world.get_user(target, faults),
        "deactivate_user" => world.deactivate_user(target, &now),
        "set_site_role" => world.set_site_role(target, body, &now),
        "list_users" => world.list_users(call.asked("email"), call.asked("id")),
        "list_people" => world.list_people(),
        "create_person" => world.create_person(body, &now),
        "get_person" => world.get_person(target),
        "update_person" => world.update_person(target, body, &now),
        _ => Decision::refuse(404, "Cannot find this resource"),
    }
}

fn is_authorized(request: &HttpRequest, token: &str) -> bool {
    let header = request.headers().get(AUTHORIZATION);
    let given = header.and_then(|value| value.to_str().ok());
    given.and_then(|value| value.strip_prefix("Bearer ")) == Some(token)
}

fn reply(status: u16, body: &Value) -> HttpResponse {
    Reply::json(status, body).into_response()
}

fn elapsed(shared: &Shared) -> u64 {
    u64::try_from(shared.started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn now() -> String {
    Timestamp::now().to_string()
}
