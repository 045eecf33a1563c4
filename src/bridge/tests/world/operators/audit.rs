//! The audit of a world with operators: it is whole, and every change and every call
//! has one record (reliability: I-34).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    super::{
        CONNECTION,
        checker::Evidence,
        history::{End, Entry},
    },
    Life, Seen,
    judge::{Found, detail},
};
use crate::store::audit::{AuditRow, Walk};

impl Seen {
    pub(super) fn audit(&self, evidence: &Evidence, found: &mut Found) {
        let mut walk = Walk::default();
        for row in self.rows() {
            if let Err(why) = walk.step(row) {
                found.push(format!("the audit is broken: {why}"));
                break;
            }
        }
        if walk.unchained > 0 {
            found.push("records of the audit are not bound".to_owned());
        }
        for (n, life) in self.lives.iter().enumerate() {
            self.calls(life, self.lives.get(n + 1), found);
        }
        for entry in &evidence.history {
            self.change(entry, found);
        }
    }

    /// Every change that was answered with its version has one record.
    fn change(&self, entry: &Entry, found: &mut Found) {
        let End::Done {
            version: Some((id, version)),
            ..
        } = &entry.ended
        else {
            return;
        };
        let records = self.rows().filter(|row| {
            let its = row.resource.is_some_and(|it| it.to_string() == *id);
            let is_change = ["create_user", "change_user", "create_group", "change_group"]
                .contains(&row.action.as_str());
            its && is_change && detail(row)["version"] == *version
        });
        let count = records.count();
        if count != 1 {
            found.push(format!("{count} records of {entry:?}"));
        }
    }

    /// Every call of a life has one record, but for those of turns that its end cut
    /// off, each of which the next one tells as interrupted.
    fn calls(&self, life: &Life, next: Option<&Life>, found: &mut Found) {
        let mut sent: BTreeMap<Call, i64> = BTreeMap::new();
        for attempt in &life.attempts {
            let call = (
                Some(attempt.of.clone()),
                attempt.what.to_owned(),
                attempt.members,
            );
            *sent.entry(call).or_default() += 1;
        }
        for call in life.rows.iter().flat_map(|row| self.calls_of(row)) {
            *sent.entry(call).or_default() -= 1;
        }
        let rows = next.map_or(&[][..], |next| &next.rows);
        let rows = rows
            .iter()
            .filter(|row| is_ours(row) && is_interrupted(row));
        let cut: BTreeSet<Option<String>> = rows.map(|row| self.name_of(row)).collect();
        let mut nameless: BTreeMap<(String, usize), i64> = BTreeMap::new();
        for ((of, what, members), more) in &sent {
            if of.is_none() {
                nameless.insert((what.clone(), *members), -more);
            }
        }
        let is_cut = |of: &Option<String>| cut.contains(of) || cut.contains(&None);
        let named = sent.into_iter().filter(|it| it.0.0.is_some());
        // Those that were cut off come last: what is nobody's by name may be theirs.
        let (last, first): (Vec<_>, Vec<_>) = named.partition(|it| is_cut(&it.0.0));
        for ((of, what, members), more) in first.into_iter().chain(last) {
            let theirs = nameless.entry((what.clone(), members)).or_default();
            let by_them = more.clamp(0, (*theirs).max(0));
            *theirs -= by_them;
            let more = more - by_them;
            if more < 0 {
                found.push(format!(
                    "recorded, and never sent: {what} of {members}, {of:?}"
                ));
            } else if more > 0 && !is_cut(&of) {
                found.push(format!(
                    "sent without a record: {what} of {members}, {of:?}"
                ));
            }
        }
        for (call, _) in nameless.iter().filter(|(_, more)| **more > 0) {
            found.push(format!("recorded, and never sent: {call:?}"));
        }
    }

    /// Nobody was told the id of what the application refused to make.
    fn name_of(&self, row: &AuditRow) -> Option<String> {
        self.names.get(&row.resource?.to_string()).cloned()
    }

    /// The calls of a turn that ended.
    fn calls_of(&self, row: &AuditRow) -> Vec<Call> {
        if !is_ours(row) || is_interrupted(row) {
            return Vec::new();
        }
        let name = self.name_of(row);
        let calls = detail(row)["calls"].as_array().cloned();
        let call = |call: Value| {
            let members = call["members"].as_array().map_or(0, Vec::len);
            let what = call["operation"].as_str().unwrap_or_default().to_owned();
            (name.clone(), what, members)
        };
        calls.unwrap_or_default().into_iter().map(call).collect()
    }
}

/// Of whom, where that is known, what, and of how many members.
type Call = (Option<String>, String, usize);

/// A turn of the connection whose world it is.
fn is_ours(row: &AuditRow) -> bool {
    row.action.ends_with("_turn") && row.connection == CONNECTION
}

fn is_interrupted(row: &AuditRow) -> bool {
    detail(row)["calls"][0]["outcome"] == "interrupted"
}
