//! The live test behind `drawbridge check`: each declared reading is done once,
//! and what cannot be understood names the key to correct. The right to write
//! is not tried, because trying would change something.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Rest, lists, operation::Name, settings::Member, usable};
use crate::upstream::{Finding, RemoteGroup, Upstream, UpstreamError};

/// An account that nobody has (RFC 2606).
const NOBODY: &str = "drawbridge-check@example.invalid";
/// Of so many groups the members are tried.
const SOME: usize = 3;

impl Rest {
    pub(super) async fn findings(&self) -> Vec<Finding> {
        let rows = match self.settings.has(Name::ListGroups) {
            true => self.all(Name::ListGroups, &[]).await,
            false => Ok(Vec::new()),
        };
        let groups = match (&rows, self.settings.has(Name::ListGroups)) {
            (Err(error), _) => Err(error.clone()),
            (Ok(rows), true) => self.all_groups(rows).map(|groups| self.marked(groups)),
            (Ok(_), false) => self.groups().await,
        };
        let base = &self.settings.base_url;
        if let Err(error @ UpstreamError::Later { .. }) = &groups {
            return vec![bad(
                format!("{base} does not answer as an API would: {error}"),
                "check base_url, the network between, and the server's certificate \
                 (ca_file trusts a private authority)"
                    .into(),
            )];
        }
        let mut found = vec![good(format!("{base} answers"))];
        let readable = groups.iter().flatten().filter(|group| !group.unreadable);
        let some: Vec<RemoteGroup> = readable.take(SOME).cloned().collect();
        if self.settings.has(Name::ListGroups) {
            found.push(reading(Name::ListGroups, groups.map(|list| list.len())));
            let unread = usable::of_groups(&rows.unwrap_or_default(), &self.settings.group);
            found.extend(unread.into_iter().map(unusable));
        }
        found.extend(self.of_some_group(&some).await);
        found.extend(self.of_kinds(&some).await);
        if self.settings.has(Name::ListUsers) {
            let rows = self.all(Name::ListUsers, &[]).await;
            let users = rows.as_deref().map_err(Clone::clone);
            let users = users.and_then(|rows| self.all_users(rows));
            found.push(reading(Name::ListUsers, users.map(|list| list.len())));
            let rows = rows.unwrap_or_default();
            let unread = usable::of_users(&rows, &self.settings.user);
            found.extend(unread.into_iter().map(unusable));
            let unshown = usable::unshown(&rows, &self.settings);
            if !unshown.is_empty() {
                found.push(good(format!(
                    "user.attributes: no user shows {}",
                    unshown.join(", ")
                )));
            }
        }
        if self.settings.has(Name::FindUser) {
            let nobody = match self.accounts(NOBODY).await {
                // What is no id or name at all may be refused as such.
                Err(UpstreamError::Rejected { .. }) => Ok(0),
                found => found.map(|found| found.len()),
            };
            found.push(reading(Name::FindUser, nobody));
        }
        if found.iter().all(|finding| finding.ok) {
            let untried = "the right to write is not tried, because trying would change something";
            found.push(good(untried.into()));
        }
        found
    }

    /// What one group alone refuses is no matter of the token, or of what is declared:
    /// what cannot be read of all of these is, and how one writes an empty list.
    async fn of_some_group(&self, groups: &[RemoteGroup]) -> Option<Finding> {
        let mut last = None;
        for group in groups {
            let members = self.members(&group.name).await;
            let members = members.map(|list| list.len());
            if members.as_ref().is_err_and(is_left_out) {
                last = Some(members);
                break;
            }
            if !matches!(last, Some(Ok(_))) {
                last = Some(members);
            }
        }
        last.map(|members| reading(Name::ListMembers, members))
    }

    /// Where entries of the lists of members say of what kind they are, and nothing says
    /// which of them are users. What cannot be read is told by the reading.
    async fn of_kinds(&self, groups: &[RemoteGroup]) -> Option<Finding> {
        if self.settings.member.only.is_some() {
            return None;
        }
        let mut kinds = Kinds::default();
        for group in groups {
            let id = self.id_for(Name::ListMembers, &group.name).await.ok()?;
            let values = self.values_of_group(&group.name, id.as_deref());
            let rows = self.all(Name::ListMembers, &values).await.ok();
            kinds.see(&rows.unwrap_or_default(), &self.settings.member);
        }
        kinds.told()
    }
}

/// Keys that commonly say of what kind an entry is, without underscores.
const KINDS: [&str; 7] = [
    "type",
    "kind",
    "@odata.type",
    "membertype",
    "objecttype",
    "principaltype",
    "resourcetype",
];
/// Parts of words for somebody who may be a member.
const USERS: [&str; 4] = ["user", "person", "people", "account"];

/// The kinds of entries by where they stand, in the order of their places.
#[derive(Debug, Default)]
struct Kinds(BTreeMap<String, BTreeSet<String>>);

impl Kinds {
    /// Beside what tells a member, or at the top of the entry.
    fn see(&mut self, rows: &[Value], shape: &Member) {
        let parents = [&shape.id, &shape.account].into_iter().flatten();
        let mut parents: Vec<&str> = parents
            .filter_map(|at| at.as_str().rsplit_once('/'))
            .map(|(parent, _)| parent)
            .collect();
        parents.push("");
        for row in rows {
            for parent in &parents {
                let fields = row.pointer(parent).and_then(Value::as_object);
                for (key, value) in fields.into_iter().flatten() {
                    let plain = key.to_lowercase().replace('_', "");
                    let Some(kind) = value.as_str().filter(|_| KINDS.contains(&plain.as_str()))
                    else {
                        continue;
                    };
                    let key = key.replace('~', "~0").replace('/', "~1");
                    let kinds = self.0.entry(format!("{parent}/{key}")).or_default();
                    kinds.insert(kind.to_owned());
                }
            }
        }
    }

    /// A kind that is no user's is a member as long as nobody says that it is none.
    fn told(self) -> Option<Finding> {
        let is_user = |kind: &&String| {
            let kind = kind.to_lowercase();
            USERS.iter().any(|user| kind.contains(user))
        };
        let (at, kinds) = self.0.into_iter().max_by_key(|(_, kinds)| kinds.len())?;
        let user = kinds.iter().find(is_user).map_or("user", String::as_str);
        let remedy = format!("member.only = {{ at = {at:?}, is = {user:?} }}");
        let all: Vec<String> = kinds.iter().map(|kind| format!("{kind:?}")).collect();
        let what = format!(
            "list members: entries say at {at} of what kind they are ({}), and all of them are taken \
             for users",
            all.join(", ")
        );
        if kinds.len() == 1 && kinds.iter().any(|kind| is_user(&kind)) {
            return Some(good(format!(
                "{what}; {remedy} keeps out what else may come"
            )));
        }
        Some(bad(
            what,
            format!("say which are users, as their ids may be those of others: {remedy}"),
        ))
    }
}

fn is_left_out(error: &UpstreamError) -> bool {
    matches!(error, UpstreamError::Unknown { reason } if reason.contains(lists::SETTING))
}

fn unusable((what, wanted): (String, &'static str)) -> Finding {
    bad(
        format!("{what} in any row"),
        format!("point it to {wanted}, or take it out: it has no effect as it is"),
    )
}

fn reading(name: Name, result: Result<usize, UpstreamError>) -> Finding {
    let (what, key) = (name.words(), name.key());
    match result {
        Ok(count) => good(format!("{what}: works, with {count} in the answer")),
        Err(error @ UpstreamError::Denied { .. }) => bad(
            format!("{what}: {error}"),
            "give the token this right; if it is not accepted at all, put a fresh one where \
             token points, and compare authentication with the API's reference"
                .into(),
        ),
        Err(error) if is_left_out(&error) => bad(
            format!("{what}: {error}"),
            format!(
                "if that is an empty list, write {} for operations.{key}; else compare it with \
                 the API's reference",
                lists::SETTING
            ),
        ),
        Err(error) => bad(
            format!("{what}: {error}"),
            format!("compare operations.{key} with the API's reference"),
        ),
    }
}

fn good(what: String) -> Finding {
    Finding {
        ok: true,
        what,
        remedy: None,
    }
}

fn bad(what: String, remedy: String) -> Finding {
    Finding {
        ok: false,
        what,
        remedy: Some(remedy),
    }
}
