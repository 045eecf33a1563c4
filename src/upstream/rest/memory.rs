//! What is remembered of a declared application from call to call: the ids of
//! groups that are known by name, how accounts are spelled, who has another id
//! by now, which address an id was shown with, and what a reading has missed. It saves look-ups and doubts single
//! readings; that something was done is never believed because of it. Each part
//! is forgotten when there is too much of it, which costs look-ups alone.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::upstream::client::Moment;

/// A reading can lag behind for so long (reliability: H-12). And a change relies
/// on the id of a group that was just made for so long, on one that was looked up
/// for a fifth of it, for the name may be another group's by then.
pub(super) const LAG: Duration = Duration::from_secs(10);
/// Readings rely on an id for so long.
const RECENT: Duration = Duration::from_secs(10 * 60);
/// Where there is nothing but a list of all accounts, it is read once in so long.
const LISTED: Duration = Duration::from_secs(60);
/// Entries of each kind that are kept.
const MOST: usize = 100_000;

/// Something that a reading can miss.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Thing {
    Group(String),
    /// In lower case.
    Account(String),
}

/// A group as it was last read.
#[derive(Debug, Clone)]
struct Known {
    id: Option<String>,
    members: Option<u64>,
    /// `None` when something has gone wrong with the id since.
    heard: Option<Moment>,
    /// Since when a change may rely on the id, and for how long.
    sure: Option<(Moment, Duration)>,
}

/// An id that an account had, and the one that it has.
#[derive(Debug, Clone)]
struct Renewed {
    dead: String,
    live: String,
}

#[derive(Debug)]
pub(super) struct Memory {
    lag: Duration,
    groups: Mutex<HashMap<String, Known>>,
    missed: Mutex<HashMap<Thing, Moment>>,
    /// By the lower case that the engine knows them in, where it is another.
    spelled: Mutex<HashMap<String, String>>,
    renewed: Mutex<HashMap<String, Renewed>>,
    /// By the ids of accounts, in lower case, and when that was shown.
    addresses: Mutex<HashMap<String, (String, Moment)>>,
    /// When all accounts were read last.
    listed: Mutex<Option<Moment>>,
    /// What several have, as it was shown last: nobody is known by it alone.
    shared: Mutex<HashSet<Thing>>,
    /// Ids of accounts that showed nothing else by which they are known.
    nameless: Mutex<HashSet<String>>,
}

impl Memory {
    pub(super) fn new(lag: Duration) -> Self {
        Self {
            lag,
            groups: Mutex::default(),
            missed: Mutex::default(),
            spelled: Mutex::default(),
            renewed: Mutex::default(),
            addresses: Mutex::default(),
            listed: Mutex::default(),
            shared: Mutex::default(),
            nameless: Mutex::default(),
        }
    }

    /// A reading has shown a group.
    pub(super) fn shown(&self, group: &str, id: Option<&str>, members: Option<u64>) {
        self.there(&Thing::Group(group.to_owned()));
        let known = Known {
            id: id.map(str::to_owned),
            members,
            heard: Some(Moment::now()),
            sure: None,
        };
        put(&self.groups, group.to_owned(), known);
    }

    /// It was looked for by its name, and shown.
    pub(super) fn looked_up(&self, group: &str) {
        self.relies_on(group, self.lag / 5);
    }

    /// A call of ours has made it.
    pub(super) fn made(&self, group: &str, id: Option<&str>) {
        self.shown(group, id, None);
        self.relies_on(group, self.lag);
    }

    fn relies_on(&self, group: &str, span: Duration) {
        if let Some(known) = locked(&self.groups).get_mut(group) {
            known.sure = Some((Moment::now(), span));
        }
    }

    /// Its id, if a reading may rely on it, or a change.
    pub(super) fn id(&self, group: &str, to_change: bool) -> Option<String> {
        let groups = locked(&self.groups);
        let known = groups.get(group)?;
        let relied_on = if to_change {
            known
                .sure
                .is_some_and(|(since, span)| since.is_within(span))
        } else {
            known.heard.is_some_and(|heard| heard.is_within(RECENT))
        };
        known.id.clone().filter(|_| relied_on)
    }

    /// Whether it was shown, however long ago.
    pub(super) fn has_shown(&self, group: &str) -> bool {
        locked(&self.groups).contains_key(group)
    }

    /// Whether this is the id of another group, as far as was shown.
    pub(super) fn is_anothers(&self, id: &str, group: &str) -> bool {
        let groups = locked(&self.groups);
        let mut others = groups.iter().filter(|(name, _)| *name != group);
        others.any(|(_, known)| known.id.as_deref() == Some(id))
    }

    /// How many members it said that it has.
    pub(super) fn members_of(&self, group: &str) -> Option<u64> {
        locked(&self.groups).get(group)?.members
    }

    pub(super) fn was_shown_within(&self, group: &str, span: Duration) -> bool {
        let groups = locked(&self.groups);
        let heard = groups.get(group).and_then(|it| it.heard);
        heard.is_some_and(|heard| heard.is_within(span))
    }

    /// Its id is looked up again before it is used.
    pub(super) fn doubt(&self, group: &str) {
        if let Some(known) = locked(&self.groups).get_mut(group) {
            (known.heard, known.sure) = (None, None);
        }
    }

    /// What a whole list shows several times, of things of one kind.
    pub(super) fn are_shared(&self, shown: Vec<Thing>, kind: fn(&Thing) -> bool) {
        let mut shared = locked(&self.shared);
        shared.retain(|thing| !kind(thing));
        shared.extend(shown);
    }

    /// A search shows it several times.
    pub(super) fn is_shared_by_now(&self, thing: Thing) {
        let mut shared = locked(&self.shared);
        if shared.len() < MOST {
            shared.insert(thing);
        }
    }

    pub(super) fn is_shared(&self, thing: &Thing) -> bool {
        let shared = locked(&self.shared);
        !shared.is_empty() && shared.contains(thing)
    }

    pub(super) fn are_nameless(&self, ids: HashSet<String>) {
        *locked(&self.nameless) = ids;
    }

    pub(super) fn is_nameless(&self, id: &str) -> bool {
        locked(&self.nameless).contains(id)
    }

    pub(super) fn forget(&self, group: &str) {
        locked(&self.groups).remove(group);
    }

    pub(super) fn there(&self, thing: &Thing) {
        locked(&self.missed).remove(thing);
    }

    /// A reading has just missed something; whether it is gone: one that long
    /// ago has missed it too, and none has shown it since.
    pub(super) fn is_gone(&self, thing: Thing) -> bool {
        let mut missed = locked(&self.missed);
        if missed.len() >= MOST {
            missed.clear();
        }
        let first = missed.entry(thing).or_insert_with(Moment::now);
        self.lag.is_zero() || !first.is_within(self.lag)
    }

    /// An account is spelled so.
    pub(super) fn spells(&self, shown: &str) {
        let account = shown.to_lowercase();
        self.there(&Thing::Account(account.clone()));
        if account == shown {
            locked(&self.spelled).remove(&account);
        } else {
            put(&self.spelled, account, shown.to_owned());
        }
    }

    /// An account as the application spells it, as far as is known.
    pub(super) fn spelled(&self, account: &str) -> String {
        let spelled = locked(&self.spelled);
        let spelled = spelled.get(&account.to_lowercase());
        spelled.map_or_else(|| account.to_owned(), Clone::clone)
    }

    /// The account of an id has this address.
    pub(super) fn has_address(&self, id: &str, account: &str) {
        let shown = (account.to_lowercase(), Moment::now());
        put(&self.addresses, id.to_owned(), shown);
    }

    /// With which address the account of an id was shown right now.
    pub(super) fn address_lately(&self, id: &str) -> Option<String> {
        let addresses = locked(&self.addresses);
        let (address, shown) = addresses.get(id)?;
        shown.is_within(self.lag / 5).then(|| address.clone())
    }

    /// Every account that there is was shown.
    pub(super) fn listed(&self) {
        *locked(&self.listed) = Some(Moment::now());
    }

    /// Whether it is known where the account of an id is without another look: it was
    /// shown with this address right now, or all of them were lately.
    pub(super) fn knows_where(&self, id: &str, account: &str, all: bool) -> bool {
        if self.has_another(id, account) {
            return false;
        }
        let lately = self.address_lately(id).is_some();
        lately || all && locked(&self.listed).is_some_and(|it| it.is_within(LISTED))
    }

    /// Whether it was last shown with another one than this.
    pub(super) fn has_another(&self, id: &str, account: &str) -> bool {
        let addresses = locked(&self.addresses);
        let shown = addresses.get(id);
        shown.is_some_and(|(shown, _)| *shown != account.to_lowercase())
    }

    /// An account has another id by now, because it was made anew.
    pub(super) fn renews(&self, account: &str, dead: &str, live: &str) {
        let renewed = Renewed {
            dead: dead.to_owned(),
            live: live.to_owned(),
        };
        put(&self.renewed, account.to_lowercase(), renewed);
    }

    /// The id that an account has by now instead of the one that is known.
    pub(super) fn live_id(&self, account: &str, known: &str) -> String {
        let renewed = locked(&self.renewed);
        let renewed = renewed.get(&account.to_lowercase());
        let renewed = renewed.filter(|it| it.dead == known);
        renewed.map_or(known, |it| &it.live).to_owned()
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put<V>(into: &Mutex<HashMap<String, V>>, key: String, value: V) {
    let mut map = locked(into);
    if map.len() >= MOST && !map.contains_key(&key) {
        map.clear();
    }
    map.insert(key, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_one_reading_misses_is_not_gone() {
        let memory = Memory::new(LAG);
        let crew = || Thing::Group("Crew".into());
        assert!(!memory.is_gone(crew()), "one reading");
        tokio::time::advance(LAG).await;
        assert!(!memory.is_gone(crew()), "it may lag so long");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(memory.is_gone(crew()));
        memory.shown("Crew", None, None);
        assert!(!memory.is_gone(crew()), "it was seen since");
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_is_relied_on_for_a_while() {
        let memory = Memory::new(LAG);
        let known = |to_change| memory.id("Crew", to_change);
        let wait = |span| tokio::time::advance(span + Duration::from_millis(1));
        memory.shown("Crew", Some("7"), Some(3));
        assert_eq!((known(true), known(false)), (None, Some("7".into())));
        memory.looked_up("Crew");
        assert_eq!(known(true).as_deref(), Some("7"));
        wait(LAG / 5).await;
        assert_eq!(known(true), None);
        memory.made("Crew", Some("8"));
        wait(LAG / 5).await;
        assert_eq!(
            known(true).as_deref(),
            Some("8"),
            "a search may not show it yet"
        );
        wait(LAG).await;
        assert_eq!((known(true), known(false)), (None, Some("8".into())));
        memory.shown("Crew", Some("8"), Some(3));
        memory.doubt("Crew");
        assert_eq!(known(false), None);
        assert!(memory.has_shown("Crew") && memory.members_of("Crew") == Some(3));
        memory.forget("Crew");
        assert!(!memory.has_shown("Crew"));
    }

    #[test]
    fn accounts_are_spelled_as_shown_and_known_in_lower_case() {
        let memory = Memory::new(LAG);
        memory.spells("AnnSmith");
        assert_eq!(memory.spelled("annsmith"), "AnnSmith");
        memory.spells("annsmith");
        assert_eq!(memory.spelled("annsmith"), "annsmith");
        memory.renews("Ann", "1", "3");
        assert_eq!(memory.live_id("ann", "1"), "3");
        assert_eq!(memory.live_id("ann", "2"), "2");
        memory.has_address("1", "Ann");
        assert!(memory.has_another("1", "bob"));
        assert!(!memory.has_another("1", "aNN") && !memory.has_another("2", "bob"));
    }

    #[tokio::test(start_paused = true)]
    async fn where_an_account_is_is_known_from_a_look_for_a_while() {
        let memory = Memory::new(LAG);
        let wait = |span| tokio::time::advance(span + Duration::from_millis(1));
        let known = |all| memory.knows_where("1", "Ann", all);
        assert!(!known(true));
        memory.has_address("1", "ann");
        assert!(known(false));
        assert!(!memory.knows_where("1", "bob", false));
        wait(LAG / 5).await;
        assert!(!known(false) && !known(true));
        memory.listed();
        assert!(known(true) && !known(false));
        assert!(!memory.knows_where("1", "bob", true), "it is elsewhere");
        wait(LISTED).await;
        assert!(!known(true));
    }
}
