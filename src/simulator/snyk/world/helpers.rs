//! What Snyk's interface has beside groups and their memberships: who calls,
//! the organizations below a group, the older way to take a user out, and the
//! lists of roles of two other interfaces, whose ids are no roles of a group.

use serde_json::{Value, json};

use super::{Change, Decision, World, id, no_group};
use crate::simulator::{snyk::list::page, stage::Incoming};

/// Roles of organizations; not of groups.
const ORGANIZATION_ROLES: [&str; 2] = ["Org Admin", "Org Collaborator"];

impl World {
    /// A service account, as a bridge should have.
    pub(in crate::simulator::snyk) fn show_caller() -> Decision {
        let caller = json!({
            "type": "service_account",
            "id": id(6, 1),
            "attributes": { "name": "bridge" },
        });
        Decision::show(
            200,
            json!({
                "jsonapi": { "version": "1.0" },
                "data": caller,
                "links": { "self": "/self" },
            }),
        )
    }

    /// One organization below each group, with whoever is in any.
    pub(in crate::simulator::snyk) fn list_org_memberships(
        &self,
        group: &str,
        call: &Incoming,
    ) -> Decision {
        let Some(found) = self.groups.get(group) else {
            return no_group();
        };
        let Some(user) = call.asked("user_id") else {
            return Decision::refuse(400, "user_id: is required");
        };
        let (name, role) = (format!("{} organization", found.name), "Org Collaborator");
        let fits = |key: &str, value: &str| call.asked(key).is_none_or(|asked| asked == value);
        let shown = fits("org_name", &name) && fits("role_name", role);
        let there = found.in_organizations.get(user).filter(|_| shown);
        let rows = there.and_then(|user| self.user(user)).map(|user| {
            let one = |kind: &str, id: &str, name: &str| {
                json!({ "data": { "type": kind, "id": id, "attributes": { "name": name } } })
            };
            let mut person = one("user", &user.id, &user.name);
            person["data"]["attributes"]["email"] = user.email.clone().into();
            person["data"]["attributes"]["username"] = user.email.clone().into();
            let item = json!({
                "type": "org_membership",
                "id": user.id.replacen('2', "7", 1),
                "attributes": {},
                "relationships": {
                    "org": one("org", &group.replacen('1', "8", 1), &name),
                    "role": one("org_role", &id(9, 2), role),
                    "user": person,
                },
            });
            (user.id.clone(), item)
        });
        let path = format!("/groups/{group}/org_memberships");
        page(
            call,
            &path,
            &rows.into_iter().collect::<Vec<_>>(),
            Value::clone,
        )
    }

    /// Takes a user out without the id of a membership.
    pub(in crate::simulator::snyk) fn remove_user(
        &self,
        group: &str,
        user: &str,
        body: &Value,
    ) -> Decision {
        let there = self.groups.get(group).into_iter();
        let mut there = there.flat_map(|group| &group.memberships);
        if !there.any(|membership| membership.user == user) {
            return Decision::refuse(404, "User not found");
        }
        let same = body.pointer("/data/id").and_then(Value::as_str) == Some(user);
        match body.pointer("/data/attributes/membership") {
            Some(Value::Null) if same && body["data"]["type"] == "user" => {
                Decision::done(Change::Leave(group.to_owned(), user.to_owned()))
            }
            _ => Decision::refuse(400, "data: only membership null of the user is possible"),
        }
    }

    pub(in crate::simulator::snyk) fn list_tenant_roles(tenant: &str, call: &Incoming) -> Decision {
        if tenant != id(6, 2) {
            return Decision::refuse(404, "Tenant not found");
        }
        let named = |name: &str| call.asked("name").is_none_or(|asked| asked == name);
        let rows = (1..).zip(["Tenant Admin", "Tenant Viewer"]);
        let rows = rows.filter(|(_, name)| named(name) && call.asked("custom") != Some("true"));
        let rows = rows.map(|(n, name)| {
            let attributes =
                json!({ "name": name, "description": name, "custom": false, "permissions": [] });
            let id = id(8, n);
            let item = json!({ "type": "tenant_role", "id": id, "attributes": attributes });
            (id, item)
        });
        let path = format!("/tenants/{tenant}/roles");
        page(call, &path, &rows.collect::<Vec<_>>(), Value::clone)
    }

    /// Of the older interface, which has roles of organizations only.
    pub(in crate::simulator::snyk) fn list_roles_of_v1(&self, group: &str) -> Decision {
        if !self.groups.contains_key(group) {
            return no_group();
        }
        let roles = (1..)
            .zip(ORGANIZATION_ROLES)
            .map(|(n, name)| json!({ "name": name, "publicId": id(9, n), "customRole": false }));
        Decision::show(200, roles.collect())
    }
}
