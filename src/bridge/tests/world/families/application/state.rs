//! What the application has, had, and will have when calls land that are under
//! way.

use std::collections::{BTreeMap, BTreeSet};

use super::{super::super::now, Change, Roles, address};
use crate::{bridge::clock::simulated, upstream::Millis};

/// A role in a family: by the membership's id, so that what was made anew is
/// not what it was.
pub(super) type Held = BTreeMap<(String, String), (u64, usize)>;

#[derive(Debug, Clone)]
pub(super) enum Write {
    Give(usize),
    Change(u64, usize),
    Take(u64),
}

/// A call that is under way.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) by: usize,
    pub(super) account: String,
    pub(super) family: String,
    pub(super) write: Write,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) known: BTreeSet<String>,
    pub(super) held: Held,
    pub(super) past: Vec<(Millis, Held)>,
    pub(super) coming: Vec<(Millis, Sent)>,
    /// How many calls were made, and which were on their way when the bridge died.
    pub(super) sent: u64,
    pub(super) cut: Vec<(u64, Sent)>,
    pub(super) log: Vec<Change>,
    pub(super) ids: u64,
    pub(super) writes: Vec<Millis>,
    /// Of whom something was left open, and when last.
    pub(super) unclear: BTreeMap<String, Millis>,
    /// Who is told of right now, by which connection.
    pub(super) busy: BTreeSet<(usize, String)>,
    pub(super) faults: u64,
    /// Memberships that calls have ended, which were answered.
    pub(super) ended: BTreeSet<u64>,
    /// The longest that a look lags.
    pub(super) lag: u64,
    /// Of whom a call was refused, in which family.
    pub(super) refused: BTreeSet<(String, String)>,
    /// What calls may have given, or may give yet, whose outcome is not known.
    pub(super) may_give: BTreeSet<(String, String, usize)>,
}

impl State {
    /// Does it if it can be done; whether it could.
    pub(super) fn perform(
        &mut self,
        (at, by): (Millis, Option<usize>),
        account: &str,
        family: &str,
        write: &Write,
    ) -> bool {
        let key = (account.to_owned(), family.to_owned());
        let now = self.held.get(&key).copied();
        let next = match (write, now) {
            (Write::Give(rank), None) => {
                self.ids += 1;
                Some((self.ids, *rank))
            }
            (Write::Change(id, rank), Some((held, _))) if *id == held => Some((held, *rank)),
            (Write::Take(id), Some((held, _))) if *id == held => None,
            _ => return false,
        };
        self.past.push((at, self.held.clone()));
        match next {
            Some(next) => self.held.insert(key, next),
            None => self.held.remove(&key),
        };
        self.log.push(Change {
            at,
            by,
            account: account.to_owned(),
            family: family.to_owned(),
            was: now.map(|(_, rank)| rank),
            rank: next.map(|(_, rank)| rank),
            late: false,
        });
        true
    }

    /// A call about somebody whose outcome is not known.
    pub(super) fn note_given(&mut self, account: &str, family: &str, write: &Write) {
        if let Write::Give(rank) | Write::Change(_, rank) = write {
            let given = (account.to_owned(), family.to_owned(), *rank);
            self.may_give.insert(given);
        }
    }

    pub(super) fn settle(&mut self) {
        let now = now();
        let (mut due, coming): (Vec<_>, Vec<_>) = std::mem::take(&mut self.coming)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.coming = coming;
        due.sort_by_key(|(at, ..)| *at);
        for (at, sent) in due {
            let done = self.perform(
                (at, Some(sent.by)),
                &sent.account,
                &sent.family,
                &sent.write,
            );
            if let Some(change) = self.log.last_mut().filter(|_| done) {
                change.late = true;
            }
            self.unclear.insert(address(&sent.account).to_owned(), at);
        }
    }

    pub(super) fn seen(&mut self, lag: Millis) -> Held {
        self.settle();
        let then = now() - lag;
        let shown = self.past.iter().find(|(until, _)| *until > then);
        shown.map_or_else(|| self.held.clone(), |(_, held)| held.clone())
    }
}

/// A call on its way: when the bridge dies meanwhile, it may still land.
pub(super) struct OnItsWay<'a> {
    pub(super) app: &'a Roles,
    pub(super) number: u64,
    pub(super) what: Option<Sent>,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(sent) = self.what.take() {
            let mut state = self.app.lock();
            let who = address(&sent.account).to_owned();
            state.unclear.insert(who, now());
            state.note_given(&sent.account, &sent.family, &sent.write);
            state.cut.push((self.number, sent));
            drop(state);
            if !simulated::stands_still() {
                self.app.fall();
            }
        }
    }
}
