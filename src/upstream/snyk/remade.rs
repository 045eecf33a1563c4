//! Roles that are there no more, as another one of a Snyk Group has their name now.
//! Where the configuration names a role by its name alone, that one is meant, and the
//! SCIM Group goes on as that: told by a whole reading that shows the one and not the
//! other, and done by the engine, in the store.

use std::collections::{BTreeMap, BTreeSet};

use super::roles::is_same_name;

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
