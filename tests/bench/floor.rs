//! The floor: the least a server of this kind can do.
//!
//! actix-web with one worker and the bridge's own token check; a fixed user of
//! 1 KB for every GET, a parsed and dropped body for every PATCH. No routing
//! by resource, no store, no application behind it. Ratios to it say what the
//! bridge itself costs, whatever machine it runs on.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::header,
    web::{self, Bytes, Data},
};
use drawbridge::bridge::token::Tokens;
use serde_json::Value;

/// The hidden argument that makes the benchmark the floor, and the variable
/// with the token.
pub(super) const ARGUMENT: &str = "--serve-the-floor";
pub(super) const TOKEN: &str = "DRAWBRIDGE_FLOOR_TOKEN";

struct Floor {
    tokens: Tokens,
    user: Bytes,
}

/// Serves until it is killed; prints its address first.
pub(super) fn serve() -> Result<(), String> {
    let token = std::env::var(TOKEN).map_err(|error| format!("{TOKEN}: {error}"))?;
    let floor = Data::new(Floor {
        tokens: Tokens::fixed(&token).map_err(|error| error.to_string())?,
        user: Bytes::from(super::bodies::user_as_served()),
    });
    let served = actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(floor.clone())
                .app_data(web::PayloadConfig::new(1024 * 1024))
                .default_service(web::to(answer))
        })
        .workers(1)
        .bind(("127.0.0.1", 0))?;
        for address in server.addrs() {
            println!("the floor: http://{address}");
        }
        server.run().await
    });
    served.map_err(|error| error.to_string())
}

async fn answer(request: HttpRequest, body: Bytes, floor: Data<Floor>) -> HttpResponse {
    let presented = request.headers().get(header::AUTHORIZATION);
    let token = presented.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
    if token.is_none_or(|token| floor.tokens.check(token, now).is_none()) {
        return HttpResponse::Unauthorized().finish();
    }
    if body.is_empty() {
        return HttpResponse::Ok()
            .content_type("application/scim+json; charset=utf-8")
            .body(floor.user.clone());
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(_dropped) => HttpResponse::NoContent().finish(),
        Err(_) => HttpResponse::BadRequest().finish(),
    }
}
