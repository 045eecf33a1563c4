//! One change of a group's members, as deltas. Only the pairs that a request
//! names are looked at; the list is read by a whole replacement alone, in one
//! scan that touches nothing equal (reliability: I-06, R-16, R-17). The
//! operations of one request are laid over each other first, so that remove
//! and add of the same member is no change.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::UserKey,
    scim::{
        error::{Problem, ScimType},
        filter::Filter,
        patch::MemberChange,
        resource::ResourceId,
    },
    store::{Millis, Seat, WriteError},
};

use super::{families, fault::Result, groups::Group, raised, refusals, seats, upheld, withdrawal};

// The statements of a change; each but the lists finds its row by key.
// A whole list is read in two values for each row, because that is what it
// costs: the id, and the rest in one number (see `Was::packed`).
const MEMBERS: &str = "SELECT user_id, user_key * 16 + (found <> 0) * 8 + observed * 2 + managed
     FROM memberships WHERE group_key = ?1 AND desired = 1";
const LEAVING: &str = "SELECT user_id, user_key * 16 + (found <> 0) * 8 + observed * 2 + managed
     FROM memberships INDEXED BY memberships_open
     WHERE group_key = ?1 AND desired <> observed AND desired = 0";
const MISSING: &str = "SELECT user_key FROM memberships INDEXED BY memberships_missing
     WHERE group_key = ?1 AND missing = 1";
const RESOLVE: &str =
    "SELECT key FROM users WHERE id = ?1 AND connection = ?2 AND tombstone IS NULL";
const PAIR: &str = "SELECT desired, observed, managed, found <> 0, missing = 1 FROM memberships
     WHERE group_key = ?1 AND user_key = ?2";
const INSERT: &str =
    "INSERT INTO memberships (group_key, user_key, user_id, desired, observed, managed, seq)
     VALUES (?1, ?2, ?3, 1, 0, 1, ?4)";
const ADOPT: &str = "UPDATE memberships SET managed = 1, found = 0
     WHERE group_key = ?1 AND user_key = ?2";
const DELETE: &str = "DELETE FROM memberships WHERE group_key = ?1 AND user_key = ?2";
const CHANGE: &str = "UPDATE memberships SET desired = ?3, managed = 1, seq = ?4, doubted = 0,
         withheld = 0, reread = 0, found = 0, missing = missing & 1
     WHERE group_key = ?1 AND user_key = ?2";
const AGAIN: &str =
    "UPDATE memberships SET seq = ?3, missing = 0 WHERE group_key = ?1 AND user_key = ?2";
const OPEN: &str = "UPDATE memberships SET observed = 2, missing = 0
     WHERE group_key = ?1 AND user_key = ?2";
/// Of who may not be there, whether or not the removal was handed out that is taken back.
const UNSURE: &str = "UPDATE memberships SET observed = 2, before = 2, missing = 0
     WHERE group_key = ?1 AND user_key = ?2";
const DOUBT: &str = "UPDATE memberships SET desired = 0, observed = 2, managed = 1, seq = ?3,
         doubted = 0, withheld = 0, reread = 0, found = 0
     WHERE group_key = ?1 AND user_key = ?2";
const WORKABLE: &str = "SELECT account_key IS NOT NULL AND (wants OR NOT ?2), dirty = 2 AND ?2
     FROM users WHERE key = ?1";
/// For showing what a change costs.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 14] = [
    MEMBERS, LEAVING, MISSING, RESOLVE, PAIR, INSERT, ADOPT, DELETE, CHANGE, AGAIN, OPEN, UNSURE,
    DOUBT, WORKABLE,
];

/// The pairs a request named, with what becomes of them.
pub(super) struct Named<'db> {
    db: &'db Connection,
    connection: i64,
    group: i64,
    /// What the group is one of.
    family: Option<String>,
    pairs: BTreeMap<i64, Pair>,
    /// All that is not named is not asked for.
    whole: bool,
    unknown: Vec<String>,
    reported: HashSet<String>,
    /// What is left of [`STEPS`].
    steps: u64,
    /// Members that removals have selected.
    hits: u64,
}

/// Members that one request may look at, each as often as a filter compares:
/// the writer does nothing else meanwhile. A group of a million members can be
/// replaced, or searched by a short filter.
const STEPS: u64 = 4_000_000;

/// `observed` of a pair that is handed out, or of which no answer came.
const UNKNOWN: i64 = 2;

struct Pair {
    id: [u8; 16],
    was: Option<Was>,
    desired: bool,
    /// The request says that this is or is to be a member.
    asserted: bool,
    /// It says by name that this is not to be one.
    taken_out: bool,
}

#[derive(Clone, Copy)]
struct Was {
    desired: bool,
    observed: i64,
    managed: bool,
    /// Taken away as what was only found: see `unasked`.
    found: bool,
    /// Told as missing, and left so: see `reconcile`. Or shown by an outdated reading
    /// alone: see `linked`.
    missing: bool,
}

impl Was {
    /// The key of the user and the state of the pair, from the number that a
    /// list gives, but for who is missing.
    fn packed(number: i64, desired: bool) -> (i64, Self) {
        let was = Self {
            desired,
            observed: number >> 1 & 3,
            managed: number & 1 == 1,
            found: number >> 3 & 1 == 1,
            missing: false,
        };
        (number >> 4, was)
    }
}

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Flushed {
    pub(super) added: Vec<ResourceId>,
    pub(super) removed: Vec<ResourceId>,
    /// The keys of those who were removed, in the same order.
    pub(super) gone: Vec<i64>,
    /// How many of them were only found, and never asked for.
    pub(super) gone_unasked: u64,
    /// The keys of those who ended without anything being open.
    pub(super) untold: Vec<i64>,
    /// Members found by import that are now asked for.
    pub(super) adopted: u64,
    /// Something was asked for again that may be on its way: if that is
    /// refused, this is still asked for.
    pub(super) again: bool,
    /// Somebody is said to be a member, or to become one.
    pub(super) asserts: bool,
    /// Who is not to be in it, and is kept all the same: see [`super::upheld`].
    pub(super) kept: Vec<i64>,
    /// Somebody of them is taken out by name.
    pub(super) kept_named: bool,
    pub(super) members_by: i64,
    pub(super) unmanaged_by: i64,
    /// Named pairs that differ and can be worked off.
    pub(super) touched: Vec<UserKey>,
    /// Others wait for an account that is staged.
    pub(super) staged: bool,
    pub(super) unknown: Vec<String>,
}

impl Flushed {
    /// Whether it does more than take out whom this connection has put there.
    pub(super) fn claims(&self) -> bool {
        !self.added.is_empty() || self.adopted > 0 || self.gone_unasked > 0
    }

    /// Whether anybody came or went.
    pub(super) fn moved(&self) -> bool {
        !self.added.is_empty() || !self.removed.is_empty()
    }
}

impl<'db> Named<'db> {
    pub(super) fn new(db: &'db Connection, group: &Group) -> Self {
        Self {
            db,
            connection: group.connection,
            group: group.key,
            family: group.family.as_ref().map(|family| family.name.clone()),
            whole: false,
            pairs: BTreeMap::new(),
            unknown: Vec::new(),
            reported: HashSet::new(),
            steps: STEPS,
            hits: 0,
        }
    }

    fn spend(&mut self, steps: u64) -> Result<()> {
        let Some(left) = self.steps.checked_sub(steps) else {
            return Err(Problem::bad(
                ScimType::TooMany,
                "this request looks at more members than one request may; name the members by their ids",
            )
            .into());
        };
        self.steps = left;
        Ok(())
    }

    pub(super) fn apply(&mut self, change: MemberChange) -> Result<()> {
        match change {
            MemberChange::Add(ids) => self.add(&ids).map(|_| ()),
            MemberChange::Remove(ids) => self.remove(&ids),
            MemberChange::RemoveAll => self.replace(Vec::new()),
            MemberChange::Replace(ids) => self.replace(ids),
            MemberChange::RemoveWhere(filter) => self.remove_where(&filter),
            MemberChange::Hitting(change) => {
                let hits = self.hits;
                self.apply(*change)?;
                if self.hits == hits {
                    return Err(Problem::bad(
                        ScimType::NoTarget,
                        "no member of this Group is selected by the path",
                    )
                    .into());
                }
                Ok(())
            }
        }
    }

    /// Whether any of them is somebody here.
    fn add(&mut self, ids: &[String]) -> Result<bool> {
        let mut known = false;
        for text in ids {
            match self.resolve(text)? {
                Some((key, id)) => {
                    let pair = self.pair(key, id)?;
                    pair.desired = true;
                    pair.asserted = true;
                    pair.taken_out = false;
                    known = true;
                }
                None => self.report_unknown(text),
            }
        }
        Ok(known)
    }

    fn remove(&mut self, ids: &[String]) -> Result<()> {
        for text in ids {
            if let Some((key, id)) = self.resolve(text)? {
                let pair = self.pair(key, id)?;
                let hit = std::mem::take(&mut pair.desired);
                pair.asserted = false;
                pair.taken_out = true;
                self.hits += u64::from(hit);
            }
        }
        Ok(())
    }

    fn replace(&mut self, ids: Vec<String>) -> Result<()> {
        self.whole = true;
        let parsed: Vec<_> = ids.iter().map(|text| ResourceId::parse(text)).collect();
        let mut asked = Asked::of(parsed.iter().flatten().map(|id| *id.as_bytes()));
        let (mut there, mut goes) = (false, false);
        for pair in self.pairs.values_mut() {
            let stays = asked.tick(&pair.id);
            there |= stays;
            goes |= pair.desired && !stays;
            pair.desired = stays;
            pair.asserted = pair.desired;
        }
        self.scan_members((MEMBERS, true), 1, |id, in_order| {
            let stays = asked.tick(id);
            there |= stays;
            goes |= !stays;
            // An equal pair that is in order is not even remembered.
            (!stays || !in_order).then_some(stays)
        })?;
        // Who asks for the whole set also waits for those who are still leaving.
        self.scan_members((LEAVING, false), 1, |id, _| {
            (!asked.is_open(id)).then_some(false)
        })?;
        let somebody = !ids.is_empty();
        for (text, id) in ids.into_iter().zip(parsed) {
            match id {
                Some(id) if asked.tick(id.as_bytes()) => there |= self.add(&[text])?,
                Some(_) => {}
                None => self.report_unknown(&text),
            }
        }
        if somebody && !there && goes {
            // Skipping who is unknown must not empty what was not meant to be.
            return Err(WriteError::UnknownMembers(std::mem::take(&mut self.unknown)).into());
        }
        Ok(())
    }

    fn remove_where(&mut self, filter: &Filter) -> Result<()> {
        let comparisons = filter.comparisons() + 1;
        self.spend(comparisons.saturating_mul(self.pairs.len() as u64))?;
        for pair in self.pairs.values_mut() {
            if pair.desired && filter.matches_member(&text_of(pair.id)) {
                pair.desired = false;
                pair.asserted = false;
                self.hits += 1;
            }
        }
        let mut hits = 0;
        self.scan_members((MEMBERS, true), comparisons, |id, _| {
            let hit = filter.matches_member(&text_of(*id));
            hits += u64::from(hit);
            hit.then_some(false)
        })?;
        self.hits += hits;
        for (key, id) in raised::users_of(self.db, self.group)? {
            if filter.matches_member(&text_of(id)) {
                self.hits += 1;
                self.pairs.entry(key).or_insert(Pair {
                    id,
                    was: None,
                    desired: false,
                    asserted: false,
                    taken_out: true,
                });
            }
        }
        Ok(())
    }

    /// Every pair of a list that was not named yet; `take` is told the id and
    /// whether the pair is settled and asked for, and says what becomes of it,
    /// or that it need not be remembered.
    fn scan_members(
        &mut self,
        (list, desired_now): (&str, bool),
        steps: u64,
        mut take: impl FnMut(&[u8; 16], bool) -> Option<bool>,
    ) -> Result<()> {
        let missing = self.missing()?;
        let mut select = self.db.prepare_cached(list)?;
        let mut rows = select.query([self.group])?;
        while let Some(row) = rows.next()? {
            self.spend(steps)?;
            let id: [u8; 16] = row.get(0)?;
            let (key, mut was) = Was::packed(row.get(1)?, desired_now);
            was.missing = missing.contains(&key);
            let in_order = was.observed == 1 && was.managed && !was.found && !was.missing;
            let Some(desired) = take(&id, in_order) else {
                continue;
            };
            self.pairs.entry(key).or_insert(Pair {
                id,
                was: Some(was),
                desired,
                asserted: desired,
                taken_out: false,
            });
        }
        Ok(())
    }

    /// Who is told as missing, mostly nobody.
    fn missing(&self) -> Result<HashSet<i64>> {
        let mut select = self.db.prepare_cached(MISSING)?;
        let rows = select.query_map([self.group], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// A live user of the connection.
    fn resolve(&self, text: &str) -> Result<Option<(i64, [u8; 16])>> {
        let Some(id) = ResourceId::parse(text) else {
            return Ok(None);
        };
        let key = self
            .db
            .prepare_cached(RESOLVE)?
            .query_row(params![id.as_bytes(), self.connection], |row| row.get(0))
            .optional()?;
        Ok(key.map(|key| (key, *id.as_bytes())))
    }

    fn pair(&mut self, key: i64, id: [u8; 16]) -> Result<&mut Pair> {
        let entry = match self.pairs.entry(key) {
            std::collections::btree_map::Entry::Occupied(entry) => return Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => entry,
        };
        let was = self
            .db
            .prepare_cached(PAIR)?
            .query_row([self.group, key], |row| {
                Ok(Was {
                    desired: row.get(0)?,
                    observed: row.get(1)?,
                    managed: row.get(2)?,
                    found: row.get(3)?,
                    missing: row.get(4)?,
                })
            })
            .optional()?;
        Ok(entry.insert(Pair {
            id,
            was,
            desired: was.is_some_and(|was| was.desired),
            asserted: false,
            taken_out: false,
        }))
    }

    fn report_unknown(&mut self, text: &str) {
        if self.reported.insert(text.to_owned()) {
            self.unknown.push(text.to_owned());
        }
    }

    /// Who is not to be in it is fallen back into it by nobody else's removal either.
    fn give_up_raised(&self, at: Millis) -> Result<()> {
        if self.family.is_none() {
            return Ok(());
        }
        for (user, _) in raised::users_of(self.db, self.group)? {
            let goes = match self.pairs.get(&user) {
                Some(pair) => !pair.desired,
                None => self.whole,
            };
            if goes {
                raised::give_up(self.db, (self.group, user), at)?;
            }
        }
        Ok(())
    }

    /// Writes the pairs that differ from what is stored.
    pub(super) fn flush(self, seq: i64, at: Millis) -> Result<Flushed> {
        self.give_up_raised(at)?;
        let mut flushed = Flushed {
            unknown: self.unknown,
            ..Flushed::default()
        };
        let (db, group) = (self.db, (self.group, self.family.is_some()));
        for (key, pair) in self.pairs {
            flushed.asserts |= pair.asserted;
            let adopted = flushed.adopted;
            let mut open = write_pair(db, group, key, &pair, seq, &mut flushed)?;
            if let Some(family) = self.family.as_ref().filter(|_| pair.asserted)
                && seats::claim(db, key, family)? != Seat::Free
                && flushed.adopted > adopted
            {
                // Not to be asked for here: its turn says so.
                db.prepare_cached(OPEN)?.execute([group.0, key])?;
                open = true;
            }
            let was_there = pair.was.is_some_and(|was| was.observed == 1);
            // Asked for of who must not have it now: kept, and taken away there.
            let withdrawn = pair.desired && was_there && withdrawal::doubt(db, group.0, key)?;
            if withdrawn {
                // A new attempt: who waits for it is not answered with the last one.
                db.prepare_cached(AGAIN)?.execute([group.0, key, seq])?;
                flushed.again = true;
                open = true;
            }
            if !open {
                continue;
            }
            match workable(db, key, pair.desired && !withdrawn)? {
                (_, true) => flushed.staged = true,
                (true, false) => flushed.touched.push(UserKey(key)),
                (false, false) => {}
            }
        }
        if self.whole {
            refusals::forget_unasked(db, self.group)?;
        }
        Ok(flushed)
    }
}

/// The ids of a whole replacement, ticked off one by one. Sorted, because the
/// members are read nearly in the order of their ids, which are made in the
/// order of time: then the next one is the one looked for.
struct Asked {
    ids: Vec<([u8; 16], bool)>,
    next: usize,
}

impl Asked {
    fn of(ids: impl Iterator<Item = [u8; 16]>) -> Self {
        let mut ids: Vec<_> = ids.map(|id| (id, false)).collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids, next: 0 }
    }

    fn find(&self, id: &[u8; 16]) -> Option<usize> {
        if self.ids.get(self.next).is_some_and(|(next, _)| next == id) {
            return Some(self.next);
        }
        self.ids.binary_search_by(|(asked, _)| asked.cmp(id)).ok()
    }

    /// Whether it was asked for and not ticked off before; now it is.
    fn tick(&mut self, id: &[u8; 16]) -> bool {
        let Some(place) = self.find(id) else {
            return false;
        };
        self.next = place + 1;
        let entry = self.ids.get_mut(place);
        entry.is_some_and(|(_, ticked)| !std::mem::replace(ticked, true))
    }

    /// Asked for and not ticked off.
    fn is_open(&self, id: &[u8; 16]) -> bool {
        let entry = self.find(id).and_then(|place| self.ids.get(place));
        entry.is_some_and(|(_, ticked)| !ticked)
    }
}

/// Writes one pair if it differs; whether it is open afterwards.
fn write_pair(
    db: &Connection,
    (group, family): (i64, bool),
    user: i64,
    pair: &Pair,
    seq: i64,
    flushed: &mut Flushed,
) -> Result<bool> {
    let Some(was) = pair.was else {
        let left = !pair.desired && refusals::ask_left(db, (group, user), seq)?;
        // Also of who is said not to be in it: what was refused is so then.
        refusals::forget(db, group, user)?;
        if left {
            flushed.again = true;
            return Ok(true);
        }
        if pair.desired {
            db.prepare_cached(INSERT)?
                .execute(params![group, user, pair.id, seq])?;
            flushed.added.push(ResourceId::from_bytes(pair.id));
            flushed.members_by += 1;
        }
        return Ok(pair.desired);
    };
    if was.desired == pair.desired {
        if pair.asserted && (was.found || !was.managed) {
            db.prepare_cached(ADOPT)?.execute([group, user])?;
        }
        if pair.asserted && !was.managed {
            flushed.adopted += 1;
            flushed.unmanaged_by -= 1;
        }
        if !pair.desired && was.observed != 0 && upheld::is_kept(db, group, user)? {
            flushed.kept.push(user);
            flushed.kept_named |= pair.taken_out;
        }
        // Another connection's end of the account, which is under way, takes away
        // what is asked for only now.
        let goes = pair.asserted && family && !was.managed && was.observed == 1;
        let doubted = goes && seats::is_being_ended(db, user)?;
        if doubted {
            db.prepare_cached(OPEN)?.execute([group, user])?;
        }
        let lost = pair.asserted && was.observed == 1 && was.missing;
        if lost {
            // It is asked for once more, and is known not to be there.
            db.prepare_cached(OPEN)?.execute([group, user])?;
        }
        if doubted || lost || was.observed == UNKNOWN {
            db.prepare_cached(AGAIN)?.execute([group, user, seq])?;
            flushed.again = true;
        }
        return Ok(doubted || lost || was.observed != i64::from(was.desired));
    }
    refusals::forget(db, group, user)?;
    if pair.desired {
        flushed.added.push(ResourceId::from_bytes(pair.id));
        flushed.members_by += 1;
    } else {
        flushed.removed.push(ResourceId::from_bytes(pair.id));
        flushed.gone.push(user);
        flushed.members_by -= 1;
        flushed.unmanaged_by -= i64::from(!was.managed);
        flushed.gone_unasked += u64::from(!was.managed);
    }
    if !pair.desired && was.observed == 0 {
        if families::may_forget(db, family, user)? {
            db.prepare_cached(DELETE)?.execute([group, user])?;
            flushed.untold.push(user);
            return Ok(false);
        }
        db.prepare_cached(DOUBT)?.execute([group, user, seq])?;
        return Ok(true);
    }
    db.prepare_cached(CHANGE)?
        .execute(params![group, user, pair.desired, seq])?;
    if pair.desired && was.missing && was.observed != 0 {
        // A removal that is taken back before it is sent does not put anybody there.
        db.prepare_cached(UNSURE)?.execute([group, user])?;
        return Ok(true);
    }
    Ok(was.observed != i64::from(pair.desired))
}

/// Whether somebody may wait for this pair: an add of an inactive user is not
/// sent, and nothing is for a user the application cannot know. And whether it
/// waits itself, for an account that is staged.
fn workable(db: &Connection, user: i64, desired: bool) -> Result<(bool, bool)> {
    let workable = db
        .prepare_cached(WORKABLE)?
        .query_row(params![user, desired], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(workable.unwrap_or_default())
}

fn text_of(id: [u8; 16]) -> String {
    ResourceId::from_bytes(id).to_string()
}
