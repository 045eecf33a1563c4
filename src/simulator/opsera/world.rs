//! What there is in the simulated Opsera, and groups.
//!
//! Deciding and changing are apart: a request is decided against a [`World`]
//! as a pure function, and what it changes is a list of values. That lets a
//! second, older world answer reads when read lag is switched on.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::simulator::{Company, Employee, Faults, GroupState, State, UserState, stage};

pub(super) const SITE_ROLES: [&str; 5] = [
    "Administrators",
    "PowerUsers",
    "Users",
    "Auditors",
    "SecurityManagers",
];

/// A place in the list of users, which only grows.
pub(in crate::simulator) type Place = usize;

#[derive(Debug, Clone, Default)]
pub(in crate::simulator) struct World {
    pub(super) users: Vec<User>,
    /// By e-mail in lower case.
    pub(super) by_email: HashMap<String, Place>,
    pub(super) by_id: HashMap<String, Place>,
    pub(super) groups: BTreeMap<String, Group>,
    /// By e-mail in lower case.
    pub(super) people: BTreeMap<String, Map<String, Value>>,
}

#[derive(Debug, Clone)]
pub(in crate::simulator) struct User {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) active: bool,
    /// Owns assets: cannot be deactivated.
    pub(super) owner: bool,
    pub(super) site_role: String,
    /// First name, last name and so on, by their JSON keys.
    pub(super) fields: BTreeMap<&'static str, String>,
    pub(super) groups: BTreeSet<String>,
    pub(super) created_at: String,
    pub(super) updated_at: String,
}

#[derive(Debug, Clone, Default)]
pub(in crate::simulator) struct Group {
    pub(super) kind: String,
    pub(super) synced: bool,
    pub(super) members: HashSet<Place>,
}

/// One change, made by [`World::commit`].
#[derive(Debug, Clone)]
pub(in crate::simulator) enum Change {
    /// A new user at the end of the list, or another state of one.
    User(Place, Box<User>),
    Group(String, String, bool),
    DropGroup(String),
    Join(String, Vec<Place>),
    Leave(String, Vec<Place>),
    LeaveAll(Place),
    Person(String, Map<String, Value>),
}

pub(in crate::simulator) type Decision = stage::Decision<Change>;

impl Decision {
    pub(super) fn show(body: Value) -> Self {
        Self {
            status: 200,
            body,
            changes: Vec::new(),
        }
    }

    pub(super) fn done(message: &str, changes: Vec<Change>) -> Self {
        Self {
            status: 200,
            body: json!({ "message": message }),
            changes,
        }
    }

    pub(super) fn refuse(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            body: json!({ "status": "failed", "message": message.into() }),
            changes: Vec::new(),
        }
    }
}

impl World {
    pub(super) fn of(company: &Company, now: &str) -> Self {
        let mut world = Self::default();
        for employee in &company.users {
            let place = world.users.len();
            let user = hired(employee, place, now);
            if employee.person {
                let person = record(employee, place, now);
                world.make_all(vec![Change::Person(user.email.to_lowercase(), person)]);
            }
            world.make_all(vec![Change::User(place, Box::new(user))]);
        }
        for team in &company.groups {
            let members = team
                .members
                .iter()
                .filter_map(|email| world.by_email.get(&email.to_lowercase()).copied())
                .collect();
            world.make_all(vec![
                Change::Group(team.name.clone(), team.kind.clone(), team.synced),
                Change::Join(team.name.clone(), members),
            ]);
        }
        world
    }

    pub(super) fn make_all(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.make(change);
        }
    }

    fn make(&mut self, change: Change) {
        match change {
            Change::User(place, user) => {
                self.by_email.insert(user.email.to_lowercase(), place);
                self.by_id.insert(user.id.to_lowercase(), place);
                match self.users.get_mut(place) {
                    Some(known) => *known = *user,
                    None => self.users.push(*user),
                }
            }
            Change::Group(name, kind, synced) => {
                let group = self.groups.entry(name).or_default();
                group.kind = kind;
                group.synced = synced;
            }
            Change::DropGroup(name) => {
                let gone = self.groups.remove(&name).unwrap_or_default();
                for place in gone.members {
                    self.users[place].groups.remove(&name);
                }
            }
            Change::Join(name, places) => {
                if let Some(group) = self.groups.get_mut(&name) {
                    for place in places {
                        group.members.insert(place);
                        self.users[place].groups.insert(name.clone());
                    }
                }
            }
            Change::Leave(name, places) => {
                if let Some(group) = self.groups.get_mut(&name) {
                    for place in places {
                        group.members.remove(&place);
                        self.users[place].groups.remove(&name);
                    }
                }
            }
            Change::LeaveAll(place) => {
                for name in std::mem::take(&mut self.users[place].groups) {
                    if let Some(group) = self.groups.get_mut(&name) {
                        group.members.remove(&place);
                    }
                }
            }
            Change::Person(email, record) => {
                self.people.insert(email, record);
            }
        }
    }

    pub(super) fn shown(&self) -> State {
        let users = self.users.iter().map(|user| UserState {
            id: user.id.clone(),
            email: user.email.clone(),
            active: user.active,
            site_role: user.site_role.clone(),
            fields: user
                .fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        });
        let groups = self.groups.iter().map(|(name, group)| {
            let members = group.members.iter();
            let mut members: Vec<_> = members.map(|it| self.users[*it].email.clone()).collect();
            members.sort();
            GroupState {
                name: name.clone(),
                kind: group.kind.clone(),
                synced: group.synced,
                members,
            }
        });
        State {
            users: users.collect(),
            groups: groups.collect(),
            people: self.people.values().cloned().collect(),
        }
    }

    pub(super) fn create_group(&self, body: &Value, faults: &Faults) -> Decision {
        let Some(name) = body.get("name").and_then(Value::as_str) else {
            return Decision::refuse(400, "Group name is required");
        };
        if !is_group_name(name) {
            return Decision::refuse(400, "Group name violates the naming rules");
        }
        if self.groups.contains_key(name) {
            return Decision::refuse(409, "Group already exists");
        }
        let ids = body.get("groupMemberUserIds");
        let emails = body.get("groupMemberEmailAddresses");
        let members = match (ids, emails) {
            (Some(_), Some(_)) => {
                return Decision::refuse(
                    400,
                    "Provide groupMemberUserIds or groupMemberEmailAddresses, not both",
                );
            }
            (Some(list), None) | (None, Some(list)) => match self.named(list, faults) {
                Ok(named) if named.unknown.is_empty() => named.places(),
                Ok(_) => return Decision::refuse(400, "Invalid member identifiers provided"),
                Err(refusal) => return refusal,
            },
            (None, None) => Vec::new(),
        };
        Decision::done(
            "Group creation complete",
            vec![
                Change::Group(name.into(), "user".into(), false),
                Change::Join(name.into(), members),
            ],
        )
    }

    pub(super) fn get_group(&self, name: &str) -> Decision {
        match self.groups.get(name) {
            Some(group) => Decision::show(summary(name, group)),
            None => Decision::refuse(404, "Group not found"),
        }
    }

    pub(super) fn delete_group(&self, name: &str) -> Decision {
        match self.groups.get(name) {
            None => Decision::refuse(404, "Group not found"),
            Some(group) if group.synced => {
                Decision::refuse(400, "Group is synced with an external system")
            }
            Some(_) => Decision::done(
                "Group deletion completed: true",
                vec![Change::DropGroup(name.into())],
            ),
        }
    }

    /// `id` wins over `name`; both ignore the letter case, unlike everything else.
    pub(super) fn list_groups(&self, name: Option<&str>, ids: Option<&str>) -> Decision {
        let wanted: Option<HashSet<String>> =
            ids.map(|ids| ids.split(',').map(|id| id.trim().to_lowercase()).collect());
        let part = name.unwrap_or_default().to_lowercase();
        let rows = self.groups.iter().filter(|(name, _)| {
            let name = name.to_lowercase();
            match &wanted {
                Some(wanted) => wanted.contains(&name),
                None => name.contains(&part),
            }
        });
        Decision::show(rows.map(|(name, group)| summary(name, group)).collect())
    }
}

fn summary(name: &str, group: &Group) -> Value {
    json!({
        "name": name,
        "groupType": group.kind,
        "isSync": group.synced,
        "memberCount": group.members.len(),
    })
}

fn is_group_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 25
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// The id of the user at a place: 24 hexadecimal digits.
pub(super) fn user_id(place: Place) -> String {
    format!("65f0c0de{place:016x}")
}

fn hired(employee: &Employee, place: Place, now: &str) -> User {
    let app = |n: usize| format!("60a1a2b3{n:016x}");
    User {
        id: user_id(place),
        email: employee.email.clone(),
        active: employee.active,
        owner: employee.owner,
        site_role: employee.site_role.clone(),
        fields: [
            ("firstName", employee.first_name.clone()),
            ("lastName", employee.last_name.clone()),
            ("title", employee.title.clone()),
            ("location", employee.location.clone()),
            ("division", employee.division.clone()),
            ("application", app(place % 7)),
            ("tool", app(100 + place % 11)),
        ]
        .into(),
        groups: BTreeSet::new(),
        created_at: now.into(),
        updated_at: now.into(),
    }
}

fn record(employee: &Employee, place: Place, now: &str) -> Map<String, Value> {
    let mut person = Map::new();
    for (key, value) in [
        ("id", &format!("25ce97e1-549b-4f31-bd01-{place:012x}")),
        ("email", &employee.email.to_lowercase()),
        ("firstName", &employee.first_name),
        ("lastName", &employee.last_name),
        ("organization", &"Example Inc.".to_owned()),
        ("businessUnit", &employee.division),
        ("department", &employee.department),
        ("team", &employee.team),
        ("createdAt", &now.to_owned()),
        ("updatedAt", &now.to_owned()),
    ] {
        person.insert(key.into(), value.clone().into());
    }
    person
}
