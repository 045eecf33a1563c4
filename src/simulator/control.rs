//! The control interface: `/_simulator/calls`, `state`, `faults` and `seed`,
//! in JSON, without a credential.

use actix_web::{
    HttpResponse, Scope,
    web::{self, Data, Json, JsonConfig, Query},
};
use serde::Deserialize;

use super::{Company, Faults, Shared, service};

/// Calls in one answer.
const PAGE: usize = 10_000;

pub(super) fn scope() -> Scope {
    web::scope("/_simulator")
        .app_data(JsonConfig::default().limit(super::BODY_LIMIT))
        .route("/calls", web::get().to(calls))
        .route("/calls", web::delete().to(forget_calls))
        .route("/state", web::get().to(state))
        .route("/faults", web::get().to(faults))
        .route("/faults", web::put().to(set_faults))
        .route("/seed", web::post().to(seed))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    /// Only calls after this sequence number.
    #[serde(default)]
    since: u64,
}

async fn calls(shared: Data<Shared>, query: Query<Since>) -> HttpResponse {
    HttpResponse::Ok().json(shared.log().since(query.since, PAGE))
}

async fn forget_calls(shared: Data<Shared>) -> HttpResponse {
    shared.log().clear();
    HttpResponse::NoContent().finish()
}

async fn state(shared: Data<Shared>) -> HttpResponse {
    let state = shared.live().state();
    HttpResponse::Ok().json(state)
}

async fn faults(shared: Data<Shared>) -> HttpResponse {
    let faults = shared.faults().faults.clone();
    HttpResponse::Ok().json(faults)
}

async fn set_faults(shared: Data<Shared>, faults: Json<Faults>) -> HttpResponse {
    service::switch(&shared, faults.into_inner());
    HttpResponse::NoContent().finish()
}

async fn seed(shared: Data<Shared>, company: Json<Company>) -> HttpResponse {
    service::seed(&shared, &company);
    HttpResponse::NoContent().finish()
}
