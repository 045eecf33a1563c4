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
            return Decision::refuse(400, "version: a date or a stage is required");
        }
        if let Some(wrong) = wrong_parameter(call) {
            return Decision::refuse(400, wrong);
        }
        if !call.targets.iter().all(|id| is_uuid(id)) {
            return Decision::refuse(400, "an id of the path is no UUID");
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

/// A date, a stage, or both; that a month has the day is not looked at.
fn is_version(text: &str) -> bool {
    let is_stage = |text: &str| STAGES.contains(&text);
    match text.split_once('~') {
        Some((date, stage)) => is_date(date) && is_stage(stage),
        None => is_date(text) || is_stage(text),
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

const STAGES: [&str; 4] = ["wip", "work-in-progress", "experimental", "beta"];

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let lengths = [year.len(), month.len(), day.len()] == [4, 2, 2];
    lengths
        && parts.iter().all(|part| digits(part))
        && ("00"..="19").contains(month)
        && ("01"..="31").contains(day)
}

/// What is none of the documented values of a parameter that has some.
fn wrong_parameter(call: &Incoming) -> Option<&'static str> {
    let is_not = |name: &str, of: &[&str]| call.asked(name).is_some_and(|it| !of.contains(&it));
    let flags = [
        ("cascade", "cascade: must be true or false"),
        ("custom", "custom: must be true or false"),
        (
            "assignable_by_me",
            "assignable_by_me: must be true or false",
        ),
        (
            "include_group_membership_count",
            "include_group_membership_count: must be true or false",
        ),
    ];
    let flag = flags
        .into_iter()
        .find(|(name, _)| is_not(name, &["true", "false"]));
    let order = is_not("sort_order", &["ASC", "DESC"]).then_some("sort_order: must be ASC or DESC");
    let of_one = call.operation == "list_org_memberships";
    let user = call.asked("user_id").filter(|id| of_one && !is_uuid(id));
    let user = user.map(|_| "user_id: must be a UUID");
    flag.map(|(_, wrong)| wrong).or(order).or(user)
}
