//! What there is in the simulated Hydden.Control, and what each operation makes
//! of it. Names need not be unique. How long a page may be is not documented:
//! more than a hundred entries are not given at once.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Map, Value, json};

use super::Decision;
use crate::simulator::{Company, Employee, stage::Incoming};

/// The entries of a page where nothing is said, and the most of one.
const PAGE: usize = 50;
const LONGEST_PAGE: usize = 100;

#[derive(Debug, Clone, Default)]
pub(in crate::simulator) struct World {
    /// By id, as they are shown.
    accounts: BTreeMap<String, Map<String, Value>>,
    groups: BTreeMap<String, Group>,
    /// Ids given so far.
    made: u64,
}

#[derive(Debug, Clone, Default)]
pub(in crate::simulator) struct Group {
    /// As it is shown, without the number of its members.
    record: Map<String, Value>,
    members: BTreeSet<String>,
    /// Groups inside it.
    nested: BTreeSet<String>,
}

/// One change, made by [`World::make`].
#[derive(Debug, Clone)]
pub(in crate::simulator) enum Change {
    Account(String, Map<String, Value>),
    DropAccount(String),
    Group(String, Map<String, Value>),
    DropGroup(String),
}

/// What a client may write of each.
const OF_GROUPS: [&str; 4] = ["name", "description", "group_type", "is_privileged"];
const OF_ACCOUNTS: [&str; 5] = [
    "name",
    "email",
    "display_name",
    "department",
    "data_source_id",
];

impl World {
    pub(super) fn of(company: &Company, now: &str) -> Self {
        let mut world = Self::default();
        let mut by_email = BTreeMap::new();
        for (place, employee) in company.users.iter().enumerate() {
            let id = format!("acc-{}", place + 1);
            by_email.insert(employee.email.to_lowercase(), id.clone());
            let account = account(&id, employee, now);
            world.make(Change::Account(id, account));
        }
        let id_of = |name: &String| {
            let place = company.groups.iter().position(|team| team.name == *name)?;
            Some(format!("grp-{}", place + 1))
        };
        for (place, team) in company.groups.iter().enumerate() {
            let id = format!("grp-{}", place + 1);
            let mut record = Map::new();
            record.insert("id".into(), id.clone().into());
            record.insert("name".into(), team.name.clone().into());
            record.insert(
                "description".into(),
                format!("The group {}", team.name).into(),
            );
            record.insert("group_type".into(), "security".into());
            record.insert("is_privileged".into(), (team.kind == "role").into());
            record.insert("created_at".into(), now.into());
            let emails = team.members.iter().map(|email| email.to_lowercase());
            let group = Group {
                record,
                members: emails
                    .filter_map(|email| by_email.get(&email).cloned())
                    .collect(),
                nested: team.nested.iter().filter_map(id_of).collect(),
            };
            world.groups.insert(id, group);
        }
        world.made = (company.users.len() + company.groups.len()) as u64;
        world
    }

    pub(super) fn make(&mut self, change: Change) {
        match change {
            Change::Account(id, record) => {
                self.made += u64::from(self.accounts.insert(id, record).is_none());
            }
            Change::DropAccount(id) => {
                self.accounts.remove(&id);
                for group in self.groups.values_mut() {
                    group.members.remove(&id);
                }
            }
            Change::Group(id, record) => {
                self.made += u64::from(!self.groups.contains_key(&id));
                self.groups.entry(id).or_default().record = record;
            }
            Change::DropGroup(id) => {
                self.groups.remove(&id);
                for group in self.groups.values_mut() {
                    group.nested.remove(&id);
                }
            }
        }
    }

    /// In the shape of all simulators, with what is in a group only through
    /// another one apart.
    pub(super) fn shown(&self) -> Value {
        let email = |id: &String| self.accounts.get(id)?.get("email").cloned();
        let emails = |ids: &BTreeSet<String>| {
            let mut emails: Vec<Value> = ids.iter().filter_map(email).collect();
            emails.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            emails
        };
        let users = self.accounts.values().map(|record| {
            let active = record.get("status").and_then(Value::as_str) == Some("active");
            json!({ "id": record["id"], "email": record.get("email"), "active": active })
        });
        let groups = self.groups.iter().map(|(id, group)| {
            json!({
                "id": id,
                "name": group.record.get("name"),
                "type": group.record.get("group_type"),
                "members": emails(&group.members),
                "indirect": emails(&self.indirect(group)),
            })
        });
        json!({ "users": users.collect::<Vec<_>>(), "groups": groups.collect::<Vec<_>>() })
    }

    /// Who is in a group through the groups inside it and not directly.
    fn indirect(&self, group: &Group) -> BTreeSet<String> {
        let mut seen = HashSet::new();
        let mut open: Vec<&String> = group.nested.iter().collect();
        let mut found = BTreeSet::new();
        while let Some(id) = open.pop() {
            if let Some(inner) = self.groups.get(id).filter(|_| seen.insert(id)) {
                found.extend(inner.members.iter().cloned());
                open.extend(&inner.nested);
            }
        }
        &found - &group.members
    }

    pub(super) fn list_groups(&self, call: &Incoming) -> Decision {
        let part = call.asked("search").unwrap_or_default().to_lowercase();
        let found = self.groups.iter().filter(|(_, group)| {
            let name = group.record.get("name").and_then(Value::as_str);
            name.unwrap_or_default().to_lowercase().contains(&part)
        });
        page(call, "groups", found.map(|(id, _)| id), |id| self.group(id))
    }

    /// A group as it is shown; direct members are counted and others are not.
    fn group(&self, id: &str) -> Option<Value> {
        let group = self.groups.get(id)?;
        let mut record = group.record.clone();
        record.insert("member_count".into(), group.members.len().into());
        Some(record.into())
    }

    pub(super) fn get_group(&self, id: &str) -> Decision {
        match self.group(id) {
            Some(group) => Decision::show(200, group),
            None => Decision::refuse(404, "Group not found"),
        }
    }

    pub(super) fn create_group(&self, body: &Value, now: &str) -> Decision {
        let id = format!("grp-{}", self.made + 1);
        let mut record = Map::new();
        record.insert("id".into(), id.clone().into());
        for (name, default) in [
            ("group_type", Value::from("security")),
            ("is_privileged", false.into()),
        ] {
            record.insert(name.into(), default);
        }
        record.insert("created_at".into(), now.into());
        if let Err(refusal) = merge(&mut record, body, &OF_GROUPS) {
            return refusal;
        }
        if record
            .get("name")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            return Decision::refuse(400, "name is required");
        }
        let mut shown = record.clone();
        shown.insert("member_count".into(), 0.into());
        Decision::show(201, shown.into()).with(Change::Group(id, record))
    }

    /// A PUT that merges: what is not named stays.
    pub(super) fn update_group(&self, id: &str, body: &Value) -> Decision {
        let Some(group) = self.groups.get(id) else {
            return Decision::refuse(404, "Group not found");
        };
        let mut record = group.record.clone();
        if let Err(refusal) = merge(&mut record, body, &OF_GROUPS) {
            return refusal;
        }
        let mut shown = record.clone();
        shown.insert("member_count".into(), group.members.len().into());
        Decision::show(200, shown.into()).with(Change::Group(id.into(), record))
    }

    pub(super) fn delete_group(&self, id: &str) -> Decision {
        if !self.groups.contains_key(id) {
            return Decision::refuse(404, "Group not found");
        }
        Decision::show(204, Value::Null).with(Change::DropGroup(id.into()))
    }

    pub(super) fn get_members(&self, id: &str) -> Decision {
        let Some(group) = self.groups.get(id) else {
            return Decision::refuse(404, "Group not found");
        };
        let indirect = self.indirect(group);
        let sides = [("direct", &group.members), ("indirect", &indirect)];
        let mut members = Vec::new();
        for (kind, ids) in sides {
            for account in ids.iter().filter_map(|id| self.accounts.get(id)) {
                members.push(json!({
                    "id": account.get("id"),
                    "name": account.get("name"),
                    "email": account.get("email"),
                    "membership_type": kind,
                    "added_date": group.record.get("created_at"),
                    "status": account.get("status"),
                }));
            }
        }
        let count = members.len();
        Decision::show(200, json!({ "members": members, "count": count }))
    }

    pub(super) fn list_accounts(&self, call: &Incoming) -> Decision {
        let part = call.asked("search").unwrap_or_default().to_lowercase();
        let text = |record: &Map<String, Value>, key: &str| {
            let text = record.get(key).and_then(Value::as_str);
            text.unwrap_or_default().to_lowercase()
        };
        let found = self.accounts.iter().filter(|(_, record)| {
            let named = ["name", "email"].map(|key| text(record, key).contains(&part));
            let fits = |key: &str| {
                let asked = call.asked(key);
                asked.is_none_or(|asked| text(record, key) == asked.to_lowercase())
            };
            named.contains(&true) && fits("department") && fits("data_source_id")
        });
        page(call, "accounts", found.map(|(id, _)| id), |id| {
            self.accounts.get(id).cloned().map(Value::Object)
        })
    }

    pub(super) fn get_account(&self, id: &str) -> Decision {
        match self.accounts.get(id) {
            Some(account) => Decision::show(200, account.clone().into()),
            None => Decision::refuse(404, "Account not found"),
        }
    }

    pub(super) fn create_account(&self, body: &Value, now: &str) -> Decision {
        let id = format!("acc-{}", self.made + 1);
        let mut record = Map::new();
        record.insert("id".into(), id.clone().into());
        record.insert("status".into(), "active".into());
        record.insert("created_at".into(), now.into());
        if let Err(refusal) = merge(&mut record, body, &OF_ACCOUNTS) {
            return refusal;
        }
        Decision::show(201, record.clone().into()).with(Change::Account(id, record))
    }

    pub(super) fn update_account(&self, id: &str, body: &Value) -> Decision {
        let Some(mut record) = self.accounts.get(id).cloned() else {
            return Decision::refuse(404, "Account not found");
        };
        if let Err(refusal) = merge(&mut record, body, &OF_ACCOUNTS) {
            return refusal;
        }
        Decision::show(200, record.clone().into()).with(Change::Account(id.into(), record))
    }

    pub(super) fn delete_account(&self, id: &str) -> Decision {
        if !self.accounts.contains_key(id) {
            return Decision::refuse(404, "Account not found");
        }
        Decision::show(204, Value::Null).with(Change::DropAccount(id.into()))
    }
}

/// Takes over what may be written; anything else is an error.
fn merge(record: &mut Map<String, Value>, body: &Value, known: &[&str]) -> Result<(), Decision> {
    let fields = body.as_object().filter(|fields| !fields.is_empty());
    let Some(fields) = fields else {
        return Err(Decision::refuse(400, "Provide at least one field"));
    };
    for (name, value) in fields {
        let fits = match name.as_str() {
            "is_privileged" => value.is_boolean(),
            _ => value.is_string(),
        };
        if !known.contains(&name.as_str()) || !fits {
            return Err(Decision::refuse(400, &format!("Invalid field: {name}")));
        }
        record.insert(name.clone(), value.clone());
    }
    Ok(())
}

/// One page of a list in the order of its ids; the cursor is the last id.
fn page<'a>(
    call: &Incoming,
    list: &str,
    ids: impl Iterator<Item = &'a String>,
    show: impl Fn(&str) -> Option<Value>,
) -> Decision {
    let limit = match call.asked("limit").map(str::parse::<usize>) {
        None => PAGE,
        Some(Ok(limit)) if limit > 0 => limit.min(LONGEST_PAGE),
        Some(_) => return Decision::refuse(400, "limit must be a positive number"),
    };
    let after = call
        .asked("after")
        .map(|cursor| cursor.strip_prefix("after:"));
    if after == Some(None) {
        return Decision::refuse(400, "Invalid cursor");
    }
    let after = after.flatten();
    let left = ids.filter(|id| after.is_none_or(|after| id.as_str() > after));
    let mut ids: Vec<&String> = left.take(limit + 1).collect();
    let more = ids.len() > limit;
    ids.truncate(limit);
    let cursor = ids.last().map(|id| format!("after:{id}"));
    let rows: Vec<Value> = ids.iter().filter_map(|id| show(id)).collect();
    let info = json!({ "hasNextPage": more, "endCursor": cursor });
    Decision::show(200, json!({ list: rows, "pageInfo": info }))
}

fn account(id: &str, employee: &Employee, now: &str) -> Map<String, Value> {
    let local = employee.email.split('@').next().unwrap_or_default();
    let status = if employee.active {
        "active"
    } else {
        "inactive"
    };
    let called = format!("{} {}", employee.first_name, employee.last_name);
    let mut account = Map::new();
    for (key, value) in [
        ("id", id),
        ("name", local),
        ("email", &employee.email),
        ("display_name", called.trim()),
        ("department", &employee.department),
        ("data_source_id", "ds-1"),
        ("status", status),
        ("created_at", now),
    ] {
        account.insert(key.into(), value.into());
    }
    account.insert("risk_score".into(), 0.into());
    account
}
