//! Members of the simulated Opsera: read, added, removed and replaced in
//! batches, by ids or by e-mails, never mixed. What a batch does with a member
//! that makes no sense is not documented, so it is a switch. The cost of a
//! batch is that of the members it names, whatever the size of the group.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    Faults, Treatment,
    users::user_json,
    world::{Change, Decision, Group, Place, World},
};

/// The members a request names.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Identifier as sent, and whom it means; nobody twice.
    known: Vec<(String, Place)>,
    pub(super) unknown: Vec<String>,
}

impl Named {
    pub(super) fn places(&self) -> Vec<Place> {
        self.known.iter().map(|(_, place)| *place).collect()
    }
}

/// Which way a batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batch {
    Add,
    Remove,
    Replace,
}

impl World {
    pub(super) fn get_members(&self, name: &str) -> Decision {
        let Some(group) = self.groups.get(name) else {
            return Decision::refuse(404, "Group not found");
        };
        // In the order they came into being, so that answers are stable.
        let mut places: Vec<_> = group.members.iter().copied().collect();
        places.sort_unstable();
        let members: Value = places
            .into_iter()
            .map(|place| {
                let user = &self.users[place];
                if user.active {
                    user_json(user)
                } else {
                    // Details of inactive users are not available.
                    user.email.clone().into()
                }
            })
            .collect();
        Decision::show(json!({ "members": members }))
    }

    pub(super) fn change_members(
        &self,
        batch: Batch,
        name: &str,
        body: &Value,
        faults: &Faults,
    ) -> Decision {
        let Some(group) = self.groups.get(name) else {
            // The replacement documents no 404.
            let status = if batch == Batch::Replace { 400 } else { 404 };
            return Decision::refuse(status, "Group not found");
        };
        if group.synced {
            return Decision::refuse(400, "Group is synced with an external system");
        }
        let Some(list) = body.get("members") else {
            return Decision::refuse(400, "members is required");
        };
        let named = match self.named(list, faults) {
            Ok(named) => named,
            Err(refusal) => return refusal,
        };
        if !named.unknown.is_empty() && faults.unknown_members == Treatment::Strict {
            return Decision::refuse(400, "Invalid member identifiers provided");
        }
        if batch == Batch::Replace {
            return replaced(name, group, named, faults);
        }
        self.moved(batch, name, group, named, faults)
    }

    fn moved(
        &self,
        batch: Batch,
        name: &str,
        group: &Group,
        named: Named,
        faults: &Faults,
    ) -> Decision {
        let adding = batch == Batch::Add;
        let mut report = Report::default();
        let mut places = Vec::new();
        for (text, place) in named.known {
            if group.members.contains(&place) == adding {
                report.odd(text, faults.duplicate_members);
            } else if adding && !self.users[place].active {
                report.odd(text, faults.unknown_members);
            } else {
                places.push(place);
                report.listed.push(text);
            }
        }
        if report.strict {
            let problem = if adding {
                "User is already a member of the group"
            } else {
                "User is not a member of the group"
            };
            return Decision::refuse(400, problem);
        }
        for text in named.unknown {
            report.odd(text, faults.unknown_members);
        }
        let (word, key, change) = if adding {
            ("added", "added", Change::Join(name.into(), places))
        } else {
            ("removed", "removed", Change::Leave(name.into(), places))
        };
        report.decision(
            "Group membership update completed successfully",
            &format!("Members {word} successfully"),
            key,
            vec![change],
        )
    }

    /// Reads a list of identifiers of one kind.
    pub(super) fn named(&self, list: &Value, faults: &Faults) -> Result<Named, Decision> {
        let bad = |why: &str| Err(Decision::refuse(400, why));
        let Some(list) = list.as_array() else {
            return bad("Members must be a list");
        };
        let mut named = Named::default();
        let mut seen = HashSet::new();
        let mut by_email = None;
        for entry in list {
            let Some(text) = entry.as_str() else {
                return bad("Every member must be an email address or a user id");
            };
            let is_email = text.contains('@');
            if *by_email.get_or_insert(is_email) != is_email {
                return bad("Provide email addresses or user ids, not both");
            }
            let key = text.to_lowercase();
            if faults
                .refuse_members
                .iter()
                .any(|it| it.to_lowercase() == key)
            {
                return bad("Invalid member identifiers provided");
            }
            let index = if is_email {
                &self.by_email
            } else {
                &self.by_id
            };
            match index.get(&key) {
                Some(place) => {
                    let email = self.users[*place].email.to_lowercase();
                    if faults
                        .refuse_members
                        .iter()
                        .any(|it| it.to_lowercase() == email)
                    {
                        return bad("Invalid member identifiers provided");
                    }
                    if seen.insert(*place) {
                        named.known.push((text.into(), *place));
                    }
                }
                None => named.unknown.push(text.into()),
            }
        }
        Ok(named)
    }
}

fn replaced(name: &str, group: &Group, named: Named, faults: &Faults) -> Decision {
    let mut report = Report::default();
    let wanted: HashSet<Place> = named.known.iter().map(|(_, place)| *place).collect();
    let gone = group.members.difference(&wanted).copied().collect();
    let new = wanted.difference(&group.members).copied().collect();
    report.listed = named.known.into_iter().map(|(text, _)| text).collect();
    for text in named.unknown {
        report.odd(text, faults.unknown_members);
    }
    report.decision(
        "Group membership replacement completed successfully.",
        "Members replaced successfully.",
        "added",
        vec![
            Change::Leave(name.into(), gone),
            Change::Join(name.into(), new),
        ],
    )
}

/// What is said of each member.
#[derive(Debug, Default)]
struct Report {
    listed: Vec<String>,
    failed: Vec<String>,
    /// One of them spoils the batch.
    strict: bool,
}

impl Report {
    fn odd(&mut self, text: String, treatment: Treatment) {
        match treatment {
            Treatment::Strict => self.strict = true,
            Treatment::Lenient => {}
            Treatment::Partial => self.failed.push(text),
            Treatment::Listed => self.listed.push(text),
        }
    }

    fn decision(self, outer: &str, inner: &str, key: &str, changes: Vec<Change>) -> Decision {
        if self.strict {
            return Decision::refuse(400, "Invalid member identifiers provided");
        }
        let mut result = json!({ "message": inner, key: self.listed });
        if !self.failed.is_empty()
            && let Some(map) = result.as_object_mut()
        {
            map.insert("failed".into(), self.failed.into());
        }
        Decision {
            status: 200,
            body: json!({ "message": outer, "result": result }),
            changes,
        }
    }
}
