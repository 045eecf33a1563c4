//! What surrounds the router: request ids, limits, the guard, the time-out,
//! the log line, and the last word on every answer.
//!
//! Nothing is routed before the guard has let it in. `/livez` and `/readyz`
//! alone are answered without a token, here, and hold no data.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{
    Error, HttpMessage, HttpResponse, ResponseError,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode, Uri,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use futures_util::FutureExt;
use tracing::{Instrument, Span};

use super::{
    body::{self, Bounds},
    caller::{Entered, LeftOut},
    failure::{Refusal, is_scim},
    origin, reply,
    revoking::{self, Sort},
    room::Room,
    settings::Settings,
    target::{self, Base, Claim},
    unread::Held,
};
use crate::bridge::{Bridge, Session};

/// Bytes of a URL's path and query (reliability: S-20).
const URL_LIMIT: usize = 8 * 1024;
/// Bytes of all header names and values, and their number. The parser below
/// has its own ends at 96 fields and 128 KiB, where it answers 431 itself.
const HEADER_LIMIT: usize = 16 * 1024;
const FIELD_LIMIT: usize = 90;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How many attributes were left out because no schema defines them.
const DROPPED: HeaderName = HeaderName::from_static("drawbridge-dropped-attributes");
const LIVEZ: &str = "/livez";
const READYZ: &str = "/readyz";

/// What all workers share.
#[derive(Debug)]
pub(super) struct Front {
    bridge: Arc<Bridge>,
    pub(super) settings: Settings,
    public: Option<String>,
    /// By the names of the connections.
    rooms: HashMap<String, Arc<Room>>,
    started: u64,
    requests: AtomicU64,
}

/// Where a request may go.
enum Admitted {
    Live,
    Ready,
    Routed(&'static str, Turn),
}

/// How long a request waits for its turn, or in how many seconds to come again.
type Wait = Result<Duration, u64>;

enum Turn {
    Known(Duration),
    /// What it has as one that takes nothing away. Where that is not at once,
    /// its body says whether it has the room of those that do.
    ByBody(Wait),
}

impl Front {
    /// `started` sets this process's request ids apart from an earlier one's.
    pub(super) fn new(
        bridge: Arc<Bridge>,
        settings: Settings,
        started: u64,
    ) -> Result<Self, String> {
        let public = settings.public_url.as_deref().map(origin::public);
        let names = bridge.connection_names().into_iter();
        let room = || Arc::new(Room::new(settings.body_limit));
        Ok(Self {
            rooms: names.map(|name| (name.to_owned(), room())).collect(),
            bridge,
            public: public.transpose()?,
            settings,
            started,
            requests: AtomicU64::new(0),
        })
    }

    /// The whole life of one request.
    pub(super) async fn serve(
        self: Arc<Self>,
        mut req: ServiceRequest,
        next: Next<BoxBody>,
    ) -> Result<ServiceResponse, Error> {
        let began = Instant::now();
        let id = self.request_id(req.headers());
        let method = req.method().clone();
        let unread = Held::of(&mut req);
        let admitted = self.admit(&mut req);
        let route = match &admitted {
            Ok(Admitted::Routed(route, _)) => route,
            Ok(Admitted::Live) => LIVEZ,
            Ok(Admitted::Ready) => READYZ,
            Err(_) => "(refused)",
        };
        let span =
            tracing::info_span!("request", id = id.to_str().unwrap_or_default(), %method, route);
        let answer = match admitted {
            Ok(Admitted::Routed(_, turn)) => {
                let call = async {
                    match self.turn(&mut req, turn).await {
                        Ok(turn) => in_turn(turn, async move { next.call(req).await }).await,
                        Err(refusal) => Ok(req.into_response(refusal.error_response())),
                    }
                };
                let held = held(call, self.settings.request_timeout);
                held.instrument(span.clone()).await
            }
            Ok(Admitted::Live) => Ok(req.into_response(live(&method))),
            Ok(Admitted::Ready) => Ok(req.into_response(self.ready(&method))),
            Err(refusal) => Ok(req.into_response(refusal.error_response())),
        };
        match answer {
            Ok(answer) => {
                log(&span, &method, answer.status(), began);
                let answer = finish(answer, id);
                Ok(match unread {
                    Some(unread) => unread.until_sent(answer),
                    None => answer,
                })
            }
            Err(refusal) => {
                log(&span, &method, refusal.status(), began);
                let refusal = refusal.with(REQUEST_ID, id);
                let refusal = common().into_iter().fold(refusal, |r, (n, v)| r.with(n, v));
                Err(refusal.into())
            }
        }
    }

    /// The guard: judges size and path, finds the connection, checks the
    /// token, and leaves only what follows the base URL for the router.
    fn admit(&self, req: &mut ServiceRequest) -> Result<Admitted, Refusal> {
        within_limits(req)?;
        let path = req.uri().path();
        target::unambiguous(path)
            .map_err(|why| Refusal::new(400, format!("The URL's path is ambiguous: {why}.")))?;
        if path == LIVEZ {
            return Ok(Admitted::Live);
        }
        if path == READYZ {
            return Ok(Admitted::Ready);
        }
        let authorization = authorization(req.headers())?;
        let Some(base) = Base::of(path) else {
            return Err(self.astray(authorization));
        };
        let session = self.bridge.enter(base.connection, authorization);
        let session = session.map_err(|_| match base.connection {
            Some(_) => Refusal::unauthenticated(),
            None => self.astray(authorization),
        })?;
        let (front, rest) = path.split_at(base.length);
        let refused = |seconds| too_many(&session, seconds);
        let turn = match Claim::of(req.method(), rest) {
            Claim::Ordinary => Turn::Known(session.admit().map_err(refused)?),
            Claim::Revokes => Turn::Known(session.admit_revocation().map_err(refused)?),
            Claim::ByBody => Turn::ByBody(session.admit()),
        };
        let listening = req.app_config().local_addr();
        let mut url = origin::of(req.headers(), self.public.as_deref(), listening);
        url.push_str(front);
        let (skip, route) = (base.length, target::template(rest));
        if let Some(trimmed) = rest.strip_suffix('/') {
            let trimmed = format!("{front}{trimmed}");
            trim(req, &trimmed)?;
        }
        // Decoded, and as long as before at its front, which is plain.
        let rest = req.match_info().as_str().get(skip..).unwrap_or_default();
        let one = target::of_one(rest).map(|(route, id)| (route, id.to_owned()));
        let id = if let Some((route, id)) = one {
            let route = Uri::from_static(route);
            req.match_info_mut().get_mut().update(&route);
            id
        } else {
            let skip = u16::try_from(skip).map_err(|_| Refusal::no_endpoint())?;
            req.match_info_mut().skip(skip);
            String::new()
        };
        let room = self.rooms.get(&session.connection().name);
        let room = room.ok_or_else(Refusal::unauthenticated)?;
        req.extensions_mut().insert(Arc::clone(room));
        let base = url;
        req.extensions_mut().insert(Entered { session, base, id });
        Ok(Admitted::Routed(route, turn))
    }

    /// How long a request waits that was let in. Nothing is read ahead of the
    /// handler while there is room for everything, so a body is looked at in
    /// floods only; it is bounded as any other.
    async fn turn(&self, req: &mut ServiceRequest, turn: Turn) -> Result<Duration, Refusal> {
        let plain = match turn {
            Turn::Known(turn) | Turn::ByBody(Ok(turn @ Duration::ZERO)) => return Ok(turn),
            Turn::ByBody(plain) => plain,
        };
        let room = req.extensions_mut().remove::<Arc<Room>>();
        let room = room.ok_or_else(Refusal::unauthenticated)?;
        let (payload, within) = (req.take_payload(), (Bounds::from(&self.settings), room));
        let body = body::read(req.method(), req.headers(), payload, within).await?;
        let sort = revoking::sort(req.method(), &body.0);
        req.extensions_mut().insert(body);
        let entered = req.extensions();
        let entered = entered.get::<Entered>();
        let session = &entered.ok_or_else(Refusal::unauthenticated)?.session;
        let wait = match (sort, plain) {
            (Sort::TakesNothing, plain) => plain,
            (Sort::OnlyTakes, Err(_)) => session.admit_revocation(),
            (Sort::TakesAndGives, Err(_)) => session.admit_mixed(),
            // There is room for it either way; the sooner counts.
            (_, Ok(plain)) => Ok(session.admit_revocation().map_or(plain, |r| r.min(plain))),
        };
        wait.map_err(|seconds| too_many(session, seconds))
    }

    /// Whether a change could be kept now; says no more to whoever asks.
    fn ready(&self, method: &Method) -> HttpResponse {
        if self.bridge.is_ready() || !(method == Method::GET || method == Method::HEAD) {
            return live(method);
        }
        reply::json(
            StatusCode::SERVICE_UNAVAILABLE,
            "{\"status\":\"not ready\"}",
        )
    }

    /// A path outside every base URL: whoever has a token of some connection
    /// is told its base, everybody else learns nothing.
    fn astray(&self, authorization: Option<&[u8]>) -> Refusal {
        let names = self.bridge.connection_names();
        let mine = names
            .into_iter()
            .find(|name| self.bridge.enter(Some(name), authorization).is_ok());
        match mine {
            Some(name) => Refusal::new(
                404,
                format!("There is nothing here. This token's base URL ends in /{name}/scim/v2."),
            ),
            None => Refusal::unauthenticated(),
        }
    }

    /// The client's own id if it is harmless, else a new one.
    fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
        let sane = |v: &&HeaderValue| (1..=64).contains(&v.len()) && v.as_bytes().iter().all(plain);
        if let Some(given) = headers.get(&REQUEST_ID).filter(sane) {
            return given.clone();
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("{:x}-{number:x}", self.started))
            .unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}

/// The connection has used up its budget of requests, and that is counted.
fn too_many(session: &Session, seconds: u64) -> Refusal {
    session.note_refused();
    Refusal::too_many(seconds)
}

/// A call that begins when its turn has come, at once where that is now.
async fn in_turn<C: Future>(turn: Duration, call: C) -> C::Output {
    if !turn.is_zero() {
        tokio::time::sleep(turn).await;
    }
    call.await
}

/// Holds a panic and the clock in check, and puts actix's own errors into
/// SCIM's words.
async fn held<C>(call: C, limit: Duration) -> Result<ServiceResponse, Refusal>
where
    C: Future<Output = Result<ServiceResponse, Error>>,
{
    let call = AssertUnwindSafe(call).catch_unwind();
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(error))) => Err(Refusal::of_status(error.as_response_error().status_code())),
        Ok(Err(_panic)) => {
            tracing::error!("a handler panicked");
            Err(Refusal::internal())
        }
        Err(_elapsed) => Err(Refusal::later(
            5,
            "The request took too long here. A change that was begun is carried on; read the resource to see it.",
        )),
    }
}

fn within_limits(req: &ServiceRequest) -> Result<(), Refusal> {
    if req.uri().path_and_query().map_or(0, |p| p.as_str().len()) > URL_LIMIT {
        return Err(Refusal::new(
            414,
            format!("The URL is longer than {URL_LIMIT} bytes. Ask for less at once."),
        ));
    }
    let fields = req.headers();
    let bytes: usize = fields.iter().map(|(n, v)| n.as_str().len() + v.len()).sum();
    if fields.len() > FIELD_LIMIT || bytes > HEADER_LIMIT {
        return Err(Refusal::new(
            431,
            format!("More than {FIELD_LIMIT} header fields or {HEADER_LIMIT} bytes of them."),
        ));
    }
    Ok(())
}

/// The one `Authorization` value; two of them could be read differently by a
/// proxy and by us.
fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let first = values.next().map(HeaderValue::as_bytes);
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Refusal::new(
            400,
            "There is more than one Authorization header.",
        )),
    }
}

/// Takes the slash off the end of the path that the router sees.
fn trim(req: &mut ServiceRequest, path: &str) -> Result<(), Refusal> {
    let uri = Uri::try_from(path).map_err(|_| Refusal::no_endpoint())?;
    req.match_info_mut().get_mut().update(&uri);
    Ok(())
}

fn live(method: &Method) -> HttpResponse {
    if method == Method::GET || method == Method::HEAD {
        return reply::json(StatusCode::OK, "{\"status\":\"live\"}");
    }
    Refusal::of_status(StatusCode::METHOD_NOT_ALLOWED)
        .with(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
        .error_response()
}

/// Puts what actix answered by itself into SCIM's words, and adds the headers
/// that every answer has.
fn finish(mut answer: ServiceResponse, id: HeaderValue) -> ServiceResponse {
    let status = answer.status();
    if (status.is_client_error() || status.is_server_error()) && !is_scim(answer.headers()) {
        answer = answer.map_body(|head, _| {
            head.headers
                .insert(header::CONTENT_TYPE, reply::CONTENT_TYPE);
            BoxBody::new(Refusal::of_status(status).body())
        });
    }
    let left_out = answer.request().extensions().get::<LeftOut>().copied();
    let headers = answer.headers_mut();
    if let Some(LeftOut(count)) = left_out {
        headers.insert(DROPPED, HeaderValue::from(count));
    }
    headers.insert(REQUEST_ID, id);
    for (name, value) in common() {
        headers.insert(name, value);
    }
    answer
}

/// Answers are data about people: not to be guessed at, not to be kept.
fn common() -> [(HeaderName, HeaderValue); 2] {
    [
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}

/// One line for each request; reads that went well only for the curious, and
/// strangers too, who could fill the log, as could who sends too much.
fn log(span: &Span, method: &Method, status: StatusCode, began: Instant) {
    let _entered = span.enter();
    let (code, ms) = (status.as_u16(), began.elapsed().as_secs_f64() * 1000.0);
    if status.is_server_error() {
        tracing::error!(status = code, ms, "answered");
    } else if (status.is_success() && (method == Method::GET || method == Method::HEAD))
        || status == StatusCode::UNAUTHORIZED
        || status == StatusCode::TOO_MANY_REQUESTS
    {
        tracing::debug!(status = code, ms, "answered");
    } else {
        tracing::info!(status = code, ms, "answered");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use actix_web::{body::to_bytes, error::PayloadError, test::TestRequest};
    use serde_json::Value;

    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    #[actix_web::test]
    async fn a_panic_is_a_500_and_a_stuck_handler_a_503() {
        let panicking = async { panic!("on purpose") };
        assert_eq!(held(panicking, SOON).await.unwrap_err().status(), 500);
        let refusal = held(std::future::pending(), SOON).await.unwrap_err();
        assert_eq!(refusal.status(), 503);
        assert!(
            refusal
                .error_response()
                .headers()
                .contains_key(header::RETRY_AFTER)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_its_turn_and_no_longer() {
        for wait in [SOON, Duration::ZERO] {
            let began = tokio::time::Instant::now();
            assert_eq!(in_turn(wait, async { 7 }).await, 7);
            assert_eq!(began.elapsed(), wait);
        }
    }

    #[actix_web::test]
    async fn an_error_of_actix_keeps_its_status() {
        let failing = async { Err(PayloadError::Overflow.into()) };
        assert_eq!(held(failing, SOON).await.unwrap_err().status(), 413);
    }

    #[actix_web::test]
    async fn a_bare_answer_of_actix_becomes_a_scim_error_and_keeps_its_headers() {
        let bare = HttpResponse::MethodNotAllowed()
            .insert_header((header::ALLOW, "GET"))
            .finish();
        let answer = TestRequest::default().to_srv_response(bare);
        let answer = finish(answer, HeaderValue::from_static("1"));
        assert_eq!(answer.headers().get(header::ALLOW).unwrap(), "GET");
        assert!(is_scim(answer.headers()));
        let body = to_bytes(answer.into_body()).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["status"], "405");
    }

    /// The line of a request that began two seconds ago.
    fn logged(method: &Method, status: u16) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(std::sync::Mutex::new(file.reopen().unwrap()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let began = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
            let span = tracing::info_span!("request");
            log(&span, method, StatusCode::from_u16(status).unwrap(), began);
        });
        std::fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn reads_that_go_well_strangers_and_floods_are_no_news_and_faults_are() {
        for (method, status, level) in [
            (Method::GET, 200, "DEBUG"),
            (Method::HEAD, 200, "DEBUG"),
            (Method::POST, 401, "DEBUG"),
            (Method::POST, 429, "DEBUG"),
            (Method::POST, 201, "INFO"),
            (Method::GET, 404, "INFO"),
            (Method::GET, 503, "ERROR"),
        ] {
            let line = logged(&method, status);
            assert!(line.contains(level), "{method} {status}: {line}");
            assert!(line.contains(&format!("status={status} ms=2")), "{line}");
            let ms = line.split("ms=").nth(1).unwrap().trim();
            assert!(ms.split('.').next().unwrap().len() == 4, "{line}");
        }
    }
}
