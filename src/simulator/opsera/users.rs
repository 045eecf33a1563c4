//! Users and People records of the simulated Opsera. Lists and searches show
//! active users only; a deactivated one keeps its memberships until its e-mail
//! is created again, which gives it a new state and none.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    Faults,
    world::{Change, Decision, Place, SITE_ROLES, User, World, user_id},
};

/// Optional texts of a new user.
const OPTIONAL: [&str; 4] = ["preferredName", "title", "location", "division"];
/// What a People record can hold.
const PERSON: [&str; 7] = [
    "firstName",
    "lastName",
    "organization",
    "businessUnit",
    "department",
    "group",
    "team",
];

impl World {
    pub(super) fn search_user(&self, pattern: Option<&str>) -> Decision {
        let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else {
            return Decision::refuse(400, "Invalid search query");
        };
        let mut found = self.matching(pattern);
        match (found.next(), found.next()) {
            (None, _) => Decision::refuse(404, "User not found"),
            (Some(user), None) => Decision::show(user_json(user)),
            (Some(_), Some(_)) => Decision::refuse(400, "Multiple users found"),
        }
    }

    pub(super) fn list_users(&self, pattern: Option<&str>, ids: Option<&str>) -> Decision {
        if let Some(ids) = ids {
            let mut rows = Vec::new();
            for id in ids.split(',').map(str::trim) {
                if !is_id(id) {
                    return Decision::refuse(400, "Invalid ID format");
                }
                let user = self.by_id.get(&id.to_lowercase());
                let user = user.map(|place| &self.users[*place]);
                rows.extend(user.filter(|user| user.active).map(user_json));
            }
            return Decision::show(rows.into());
        }
        let rows = self.matching(pattern.unwrap_or("*"));
        Decision::show(rows.map(user_json).collect())
    }

    pub(super) fn get_user(&self, id: &str, faults: &Faults) -> Decision {
        match self.addressed(id) {
            Some(place) if self.users[place].active || faults.show_inactive => {
                Decision::show(user_json(&self.users[place]))
            }
            _ if !id.contains('@') && !is_id(id) => Decision::refuse(400, "Invalid user ID"),
            _ => Decision::refuse(404, "User not found"),
        }
    }

    pub(super) fn create_user(&self, body: &Value, faults: &Faults, now: &str) -> Decision {
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
        let email = text("email").to_lowercase();
        if !is_email(&email) {
            return Decision::refuse(400, "A valid email is required");
        }
        if text("firstName").is_empty() || text("lastName").is_empty() {
            return Decision::refuse(400, "firstName and lastName are required");
        }
        let site_role = match body.get("siteRole") {
            None => "Users",
            Some(role) => match role.as_str().filter(|role| SITE_ROLES.contains(role)) {
                Some(role) => role,
                None => return Decision::refuse(400, "Invalid siteRole"),
            },
        };
        let mut joined = Vec::new();
        for group in body
            .get("groups")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            match group
                .as_str()
                .filter(|name| self.groups.contains_key(*name))
            {
                Some(name) => joined.push(name.to_owned()),
                None => return Decision::refuse(400, "Unknown group"),
            }
        }
        let known = self.by_email.get(&email).copied();
        if known.is_some_and(|place| self.users[place].active) {
            return Decision::refuse(409, "User with this email already exists");
        }
        if known.is_some() && !faults.revive {
            return Decision::refuse(400, "User is deactivated");
        }
        let place = known.unwrap_or(self.users.len());
        let mut fields: BTreeMap<&'static str, String> = BTreeMap::new();
        for key in ["firstName", "lastName"].into_iter().chain(OPTIONAL) {
            if !text(key).is_empty() {
                fields.insert(key, text(key).to_owned());
            }
        }
        let user = User {
            id: user_id(place),
            email,
            active: true,
            owner: false,
            site_role: site_role.into(),
            fields,
            groups: BTreeSet::new(),
            created_at: now.into(),
            updated_at: now.into(),
        };
        let mut changes = Vec::new();
        if known.is_some() {
            changes.push(Change::LeaveAll(place));
        }
        changes.push(Change::User(place, Box::new(user)));
        changes.extend(
            joined
                .into_iter()
                .map(|name| Change::Join(name, vec![place])),
        );
        Decision::done("User creation complete", changes)
    }

    pub(super) fn deactivate_user(&self, id: &str, now: &str) -> Decision {
        let Some(place) = self.addressed(id) else {
            return Decision::refuse(404, "User not found");
        };
        let user = &self.users[place];
        if user.owner {
            return Decision::refuse(
                400,
                "User deactivation failed: transfer the owned assets first",
            );
        }
        let mut user = user.clone();
        user.active = false;
        user.updated_at = now.into();
        Decision::done(
            "User deactivation completed: true",
            vec![Change::User(place, Box::new(user))],
        )
    }

    pub(super) fn set_site_role(&self, id: &str, body: &Value, now: &str) -> Decision {
        let role = body.get("siteRole").and_then(Value::as_str);
        let Some(role) = role.filter(|role| SITE_ROLES.contains(role)) else {
            return Decision::refuse(400, "Missing or invalid siteRole");
        };
        let place = self.addressed(id);
        let Some(place) = place.filter(|place| self.users[*place].active) else {
            return Decision::refuse(404, "User not found");
        };
        let mut user = self.users[place].clone();
        user.site_role = role.into();
        user.updated_at = now.into();
        Decision::done(
            "Successfully updated site role for user.",
            vec![Change::User(place, Box::new(user))],
        )
    }

    pub(super) fn list_people(&self) -> Decision {
        let rows: Vec<&Map<String, Value>> = self.people.values().collect();
        Decision::show(json!({ "count": rows.len(), "data": rows }))
    }

    pub(super) fn get_person(&self, email: &str) -> Decision {
        match self.people.get(&email.to_lowercase()) {
            Some(person) => Decision::show(person.clone().into()),
            None if !is_email(email) => Decision::refuse(400, "Invalid email format"),
            None => Decision::refuse(404, "Person not found"),
        }
    }

    pub(super) fn create_person(&self, body: &Value, now: &str) -> Decision {
        let email = body
            .get("email")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let email = email.to_lowercase();
        if !is_email(&email) {
            return Decision::refuse(400, "A valid email is required");
        }
        if self.people.contains_key(&email) {
            return Decision::refuse(409, "Duplicate email address");
        }
        let mut person = Map::new();
        let id = format!("25ce97e1-549b-4f31-bd02-{:012x}", self.people.len());
        person.insert("id".into(), id.into());
        person.insert("email".into(), email.clone().into());
        person.insert("createdAt".into(), now.into());
        written(email, person, body, now)
    }

    pub(super) fn update_person(&self, email: &str, body: &Value, now: &str) -> Decision {
        let email = email.to_lowercase();
        match self.people.get(&email) {
            Some(person) => written(email, person.clone(), body, now),
            None => Decision::refuse(404, "Person not found"),
        }
    }

    fn matching<'a>(&'a self, pattern: &str) -> Box<dyn Iterator<Item = &'a User> + 'a> {
        let pattern = pattern.to_lowercase();
        if !pattern.contains('*') {
            let user = self.by_email.get(&pattern).map(|place| &self.users[*place]);
            return Box::new(user.filter(|user| user.active).into_iter());
        }
        let all = self.users.iter().filter(|user| user.active);
        Box::new(all.filter(move |user| fits(&pattern, &user.email.to_lowercase())))
    }

    fn addressed(&self, id: &str) -> Option<Place> {
        let key = id.to_lowercase();
        self.by_id
            .get(&key)
            .or_else(|| self.by_email.get(&key))
            .copied()
    }
}

pub(super) fn user_json(user: &User) -> Value {
    let field = |key: &str| user.fields.get(key).cloned().unwrap_or_default();
    let list = |key: &str| -> Vec<&String> { user.fields.get(key).into_iter().collect() };
    json!({
        "_id": user.id,
        "email": user.email,
        "firstName": field("firstName"),
        "lastName": field("lastName"),
        "active": user.active,
        "sso": "okta",
        "organizationName": "Example Inc.",
        "division": field("division"),
        "domain": "example.com",
        "applications": list("application"),
        "tools": list("tool"),
        "groups": user.groups,
        "createdAt": user.created_at,
        "updatedAt": user.updated_at,
    })
}

fn written(email: String, mut person: Map<String, Value>, body: &Value, now: &str) -> Decision {
    for key in PERSON {
        match body.get(key) {
            None => {}
            Some(Value::String(text)) => {
                person.insert(key.into(), text.clone().into());
            }
            Some(_) => return Decision::refuse(400, format!("{key} must be a string")),
        }
    }
    person.insert("updatedAt".into(), now.into());
    Decision {
        status: 200,
        body: person.clone().into(),
        changes: vec![Change::Person(email, person)],
    }
}

/// Whether a text fits a pattern with `*`; linear, because the first place
/// where a piece fits is always the best.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(place) => rest = &rest[place + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn is_email(text: &str) -> bool {
    let parts: Vec<&str> = text.split('@').collect();
    matches!(parts.as_slice(), [local, domain] if !local.is_empty() && !domain.is_empty())
        && !text.contains(char::is_whitespace)
}

fn is_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn wildcards_fit_anything_in_order() {
        for (pattern, text, fit) in [
            ("*", "", true),
            ("*@example.com", "ann@example.com", true),
            ("john*@example.com", "johnny@example.com", true),
            (
                "*engineer*@example.com",
                "lead.engineer.two@example.com",
                true,
            ),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("ann", "ann", true),
            ("ann", "anna", false),
        ] {
            assert_eq!(fits(pattern, text), fit, "{pattern} {text}");
        }
    }
}
