//! What there is in the simulated Snyk, and what each operation makes of it.
//!
//! A company's teams of one name are one Snyk Group, each team one role in it
//! (its kind; `group_member` where it has none); of several the first counts.
//! Whoever owns something is in an organization below every group. A team
//! `besides` gives its members a second membership, as Snyk should not.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::{Decision, list::page};
use crate::simulator::{Company, Team, stage::Incoming};

mod helpers;

const ROLES: [&str; 3] = ["group_admin", "group_viewer", "group_member"];

#[derive(Debug, Clone, Default)]
pub(in crate::simulator) struct World {
    /// By id.
    users: BTreeMap<String, User>,
    /// By id.
    groups: BTreeMap<String, Group>,
    roles: Vec<String>,
    /// Membership ids given so far.
    made: u64,
}

#[derive(Debug, Clone)]
struct User {
    id: String,
    email: String,
    name: String,
    active: bool,
    /// In the SSO connection.
    sso: bool,
}

#[derive(Debug, Clone, Default)]
struct Group {
    name: String,
    /// In the order of their making.
    memberships: Vec<Membership>,
    /// Ids of users who are in an organization below it.
    in_organizations: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(in crate::simulator) struct Membership {
    id: String,
    user: String,
    role: String,
    created: String,
}

/// One change, made by [`World::make`].
#[derive(Debug, Clone)]
pub(in crate::simulator) enum Change {
    Join(String, Membership),
    Role(String, String, String),
    /// A user, with everything.
    Leave(String, String),
    /// One membership.
    End(String, String),
    LeaveSso(String),
}

/// A UUID that says what it is of: 1 a group, 2 a user, 3 a role, 4 a
/// membership, 5 an SSO connection, 6 the caller and its tenant, 7 a membership
/// of an organization, 8 an organization or a role of the tenant, 9 a role of
/// organizations.
fn id(kind: u32, n: u64) -> String {
    format!("{kind}0000000-0000-4000-8000-{n:012x}")
}

fn role_of(team: &Team) -> &str {
    match team.kind.as_str() {
        "user" => "group_member",
        kind => kind,
    }
}

impl World {
    pub(super) fn of(company: &Company, now: &str) -> Self {
        let mut world = Self {
            roles: ROLES.map(str::to_owned).into(),
            ..Self::default()
        };
        let (mut owners, mut by_email) = (BTreeSet::new(), HashMap::new());
        for (n, employee) in (1..).zip(&company.users) {
            let name = format!("{} {}", employee.first_name, employee.last_name);
            let user = User {
                id: id(2, n),
                email: employee.email.clone(),
                name: name.trim().to_owned(),
                active: employee.active,
                sso: true,
            };
            if employee.owner {
                owners.insert(user.id.clone());
            }
            by_email.insert(employee.email.to_lowercase(), user.id.clone());
            world.users.insert(user.id.clone(), user);
        }
        for team in &company.groups {
            let emails = team.members.iter().map(|email| email.to_lowercase());
            let members = emails.filter_map(|email| by_email.get(&email).cloned());
            world.found(team, members.collect(), &owners, now);
        }
        world
    }

    fn found(&mut self, team: &Team, members: Vec<String>, owners: &BTreeSet<String>, now: &str) {
        let role = role_of(team);
        if !self.roles.iter().any(|known| known == role) {
            self.roles.push(role.to_owned());
        }
        let role = self.role_id(role).unwrap_or_default();
        let known = self
            .groups
            .iter()
            .find(|(_, group)| group.name == team.name);
        let group = match known {
            Some((group, _)) => group.clone(),
            None => id(1, self.groups.len() as u64 + 1),
        };
        self.groups
            .entry(group.clone())
            .or_default()
            .name
            .clone_from(&team.name);
        let there = self.groups.get(&group).into_iter();
        let there = there.flat_map(|group| &group.memberships);
        let mut there: BTreeSet<String> = there.map(|it| it.user.clone()).collect();
        for user in members {
            if !there.insert(user.clone()) && !team.besides {
                continue;
            }
            if let Some(found) = self.groups.get_mut(&group) {
                found.in_organizations.extend(owners.get(&user).cloned());
            }
            let membership = self.membership(user, role.clone(), now);
            self.make(Change::Join(group.clone(), membership));
        }
    }

    fn membership(&self, user: String, role: String, now: &str) -> Membership {
        Membership {
            id: id(4, self.made + 1),
            user,
            role,
            created: now.to_owned(),
        }
    }

    fn role_id(&self, name: &str) -> Option<String> {
        let place = self.roles.iter().position(|role| role == name)?;
        Some(id(3, place as u64 + 1))
    }

    fn role_name(&self, role: &str) -> &str {
        let mut named = (1..).zip(&self.roles);
        let found = named.find(|(n, _)| id(3, *n) == role);
        found.map_or("", |(_, name)| name)
    }

    pub(super) fn make(&mut self, change: Change) {
        match change {
            Change::Join(group, membership) => {
                self.made += 1;
                self.groups
                    .entry(group)
                    .or_default()
                    .memberships
                    .push(membership);
            }
            Change::Role(group, membership, role) => {
                let group = self.groups.get_mut(&group);
                let memberships = group.into_iter().flat_map(|group| &mut group.memberships);
                for found in memberships.filter(|found| found.id == membership) {
                    found.role.clone_from(&role);
                }
            }
            Change::Leave(group, user) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.memberships.retain(|found| found.user != user);
                    group.in_organizations.remove(&user);
                }
            }
            Change::End(group, id) => {
                let Some(group) = self.groups.get_mut(&group) else {
                    return;
                };
                group.memberships.retain(|found| found.id != id);
                let there: BTreeSet<&String> =
                    group.memberships.iter().map(|it| &it.user).collect();
                group.in_organizations.retain(|user| there.contains(user));
            }
            Change::LeaveSso(user) => {
                if let Some(found) = self.users.get_mut(&user) {
                    found.sso = false;
                }
            }
        }
    }

    /// In the shape of all simulators: a group for each group and role, called
    /// `group/role`.
    pub(super) fn shown(&self) -> Value {
        let users = self.users.values().map(
            |user| json!({ "id": user.id, "email": user.email, "active": user.active && user.sso }),
        );
        let mut groups = BTreeMap::new();
        for group in self.groups.values() {
            for membership in &group.memberships {
                let name = format!("{}/{}", group.name, self.role_name(&membership.role));
                let email = self.user(&membership.user).map(|user| user.email.clone());
                let members: &mut BTreeSet<String> = groups.entry(name).or_default();
                members.extend(email);
            }
        }
        let groups = groups
            .into_iter()
            .map(|(name, members)| json!({ "name": name, "members": members }));
        json!({ "users": users.collect::<Vec<_>>(), "groups": groups.collect::<Vec<_>>() })
    }

    fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id)
    }

    pub(super) fn list_groups(&self, call: &Incoming) -> Decision {
        let rows: Vec<_> = self
            .groups
            .iter()
            .map(|(id, group)| (id, (id, group)))
            .collect();
        page(call, "/groups", &rows, |(id, group)| group_item(id, group))
    }

    pub(super) fn get_group(&self, id: &str) -> Decision {
        match self.groups.get(id) {
            Some(group) => Decision::show(
                200,
                json!({ "jsonapi": { "version": "1.0" }, "data": group_item(id, group) }),
            ),
            None => no_group(),
        }
    }

    pub(super) fn list_memberships(&self, id: &str, call: &Incoming) -> Decision {
        let Some(group) = self.groups.get(id) else {
            return no_group();
        };
        let count = call.asked("include_group_membership_count") == Some("true");
        let mut found: Vec<(&Membership, &User)> = group
            .memberships
            .iter()
            .filter_map(|membership| Some((membership, self.user(&membership.user)?)))
            .filter(|(membership, user)| self.is_asked(call, membership, user))
            .collect();
        if let Some(column) = call.asked("sort_by") {
            if !SORTED.contains(&column) {
                return Decision::refuse(400, "sort_by: unknown column");
            }
            found.sort_by_key(|(membership, user)| self.column(column, membership, user));
            if call.asked("sort_order") != Some("ASC") {
                found.reverse();
            }
        }
        let total = found.len();
        let rows = found.into_iter().map(|found| (&found.0.id, found));
        let path = format!("/groups/{id}/memberships");
        page(
            call,
            &path,
            &rows.collect::<Vec<_>>(),
            |(membership, user)| {
                let mut item = self.item(id, group, membership, user);
                if count {
                    item["meta"] = json!({ "group_membership_count": total });
                }
                item
            },
        )
    }

    fn is_asked(&self, call: &Incoming, membership: &Membership, user: &User) -> bool {
        let fits = |key: &str, value: &str| {
            call.asked(key)
                .is_none_or(|asked| asked.eq_ignore_ascii_case(value))
        };
        fits("email", &user.email)
            && fits("user_id", &user.id)
            && fits("username", &user.email)
            && fits("role_name", self.role_name(&membership.role))
    }

    fn column(&self, column: &str, membership: &Membership, user: &User) -> String {
        match column {
            "role_name" => self.role_name(&membership.role).to_owned(),
            "user_display_name" => user.name.clone(),
            "login_method" => String::new(),
            _ => user.email.clone(),
        }
    }

    fn item(&self, id: &str, group: &Group, membership: &Membership, user: &User) -> Value {
        json!({
            "type": "group_membership",
            "id": membership.id,
            "attributes": { "created_at": membership.created },
            "relationships": {
                "group": { "data": group_item(id, group) },
                "role": { "data": {
                    "type": "group_role",
                    "id": membership.role,
                    "attributes": { "name": self.role_name(&membership.role) },
                } },
                "user": { "data": {
                    "type": "user",
                    "id": user.id,
                    "attributes": {
                        "name": user.name,
                        "username": user.email,
                        "email": user.email,
                        "login_method": "saml",
                    },
                } },
            },
        })
    }

    pub(super) fn create_membership(&self, id: &str, body: &Value, now: &str) -> Decision {
        let Some(group) = self.groups.get(id) else {
            return no_group();
        };
        if !is_membership(body) || has_more(&body["data"], &["type", "relationships"]) {
            return Decision::refuse(400, "data: must be a group_membership and nothing else");
        }
        if has_more(&body["data"]["relationships"], &["group", "user", "role"]) {
            return Decision::refuse(400, "relationships: must be group, user and role alone");
        }
        let named = |what: &str, kind: &str| related(body, what, kind);
        let (Some(in_body), Some(user), Some(role)) = (
            named("group", "group"),
            named("user", "user"),
            named("role", "group_role"),
        ) else {
            return Decision::refuse(400, "relationships: group, user and role are required");
        };
        if in_body != id || self.role_name(role).is_empty() || !super::is_uuid(user) {
            return Decision::refuse(400, "relationships: no such group or role, or no id");
        }
        let Some(person) = self.user(user) else {
            return Decision::refuse(404, "User not found");
        };
        if group.memberships.iter().any(|there| there.user == user) {
            return Decision::refuse(409, "User already has a membership of this group");
        }
        let membership = self.membership(user.to_owned(), role.to_owned(), now);
        let item = self.item(id, group, &membership, person);
        Decision {
            changes: vec![Change::Join(id.to_owned(), membership)],
            ..Decision::show(
                201,
                json!({ "jsonapi": { "version": "1.0" }, "data": item }),
            )
        }
    }

    pub(super) fn update_membership(&self, id: &str, membership: &str, body: &Value) -> Decision {
        if self.find(id, membership).is_none() {
            return Decision::refuse(404, "Group membership not found");
        }
        if !is_membership(body) || has_more(&body["data"]["relationships"], &["role"]) {
            return Decision::refuse(400, "data: must be a group_membership with a role alone");
        }
        let same = body.pointer("/data/id").and_then(Value::as_str) == Some(membership);
        match related(body, "role", "group_role") {
            Some(role) if same && !self.role_name(role).is_empty() => Decision::done(Change::Role(
                id.to_owned(),
                membership.to_owned(),
                role.to_owned(),
            )),
            _ => Decision::refuse(400, "data: the membership's id and a role are required"),
        }
    }

    pub(super) fn delete_membership(&self, id: &str, membership: &str, cascade: bool) -> Decision {
        let Some((group, found)) = self.find(id, membership) else {
            return Decision::refuse(404, "Group membership not found");
        };
        if group.in_organizations.contains(&found.user) && !cascade {
            return Decision::refuse(409, "User has organization memberships in this group");
        }
        Decision::done(Change::End(id.to_owned(), membership.to_owned()))
    }

    fn find(&self, id: &str, membership: &str) -> Option<(&Group, &Membership)> {
        let group = self.groups.get(id)?;
        let found = group
            .memberships
            .iter()
            .find(|found| found.id == membership)?;
        Some((group, found))
    }

    pub(super) fn list_sso_connections(&self, group: &str, call: &Incoming) -> Decision {
        if !self.groups.contains_key(group) {
            return no_group();
        }
        let item =
            json!({ "type": "sso_connection", "id": id(5, 1), "attributes": { "name": "SSO" } });
        let path = format!("/groups/{group}/sso_connections");
        page(call, &path, &[(id(5, 1), item)], Value::clone)
    }

    pub(super) fn list_sso_users(&self, group: &str, sso: &str, call: &Incoming) -> Decision {
        if !self.groups.contains_key(group) || sso != id(5, 1) {
            return Decision::refuse(404, "SSO connection not found");
        }
        let users = self.users.values().filter(|user| user.sso);
        let users: Vec<_> = users.map(|user| (&user.id, user)).collect();
        let path = format!("/groups/{group}/sso_connections/{sso}/users");
        page(call, &path, &users, |user| {
            json!({
                "type": "user",
                "id": user.id,
                "attributes": {
                    "name": user.name,
                    "email": user.email,
                    "username": user.email,
                    "active": user.active,
                },
            })
        })
    }

    pub(super) fn delete_sso_user(&self, group: &str, sso: &str, user: &str) -> Decision {
        let there = self.user(user).is_some_and(|user| user.sso);
        if !self.groups.contains_key(group) || sso != id(5, 1) || !there {
            return Decision::refuse(404, "User not found");
        }
        Decision::done(Change::LeaveSso(user.to_owned()))
    }
}

const SORTED: [&str; 5] = [
    "username",
    "user_display_name",
    "email",
    "login_method",
    "role_name",
];

fn group_item(id: &str, group: &Group) -> Value {
    json!({ "type": "group", "id": id, "attributes": { "name": group.name } })
}

fn no_group() -> Decision {
    Decision::refuse(404, "Group not found")
}

/// Of the documented type; its attributes are free.
fn is_membership(body: &Value) -> bool {
    let attributes = body.pointer("/data/attributes");
    body["data"]["type"] == "group_membership" && attributes.is_none_or(Value::is_object)
}

/// Whether there are other keys than these.
fn has_more(value: &Value, known: &[&str]) -> bool {
    let mut keys = value.as_object().into_iter().flat_map(|it| it.keys());
    keys.any(|key| !known.contains(&key.as_str()))
}

/// The id of a relationship, if it is of the right type.
fn related<'a>(body: &'a Value, what: &str, kind: &str) -> Option<&'a str> {
    let data = body.pointer(&format!("/data/relationships/{what}/data"))?;
    let fits = data.get("type").and_then(Value::as_str) == Some(kind);
    data.get("id")?.as_str().filter(|_| fits)
}
