//! What a client of the application does: it looks before it writes, its looks lag, and
//! what it writes may fail, or come to be long after it was given up.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    super::super::{below, chance, now},
    FAMILIES, Kind, Lie, Roles, account_of, address, id_of, later, name_of, parts,
    state::{Held, OnItsWay, Sent, State, Write},
    twin_of, unclear,
};
use crate::{
    plan::state::Principal,
    upstream::{MemberOutcome, Millis, RemoteUser, UpstreamError},
};

impl Roles {
    pub(super) async fn takes_its_time(&self) {
        let slow = self.lock().faults > 0 && chance(4);
        let most = if slow { 8_000 } else { 60 };
        tokio::time::sleep(Duration::from_millis(1 + below(most))).await;
    }

    pub(super) async fn look(&self) -> Result<Held, UpstreamError> {
        tokio::time::sleep(Duration::from_millis(1 + below(30))).await;
        let faults = self.lock().faults;
        if chance(faults / 3) {
            // Nothing was sent yet that writes.
            return Err(later());
        }
        let most = self.lock().lag;
        let lag = Millis::try_from(below(most + 1)).unwrap();
        let mut state = self.lock();
        let mut seen = state.seen(lag);
        // As a client leaves out what calls of any connection have ended.
        if self.kind == Kind::Shared {
            seen.retain(|_, (id, _)| !state.ended.contains(id));
        }
        Ok(seen)
    }

    /// Sends one call that writes. False: it was refused as it is not so.
    pub(super) async fn write(
        &self,
        account: &str,
        family: &str,
        write: Write,
    ) -> Result<bool, UpstreamError> {
        let faults = self.lock().faults;
        let fate = if chance(faults) { below(10) } else { 10 };
        if fate < 2 {
            return Err(later());
        }
        let what = Sent {
            by: self.by,
            account: account.to_owned(),
            family: family.to_owned(),
            write: write.clone(),
        };
        self.lock().writes.push(now());
        if std::env::var_os("WORLD").is_some() {
            println!("{} {what:?}", now());
        }
        let ends = match &write {
            Write::Take(id) => Some(*id),
            _ => None,
        };
        let number = {
            let mut state = self.lock();
            state.sent += 1;
            state.sent
        };
        let mut on_its_way = OnItsWay {
            app: self,
            number,
            what: Some(what),
        };
        self.takes_its_time().await;
        let what = on_its_way.what.take();
        drop(on_its_way);
        let given = write.clone();
        let done = match fate {
            2..4 => Err(unclear("lost before")),
            4..7 => {
                let at = self.late();
                let sent = what.expect("it was there");
                self.lock().coming.push((at, sent));
                Err(unclear("late"))
            }
            _ => {
                let mut state = self.lock();
                state.settle();
                let done = self.lie_about(&mut state, account, family, write);
                if fate < 10 {
                    Err(unclear("lost after"))
                } else {
                    state.ended.extend(ends.filter(|_| done));
                    Ok(done)
                }
            }
        };
        if done.is_err() {
            let who = address(account).to_owned();
            let mut state = self.lock();
            state.unclear.insert(who, now());
            state.note_given(account, family, &given);
        }
        if std::env::var_os("WORLD").is_some() {
            println!("{} = {done:?}", now());
        }
        self.takes_its_time().await;
        done
    }

    fn lie_about(&self, state: &mut State, account: &str, family: &str, write: Write) -> bool {
        let key = (account.to_owned(), family.to_owned());
        let lowers = |rank: usize| state.held.get(&key).is_some_and(|held| held.1 < rank);
        let write = match (self.lie, write) {
            (Lie::GivesNothing, Write::Give(_)) | (Lie::TakesNothing, Write::Take(_)) => {
                return true;
            }
            (Lie::LowersNothing, Write::Change(_, rank)) if lowers(rank) => return true,
            (Lie::GivesTheHighest, Write::Give(_)) => Write::Give(0),
            (_, write) => write,
        };
        let by = (now(), Some(self.by));
        let twin = twin_of(account);
        if self.lie == Lie::GivesToTwins {
            state.perform(by, &twin, family, &write);
        }
        if self.lie == Lie::TakesFromTwins {
            let of_twin = state.held.iter().find(|((of, _), _)| *of == twin);
            if let Some(((_, family), (id, _))) = of_twin.map(|(key, it)| (key.clone(), *it)) {
                state.perform(by, &twin, &family, &Write::Take(id));
            }
        }
        state.perform(by, account, family, &write)
    }

    /// Which account a member is: the linked one, else the one of the address that
    /// has something, or of those that have nothing.
    pub(super) fn account(&self, held: &Held, member: &Principal) -> Result<String, UpstreamError> {
        if let Some(id) = &member.upstream_id {
            return Ok(account_of(id).to_owned());
        }
        let found = only(self.accounts(held, &member.account))?;
        Ok(found.unwrap_or_else(|| member.account.clone()))
    }

    pub(super) fn accounts(&self, held: &Held, of: &str) -> BTreeSet<String> {
        let there = held.keys().map(|(account, _)| account);
        let there: BTreeSet<_> = there.filter(|it| address(it) == of).cloned().collect();
        if !there.is_empty() {
            return there;
        }
        let state = self.lock();
        let known = state.known.iter().filter(|it| address(it) == of);
        known.cloned().collect()
    }

    pub(super) fn is_there(&self, account: &str) -> bool {
        self.lock().known.contains(account)
    }

    /// Whose account it is, by an id that is known or by the address.
    pub(super) async fn link(
        &self,
        of: &str,
        known: Option<&str>,
    ) -> Result<String, UpstreamError> {
        let held = self.look().await?;
        let found = self.accounts(&held, of);
        match known.map(account_of) {
            Some(known) if found.is_empty() || self.is_there(known) => Ok(known.to_owned()),
            _ => only(found)?.ok_or_else(|| UpstreamError::Staged {
                reason: "it has not signed in yet".into(),
            }),
        }
    }

    pub(super) async fn change(
        &self,
        group: &str,
        member: &Principal,
        add: bool,
    ) -> Result<MemberOutcome, UpstreamError> {
        let (family, own) = parts(group);
        let seen = self.look().await?;
        let account = self.account(&seen, member)?;
        let held = seen.get(&(account.clone(), family.clone())).copied();
        let counts = member.counts.as_deref().map(|name| parts(name).1);
        let write = match (held, add) {
            (Some((id, rank)), true) if rank <= own => {
                let has = name_of(&family, rank);
                if member.given_up.contains(&has) {
                    Write::Change(id, counts.unwrap_or(own))
                } else if self.owns(&family, rank) {
                    let asked = [Some(own), counts].contains(&Some(rank));
                    return Ok(if asked {
                        MemberOutcome::Seen
                    } else {
                        MemberOutcome::Above(has)
                    });
                } else {
                    // It is refused unless there is nothing by now.
                    Write::Give(counts.unwrap_or(own))
                }
            }
            (Some((id, _)), true) => Write::Change(id, counts.unwrap_or(own)),
            (None, true) => Write::Give(counts.unwrap_or(own)),
            (Some((id, rank)), false) if rank == own => match counts {
                Some(counts) => Write::Change(id, counts),
                None => Write::Take(id),
            },
            (_, false) => return Ok(MemberOutcome::Seen),
        };
        if add && self.kind == Kind::Hands && self.refuses(&account, &family) {
            return Err(UpstreamError::Rejected {
                reason: "not this one".into(),
            });
        }
        if self.write(&account, &family, write.clone()).await? {
            return Ok(MemberOutcome::Applied);
        }
        let strange = held.is_some_and(|(_, rank)| rank <= own && !self.owns(&family, rank));
        if add && strange {
            return Err(UpstreamError::Barred {
                reason: "the role is not known to be less".into(),
            });
        }
        self.lock().note_given(&account, &family, &write);
        // There is one that the look did not show, or there is none any more.
        Err(unclear("not as it was shown"))
    }

    /// Whether such a call is refused, without a doubt.
    pub(super) fn refuses(&self, account: &str, family: &str) -> bool {
        let refuses = self.lock().faults > 0 && chance(20);
        if refuses {
            let of = (account.to_owned(), family.to_owned());
            self.lock().refused.insert(of);
        }
        refuses
    }

    /// The end of an account, and of others that have its address: one call for
    /// each family, but for what is another connection's. Whether there was anything.
    pub(super) async fn end(&self, who: &Principal) -> Result<bool, UpstreamError> {
        let mut found = false;
        let twins = who.twins.iter().map(|id| Some(account_of(id).to_owned()));
        for account in [None].into_iter().chain(twins) {
            for family in FAMILIES {
                let spares = self.lie != Lie::SparesNothing;
                if spares && who.elsewhere.iter().any(|it| it == family) {
                    continue;
                }
                let seen = self.look().await?;
                let account = match &account {
                    Some(account) => account.clone(),
                    None => self.account(&seen, who)?,
                };
                let held = seen.get(&(account.clone(), family.to_owned())).copied();
                let spared = |rank| spares && who.elsewhere.contains(&name_of(family, rank));
                let held = held.filter(|(_, rank)| !spared(*rank));
                found |= held.is_some();
                if let Some((id, _)) = held
                    && self.lie != Lie::EndsNothing
                {
                    self.write(&account, family, Write::Take(id)).await?;
                }
            }
        }
        Ok(found)
    }

    /// Every account, and those that have something first.
    pub(super) fn listed(&self, held: &Held) -> Vec<RemoteUser> {
        let mut met: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
        let mut found: Vec<RemoteUser> = Vec::new();
        for family in FAMILIES {
            let mut of: Vec<_> = held.iter().filter(|((_, of), _)| of == family).collect();
            of.sort_by_key(|(_, (membership, _))| *membership);
            for ((account, _), (_, rank)) in of {
                let has = (family.to_owned(), name_of(family, *rank));
                match met.get(address(account)) {
                    Some((first, place)) if *first == account.as_str() => {
                        found[*place].has.push(has);
                    }
                    known => {
                        if known.is_none() {
                            met.insert(address(account), (account, found.len()));
                        }
                        found.push(RemoteUser {
                            has: vec![has],
                            ..remote(account)
                        });
                    }
                }
            }
        }
        let state = self.lock();
        for account in &state.known {
            if !held.keys().any(|(of, _)| of == account) {
                found.push(RemoteUser {
                    idle: true,
                    ..remote(account)
                });
            }
        }
        found
    }
}

/// Of several nobody can tell which is meant.
fn only(mut found: BTreeSet<String>) -> Result<Option<String>, UpstreamError> {
    if found.len() > 1 {
        return Err(UpstreamError::Barred {
            reason: "several accounts have the address".into(),
        });
    }
    Ok(found.pop_first())
}

pub(super) fn remote(account: &str) -> RemoteUser {
    RemoteUser {
        account: address(account).to_owned(),
        upstream_id: Some(id_of(account)),
        active: true,
        ..RemoteUser::default()
    }
}
