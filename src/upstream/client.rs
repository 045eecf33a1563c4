//! The one HTTP client behind all applications.
//!
//! It paces, pauses and limits; it repeats only what certainly was not
//! processed; and it sorts every failure by what the caller does next. What a
//! call means, and whether repeating it is safe, is known to the callers
//! alone, so nothing unclear is ever repeated here. Redirects are refused and
//! bodies are never decompressed: neither can lead the credential elsewhere
//! or the memory out of bounds.

use std::{
    borrow::Cow,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicI64, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use reqwest::{
    Method, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use super::{Condition, DONE, Millis, Tenant, UpstreamError};
use gate::{About, Gate};
use pace::{Limits, Pace, Party, Refusal, Turn, What};

mod address;
mod background;
pub(super) mod bounds;
mod failure;
mod gate;
mod guest;
mod moment;
mod pace;
mod proof;
mod recall;
mod reply;
mod retry_after;
mod sent;
mod token;

use address::base_url;
pub(super) use address::{encode, placeholders, spelled_once};
pub(super) use background::shared;
pub use background::{ahead, behind, in_background, looking_ahead};
pub(super) use failure::{Meaning, text as failure_text};
pub use guest::{Host, PutOff, as_guest};
pub(super) use moment::Moment;
pub(super) use pace::Priority;
pub use pace::ledger::Ledger;
pub(super) use proof::{
    Proof, is_error, is_set, is_unexplained, is_word_of_success, plain, refusal, says_no,
};
pub(crate) use recall::unless_recalled;
pub use recall::{Wanted, if_wanted, is_recalled};
pub(super) use reply::Reply;
pub use sent::{Heard, Noted, Sent, noting, noting_faults};
pub(super) use sent::{note_ended, note_fault, note_left};
pub(super) use token::Scheme;
use token::Token;
pub use token::TokenSource;

/// Tries of one call, the first included.
const TRIES: u32 = 3;
/// When to ask again whether writes are stopped still.
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// How an application wants to be spoken to.
#[derive(Debug, Clone)]
pub(super) struct Dialect {
    pub scheme: Scheme,
    /// The media type of both directions.
    pub media: Cow<'static, str>,
    /// The header with the application's own name for a request, to be told
    /// with every refusal.
    pub request_id: Option<Cow<'static, str>>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            scheme: Scheme::Bearer,
            media: "application/json".into(),
            request_id: None,
        }
    }
}

/// How to reach one application.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The kind of application; a credential has one pace there.
    pub kind: String,
    pub base_url: String,
    pub token: TokenSource,
    pub dialect: Dialect,
    pub allow_plain_http: bool,
    pub connect_timeout: Duration,
    /// Of a whole call, reply body included.
    pub timeout: Duration,
    pub requests_per_second: u32,
    pub burst: u32,
    pub concurrency: u32,
    /// Beside the limit of each second.
    pub requests_per_minute: Option<u32>,
    /// How long the application wants silence after a 429 without a usable
    /// `Retry-After`; `None` is an own, growing back-off.
    pub penalty: Option<Duration>,
    /// A longer reply is cut off and counts as unreadable.
    pub reply_limit_mib: u32,
    /// A PEM bundle of private authorities trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with a certificate and its key, for mutual TLS.
    pub client_certificate: Option<PathBuf>,
}

impl Settings {
    /// Everything wrong, each line starting with the key it is about. Reads
    /// the token's source; sends nothing.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Err(problem) = base_url(&self.base_url, self.allow_plain_http) {
            found.push(problem);
        }
        if let Some(problem) = self.token.problem() {
            found.push(format!("token: {problem}"));
        }
        found.extend(bounds::problems(self));
        found
    }

    fn limits(&self) -> Limits {
        Limits {
            per_second: self.requests_per_second,
            burst: self.burst,
            concurrency: self.concurrency,
            per_minute: self.requests_per_minute,
            penalty: self.penalty,
        }
    }
}

/// A span of time in a configuration: `"5s"`, `"1m 30s"`, `"250ms"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = String::deserialize(from)?;
        let refuse =
            |why: &str| D::Error::custom(format!("{text:?} {why}; write for example \"5s\""));
        let span: jiff::SignedDuration =
            text.parse().map_err(|_| refuse("is not a span of time"))?;
        let span = Duration::try_from(span).map_err(|_| refuse("is negative"))?;
        if span.is_zero() {
            return Err(refuse("is zero"));
        }
        Ok(Self(span))
    }
}

/// What an answer means, where a caller knows more than its status says.
pub(super) type Judge<'a> = &'a (dyn Fn(StatusCode, &[u8]) -> Option<Meaning> + Sync);

/// One request. `values` and `query` are encoded here, never by the caller.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// For example `/api/v2/group/{name}/members`; all that is ever logged.
    pub(super) template: &'a str,
    pub(super) values: &'a [(&'a str, &'a str)],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<Value>,
    pub(super) priority: Priority,
    /// It changes something there, so the brake holds it.
    pub(super) writes: bool,
    pub(super) proof: Proof<'a>,
}

/// A connection's way to its application.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    /// Where the credential is counted.
    site: String,
    token: Token,
    pace: Arc<Pace>,
    party: Party,
    gate: Gate,
    media: HeaderValue,
    request_id: Option<Cow<'static, str>>,
    reply_limit_mib: u32,
    braked: AtomicBool,
    tally: Tally,
}

/// Counts since the start.
#[derive(Debug, Default)]
struct Tally {
    calls: AtomicU64,
    throttled: AtomicU64,
    unanswered: AtomicU64,
    /// How far the application's clock was behind at its last answer, in milliseconds.
    behind: AtomicI64,
}

impl Client {
    /// Whoever has the same credential at the same address is at the same
    /// tenant; `None` while there is none.
    pub(super) fn tenant(&self) -> Option<Tenant> {
        let credential = self.token.header().ok()?;
        Some(Tenant::of(&[
            spelled_once(self.base.as_str()).as_bytes(),
            credential.as_bytes(),
        ]))
    }

    /// Whoever has the same credential there keeps to one pace with this one.
    pub(super) fn budget(&self) -> Option<Tenant> {
        let credential = self.token.header().ok()?;
        let parts = [b"pace", self.site.as_bytes(), credential.as_bytes()];
        Some(Tenant::of(&parts))
    }

    /// Checks the address, reads certificates and prepares the connection
    /// pool; nothing is sent. The error names the key and the remedy.
    pub(super) fn new(settings: Settings) -> Result<Self, String> {
        let base = base_url(&settings.base_url, settings.allow_plain_http)?;
        let limits = settings.limits();
        let media = HeaderValue::try_from(&*settings.dialect.media)
            .map_err(|_| "media_type holds characters that no header can carry".to_owned())?;
        let token = Token::new(settings.token, settings.dialect.scheme);
        let site = address::site(&settings.kind, &base);
        let pace = pace::shared::pace_for(&site, token.header().ok(), &limits);
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("drawbridge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .tcp_nodelay(true)
            .http1_max_headers(100)
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(settings.concurrency as usize);
        if address::is_loopback(&base) {
            // A proxy could not reach it, and would see the credential.
            http = http.no_proxy();
        }
        if base.scheme() == "http" {
            // Nothing to verify, so a machine without authorities is no obstacle.
            http = http.tls_certs_only([]);
        }
        if let Some(path) = &settings.ca_file {
            let bundle = read_file("ca_file", path)?;
            let authorities = reqwest::Certificate::from_pem_bundle(&bundle)
                .map_err(|error| format!("ca_file {}: {error}", path.display()))?;
            http = http.tls_certs_merge(authorities);
        }
        if let Some(path) = &settings.client_certificate {
            let identity = reqwest::Identity::from_pem(&read_file("client_certificate", path)?)
                .map_err(|error| format!("client_certificate {}: {error}", path.display()))?;
            http = http.identity(identity);
        }
        let http = http
            .build()
            .map_err(|error| format!("the HTTP client cannot start: {}", failure::chain(&error)))?;
        Ok(Self {
            http,
            base,
            site,
            token,
            party: pace.join(),
            pace,
            gate: Gate::default(),
            media,
            request_id: settings.dialect.request_id,
            reply_limit_mib: settings.reply_limit_mib,
            braked: AtomicBool::new(false),
            tally: Tally::default(),
        })
    }

    /// How far the application's clock is behind, by what it told last.
    pub(super) fn clock_behind(&self) -> Millis {
        self.tally.behind.load(Relaxed)
    }

    /// The whole address of a call, without its query.
    pub(super) fn address(
        &self,
        template: &str,
        values: &[(&str, &str)],
    ) -> Result<Url, UpstreamError> {
        address::fill(&self.base, template, values, &[])
            .map_err(|reason| UpstreamError::Rejected { reason })
    }

    /// The path that all addresses begin with.
    pub(super) fn prefix(&self) -> &str {
        self.base.path().trim_end_matches('/')
    }

    /// Sends one call, waiting for its turn first.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Reply, UpstreamError> {
        self.send_judged(call, &|_, _| None).await
    }

    /// The same where answers mean something else than their status says.
    pub(super) async fn send_judged(
        &self,
        call: Call<'_>,
        judge: Judge<'_>,
    ) -> Result<Reply, UpstreamError> {
        let url = address::fill(&self.base, call.template, call.values, call.query)
            .map_err(|reason| UpstreamError::Rejected { reason })?;
        let body = match &call.body {
            None => None,
            Some(value) => {
                Some(
                    serde_json::to_vec(value).map_err(|error| UpstreamError::Rejected {
                        reason: format!("the request cannot be written as JSON: {error}"),
                    })?,
                )
            }
        };
        let mut renewed = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let (away, _) = self.pace.silences();
            let priority = background::or_background(call.priority, away);
            let once = self.once(&call, priority, url.clone(), body.clone(), judge);
            let failed = match once.await {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            match failed {
                // A refused credential did nothing; a fresh one deserves a try.
                UpstreamError::Denied { .. } if !renewed && self.token.renew() => renewed = true,
                UpstreamError::Later { after, reason } => {
                    let wait = after.unwrap_or_default();
                    if tries >= TRIES || wait >= priority.patience() || is_recalled() {
                        return Err(UpstreamError::Later { after, reason });
                    }
                    tokio::time::sleep(wait).await;
                }
                UpstreamError::Unknown { reason } => {
                    note_fault(|| format!("{} {}: {reason}", call.method, call.template));
                    return Err(UpstreamError::Unknown { reason });
                }
                other => return Err(other),
            }
        }
    }

    /// Whether the application refuses the credential that is there now.
    pub(super) fn is_refused(&self) -> bool {
        match self.token.header() {
            Ok(credential) => self.gate.refuses(&credential),
            Err(_) => true,
        }
    }

    /// Whether it refuses every call with it.
    pub(super) fn is_refused_all(&self) -> bool {
        match self.token.header() {
            Ok(credential) => self.gate.refuses_all(&credential),
            Err(_) => true,
        }
    }

    /// Stops writes that were not sent yet, or lets them go on.
    pub(super) fn brake(&self, stopped: bool) {
        self.braked.store(stopped, SeqCst);
    }

    /// Changes when an application that could not be reached has come back.
    pub(super) fn recoveries(&self) -> watch::Receiver<u64> {
        self.pace.recoveries()
    }

    /// What the process before this one has sent counts, and what is sent is
    /// noted for the next.
    pub(super) fn remember(&self, ledger: &Arc<Ledger>) {
        let credential = self.token.header().ok();
        let credential = credential.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        self.pace.remember(ledger, &self.site, credential);
    }

    /// Another process that has this credential sends a call now.
    pub(super) async fn lend(&self) -> Result<(), PutOff> {
        let lent = self.pace.lend(&self.party).await;
        lent.map_err(|refusal| PutOff {
            after: refusal.after,
            reason: refusal.reason.into(),
        })
    }

    /// That process was asked for silence.
    pub(super) fn be_silent(&self, pause: Duration) {
        self.pace.be_silent(pause);
    }

    pub(super) fn condition(&self) -> Condition {
        let (unreachable, silent_for) = self.pace.silences();
        Condition {
            unreachable,
            is_all_down: self.pace.is_all_down(),
            refused: self.is_refused(),
            credential: self.token.trouble(),
            silent_for,
            per_second: self.pace.per_second(),
            per_minute: self.pace.per_minute(),
            at_once: self.pace.at_once(),
            calls: self.tally.calls.load(Relaxed),
            throttled: self.tally.throttled.load(Relaxed),
            unanswered: self.tally.unanswered.load(Relaxed),
            several: Vec::new(),
            replaced: Vec::new(),
        }
    }

    async fn once(
        &self,
        call: &Call<'_>,
        priority: Priority,
        url: Url,
        body: Option<Vec<u8>>,
        judge: Judge<'_>,
    ) -> Result<Reply, UpstreamError> {
        let authorization = self.token.header()?;
        let about = About::new(&call.method, call.template, url.as_str(), body.as_deref());
        self.gate.pass(about, &authorization)?;
        let turn = self.pace.turn(&self.party, priority, about.what());
        let unused = |turn: Result<Turn<'_>, Refusal>| drop(turn.map(Turn::give_back));
        let turn = unless_recalled(call.writes, turn, unused).await?;
        let turn = turn.map_err(|refusal| guest::put_off(&refusal))?;
        guest::turn(|| self.budget()).await?;
        // Asked last, because the turn may have been waited for.
        if call.writes && self.braked.load(SeqCst) {
            turn.give_back();
            return Err(UpstreamError::Later {
                after: Some(SHORT_WAIT),
                reason: "the operator has stopped all writes".into(),
            });
        }
        self.tally.calls.fetch_add(1, Relaxed);
        let mut request = self
            .http
            .request(call.method.clone(), url)
            .header(self.token.place(), authorization.clone())
            .header(ACCEPT, self.media.clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, self.media.clone()).body(body);
        }
        let start = Instant::now();
        point!("call.before");
        let answer = request.send().await;
        point!("call.answered");
        let never_left = |error: &reqwest::Error| error.is_connect() || error.is_builder();
        let left = !answer.as_ref().is_err_and(never_left);
        let status = answer.as_ref().map_or(0, |reply| reply.status().as_u16());
        let mut result = match answer {
            Ok(reply) => self.judge(reply, &turn, judge, (call, about.what())).await,
            Err(error) => Err(self.unanswered(&error, about.what())),
        };
        point!("call.judged");
        // A fault or a pause tells nothing of the credential.
        let is_fault = result.is_err() && (status >= 500 || status == 429);
        if status != 0 && !is_fault {
            let (denied, reason) = match &result {
                Err(UpstreamError::Denied { reason }) => (denial(status), reason.clone()),
                _ => (200, String::new()),
            };
            if self.gate.note(about, &authorization, denied, &reason) {
                result = Err(UpstreamError::Rejected { reason });
            }
        }
        let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        if call.writes && left {
            let outcome = result.as_ref().err().map_or(DONE, UpstreamError::word);
            sent::note(Sent { outcome, millis });
        }
        tracing::debug!(
            method = %call.method,
            path = call.template,
            status,
            ms = millis,
            failure = result.as_ref().err().map(UpstreamError::word),
            "upstream call"
        );
        result
    }

    /// No reply at all: either the connection never stood, or nobody knows.
    fn unanswered(&self, error: &reqwest::Error, what: What) -> UpstreamError {
        let reason = failure::chain(error);
        if error.is_connect() {
            self.tally.unanswered.fetch_add(1, Relaxed);
            let after = self.pace.unreachable();
            UpstreamError::Later {
                after: Some(after),
                reason: format!("cannot connect: {reason}"),
            }
        } else if error.is_builder() {
            UpstreamError::Rejected { reason }
        } else {
            self.tally.unanswered.fetch_add(1, Relaxed);
            self.pace.unanswered(what);
            sent::note_unanswered();
            unclear(reason)
        }
    }

    async fn judge(
        &self,
        reply: Response,
        turn: &Turn<'_>,
        judge: Judge<'_>,
        (call, what): (&Call<'_>, What),
    ) -> Result<Reply, UpstreamError> {
        let status = reply.status();
        let asked = reply::asked_to_wait(reply.headers());
        if let Some(behind) = reply::clock_behind(reply.headers(), jiff::Timestamp::now()) {
            self.tally.behind.store(behind, Relaxed);
        }
        let request_id = reply::request_id(reply.headers(), self.request_id.as_deref());
        let links = reply::links(reply.headers());
        let body = reply::read_body(reply, self.reply_limit_mib).await;
        if failure::is_throttle(status) {
            self.tally.throttled.fetch_add(1, Relaxed);
            let after = match status {
                StatusCode::TOO_MANY_REQUESTS => self.pace.too_many(turn, asked),
                _ => self.pace.busy(turn, what, asked),
            };
            guest::silence(|| self.budget(), after).await;
            let reason = format!("answered {}", status.as_u16());
            if call.writes && !failure::is_untouched(status) {
                return Err(UpstreamError::Unknown { reason });
            }
            return Err(UpstreamError::Later {
                after: Some(after),
                reason,
            });
        }
        let told = body.as_ref().ok();
        let meaning = told.and_then(|body| judge(status, body)).or_else(|| {
            let body = told.filter(|_| call.writes)?;
            call.proof.lacks(status, body)
        });
        if meaning == Some(Meaning::Later) {
            self.tally.throttled.fetch_add(1, Relaxed);
            return Err(UpstreamError::Later {
                after: Some(self.pace.busy(turn, what, asked)),
                reason: format!("answered {}, not now", status.as_u16()),
            });
        }
        if status.is_server_error() && meaning.is_none() {
            self.pace.trouble(what);
        } else {
            self.pace.welcome(turn, what);
        }
        match meaning {
            None if status.is_success() => {
                return Ok(Reply::new(body?, links, call.proof.reads_errors()));
            }
            Some(Meaning::Success) => return Ok(Reply::new(body?, links, false)),
            Some(Meaning::Done) => return Ok(Reply::nothing_to_do()),
            _ => {}
        }
        // A body that was cut off decided nothing, so it does not matter here.
        let body = body.unwrap_or_default();
        if meaning.is_none() && failure::is_hearsay(status, &body) {
            return Err(unclear(format!(
                "answered {}: a web page, not the application's word",
                status.as_u16()
            )));
        }
        let body = self.token.masked(&String::from_utf8_lossy(&body));
        let text = self.token.masked(&failure::text(body.as_bytes())) + &request_id;
        Err(match meaning {
            Some(meaning) => failure::as_meant(meaning, status, &text),
            None => failure::of_status(status, &text),
        })
    }
}

/// What a refused credential is to the gate: a right alone where the status is
/// that of one.
fn denial(status: u16) -> u16 {
    if status == 403 { 403 } else { 401 }
}

fn read_file(key: &str, path: &std::path::Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{key} {}: {error}", path.display()))
}

fn later(refusal: &Refusal) -> UpstreamError {
    UpstreamError::Later {
        after: Some(refusal.after),
        reason: refusal.reason.into(),
    }
}

fn unclear(reason: impl Into<String>) -> UpstreamError {
    UpstreamError::Unknown {
        reason: reason.into(),
    }
}
