//! What a command asks before it sends a call with a credential of this server: see
//! [`crate::upstream::Host`].

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::Entered;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    budget: String,
    /// Milliseconds of silence that the application asked for.
    #[serde(default)]
    silence: Option<u64>,
}

/// When a call may go, by the clock on the wall; `null` where the credential is
/// nobody's here.
pub(super) async fn turn(operator: Entered, asked: web::Json<Asked>) -> HttpResponse {
    let budget = &asked.budget;
    if let Some(millis) = asked.silence {
        operator.0.be_silent(budget, Duration::from_millis(millis));
        return HttpResponse::Ok().json(json!({}));
    }
    HttpResponse::Ok().json(match operator.0.lend(budget).await {
        None => json!({ "at": null }),
        Some(Ok(at)) => json!({ "at": at }),
        Some(Err(put_off)) => json!({
            "afterMillis": u64::try_from(put_off.after.as_millis()).unwrap_or(u64::MAX),
            "reason": put_off.reason,
        }),
    })
}
