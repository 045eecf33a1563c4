//! Roles that are there no more, as another one of a Snyk Group has their name now.
//! Where the configuration names a role by its name alone, that one is meant, and the
//! SCIM Group goes on as that: told by a whole reading that shows the one and not the
//! other, and done by the engine, in the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Snyk,
    membership::{Pair, only_looked},
    roles::is_same_name,
};
use crate::upstream::UpstreamError;

/// After which a pair is sent again whose Group is to go on as another role.
const SOON: Duration = Duration::from_millis(100);

/// By the id of the role that is gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Remade(BTreeMap<String, One>);

#[derive(Debug, Clone)]
struct One {
    name: String,
    /// The one that the configuration means, where that is certain.
    by: Option<String>,
    end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Open,
    /// Its Group stands for the other one. What was begun before is told by this.
    Moved,
    Stays(String),
}

impl Remade {
    pub(super) fn insert(&mut self, id: &str, name: &str) {
        let one = One {
            name: name.to_owned(),
            by: None,
            end: End::Open,
        };
        self.0.insert(id.to_owned(), one);
    }

    /// It is there again.
    pub(super) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    pub(super) fn name_of(&self, id: &str) -> Option<&String> {
        self.0.get(id).map(|one| &one.name)
    }

    /// Those that a Group still stands for.
    pub(super) fn told(&self) -> impl Iterator<Item = &String> {
        let told = self.0.iter().filter(|(_, one)| one.end != End::Moved);
        told.map(|(id, _)| id)
    }

    /// What a whole reading has shown: the ids and names of the roles that somebody has.
    /// Of several of one name nobody knows which is meant.
    pub(super) fn learn(&mut self, had: &BTreeMap<&str, &str>, is_by_name: impl Fn(&str) -> bool) {
        for one in self.0.values_mut().filter(|one| one.end != End::Moved) {
            let same = had.iter().filter(|(_, name)| is_same_name(name, &one.name));
            let ids: BTreeSet<&str> = same.map(|(id, _)| *id).collect();
            let only = ids.first().filter(|_| ids.len() == 1);
            one.by = only
                .filter(|_| is_by_name(&one.name))
                .map(|id| (*id).to_owned());
            one.end = End::Open;
        }
    }

    /// Those whose Group is to go on as another role, with that one.
    pub(super) fn open(&self) -> impl Iterator<Item = (&String, &String)> {
        let open = self.0.iter().filter(|(_, one)| one.end == End::Open);
        open.filter_map(|(id, one)| Some((id, one.by.as_ref()?)))
    }

    pub(super) fn is_moved(&self, id: &str) -> bool {
        self.0.get(id).is_some_and(|one| one.end == End::Moved)
    }

    pub(super) fn is_open(&self, id: &str) -> bool {
        self.open().any(|(open, _)| open == id)
    }

    /// Why the Group of one goes on standing for it.
    pub(super) fn stays(&self, id: &str) -> Option<&String> {
        match &self.0.get(id)?.end {
            End::Stays(why) => Some(why),
            End::Open | End::Moved => None,
        }
    }

    /// It was done, or why it was not.
    pub(super) fn end(&mut self, id: &str, stays: Option<&str>) {
        if let Some(one) = self.0.get_mut(id) {
            one.end = stays.map_or(End::Moved, |why| End::Stays(why.to_owned()));
        }
    }
}

impl Snyk {
    /// Why a pair of a role that was made anew is left as it is: its Group goes on as the
    /// new role where the configuration means that, which a reading of all tells.
    pub(super) async fn made_anew_role(&self, pair: Pair<'_>, role: &str) -> UpstreamError {
        let (group, own) = (pair.group, pair.own);
        if self.families.may_be_remade(group, own)
            && !self.families.is_remade(group, own)
            && let Err(error) = self.read_all(group).await
        {
            return self.stays_for(group, only_looked(error));
        }
        if self.families.is_remade(group, own) {
            return UpstreamError::Later {
                after: Some(SOON),
                reason: "the role was made anew in Snyk, and the Group goes on as that".into(),
            };
        }
        made_anew(group, role, self.families.stays(group, own).as_deref())
    }
}

/// Why somebody is neither given nor rid of a role that is another one now.
fn made_anew(group: &str, role: &str, stays: Option<&str>) -> UpstreamError {
    let why = stays.map_or_else(String::new, |why| format!(" ({why})"));
    UpstreamError::Barred {
        reason: format!(
            "the role {role:?} of the Snyk Group {group} is another one now, and this Group stands for \
             the one before{why}; ask for the user in the Group that stands for it now, or change their \
             role in Snyk"
        ),
    }
}
