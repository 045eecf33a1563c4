//! The simulated Opsera: which operation is which decision. What there is, and
//! what a call makes of it, is in `world`, `members` and `users`.

use actix_web::http::{
    Method,
    header::{AUTHORIZATION, HeaderMap},
};
use serde_json::{Value, json};

use super::{
    Company, Faults, Treatment,
    stage::{Incoming, Routed, World as Stage},
};
use members::Batch;
use world::{Change, Decision};

mod members;
mod routes;
mod users;
mod world;

pub(in crate::simulator) use world::World;

const READS: [&str; 9] = [
    "get_group",
    "list_groups",
    "get_members",
    "search_user",
    "get_user",
    "list_users",
    "list_people",
    "get_person",
    "unknown",
];

impl Stage for World {
    type Change = Change;

    fn new(company: &Company, now: &str) -> Self {
        Self::of(company, now)
    }

    fn route(method: &Method, path: &str) -> Option<Routed> {
        routes::route(method, path)
    }

    fn writes(operation: &str) -> bool {
        !READS.contains(&operation)
    }

    fn admits(headers: &HeaderMap, token: &str) -> bool {
        bearer(headers) == Some(token)
    }

    fn decide(&self, call: &Incoming, faults: &Faults, now: &str) -> Decision {
        let (target, body) = (call.target(0), &call.body);
        match call.operation {
            "create_group" => self.create_group(body, faults),
            "get_group" => self.get_group(target),
            "delete_group" => self.delete_group(target),
            "list_groups" => self.list_groups(call.asked("name"), call.asked("id")),
            "get_members" => self.get_members(target),
            "replace_members" => self.change_members(Batch::Replace, target, body, faults),
            "remove_members" => self.change_members(Batch::Remove, target, body, faults),
            "add_members" => self.change_members(Batch::Add, target, body, faults),
            "search_user" => self.search_user(call.asked("email")),
            "create_user" => self.create_user(body, faults, now),
            "get_user" => self.get_user(target, faults),
            "deactivate_user" => self.deactivate_user(target, now),
            "set_site_role" => self.set_site_role(target, body, now),
            "list_users" => self.list_users(call.asked("email"), call.asked("id")),
            "list_people" => self.list_people(),
            "create_person" => self.create_person(body, now),
            "get_person" => self.get_person(target),
            "update_person" => self.update_person(target, body, now),
            _ => Decision::refuse(404, "Cannot find this resource"),
        }
    }

    fn commit(&mut self, changes: Vec<Change>) {
        self.make_all(changes);
    }

    fn state(&self) -> Value {
        serde_json::to_value(self.shown()).unwrap_or_default()
    }

    fn refusal(status: u16, message: &str) -> Value {
        Decision::refuse(status, message).body
    }

    fn nonsense() -> Value {
        json!({ "message": 5, "result": { "added": "all" }, "members": 7 })
    }
}

/// The token of a bearer credential.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(AUTHORIZATION)?.to_str().ok()?;
    given.strip_prefix("Bearer ")
}
