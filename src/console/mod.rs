//! The operator's side: a listener of its own, on loopback unless told
//! otherwise, with a token of its own. What identity providers hold opens
//! nothing here (reliability: S-09).
//!
//! `/livez` and `/readyz` are open and hold no data. Everything else is for
//! the commands of `drawbridge`, a monitoring system (`/metrics`) and people
//! (`/status`). Answers are JSON, errors `{"error": ".."}`.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use actix_web::{
    App, Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, HttpServer,
    body::BoxBody,
    dev::{Payload, Server, ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::{Next, from_fn},
    web,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bridge::{Bridge, Called, Operator, token::Tokens};

mod audit;
mod calls;
mod held;
mod metrics;
mod plan;
mod reconcile;
mod status;

/// Where the operator's side listens and who is let in.
#[derive(Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    /// Whoever has a token of any of these.
    pub tokens: Vec<OperatorToken>,
    /// Where identity providers find the front, if that is known.
    pub public_url: Option<String>,
}

/// A token of the operator's side.
#[derive(Debug)]
pub struct OperatorToken {
    /// Whose it is; `None`: of whoever says a name, or none.
    pub name: Option<String>,
    pub token: Tokens,
}

/// What a command needs to reach a running server; kept beside the store, for
/// the user that runs it alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    pub url: String,
    pub token: String,
}

/// The header in which a command tells who runs it, for the audit, which has it as
/// what was said.
pub const OPERATOR: &str = "drawbridge-operator";
/// Bytes of an operator's request.
const BODY_LIMIT: usize = 1024 * 1024;

#[derive(Debug)]
struct Shared {
    bridge: Arc<Bridge>,
    tokens: Vec<OperatorToken>,
    public_url: Option<String>,
}

/// Binds the address and makes the server, which runs when it is awaited.
pub fn server(bridge: Arc<Bridge>, settings: Settings) -> io::Result<(Server, SocketAddr)> {
    let listen = settings.listen;
    let shared = web::Data::new(Shared {
        bridge,
        tokens: settings.tokens,
        public_url: settings.public_url,
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .wrap(from_fn(guard))
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
            .route("/status", web::get().to(status::show))
            .route("/audit", web::get().to(audit::page))
            .route("/reconcile", web::get().to(reconcile::show))
            .route("/reconcile", web::post().to(reconcile::begin))
            .route("/calls", web::post().to(calls::turn))
            .route("/metrics", web::get().to(metrics::show))
            .route("/plan", web::get().to(plan::pending))
            .route("/plan", web::post().to(plan::request))
            .route("/held", web::get().to(held::list))
            .route("/held/{id}", web::get().to(held::show))
            .route("/held/{id}/plan", web::get().to(held::plan))
            .route("/held/{id}/approve", web::post().to(held::approve))
            .route("/held/{id}/reject", web::post().to(held::reject))
            .route(
                "/recovery/{connection}/end",
                web::post().to(held::end_recovery),
            )
            .default_service(web::to(nothing))
    })
    .workers(1)
    .max_connections(256)
    .shutdown_timeout(5)
    .disable_signals()
    .bind(listen)
    .map_err(|fault| {
        let text = format!("cannot listen on {listen} for operators: {fault}");
        io::Error::new(fault.kind(), text)
    })?;
    let bound = server.addrs().first().copied().unwrap_or(listen);
    Ok((server.run(), bound))
}

/// Deny by default, around the router.
async fn guard(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if !matches!(req.path(), "/livez" | "/readyz") {
        let Some(operator) = enter(&req) else {
            let refusal = HttpResponse::Unauthorized()
                .insert_header((header::WWW_AUTHENTICATE, "Bearer"))
                .json(json!({ "error": "the operator's token is needed" }));
            return Ok(req.into_response(refusal));
        };
        req.extensions_mut().insert(operator);
    }
    let mut answer = next.call(req).await?;
    let headers = answer.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    Ok(answer)
}

fn enter(req: &ServiceRequest) -> Option<Operator> {
    let shared = req.app_data::<web::Data<Shared>>()?;
    let mut values = req.headers().get_all(header::AUTHORIZATION);
    let presented = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let said = req.headers().get(OPERATOR);
    let said = said.and_then(|name| name.to_str().ok()).unwrap_or_default();
    let mut tokens = shared.tokens.iter();
    tokens.find_map(|it| {
        let called = it
            .name
            .as_deref()
            .map_or(Called::Said(said), Called::Proven);
        let presented = presented.as_bytes();
        shared.bridge.enter_operator(&it.token, presented, called)
    })
}

/// The right that the guard left for a handler; without it nothing is done.
struct Entered(Operator);

impl FromRequest for Entered {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let operator = request.extensions_mut().remove::<Operator>();
        std::future::ready(
            operator.map(Self).ok_or_else(|| {
                actix_web::error::ErrorUnauthorized("the operator's token is needed")
            }),
        )
    }
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

async fn readyz(shared: web::Data<Shared>) -> HttpResponse {
    let (code, status) = if shared.bridge.is_ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes")
    };
    HttpResponse::build(code).json(json!({ "status": status }))
}

async fn nothing() -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "error": "there is nothing here" }))
}

fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |at| at.to_string())
}

/// A fault of ours; what happened is in the log.
fn broken(error: &dyn std::fmt::Display) -> HttpResponse {
    tracing::error!(%error, "an operator's request failed");
    HttpResponse::InternalServerError().json(json!({ "error": "the store failed; see the log" }))
}

impl Access {
    /// Of a server with this store.
    pub fn file_of(store: &Path) -> std::path::PathBuf {
        beside(store, "operator")
    }

    /// Leaves it beside the store, readable for this user alone.
    pub fn leave(&self, store: &Path) -> io::Result<()> {
        use std::{
            fs,
            io::Write,
            os::unix::fs::{OpenOptionsExt, PermissionsExt},
        };
        let (path, fresh) = (Self::file_of(store), beside(store, "operator.new"));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(fresh, path)
    }

    /// What a running server has left, if any.
    pub fn find(store: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(Self::file_of(store)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn take_away(store: &Path) {
        // Whoever finds it stale learns so from the refused connection.
        let _ = std::fs::remove_file(Self::file_of(store));
    }
}

/// A file beside the store, by what is added to its name.
pub fn beside(store: &Path, what: &str) -> std::path::PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}
