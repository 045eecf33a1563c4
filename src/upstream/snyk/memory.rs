//! What was last heard of memberships and people: it saves look-ups, and is
//! never the reason to do nothing. An id that is out of date costs one call,
//! which Snyk answers with 404, and is forgotten then.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::api::Membership;
use crate::upstream::client::Moment;

/// What a reading showed is relied on for so long.
pub(super) const RECENT: Duration = Duration::from_secs(15 * 60);
/// What a call of ours did is relied on for so long against a look, which may
/// show what was so before it.
pub(super) const FRESH: Duration = Duration::from_secs(60);

/// A membership as it was last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: String,
    /// `None` after a call that nobody answered.
    pub(super) role: Option<Arc<str>>,
    heard: Moment,
    /// By the answer to a call of ours, and not by a reading.
    ours: bool,
}

impl Known {
    /// Its role, if that was heard no longer ago than that.
    pub(super) fn role_within(&self, span: Duration) -> Option<&str> {
        self.role.as_deref().filter(|_| self.heard.is_within(span))
    }

    /// Whether a call of ours has just given it that role.
    pub(super) fn is_fresh(&self, role: &str) -> bool {
        self.ours && self.role.as_deref() == Some(role) && self.heard.is_within(FRESH)
    }
}

/// Somebody's id.
#[derive(Debug, Clone)]
struct Person {
    id: String,
    heard: Moment,
    /// Others have the same e-mail.
    ambiguous: bool,
}

/// By the id of the Snyk Group, then by the id of the user.
type Memberships = HashMap<String, HashMap<String, Known>>;

#[derive(Debug, Default)]
pub(super) struct Memory {
    memberships: Mutex<Memberships>,
    /// By e-mail.
    people: Mutex<HashMap<String, Person>>,
}

impl Memory {
    pub(super) fn membership(&self, group: &str, user: &str) -> Option<Known> {
        self.memberships().get(group)?.get(user).cloned()
    }

    /// A call of ours did this.
    pub(super) fn done(&self, group: &str, user: &str, id: &str, role: &str) {
        self.put(group, user, Some((id, Some(role))));
    }

    /// A call of ours may have done something to a membership.
    pub(super) fn doubt(&self, group: &str, user: &str, id: &str) {
        self.put(group, user, Some((id, None)));
    }

    pub(super) fn forget(&self, group: &str, user: &str) {
        self.put(group, user, None);
    }

    fn put(&self, group: &str, user: &str, now: Option<(&str, Option<&str>)>) {
        let mut memberships = self.memberships();
        let of_group = memberships.entry(group.to_owned()).or_default();
        match now {
            Some((id, role)) => {
                let known = Known {
                    id: id.to_owned(),
                    role: role.map(Arc::from),
                    heard: Moment::now(),
                    ours: true,
                };
                of_group.insert(user.to_owned(), known);
            }
            None => drop(of_group.remove(user)),
        }
    }

    /// A whole list of a Snyk Group, whose reading began at a moment. What was
    /// done since is younger than it.
    pub(super) fn read(&self, group: &str, list: &[Membership], began: Moment) {
        let mut roles: HashMap<&str, Arc<str>> = HashMap::new();
        let mut now = HashMap::with_capacity(list.len());
        for membership in list {
            let role = roles
                .entry(&membership.role_id)
                .or_insert_with(|| Arc::from(membership.role_id.as_str()));
            let known = Known {
                id: membership.id.clone(),
                role: Some(Arc::clone(role)),
                heard: began,
                ours: false,
            };
            now.insert(membership.user_id.clone(), known);
        }
        let mut memberships = self.memberships();
        let before = memberships.remove(group).unwrap_or_default();
        now.extend(before.into_iter().filter(|(_, known)| known.heard > began));
        memberships.insert(group.to_owned(), now);
        drop(memberships);
        let people = list
            .iter()
            .map(|it| (it.email.as_str(), it.user_id.as_str()));
        self.meet(people, began);
    }

    /// People by their e-mails, as a reading that began then shows them.
    pub(super) fn meet<'a>(&self, found: impl Iterator<Item = (&'a str, &'a str)>, began: Moment) {
        let mut people = self.people();
        for (email, id) in found.filter(|(email, _)| !email.is_empty()) {
            let before = people.get(email);
            let other = before.filter(|it| it.id != id && it.heard.is_within(RECENT));
            let ambiguous = other.is_some();
            let person = Person {
                id: id.to_owned(),
                heard: began,
                ambiguous,
            };
            people.insert(email.to_owned(), person);
        }
    }

    /// The id of the one who was lately seen with an e-mail.
    pub(super) fn person(&self, email: &str) -> Option<String> {
        let people = self.people();
        let person = people.get(email)?;
        let certain = !person.ambiguous && person.heard.is_within(RECENT);
        certain.then(|| person.id.clone())
    }

    fn memberships(&self) -> MutexGuard<'_, Memberships> {
        self.memberships
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn people(&self) -> MutexGuard<'_, HashMap<String, Person>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(user: &str, role: &str, email: &str) -> Membership {
        Membership {
            id: format!("m-{user}"),
            user_id: user.into(),
            role_id: role.into(),
            email: email.into(),
            ..Membership::default()
        }
    }

    fn recent_role(known: &Known) -> Option<&str> {
        known.role_within(RECENT)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_heard_is_relied_on_for_a_while() {
        let memory = Memory::default();
        let list = [membership("ann", "viewer", "ann@example.com")];
        memory.read("g", &list, Moment::now());
        let known = || memory.membership("g", "ann");
        assert_eq!(known().as_ref().and_then(recent_role), Some("viewer"));
        assert!(
            !known().is_some_and(|it| it.is_fresh("viewer")),
            "only read"
        );
        memory.done("g", "ann", "m-ann", "admin");
        assert!(known().is_some_and(|it| it.is_fresh("admin")));
        tokio::time::advance(FRESH * 2).await;
        assert!(!known().is_some_and(|it| it.is_fresh("admin")));
        memory.doubt("g", "ann", "m-ann");
        assert_eq!(known().as_ref().and_then(recent_role), None);
        memory.done("g", "ann", "m-ann", "admin");
        tokio::time::advance(RECENT * 2).await;
        assert_eq!(known().as_ref().and_then(recent_role), None);
        assert_eq!(known().map(|it| it.id).as_deref(), Some("m-ann"));
        assert_eq!(memory.person("ann@example.com"), None);
        memory.forget("g", "ann");
        assert_eq!(known(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_does_not_hide_what_was_done_while_it_went_on() {
        let memory = Memory::default();
        memory.done("g", "old", "m-old", "viewer");
        tokio::time::advance(FRESH).await;
        let began = Moment::now();
        tokio::time::advance(FRESH).await;
        memory.done("g", "ben", "m-ben", "viewer");
        memory.read("g", &[membership("ann", "viewer", "")], began);
        let known = |user| memory.membership("g", user).map(|it| it.id);
        assert_eq!(known("ann").as_deref(), Some("m-ann"));
        assert_eq!(known("ben").as_deref(), Some("m-ben"));
        assert_eq!(known("old"), None, "it is not there any more");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_of_two_is_nobodys() {
        let memory = Memory::default();
        let one = [membership("ann", "viewer", "ann@example.com")];
        memory.read("g", &one, Moment::now());
        memory.read("h", &one, Moment::now());
        assert_eq!(memory.person("ann@example.com").as_deref(), Some("ann"));
        let two = [membership("other", "viewer", "ann@example.com")];
        memory.read("i", &two, Moment::now());
        assert_eq!(memory.person("ann@example.com"), None);
        assert_eq!(memory.person(""), None);
    }
}
