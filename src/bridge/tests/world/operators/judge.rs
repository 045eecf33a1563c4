//! What must hold in a world with operators, beside what holds in every world: by
//! what was asked and answered, the calls that came, and the audit.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    super::{
        checker::Evidence,
        history::{Act, End, Entry, Surety},
    },
    Read, Saw, Seen,
};
use crate::{plan::guard::Guard, store::audit::AuditRow, upstream::Millis};

/// In this time what the file says is known.
pub(super) const SEEN: Millis = 1_000;
/// And in this nothing is sent any more (G-9).
const STOPPED: Millis = 2_000;
/// A turn that was under way has ended by then, and nothing is even tried.
const QUIET: Millis = 20_000;
/// Nobody is kept waiting where nothing can come.
const SOON: Millis = 1_000;

pub(super) type Found = Vec<String>;

impl Seen {
    pub(in super::super) fn judge(&self, evidence: &Evidence, found: &mut Found) {
        found.extend(self.wrong.iter().cloned());
        self.stops(evidence, found);
        self.probes(found);
        self.told(found);
        self.decisions(evidence, found);
        if let Some(guard) = &self.guard {
            self.rails(guard, evidence, found);
            self.least(guard, evidence, found);
        }
        for read in &self.reads {
            self.read(read, evidence, found);
        }
        self.audit(evidence, found);
    }

    /// What this world came to: times of two seconds in which all was stopped, and
    /// requests that were held, stopped without that, and approved.
    pub(in super::super) fn came_to(&self, evidence: &Evidence) -> [usize; 4] {
        let stops = self.stops.iter();
        let long = stops.filter(|it| it.until.saturating_sub(it.since) > STOPPED);
        let count =
            |of: &dyn Fn(&Entry) -> bool| evidence.history.iter().filter(|it| of(it)).count();
        [
            long.count(),
            count(&|it| matches!(&it.ended, End::Stopped { held: Some(_) })),
            count(&|it| it.ended == End::Stopped { held: None }),
            count(&|it| it.approved && matches!(it.ended, End::Done { .. })),
        ]
    }

    /// What may be left there of whom it was refused to take out: the last of a group
    /// that keeps some.
    pub(in super::super) fn may_stay(&self, group: &str) -> bool {
        let guard = self.guard.as_ref();
        guard.is_some_and(|guard| guard.protected.least([group]).is_some())
    }

    /// The end of an account may wait for a group that keeps its last members.
    pub(in super::super) fn protects_groups(&self) -> bool {
        let guard = self.guard.as_ref();
        guard.is_some_and(|guard| guard.protected.has_groups())
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &AuditRow> {
        self.lives.iter().flat_map(|life| &life.rows)
    }

    // ---- the kill switch

    fn stops(&self, evidence: &Evidence, found: &mut Found) {
        let attempts = self.lives.iter().flat_map(|life| &life.attempts);
        for (stops, attempts) in [
            (&self.stops, attempts.collect::<Vec<_>>()),
            (&self.others_stops, self.others.iter().collect()),
        ] {
            for stop in stops {
                for attempt in &attempts {
                    let most = if attempt.braked { QUIET } else { STOPPED };
                    if attempt.at > stop.since + most && attempt.at < stop.until {
                        found.push(format!("sent while all is stopped: {attempt:?}, {stop:?}"));
                    }
                }
            }
            for attempt in attempts.iter().filter(|it| it.braked) {
                let held = |stop: &super::Stop| stop.overlaps(attempt.at - SEEN, attempt.at);
                if !stops.iter().any(held) {
                    found.push(format!("held back while nothing is stopped: {attempt:?}"));
                }
            }
        }
        for entry in &evidence.history {
            if let End::Failed(why) = &entry.ended {
                found.push(format!(
                    "not accepted: {:?} at {}: {why}",
                    entry.act, entry.start
                ));
            }
            let within =
                |stop: &&super::Stop| entry.start > stop.since + STOPPED && entry.end < stop.until;
            let waits = entry.ended != End::Unheard && entry.end.saturating_sub(entry.start) > SOON;
            if waits && self.stops.iter().any(|stop| within(&stop)) {
                found.push(format!("waits while all is stopped: {entry:?}"));
            }
        }
    }

    /// The other connection is stopped when it is meant, and else never.
    fn probes(&self, found: &mut Found) {
        for probe in &self.probes {
            let (from, until) = (probe.start - SEEN, probe.end);
            let mut stops = self.others_stops.iter();
            let whole = |stop: &super::Stop| stop.since < from && stop.until > until;
            let right = if probe.pending {
                stops.any(|stop| stop.overlaps(from, until))
            } else {
                !stops.any(whole)
            };
            if !right {
                found.push(format!(
                    "the other connection: {probe:?} {:?}",
                    self.others_stops
                ));
            }
        }
    }

    /// The status tells what is stopped, and the audit who did it.
    fn told(&self, found: &mut Found) {
        let both = [&self.stops, &self.others_stops];
        for told in &self.told {
            for (paused, stops) in told.paused.into_iter().zip(both) {
                let since = told.at - SEEN;
                let whole = stops
                    .iter()
                    .any(|it| it.since < since && it.until > told.at);
                let partly = stops.iter().any(|it| it.overlaps(since, told.at));
                if whole && !paused || paused && !partly {
                    found.push(format!(
                        "the status tells {told:?}, and so it is: {stops:?}"
                    ));
                }
            }
        }
        let records = |action: &str, since: Millis| {
            let rows = self.rows().filter(|row| {
                // Who resumed is not known any more when the next has stopped something.
                let is_named = row.actor == "operator (says anna)" || action == "resume";
                let by = row.action == action && is_named;
                by && row.connection == super::CONNECTION
            });
            rows.filter(|row| (since..=since + SEEN).contains(&row.at))
                .count()
        };
        for (n, stop) in self.stops.iter().enumerate() {
            let lived = |at: Millis| {
                let mut others = self.lives.iter().map(|life| life.began);
                // The bridge was there for as long as it needs to see it.
                !others.any(|began| (at - SEEN..=at + SEEN).contains(&began))
            };
            let before = n.checked_sub(1).map_or(0, |n| self.stops[n].until);
            let after = self.stops.get(n + 1).map_or(Millis::MAX, |next| next.since);
            let is_long = stop.until.saturating_sub(stop.since) > SEEN;
            for (action, at, seen) in [
                ("pause", stop.since, stop.since - before > SEEN),
                (
                    "resume",
                    stop.until,
                    after.saturating_sub(stop.until) > SEEN,
                ),
            ] {
                if is_long && seen && at < Millis::MAX && lived(at) && records(action, at) != 1 {
                    found.push(format!(
                        "{} records of {action} at {at}",
                        records(action, at)
                    ));
                }
            }
        }
    }

    // ---- the guard rails

    /// Each request that is held is recorded as that once, and decided once at most.
    fn decisions(&self, evidence: &Evidence, found: &mut Found) {
        let mut holds: BTreeMap<String, [usize; 2]> = BTreeMap::new();
        for row in self.rows() {
            let place = match row.action.as_str() {
                "hold" => 0,
                "approve_hold" | "reject_hold" if row.actor == "operator anna" => 1,
                _ => continue,
            };
            let id = detail(row)["hold"].as_str().unwrap_or_default().to_owned();
            holds.entry(id).or_default()[place] += 1;
        }
        for (id, [held, decided]) in &holds {
            if *held != 1 || *decided > 1 {
                found.push(format!(
                    "{id} is held {held} times and decided {decided} times"
                ));
            }
        }
        for entry in &evidence.history {
            if let End::Stopped { held: Some(id) } = &entry.ended
                && !holds.contains_key(id)
            {
                found.push(format!("no record of what is held: {entry:?}"));
            }
        }
    }

    fn rails(&self, guard: &Guard, evidence: &Evidence, found: &mut Found) {
        if self.rows().any(|row| row.action == "begin_recovery") {
            found.push("in recovery without a reason".to_owned());
        }
        for entry in &evidence.history {
            if let Some(user) = entry.act.ends() {
                let protected = guard.protected.is_user([user.as_str()]);
                if protected && matches!(entry.ended, End::Done { .. } | End::AllBut(_)) {
                    found.push(format!("protected, and ended: {entry:?}"));
                }
                let held = matches!(&entry.ended, End::Stopped { held: Some(_) });
                if held && !self.left_lately(guard, entry, evidence) {
                    found.push(format!("a single leaver is held: {entry:?}"));
                }
            }
            self.not_held(guard, entry, evidence, found);
        }
    }

    /// Whether anybody else left within the window.
    fn left_lately(&self, guard: &Guard, entry: &Entry, evidence: &Evidence) -> bool {
        let within = Millis::try_from(guard.removals.within.as_millis()).unwrap();
        let mut others = evidence.history.iter();
        others.any(|other| {
            let begun = other.start <= entry.end && other.end >= entry.start - within;
            other.act.ends().is_some() && begun && !other.is_void() && other != entry
        })
    }

    /// What a request took at once is not more than the rails let pass.
    fn not_held(&self, guard: &Guard, entry: &Entry, evidence: &Evidence, found: &mut Found) {
        let End::Done {
            version: Some((id, version)),
            ..
        } = &entry.ended
        else {
            return;
        };
        let changes = |row: &&AuditRow| {
            row.action == "change_group" && row.resource.is_some_and(|it| it.to_string() == *id)
        };
        let mut rows = self.rows().filter(changes).map(detail);
        let Some(detail) = rows.find(|detail| detail["version"] == *version) else {
            return;
        };
        let gone = detail["removed"].as_array().into_iter().flatten();
        let gone = gone.filter_map(|id| self.names.get(id.as_str()?));
        let active: Vec<&String> = gone
            .filter(|user| {
                let when = (entry.start, entry.end);
                let value = |act: &Act| act.account(user);
                let may =
                    evidence.possible_within(when, Surety::Acknowledged, value, Entry::surety);
                may == BTreeSet::from([true])
            })
            .collect();
        if active
            .iter()
            .any(|it| guard.protected.is_user([it.as_str()]))
        {
            found.push(format!("protected, and taken out: {entry:?}"));
        }
        let users = u64::try_from(evidence.history.len()).unwrap().min(6);
        let most = guard.group_removals.most(users);
        if guard.enabled && !entry.approved && active.len() as u64 > most {
            found.push(format!("not held, and takes {active:?}: {entry:?}"));
        }
    }

    /// A group that keeps its last members is left with them by every call of ours
    /// that was not given up before.
    fn least(&self, guard: &Guard, evidence: &Evidence, found: &mut Found) {
        let mut members: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
        let mut active: BTreeSet<&String> = BTreeSet::new();
        let mut log = evidence.log.iter().peekable();
        while let Some(first) = log.next() {
            let mut changes = vec![first];
            while let Some(next) = log.next_if(|it| it.at == first.at) {
                changes.push(next);
            }
            let count = |members: &BTreeMap<&String, BTreeSet<&String>>,
                         active: &BTreeSet<&String>,
                         group: &String| {
                let them = members.get(group).into_iter().flatten();
                them.filter(|it| active.contains(*it)).count() as u64
            };
            let (were, was) = (members.clone(), active.clone());
            for change in &changes {
                let set = match &change.group {
                    Some(group) => members.entry(group).or_default(),
                    None => &mut active,
                };
                if change.present {
                    set.insert(&change.account);
                } else {
                    set.remove(&change.account);
                }
            }
            let ours = changes.iter().all(|it| !it.aside || it.group.is_some());
            let ours = ours && changes.iter().any(|it| !it.aside && !it.present);
            for group in were.keys() {
                let Some(least) = guard.protected.least([group.as_str()]) else {
                    continue;
                };
                let (before, after) = (count(&were, &was, group), count(&members, &active, group));
                if ours && after < before && after < least {
                    found.push(format!(
                        "the last of {group} went: {after} of {least} are left at {}",
                        first.at
                    ));
                }
            }
        }
    }

    // ---- what is read

    fn read(&self, read: &Read, evidence: &Evidence, found: &mut Found) {
        if let Some((told, shown)) = read.versions
            && shown < told
        {
            found.push(format!("reads what was before its own write: {read:?}"));
        }
        let may = |value: &dyn Fn(&Act) -> Option<bool>, surety: &dyn Fn(&Entry) -> Surety| {
            let when = (read.at, read.at);
            evidence.possible_within(when, Surety::Acknowledged, value, surety)
        };
        match &read.shown {
            Saw::User(user, active) => {
                let may = may(&|act| act.account(user), &Entry::surety);
                if !may.contains(&active.unwrap_or(false)) {
                    found.push(format!("nobody asked for what is read: {read:?}"));
                }
            }
            Saw::Group(group, id, members) => {
                let exists = may(&|act| act.existence(group), &Entry::surety);
                if !exists.contains(&members.is_some()) {
                    found.push(format!("nobody asked for what is read: {read:?}"));
                }
                let none = BTreeSet::new();
                let shown = members.as_ref().unwrap_or(&none);
                for user in self.names.values().collect::<BTreeSet<_>>() {
                    let may = may(&|act| act.pair(group, user), &|entry| entry.surety_of(user));
                    let right = may.contains(&shown.contains(user));
                    if !right && !self.put_back(id, read.at) {
                        found.push(format!("{user} is not what was asked for: {read:?}"));
                    }
                }
            }
        }
    }

    /// Whether a turn of a group was refused something, so that it is as before.
    fn put_back(&self, group: &str, before: Millis) -> bool {
        self.rows().any(|row| {
            let its = row.resource.is_some_and(|it| it.to_string() == group);
            let refused = || {
                let detail = detail(row);
                detail["refused"].as_u64() > Some(0) || detail["group_refused"] == true
            };
            its && row.action == "group_turn" && row.at <= before && refused()
        })
    }
}

pub(super) fn detail(row: &AuditRow) -> Value {
    serde_json::from_str(&row.detail).unwrap()
}
