//! From verb, path and query to the operation that is meant, by the default
//! table of the bridge; the names are those of its configuration.

use actix_web::http::Method;

use crate::simulator::{service::segments, stage::Routed};

/// The operation that a request means, and what it is about. Besides the
/// default verbs and paths, the likeliest others are understood.
pub(super) fn route(method: &Method, path: &str) -> Option<Routed> {
    let segments = segments(path);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (operation, target) = match (method.as_str(), segments.as_slice()) {
        ("POST", ["api", "v2", "groupmanagement", "group"]) => ("create_group", None),
        ("GET", ["api", "v2", "groupmanagement", "groups"]) => ("list_groups", None),
        ("GET", ["api", "v2", "groupmanagement", "group", name]) => ("get_group", Some(name)),
        ("DELETE", ["api", "v2", "groupmanagement", "group", name]) => ("delete_group", Some(name)),
        (verb, ["api", "v2", "groupmanagement", "group", name, "members"]) => {
            let operation = match verb {
                "GET" => "get_members",
                "PUT" => "replace_members",
                "DELETE" => "remove_members",
                "POST" | "PATCH" => "add_members",
                _ => return None,
            };
            (operation, Some(name))
        }
        (
            "POST",
            [
                "api",
                "v2",
                "groupmanagement",
                "group",
                name,
                "members",
                "remove",
            ],
        ) => ("remove_members", Some(name)),
        ("GET", ["api", "v2", "usermanagement", "user"]) => ("search_user", None),
        ("POST", ["api", "v2", "usermanagement", "user"]) => ("create_user", None),
        ("GET", ["api", "v2", "usermanagement", "user", id]) => ("get_user", Some(id)),
        ("DELETE", ["api", "v2", "usermanagement", "user", id]) => ("deactivate_user", Some(id)),
        ("PUT", ["api", "v2", "usermanagement", "user", id, "siterole"]) => {
            ("set_site_role", Some(id))
        }
        ("GET", ["api", "v2", "usermanagement", "users"]) => ("list_users", None),
        ("GET", ["api", "v2", "data", "people"]) => ("list_people", None),
        ("POST", ["api", "v2", "data", "people"]) => ("create_person", None),
        ("GET", ["api", "v2", "data", "people", email]) => ("get_person", Some(email)),
        ("PUT" | "PATCH", ["api", "v2", "data", "people", email]) => ("update_person", Some(email)),
        _ => return None,
    };
    let target = target.map(|target| (*target).to_owned());
    Some((operation, target.into_iter().collect()))
}
