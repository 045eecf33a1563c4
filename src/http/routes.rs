//! Which handler answers which method of which path, below a base URL.
//!
//! The table is the only source: the application is built from it, the
//! start-up self-test walks it, and the `OpenAPI` document tells it. A door
//! cannot be added without saying what it takes and answers.

use std::sync::Arc;

use actix_web::{
    App, Error, FromRequest, Handler, Resource, Responder, Route,
    body::BoxBody,
    dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse},
    guard::{self, GuardContext},
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web,
};

use super::{
    body::Bounds,
    bulk, catalog, discovery,
    failure::Refusal,
    front::Front,
    groups,
    openapi::{self, Operation, operations as tell},
    reply, search,
    settings::Settings,
    users,
};
use crate::{
    bridge::Bridge,
    scim::{
        catalog::Assignable::{Entitlement, Role},
        resource::ResourceType::{Group, User},
    },
};

/// A method, its handler and what is told of it. GET stands for HEAD too.
struct Door {
    method: Method,
    route: Route,
    told: Operation,
}

/// Every path below a base URL, with its doors; the busiest first.
fn table() -> Vec<(&'static str, Vec<Door>)> {
    vec![
        (
            "/Users/.search",
            vec![on(
                Method::POST,
                search::users,
                tell::search("searchUsers", "Users"),
            )],
        ),
        (
            "/Groups/.search",
            vec![on(
                Method::POST,
                search::groups,
                tell::search("searchGroups", "Groups"),
            )],
        ),
        (
            "/Users/{id}",
            vec![
                on(Method::GET, users::read, tell::read(User)),
                on(Method::PATCH, users::patch, tell::patch(User)),
                on(Method::PUT, users::replace, tell::replace(User)),
                on(Method::DELETE, users::delete, tell::delete(User)),
            ],
        ),
        (
            "/Users",
            vec![
                on(Method::GET, users::list, tell::list(User)),
                on(Method::POST, users::create, tell::create(User)),
            ],
        ),
        (
            "/Groups/{id}",
            vec![
                on(Method::PATCH, groups::patch, tell::patch(Group)),
                on(Method::GET, groups::read, tell::read(Group)),
                on(Method::PUT, groups::replace, tell::replace(Group)),
                on(Method::DELETE, groups::delete, tell::delete(Group)),
            ],
        ),
        (
            "/Groups",
            vec![
                on(Method::GET, groups::list, tell::list(Group)),
                on(Method::POST, groups::create, tell::create(Group)),
            ],
        ),
        (
            "/ServiceProviderConfig",
            vec![on(
                Method::GET,
                discovery::service_provider_config,
                tell::service_provider_config(),
            )],
        ),
        (
            "/Schemas",
            vec![on(Method::GET, discovery::schemas, tell::schemas())],
        ),
        (
            "/Schemas/{id}",
            vec![on(Method::GET, discovery::schema, tell::schema())],
        ),
        (
            "/ResourceTypes",
            vec![on(
                Method::GET,
                discovery::resource_types,
                tell::resource_types(),
            )],
        ),
        (
            "/ResourceTypes/{id}",
            vec![on(
                Method::GET,
                discovery::resource_type,
                tell::resource_type(),
            )],
        ),
        (
            "/Roles/.search",
            vec![on(
                Method::POST,
                search::roles,
                tell::search("searchRoles", "Roles"),
            )],
        ),
        (
            "/Roles",
            vec![on(Method::GET, catalog::roles, tell::catalog(Role))],
        ),
        (
            "/Roles/{id}",
            vec![on(Method::GET, catalog::role, tell::entry(Role))],
        ),
        (
            "/Entitlements/.search",
            vec![on(
                Method::POST,
                search::entitlements,
                tell::search("searchEntitlements", "Entitlements"),
            )],
        ),
        (
            "/Entitlements",
            vec![on(
                Method::GET,
                catalog::entitlements,
                tell::catalog(Entitlement),
            )],
        ),
        (
            "/Entitlements/{id}",
            vec![on(
                Method::GET,
                catalog::entitlement,
                tell::entry(Entitlement),
            )],
        ),
        ("/Bulk", vec![on(Method::POST, bulk::bulk, tell::bulk())]),
        (
            "/openapi.json",
            vec![on(Method::GET, openapi::document, tell::openapi())],
        ),
        (
            "/.search",
            vec![on(
                Method::POST,
                search::everything,
                tell::search("search", "All resources"),
            )],
        ),
        ("", vec![on(Method::GET, search::root, tell::root())]),
    ]
}

fn on<F, A>(method: Method, handler: F, told: Operation) -> Door
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let asked = method.clone();
    let fits = move |ctx: &GuardContext<'_>| {
        let method = &ctx.head().method;
        *method == asked || (*method == Method::HEAD && asked == Method::GET)
    };
    Door {
        method,
        route: web::route().guard(guard::fn_guard(fits)).to(handler),
        told,
    }
}

/// What is told of every door, for the `OpenAPI` document.
pub(super) fn told() -> Vec<(&'static str, Vec<(Method, Operation)>)> {
    let told = |doors: Vec<Door>| doors.into_iter().map(|door| (door.method, door.told));
    let table = table().into_iter();
    table
        .map(|(path, doors)| (path, told(doors).collect()))
        .collect()
}

/// A path with its doors; OPTIONS tells them (RFC 9110 section 9.3.7), and
/// every other method is 405 with the list of them.
fn resource(path: &str, doors: Vec<Door>) -> Resource {
    let allow = allowed(&doors);
    let told = allow.clone();
    let options = move || {
        let answer = reply::allowing(told.clone());
        async move { answer }
    };
    let other = move || {
        let refusal = Refusal::of_status(StatusCode::METHOD_NOT_ALLOWED);
        let refusal = refusal.with(header::ALLOW, allow.clone());
        async move { Err::<&str, _>(refusal) }
    };
    let mut resource = web::resource(path.to_owned()).default_service(web::to(other));
    for door in doors {
        resource = resource.route(door.route);
    }
    let asks = guard::fn_guard(|ctx: &GuardContext<'_>| ctx.head().method == Method::OPTIONS);
    resource.route(web::route().guard(asks).to(options))
}

/// The value of `Allow` for some doors.
fn allowed(doors: &[Door]) -> HeaderValue {
    let mut allow: Vec<&str> = doors.iter().map(|door| door.method.as_str()).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    allow.push("OPTIONS");
    let allow = HeaderValue::try_from(allow.join(", "));
    allow.unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}

/// The router with its guard around it.
pub(super) fn app(
    front: Arc<Front>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let mut app = App::new()
        .app_data(Bounds::from(&front.settings))
        .default_service(web::to(discovery::no_endpoint));
    for (path, doors) in table() {
        // The guard has taken the id out of the path.
        app = app.service(resource(&path.replace("{id}", "-"), doors));
    }
    // Also what would be below it, whatever the method.
    app = app
        .service(web::resource(["/Me", "/Me/{below}*"]).default_service(web::to(discovery::no_me)));
    app.wrap(from_fn(move |req: ServiceRequest, next: Next<BoxBody>| {
        Arc::clone(&front).serve(req, next)
    }))
}

/// Asks every route without a token and with a wrong one; the first that does
/// not answer 401 is the error. To be run before the server is let loose.
pub async fn self_test(bridge: Arc<Bridge>, settings: &Settings) -> Result<(), String> {
    let bases = base_paths(&bridge);
    let front = Arc::new(Front::new(bridge, settings.clone(), 0)?);
    let app = init_service(app(front)).await;
    for base in bases {
        for (path, doors) in table() {
            let path = format!("{base}{}", path.replace("{id}", "1"));
            for Door { method, .. } in doors {
                for token in [None, Some("Bearer x")] {
                    let mut request = TestRequest::with_uri(&path).method(method.clone());
                    if let Some(token) = token {
                        request = request.insert_header((header::AUTHORIZATION, token));
                    }
                    let status = match app.call(request.to_request()).await {
                        Ok(answer) => answer.status(),
                        Err(error) => error.as_response_error().status_code(),
                    };
                    if status != StatusCode::UNAUTHORIZED {
                        return Err(format!(
                            "{method} {path} answered {status} to a request without a valid token"
                        ));
                    }
                }
            }
        }
    }
    Ok(())
}

fn base_paths(bridge: &Bridge) -> Vec<String> {
    let names = bridge.connection_names();
    let mut paths: Vec<String> = names.iter().map(|n| format!("/{n}/scim/v2")).collect();
    paths.push("/scim/v2".to_owned());
    paths
}
