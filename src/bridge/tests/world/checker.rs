//! The judge of a simulated world (reliability: 8.3). It sees what was asked
//! and answered, what SCIM shows in the end, and the application's log; it
//! knows nothing of how the bridge works. An empty verdict is a good one.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    application::{Change, PLAIN, Stock},
    history::{Act, End, Entry, Surety},
    operators::Seen,
};
use crate::upstream::Millis;

/// What SCIM shows in the end, by the application's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Active or not.
    pub(super) users: BTreeMap<String, bool>,
    /// Their roles and titles.
    pub(super) fields: BTreeMap<String, (Option<String>, Option<String>)>,
    pub(super) groups: BTreeMap<String, BTreeSet<String>>,
}

/// Everything that a verdict rests on.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    pub(super) history: Vec<Entry>,
    pub(super) log: Vec<Change>,
    pub(super) shown: Shown,
    pub(super) stock: Stock,
    /// Pairs that the status tells as refused.
    pub(super) told: BTreeMap<(String, String), Millis>,
    /// Users and groups that it tells as refused, together.
    pub(super) told_whole: u64,
    /// Groups that the status tells as refused when they were to be made.
    pub(super) not_made: BTreeSet<String>,
    /// Groups that were asked for again, while the status tells of the one before that
    /// its deletion was refused: they are not made as long as that one is there.
    pub(super) kept_before: BTreeSet<String>,
    /// Users of whom the status tells that their end was refused.
    pub(super) not_ended: BTreeSet<String>,
    /// Groups of which the status tells that they may be there by a creation that
    /// nobody answered.
    pub(super) left_alone: BTreeSet<String>,
    /// Groups that are believed to have been deleted there by somebody else, which
    /// nobody does.
    pub(super) gone: usize,
    /// The application ends no account, so whoever is inactive is in no group.
    pub(super) keeps: bool,
    /// Calls that write.
    pub(super) calls: Vec<Millis>,
    /// When everything had to be as it is to stay.
    pub(super) calm: Millis,
    /// How long after the last fault it was.
    pub(super) settled_in: Millis,
    /// When that was.
    pub(super) well: Millis,
    /// What went on beside the requests, in a world with operators.
    pub(super) operated: Option<Seen>,
}

/// The longest that what landed late may stand where nothing fails: it is put right
/// twice, half and all of the time after the call in which one can land, now and
/// then is looked whether that has passed, and a look may lag.
const STANDS: Millis = 31_000;

impl Evidence {
    /// The longest that a call that was given up, and landed where something newer
    /// was wanted after the last fault, had its way (I-03).
    pub(super) fn longest_undone(&self) -> Millis {
        let late = self.log.iter().enumerate();
        let late = late.filter(|(_, it)| it.aside && it.at >= self.well && !self.is_meant(it));
        let stood = late.map(|(n, it)| {
            let same = |other: &&Change| other.account == it.account && other.group == it.group;
            let mut after = self.log[n + 1..].iter().filter(same);
            after.next().map_or(0, |undone| undone.at - it.at)
        });
        stood.max().unwrap_or_default()
    }

    pub(super) fn verdict(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.versions(&mut found);
        self.answers(&mut found);
        self.whole_requests(&mut found);
        self.end_state(&mut found);
        self.fields(&mut found);
        self.way(&mut found);
        if let Some(seen) = &self.operated {
            seen.judge(self, &mut found);
        }
        let stood = self.longest_undone();
        if stood > STANDS {
            found.push(format!("zombie: what landed late stood for {stood} ms"));
        }
        if self.gone > 0 {
            found.push(format!("{} groups are taken for gone", self.gone));
        }
        if let Some(call) = self.calls.iter().find(|at| **at > self.calm) {
            found.push(format!(
                "restless: a write at {call} ms, with nothing left to do"
            ));
        }
        found
    }

    /// Versions are never used twice, and order requests as time does.
    fn versions(&self, found: &mut Vec<String>) {
        let numbered = |entry: &Entry| match &entry.ended {
            End::Done {
                version: Some((id, version)),
                ..
            } => Some((id.clone(), *version, entry.start, entry.end)),
            _ => None,
        };
        let all: Vec<_> = self.history.iter().filter_map(numbered).collect();
        for (n, (id, version, start, end)) in all.iter().enumerate() {
            for (other, later, began, ended) in &all[n + 1..] {
                if id != other {
                    continue;
                }
                let disordered =
                    (end < began && version >= later) || (ended < start && later >= version);
                if version == later || disordered {
                    found.push(format!(
                        "versions {version} and {later} of {id} are out of order"
                    ));
                }
            }
        }
    }

    /// Every value that may hold at `until`, when what was at least `sure` and
    /// ended by then counts.
    fn possible(
        &self,
        until: Millis,
        sure: Surety,
        value: impl Fn(&Act) -> Option<bool>,
        surety: impl Fn(&Entry) -> Surety,
    ) -> BTreeSet<bool> {
        self.possible_within((until, until), sure, value, surety)
    }

    /// The same of a time that is only known to lie between two.
    pub(super) fn possible_within(
        &self,
        (from, until): (Millis, Millis),
        sure: Surety,
        value: impl Fn(&Act) -> Option<bool>,
        surety: impl Fn(&Entry) -> Surety,
    ) -> BTreeSet<bool> {
        let begun = self.history.iter().filter(|entry| entry.start <= until);
        let touching: Vec<(&Entry, bool)> = begun
            .filter(|entry| !entry.is_void())
            .filter_map(|entry| Some((entry, value(&entry.act)?)))
            .collect();
        let certain: Vec<&Entry> = touching
            .iter()
            .map(|(entry, _)| *entry)
            .filter(|entry| surety(entry) >= sure && entry.end < from)
            .collect();
        let not_overtaken = |entry: &Entry| !certain.iter().any(|c| c.start > entry.end);
        let mut values: BTreeSet<bool> = touching
            .iter()
            .filter(|(entry, _)| not_overtaken(entry))
            .map(|(_, value)| *value)
            .collect();
        if certain.is_empty() {
            values.insert(false);
        }
        values
    }

    /// How sure an entry makes a pair. Nobody waits for the application to add
    /// somebody who is inactive, because it is not asked.
    fn surety_of(&self, entry: &Entry, group: &str, account: &str) -> Surety {
        let sure = entry.surety_of(account);
        let inactive = || {
            let before = self.possible(
                entry.start,
                Surety::Acknowledged,
                |act| act.account(account),
                Entry::surety,
            );
            let meanwhile = |other: &Entry| {
                other.act.account(account) == Some(false)
                    && other.start <= entry.end
                    && other.end >= entry.start
            };
            before.contains(&false) || self.history.iter().any(meanwhile)
        };
        let adds = entry.act.pair(group, account) == Some(true);
        if sure == Surety::Confirmed && adds && inactive() {
            Surety::Acknowledged
        } else {
            sure
        }
    }

    /// Whether a user may be meant to have access at a time. Nobody waits for what
    /// an activation gives back.
    fn possibly_active(&self, at: Millis, account: &str) -> BTreeSet<bool> {
        let surety = |entry: &Entry| match entry.act {
            Act::Activate(_, true) => entry.surety().min(Surety::Acknowledged),
            _ => entry.surety(),
        };
        self.possible(at, Surety::Confirmed, |act| act.account(account), surety)
    }

    fn accounts(&self) -> BTreeSet<&String> {
        let named = self.history.iter().filter_map(|entry| match &entry.act {
            Act::CreateUser(account) => Some(account),
            _ => None,
        });
        named.chain(self.stock.accounts.keys()).collect()
    }

    fn group_names(&self) -> BTreeSet<&String> {
        let named = self.history.iter().filter_map(|entry| entry.act.group());
        named.chain(self.stock.groups.keys()).collect()
    }

    /// SCIM shows what was acknowledged.
    fn answers(&self, found: &mut Vec<String>) {
        for account in self.accounts() {
            let possible = self.possible(
                Millis::MAX,
                Surety::Acknowledged,
                |act| act.account(account),
                Entry::surety,
            );
            let shown = self.shown.users.get(account).copied().unwrap_or(false);
            if !possible.contains(&shown) && self.told_whole == 0 {
                found.push(format!(
                    "{account}: SCIM says active is {shown}, nobody asked for it"
                ));
            }
        }
        for group in self.group_names() {
            let possible = self.possible(
                Millis::MAX,
                Surety::Acknowledged,
                |act| act.existence(group),
                Entry::surety,
            );
            let members = self.shown.groups.get(group);
            if !possible.contains(&members.is_some()) {
                found.push(format!("{group}: SCIM has it: {}", members.is_some()));
            }
            // A creation whose answer is its refusal leaves nothing.
            let made = |entry: &Entry| {
                let creates = matches!(&entry.act, Act::CreateGroup(name, _) if name == group);
                creates && entry.ended != End::Refused && !entry.is_void()
            };
            if members.is_some() && !self.history.iter().any(made) {
                found.push(format!(
                    "{group}: SCIM has it, and every creation was refused"
                ));
            }
            for account in self.accounts() {
                self.answers_for_pair(group, account, found);
            }
        }
    }

    fn answers_for_pair(&self, group: &str, account: &str, found: &mut Vec<String>) {
        let possible = self.possible(
            Millis::MAX,
            Surety::Acknowledged,
            |act| act.pair(group, account),
            |entry| entry.surety_of(account),
        );
        let members = self.shown.groups.get(group);
        let shown = members.is_some_and(|members| members.contains(account));
        let told = self
            .told
            .contains_key(&(group.to_owned(), account.to_owned()));
        if !told && !possible.contains(&shown) {
            let what = if shown { "invented" } else { "lost" };
            found.push(format!("{what} in SCIM: {account} in {group}"));
        }
    }

    /// A request of which nothing was heard counts whole or not at all.
    fn whole_requests(&self, found: &mut Vec<String>) {
        for entry in &self.history {
            if !matches!(entry.ended, End::Unheard | End::Refused) {
                continue;
            }
            let Some(group) = entry.act.group() else {
                continue;
            };
            let alone = |account: &str| {
                let others = self.history.iter().filter(|other| *other != entry);
                let mut others = others.filter(|other| !other.is_void());
                let touches = |other: &Entry| other.act.pair(group, account).is_some();
                let mut before = false;
                let clear = others.all(|other| {
                    if !touches(other) {
                        return true;
                    }
                    let value = other.act.pair(group, account) == Some(true);
                    before |= value;
                    // Only ever taken out before: what it is now tells whether
                    // this one was done.
                    other.end < entry.start && !value
                });
                clear && !before
            };
            let adds = self
                .accounts()
                .into_iter()
                .filter(|account| entry.act.pair(group, account) == Some(true) && alone(account));
            let told =
                |account: &&String| !self.told.contains_key(&(group.clone(), (*account).clone()));
            let members = self.shown.groups.get(group);
            let there: Vec<bool> = adds
                .filter(told)
                .map(|account| members.is_some_and(|members| members.contains(account)))
                .collect();
            if there.contains(&true) && there.contains(&false) {
                found.push(format!(
                    "half a request: {:?} at {} ms",
                    entry.act, entry.start
                ));
            }
        }
    }

    /// The application has what SCIM shows.
    fn end_state(&self, found: &mut Vec<String>) {
        let active = |account: &String| self.stock.accounts.get(account).is_some_and(|it| it.0);
        if self.told_whole == 0 {
            for account in self.accounts() {
                let shown = self.shown.users.get(account).copied().unwrap_or(false);
                if shown != active(account) && (shown || !self.keeps) {
                    found.push(format!(
                        "{account}: SCIM says active is {shown}, the application not"
                    ));
                }
            }
            for group in self.group_names() {
                let (shown, there) = (
                    self.shown.groups.contains_key(group),
                    self.stock.groups.contains_key(group),
                );
                if shown != there && !(there && self.left_alone.contains(group)) {
                    found.push(format!(
                        "{group}: in SCIM {shown}, in the application {there}"
                    ));
                }
            }
        }
        let gone = |group: &&String| !self.stock.groups.contains_key(*group);
        for group in self.left_alone.iter().filter(gone) {
            found.push(format!("told to be left alone, and not there: {group}"));
        }
        for (group, members) in &self.shown.groups {
            let none = BTreeSet::new();
            let there = self.stock.groups.get(group).unwrap_or(&none);
            let mut wanted = members.clone();
            if self.keeps {
                wanted.retain(|account| self.shown.users.get(account) == Some(&true));
            }
            let made = !self.not_made.contains(group) && !self.kept_before.contains(group);
            for account in wanted.difference(there).filter(|it| made && active(it)) {
                found.push(format!("lost: {account} in {group}"));
            }
            for account in there.difference(&wanted).filter(|account| active(account)) {
                let told = |pair| self.told.contains_key(&pair);
                let stays = self.operated.as_ref().is_some_and(|it| it.may_stay(group));
                // Whose account that rail keeps is in that group still.
                let is_active = self.shown.users.get(account) == Some(&true);
                if stays && !is_active && self.not_ended.contains(account) {
                    continue;
                }
                if !(self.keeps || stays) || !told((group.clone(), account.clone())) {
                    found.push(format!("phantom: {account} in {group}"));
                }
            }
        }
    }

    /// SCIM shows the roles and titles that were asked for, and the application has
    /// them.
    fn fields(&self, found: &mut Vec<String>) {
        for (account, (role, title)) in &self.shown.fields {
            let is_asked = |what: &dyn Fn(&Act) -> Option<bool>| {
                let possible =
                    self.possible(Millis::MAX, Surety::Acknowledged, what, Entry::surety);
                possible.contains(&true)
            };
            let as_shown = [
                is_asked(&|act| act.fields(account).0.map(|it| it == role.as_deref())),
                is_asked(&|act| act.fields(account).1.map(|it| it == title.as_deref())),
            ];
            if as_shown != [true; 2] {
                found.push(format!(
                    "{account}: SCIM shows {role:?} and {title:?}, nobody asked for that"
                ));
            }
            let is_there = self.stock.accounts.get(account).is_some_and(|it| it.0);
            let has = self.stock.fields.get(account).filter(|_| is_there);
            let role = role.clone().unwrap_or_else(|| PLAIN.to_owned());
            let wanted = (role, title.clone());
            if let Some(has) = has.filter(|has| **has != wanted)
                && self.told_whole == 0
            {
                found.push(format!(
                    "{account}: has {has:?} in the application, and is to have {wanted:?}"
                ));
            }
        }
    }

    /// Whether somebody may have wanted it when it was done.
    fn is_meant(&self, change: &Change) -> bool {
        let (at, account) = (change.at, &change.account);
        let possible = match &change.group {
            Some(group) => self.possible(
                at,
                Surety::Confirmed,
                |act| act.pair(group, account),
                |entry| self.surety_of(entry, group, account),
            ),
            None => self.possible(
                at,
                Surety::Confirmed,
                |act| act.account(account),
                Entry::surety,
            ),
        };
        let allowed = possible.contains(&change.present);
        let active = || self.possibly_active(at, account);
        let of_group = change.group.is_some();
        // Where the end of an account waits for a group that keeps its last members,
        // memberships elsewhere are taken away meanwhile, and given back with it.
        let protects = self.operated.as_ref().is_some_and(Seen::protects_groups);
        match change.present {
            true if of_group && self.keeps => allowed && active().contains(&true),
            false if of_group && (self.keeps || protects) => allowed || active().contains(&false),
            _ => allowed,
        }
    }

    /// Nothing was ever done that nobody wanted at that time, but by calls that
    /// were given up before.
    fn way(&self, found: &mut Vec<String>) {
        for change in self.log.iter().filter(|change| !change.aside) {
            let (at, account) = (change.at, &change.account);
            // Whom the application refused although it had them is taken out,
            // as everybody was told.
            let pair = change.group.clone().map(|group| (group, account.clone()));
            let refused = pair.and_then(|pair| self.told.get(&pair));
            if !change.present && refused.is_some_and(|told| *told <= at) {
                continue;
            }
            if !self.is_meant(change) {
                let what = if change.present { "resurrected" } else { "gap" };
                let whole = "itself".to_owned();
                let group = change.group.as_ref().unwrap_or(&whole);
                found.push(format!("{what}: {account} in {group} at {at} ms"));
            }
        }
    }
}
