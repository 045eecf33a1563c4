//! Pages of the audit, as they are stored, for `drawbridge audit`.

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::{Entered, broken};

/// The most records of one page.
const MOST: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    after: i64,
    most: Option<usize>,
}

pub(super) async fn page(operator: Entered, asked: web::Query<Asked>) -> HttpResponse {
    let most = asked.most.unwrap_or(MOST).clamp(1, MOST);
    match operator.0.audit(asked.after, most).await {
        Ok(rows) => HttpResponse::Ok().json(rows),
        Err(error) => broken(&error),
    }
}
