//! What was last heard of memberships and people: it saves look-ups, and is
//! never the reason to do nothing, but for what a call of ours did just now. An id that is out of date costs one call,
//! which Snyk answers with 404, and is forgotten then. A role is relied on for a
//! short while only, as long as nothing else was heard since.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{api::Membership, several};
use crate::upstream::client::Moment;

/// What a reading showed is relied on for so long.
pub(super) const RECENT: Duration = Duration::from_secs(15 * 60);
/// Memberships that were ended are forgotten when there are so many.
const MANY: usize = 1_024;

/// A membership as it was last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: String,
    /// `None` after a call that nobody answered.
    role: Option<Arc<str>>,
    heard: Moment,
    /// By the answer to a call of ours, and not by a reading.
    ours: bool,
    /// A look has shown something else since, or a call was refused.
    contradicted: bool,
    /// What it was before calls of ours, which a look may still show.
    earlier: Vec<Arc<str>>,
}

impl Known {
    /// The role that a call of ours gave it within a span, and what is left of
    /// that: so long a look may show what was so before.
    pub(super) fn given(&self, within: Duration) -> Option<(&str, Duration)> {
        let rest = self.heard.rest(within).filter(|_| self.ours)?;
        Some((self.role.as_deref()?, rest))
    }

    /// The role that a reading showed, unless something of ours was sent since, or
    /// a look showed something else.
    pub(super) fn read(&self) -> Option<&str> {
        self.told().filter(|_| !self.ours)
    }

    /// How long ago it was heard.
    pub(super) fn age(&self) -> Duration {
        self.heard.age()
    }

    /// The role by the last that was heard of it, an answer or a reading.
    pub(super) fn told(&self) -> Option<&str> {
        self.role.as_deref().filter(|_| !self.contradicted)
    }

    /// The same where that is no older than a span.
    pub(super) fn told_within(&self, span: Duration) -> Option<&str> {
        self.told().filter(|_| self.heard.is_within(span))
    }

    /// What it was before calls of ours.
    pub(super) fn formerly(&self) -> impl Iterator<Item = &str> {
        self.earlier.iter().map(|role| &**role)
    }

    pub(super) fn was(&self, role: &str) -> bool {
        self.earlier.iter().any(|it| **it == *role)
    }

    /// What it was before a call that is made now.
    fn history(&self) -> Vec<Arc<str>> {
        let before = self.earlier.iter().filter(|_| self.ours);
        let mut all: Vec<_> = before.chain(&self.role).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Somebody's ids, and when they were last shown with an e-mail.
type Ids = Vec<(String, Moment)>;

/// By the id of the Snyk Group, then by the id of the user.
type Memberships = HashMap<String, HashMap<String, Known>>;

/// Ids of memberships, with when something was done to them by a call of ours.
type Done = Mutex<HashMap<String, Moment>>;

/// What all connections to one Snyk have done: a look may still show what another
/// one has taken away, and what was heard before another one changed it is out of
/// date.
#[derive(Debug, Default)]
pub(super) struct Common {
    ended: Done,
    changed: Done,
}

fn note(done: &Done, id: &str) {
    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
    if done.len() >= MANY && done.len().is_multiple_of(MANY / 4) {
        done.retain(|_, when| when.is_within(RECENT));
    }
    done.insert(id.to_owned(), Moment::now());
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    memberships: Mutex<Memberships>,
    common: Arc<Common>,
    /// How many of a Snyk Group were looked at one by one since all of it was
    /// read, by its id.
    looks: Mutex<HashMap<String, usize>>,
    /// By e-mail.
    people: Mutex<HashMap<String, Ids>>,
    /// Of whom it was asked what a process before this one knew: Snyk Group and user.
    recalled: Mutex<HashSet<(String, String)>>,
    /// Who had an e-mail last, by what was known when it was asked for, by e-mail.
    formerly: Mutex<HashMap<String, String>>,
    /// E-mails that several were seen to have at once.
    twins: Mutex<HashSet<String>>,
}

impl Memory {
    pub(super) fn sharing(common: &Arc<Common>) -> Self {
        Self {
            common: Arc::clone(common),
            ..Self::default()
        }
    }

    pub(super) fn membership(&self, group: &str, user: &str) -> Option<Known> {
        self.memberships().get(group)?.get(user).cloned()
    }

    /// Whether another connection has changed it since that was heard.
    pub(super) fn is_outdated(&self, known: &Known) -> bool {
        let changed = self.common.changed.lock();
        let changed = changed.unwrap_or_else(PoisonError::into_inner);
        changed
            .get(&known.id)
            .is_some_and(|when| *when > known.heard)
    }

    /// A call of ours did this; `shown`: the role that a look before it showed.
    pub(super) fn done(&self, group: &str, user: &str, (id, role): (&str, &str), shown: &str) {
        note(&self.common.changed, id);
        let mut memberships = self.memberships();
        let of_group = memberships.entry(group.to_owned()).or_default();
        let same = of_group.get(user).filter(|known| known.id == id);
        let mut earlier = same.map(Known::history).unwrap_or_default();
        if !shown.is_empty() && earlier.iter().all(|it| **it != *shown) {
            earlier.push(Arc::from(shown));
        }
        let known = Known {
            id: id.to_owned(),
            role: Some(Arc::from(role)),
            heard: Moment::now(),
            ours: true,
            contradicted: false,
            earlier,
        };
        of_group.insert(user.to_owned(), known);
    }

    /// A call of ours may have done something to a membership.
    pub(super) fn doubt(&self, group: &str, user: &str, id: &str) {
        note(&self.common.changed, id);
        let mut memberships = self.memberships();
        let of_group = memberships.entry(group.to_owned()).or_default();
        let known = Known {
            id: id.to_owned(),
            role: None,
            heard: Moment::now(),
            ours: true,
            contradicted: false,
            earlier: Vec::new(),
        };
        of_group.insert(user.to_owned(), known);
    }

    /// A look at somebody, or a refusal. Where it shows something else than was
    /// heard before, that is relied on no more.
    pub(super) fn saw(&self, group: &str, user: &str, shown: Option<&Membership>) {
        let mut memberships = self.memberships();
        let known = memberships.get_mut(group).and_then(|it| it.get_mut(user));
        let Some(known) = known else {
            return;
        };
        let same = |it: &Membership| {
            it.id == known.id && known.role.as_deref() == Some(it.role_id.as_str())
        };
        known.contradicted |= !shown.is_some_and(same);
    }

    /// What an answer to a process before this one told of a user; once, as what
    /// is heard since is younger.
    pub(super) fn recall(
        &self,
        group: &str,
        user: &str,
        (id, role): (&str, Option<(&str, Duration)>),
    ) {
        let mut recalled = self.recalled.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = recalled.insert((group.to_owned(), user.to_owned()));
        drop(recalled);
        if !is_first || self.has_ended(id, RECENT) {
            return;
        }
        let heard = role.and_then(|(_, age)| Moment::ago(age));
        let known = Known {
            id: id.to_owned(),
            role: role
                .filter(|_| heard.is_some())
                .map(|(role, _)| Arc::from(role)),
            heard: heard.unwrap_or_else(Moment::now),
            ours: true,
            contradicted: false,
            earlier: Vec::new(),
        };
        let mut memberships = self.memberships();
        let of_group = memberships.entry(group.to_owned()).or_default();
        of_group.entry(user.to_owned()).or_insert(known);
    }

    /// Counts a look at one of a Snyk Group. Whether so many were looked at since
    /// it was read that reading it, by pages of a size, is no dearer.
    pub(super) fn is_worth_reading(&self, group: &str, page: usize) -> bool {
        let size = self.memberships().get(group).map_or(0, HashMap::len);
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = looks.entry(group.to_owned()).or_default();
        *looks += 1;
        let worth = *looks > size.div_ceil(page.max(1));
        if worth {
            // One that fails is tried again only after as many.
            *looks = 0;
        }
        worth
    }

    /// It is not there under that id, if it ever was.
    pub(super) fn forget(&self, group: &str, user: &str) {
        if let Some(of_group) = self.memberships().get_mut(group) {
            of_group.remove(user);
        }
    }

    /// A call of ours has ended it.
    pub(super) fn ended(&self, group: &str, user: &str, id: &str) {
        self.forget(group, user);
        note(&self.common.ended, id);
    }

    /// Whether a call of ours has ended a membership within a span.
    pub(super) fn has_ended(&self, id: &str, within: Duration) -> bool {
        let ended = self.common.ended.lock();
        let ended = ended.unwrap_or_else(PoisonError::into_inner);
        ended.get(id).is_some_and(|when| when.is_within(within))
    }

    /// A whole list of a Snyk Group, whose reading began at a moment. What was
    /// done since is younger than it. Of who is there more than once nothing is
    /// known.
    pub(super) fn read(&self, group: &str, list: &[Membership], began: Moment) {
        let mut roles: HashMap<&str, Arc<str>> = HashMap::new();
        let mut now = HashMap::with_capacity(list.len());
        for membership in several::without(list) {
            let role = roles
                .entry(&membership.role_id)
                .or_insert_with(|| Arc::from(membership.role_id.as_str()));
            let known = Known {
                id: membership.id.clone(),
                role: Some(Arc::clone(role)),
                heard: began,
                ours: false,
                contradicted: false,
                earlier: Vec::new(),
            };
            now.insert(membership.user_id.clone(), known);
        }
        let mut memberships = self.memberships();
        let before = memberships.remove(group).unwrap_or_default();
        // It may lag behind a call of ours.
        for (user, known) in before.iter().filter(|(_, known)| known.ours) {
            if let Some(shown) = now.get_mut(user).filter(|it| it.role != known.role) {
                shown.role = None;
            }
        }
        now.extend(before.into_iter().filter(|(_, known)| known.heard > began));
        memberships.insert(group.to_owned(), now);
        drop(memberships);
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.remove(group);
        drop(looks);
        let people = list
            .iter()
            .map(|it| (it.email.as_str(), it.user_id.as_str()));
        self.meet(people, began);
    }

    /// People by their e-mails, as a reading that began then shows them.
    pub(super) fn meet<'a>(&self, found: impl Iterator<Item = (&'a str, &'a str)>, began: Moment) {
        let mut people = self.people();
        for (email, id) in found.filter(|(email, _)| !email.is_empty()) {
            let ids = people.entry(email.to_owned()).or_default();
            ids.retain(|(known, heard)| known != id && heard.is_within(RECENT));
            ids.push((id.to_owned(), began));
        }
    }

    /// The ids of those who were lately seen with an e-mail.
    pub(super) fn ids_of(&self, email: &str) -> Vec<String> {
        let people = self.people();
        let ids = people.get(email).into_iter().flatten();
        let recent = ids.filter(|(_, heard)| heard.is_within(RECENT));
        recent.map(|(id, _)| id.clone()).collect()
    }

    /// The id of the only one who was lately seen with an e-mail.
    pub(super) fn person(&self, email: &str) -> Option<String> {
        let mut ids = self.ids_of(email);
        ids.pop().filter(|_| ids.is_empty())
    }

    /// What is remembered of an e-mail that nobody is shown with.
    pub(super) fn recall_person(&self, email: &str, id: &str) {
        let mut formerly = self.formerly.lock().unwrap_or_else(PoisonError::into_inner);
        formerly.insert(email.to_lowercase(), id.to_owned());
    }

    /// The same, once: it is told anew before it is asked for again.
    pub(super) fn take_formerly(&self, email: &str) -> Option<String> {
        let mut formerly = self.formerly.lock().unwrap_or_else(PoisonError::into_inner);
        formerly.remove(email)
    }

    pub(super) fn note_twins(&self, email: &str) {
        let mut twins = self.twins.lock().unwrap_or_else(PoisonError::into_inner);
        twins.insert(email.to_owned());
    }

    pub(super) fn are_twins(&self, email: &str) -> bool {
        let twins = self.twins.lock().unwrap_or_else(PoisonError::into_inner);
        twins.contains(email)
    }

    fn memberships(&self) -> MutexGuard<'_, Memberships> {
        self.memberships
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn people(&self) -> MutexGuard<'_, HashMap<String, Ids>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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

    const LAG: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn what_a_call_of_ours_did_is_held_against_looks_as_long_as_they_may_lag() {
        let memory = Memory::default();
        let list = [membership("ann", "viewer", "ann@example.com")];
        memory.read("g", &list, Moment::now());
        let known = || memory.membership("g", "ann").unwrap();
        assert_eq!(known().given(LAG), None, "only read");
        memory.done("g", "ann", ("m-ann", "admin"), "member");
        assert_eq!(known().given(LAG), Some(("admin", LAG)));
        let earlier = ["viewer", "member", "admin"].map(|role| known().was(role));
        assert_eq!(earlier, [true, true, false]);
        memory.done("g", "ann", ("m-ann", "auditor"), "admin");
        let earlier = ["viewer", "member", "admin"].map(|role| known().was(role));
        assert_eq!(earlier, [true, true, true]);
        memory.done("g", "ann", ("m-other", "auditor"), "");
        assert!(!known().was("viewer"), "another membership");
        tokio::time::advance(LAG * 2).await;
        assert_eq!(known().given(LAG), None);
        memory.done("g", "ann", ("m-ann", "admin"), "");
        memory.doubt("g", "ann", "m-ann");
        assert_eq!(known().given(LAG), None);
        tokio::time::advance(RECENT * 2).await;
        assert_eq!(known().id, "m-ann");
        assert_eq!(memory.person("ann@example.com"), None);
        memory.ended("g", "ann", "m-ann");
        assert_eq!(memory.membership("g", "ann"), None);
        assert!(memory.has_ended("m-ann", LAG) && !memory.has_ended("m-ben", LAG));
        tokio::time::advance(LAG * 2).await;
        assert!(!memory.has_ended("m-ann", LAG));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_does_not_hide_what_was_done_while_it_went_on() {
        let memory = Memory::default();
        memory.done("g", "old", ("m-old", "viewer"), "");
        tokio::time::advance(LAG).await;
        let began = Moment::now();
        tokio::time::advance(LAG).await;
        memory.done("g", "ben", ("m-ben", "viewer"), "");
        memory.read("g", &[membership("ann", "viewer", "")], began);
        let known = |user| memory.membership("g", user).map(|it| it.id);
        assert_eq!(known("ann").as_deref(), Some("m-ann"));
        assert_eq!(known("ben").as_deref(), Some("m-ben"));
        assert_eq!(known("old"), None, "it is not there any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_is_relied_on_while_it_is_read_lately_and_nothing_else_was_heard() {
        let memory = Memory::default();
        let list = ["ann", "ben"].map(|user| membership(user, "member", ""));
        let read = || memory.read("g", &list, Moment::now());
        let role = |user: &str| {
            let known = memory.membership("g", user)?;
            known.told_within(LAG).map(str::to_owned)
        };
        let is_member = |user: &str| role(user).as_deref() == Some("member");
        read();
        assert!(is_member("ann") && is_member("ben"));
        memory.saw("g", "ann", Some(&membership("ann", "member", "")));
        assert!(is_member("ann"));
        memory.saw("g", "ann", Some(&membership("ann", "admin", "")));
        assert_eq!(role("ann"), None, "a look showed more");
        read();
        memory.saw("g", "ann", None);
        assert_eq!(role("ann"), None, "a look showed nothing");
        read();
        memory.doubt("g", "ann", "m-ann");
        assert_eq!(role("ann"), None, "a call was not answered");
        memory.done("g", "ben", ("m-ben", "viewer"), "member");
        assert_eq!(role("ben").as_deref(), Some("viewer"), "a call of ours was");
        memory.saw("g", "ben", Some(&membership("ben", "admin", "")));
        assert_eq!(role("ben"), None, "a look showed more since");
        tokio::time::advance(LAG).await;
        read();
        assert_eq!(role("ben"), None, "the reading may lag behind it");
        read();
        assert!(is_member("ann") && is_member("ben"));
        tokio::time::advance(LAG * 2).await;
        assert_eq!(role("ben"), None, "it is too old");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_process_before_was_told_is_recalled_once_and_as_old_as_it_is() {
        let memory = Memory::default();
        let role = |user: &str| {
            let known = memory.membership("g", user)?;
            known.told_within(LAG * 2).map(str::to_owned)
        };
        memory.recall("g", "ann", ("m-ann", Some(("member", LAG))));
        assert_eq!(role("ann").as_deref(), Some("member"));
        tokio::time::advance(LAG + LAG / 2).await;
        assert_eq!(role("ann"), None, "it is too old");
        memory.forget("g", "ann");
        memory.recall("g", "ann", ("m-ann", Some(("member", LAG))));
        assert_eq!(memory.membership("g", "ann"), None, "it was not there");
        memory.recall("g", "ben", ("m-ben", None));
        assert_eq!(role("ben"), None, "it may be another role");
        assert_eq!(memory.membership("g", "ben").unwrap().id, "m-ben");
        memory.done("g", "cat", ("m-cat", "viewer"), "");
        memory.recall("g", "cat", ("m-old", Some(("member", LAG))));
        assert_eq!(role("cat").as_deref(), Some("viewer"), "it is younger");
        memory.ended("g", "dan", "m-dan");
        memory.recall("g", "dan", ("m-dan", Some(("member", LAG))));
        assert_eq!(memory.membership("g", "dan"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn reading_all_is_worth_as_many_looks_as_it_has_pages() {
        let memory = Memory::default();
        let list = ["ann", "ben", "cat"].map(|user| membership(user, "member", ""));
        let worth = || memory.is_worth_reading("g", 2);
        memory.read("g", &list, Moment::now());
        assert_eq!([worth(), worth(), worth()], [false, false, true]);
        assert_eq!([worth(), worth(), worth()], [false, false, true]);
        worth();
        memory.read("g", &list, Moment::now());
        assert_eq!([worth(), worth(), worth()], [false, false, true]);
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
        memory.read("g", &one, Moment::now());
        memory.read("g", &one, Moment::now());
        assert_eq!(memory.person("ann@example.com"), None);
        assert_eq!(memory.ids_of("ann@example.com"), ["other", "ann"]);
        assert_eq!(memory.person(""), None);
    }
}
