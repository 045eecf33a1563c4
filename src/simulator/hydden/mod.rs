//! The simulated Hydden.Control: an inventory of accounts and groups, in pages.
//! Groups and accounts can be written as records; who is in a group can only be
//! read, directly or through a group inside it.

use actix_web::http::{Method, header::HeaderMap};
use serde_json::{Value, json};

use super::{
    Company, Faults, opsera,
    service::segments,
    stage::{self, Incoming, Routed},
};
use world::Change;

mod world;

pub(in crate::simulator) use world::World;

type Decision = stage::Decision<Change>;

impl Decision {
    fn show(status: u16, body: Value) -> Self {
        Self {
            status,
            body,
            changes: Vec::new(),
        }
    }

    fn refuse(status: u16, message: &str) -> Self {
        let code = match status {
            400 => "VALIDATION_ERROR",
            401 => "UNAUTHORIZED",
            403 => "FORBIDDEN",
            404 => "NOT_FOUND",
            409 => "CONFLICT",
            429 => "RATE_LIMITED",
            _ => "INTERNAL_ERROR",
        };
        Self::show(
            status,
            json!({ "error": { "code": code, "message": message } }),
        )
    }

    fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

impl stage::World for World {
    type Change = Change;

    fn new(company: &Company, now: &str) -> Self {
        Self::of(company, now)
    }

    fn route(method: &Method, path: &str) -> Option<Routed> {
        let segments = segments(path);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (operation, target) = match (method.as_str(), segments.as_slice()) {
            ("GET", ["api", "v1", "groups"]) => ("list_groups", None),
            ("POST", ["api", "v1", "groups"]) => ("create_group", None),
            ("GET", ["api", "v1", "groups", id]) => ("get_group", Some(id)),
            ("PUT", ["api", "v1", "groups", id]) => ("update_group", Some(id)),
            ("DELETE", ["api", "v1", "groups", id]) => ("delete_group", Some(id)),
            ("GET", ["api", "v1", "groups", id, "members"]) => ("get_members", Some(id)),
            ("GET", ["api", "v1", "accounts"]) => ("list_accounts", None),
            ("POST", ["api", "v1", "accounts"]) => ("create_account", None),
            ("GET", ["api", "v1", "accounts", id]) => ("get_account", Some(id)),
            ("PUT", ["api", "v1", "accounts", id]) => ("update_account", Some(id)),
            ("DELETE", ["api", "v1", "accounts", id]) => ("delete_account", Some(id)),
            _ => return None,
        };
        let target = target.map(|id| (*id).to_owned());
        Some((operation, target.into_iter().collect()))
    }

    fn writes(operation: &str) -> bool {
        let verb = operation.split('_').next().unwrap_or_default();
        ["create", "update", "delete"].contains(&verb)
    }

    fn admits(headers: &HeaderMap, token: &str) -> bool {
        opsera::bearer(headers) == Some(token)
    }

    fn decide(&self, call: &Incoming, _: &Faults, now: &str) -> Decision {
        let (id, body) = (call.target(0), &call.body);
        match call.operation {
            "list_groups" => self.list_groups(call),
            "create_group" => self.create_group(body, now),
            "get_group" => self.get_group(id),
            "update_group" => self.update_group(id, body),
            "delete_group" => self.delete_group(id),
            "get_members" => self.get_members(id),
            "list_accounts" => self.list_accounts(call),
            "create_account" => self.create_account(body, now),
            "get_account" => self.get_account(id),
            "update_account" => self.update_account(id, body),
            "delete_account" => self.delete_account(id),
            _ => Decision::refuse(404, "Resource not found"),
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
        json!({ "groups": 5, "accounts": "all", "members": 7, "pageInfo": [] })
    }
}
