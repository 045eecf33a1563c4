//! The simulated Snyk: groups whose users have exactly one role each, in pages
//! of tens, with the three spellings of the link to the next one in turn. Users
//! come by signing in, never by a call; nobody who is in an organization leaves
//! its group without `cascade`.

use actix_web::http::{
    Method,
    header::{AUTHORIZATION, HeaderMap},
};
use serde_json::{Value, json};

use super::{
    Company, Faults,
    service::segments,
    stage::{self, Incoming, Routed},
};
use world::Change;

mod list;
mod world;

pub(in crate::simulator) use world::World;

type Decision = stage::Decision<Change>;

const MEDIA: &str = "application/vnd.api+json";
/// Of another interface, without versions.
const OLD_ROLES: &str = "list_roles_of_v1";

impl Decision {
    fn show(status: u16, body: Value) -> Self {
        Self {
            status,
            body,
            changes: Vec::new(),
        }
    }

    fn done(change: Change) -> Self {
        Self {
            status: 204,
            body: Value::Null,
            changes: vec![change],
        }
    }

    fn refuse(status: u16, detail: &str) -> Self {
        let error = json!({ "status": status.to_string(), "detail": detail });
        Self::show(
            status,
            json!({ "jsonapi": { "version": "1.0" }, "errors": [error] }),
        )
    }
}

impl stage::World for World {
    type Change = Change;

    fn media(operation: &str) -> &'static str {
        if operation == OLD_ROLES {
            "application/json"
        } else {
            MEDIA
        }
    }

    fn new(company: &Company, now: &str) -> Self {
        Self::of(company, now)
    }

    fn route(method: &Method, path: &str) -> Option<Routed> {
        let segments = segments(path);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let rest = match segments.as_slice() {
            ["rest", rest @ ..] => rest,
            ["v1", "group", group, "roles"] if method == Method::GET => {
                return Some((OLD_ROLES, vec![(*group).to_owned()]));
            }
            _ => return None,
        };
        let (operation, targets): (_, Vec<&str>) = match (method.as_str(), rest) {
            ("GET", ["self"]) => ("get_self", vec![]),
            ("GET", ["tenants", tenant, "roles"]) => ("list_tenant_roles", vec![*tenant]),
            ("GET", ["groups", group, "org_memberships"]) => ("list_org_memberships", vec![*group]),
            ("PATCH", ["groups", group, "users", user]) => ("delete_user", vec![*group, *user]),
            ("GET", ["groups"]) => ("list_groups", vec![]),
            ("GET", ["groups", group]) => ("get_group", vec![*group]),
            ("GET", ["groups", group, "memberships"]) => ("list_memberships", vec![*group]),
            ("POST", ["groups", group, "memberships"]) => ("create_membership", vec![*group]),
            ("PATCH", ["groups", group, "memberships", id]) => {
                ("update_membership", vec![*group, *id])
            }
            ("DELETE", ["groups", group, "memberships", id]) => {
                ("delete_membership", vec![*group, *id])
            }
            ("GET", ["groups", group, "sso_connections"]) => ("list_sso_connections", vec![*group]),
            ("GET", ["groups", group, "sso_connections", sso, "users"]) => {
                ("list_sso_users", vec![*group, *sso])
            }
            ("DELETE", ["groups", group, "sso_connections", sso, "users", user]) => {
                ("delete_sso_user", vec![*group, *sso, *user])
            }
            _ => return None,
        };
        let targets = targets.into_iter().map(str::to_owned);
        Some((operation, targets.collect()))
    }

    fn writes(operation: &str) -> bool {
        let verb = operation.split('_').next().unwrap_or_default();
        ["create", "update", "delete"].contains(&verb)
    }

    /// `token KEY` or `bearer KEY`, in any letter case.
    fn admits(headers: &HeaderMap, token: &str) -> bool {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        given
            .and_then(|value| value.split_once(' '))
            .is_some_and(|(scheme, key)| {
                ["token", "bearer"].contains(&scheme.to_lowercase().as_str()) && key == token
            })
    }

    fn decide(&self, call: &Incoming, _: &Faults, now: &str) -> Decision {
        if call.operation == OLD_ROLES {
            return self.list_roles_of_v1(call.target(0));
        }
        if !call.asked("version").is_some_and(is_version) {
            return Decision::refuse(400, "version: a date is required");
        }
        if !call.body.is_null() && !call.content_type.starts_with(MEDIA) {
            return Decision::refuse(400, "Content-Type must be application/vnd.api+json");
        }
        let (group, second) = (call.target(0), call.target(1));
        match call.operation {
            "list_groups" => self.list_groups(call),
            "get_group" => self.get_group(group),
            "list_memberships" => self.list_memberships(group, call),
            "create_membership" => self.create_membership(group, &call.body, now),
            "update_membership" => self.update_membership(group, second, &call.body),
            "delete_membership" => {
                let cascade = call.asked("cascade") == Some("true");
                self.delete_membership(group, second, cascade)
            }
            "get_self" => Self::show_caller(),
            "list_tenant_roles" => Self::list_tenant_roles(group, call),
            "list_org_memberships" => self.list_org_memberships(group, call),
            "delete_user" => self.remove_user(group, second, &call.body),
            "list_sso_connections" => self.list_sso_connections(group, call),
            "list_sso_users" => self.list_sso_users(group, second, call),
            "delete_sso_user" => self.delete_sso_user(group, second, call.target(2)),
            _ => Decision::refuse(404, "The requested resource was not found"),
        }
    }

    fn commit(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.make(change);
        }
    }

    fn state(&self) -> Value {
        self.shown()
    }

    fn refusal(status: u16, message: &str) -> Value {
        Decision::refuse(status, message).body
    }

    fn nonsense() -> Value {
        json!({ "data": "all", "links": 5 })
    }

    fn stamp(sequence: u64) -> Option<(&'static str, String)> {
        let id = format!("00000000-0000-4000-8000-{sequence:012x}");
        Some(("snyk-request-id", id))
    }
}

fn is_version(text: &str) -> bool {
    let date = text.split('~').next().unwrap_or_default();
    date.len() == 10 && date.parse::<jiff::civil::Date>().is_ok()
}
