//! What a reading at the end of a group's turn says of those of whom the answers to its
//! calls said nothing, or no.

use super::{
    super::{Doubts, Pause, identities::Identities, pause_after},
    Turn,
};
use crate::{
    plan::state::UserKey,
    store::Unread,
    upstream::{RemoteMember, UpstreamError},
};

impl Turn<'_> {
    /// Members the application did not list as done are settled by reading the
    /// membership once. A pair the read contradicts is tried once more before
    /// it is believed to be refused; see [`Doubts`].
    pub(super) async fn settle_by_reading(&mut self, pause: Pause, doubts: &mut Doubts) -> Pause {
        if self.is_absent() {
            self.believe_refusals();
            return pause;
        }
        let is_open = !self.open.is_empty() && pause == Pause::None;
        let settles = is_open && !(self.gave_way && self.is_put_off(doubts));
        let looks = !matches!(pause, Pause::For(_) | Pause::UntilAccepted);
        if !settles && (self.refusals.is_empty() || !looks) {
            return pause;
        }
        let listed = match self.upstream.members(&self.work.name).await {
            Ok(listed) => listed,
            Err(UpstreamError::Missing { .. }) if pause == Pause::None => {
                let pause = self.without_list().await;
                if self.is_absent() {
                    self.believe_refusals();
                }
                return pause;
            }
            Err(error) => {
                if matches!(
                    error,
                    UpstreamError::Rejected { .. } | UpstreamError::Barred { .. }
                ) {
                    // Nobody can look there.
                    self.believe_refusals();
                }
                let waits =
                    pause != Pause::None || self.open.is_empty() && self.refusals.is_empty();
                if waits {
                    return pause;
                }
                self.note_unread(&error);
                return pause_after(&error);
            }
        };
        // What is not settled yet stays as it is.
        let aside = (!settles).then(|| std::mem::take(&mut self.open));
        let refused = self.refusals.iter();
        let refused = refused.map(|(user, (who, add, _))| (*user, (who.clone(), *add)));
        self.open.extend(refused.collect::<Vec<_>>());
        let seen = self.settle(&listed, doubts).await;
        self.open.extend(aside.into_iter().flatten());
        if pause == Pause::None { seen } else { pause }
    }

    /// Whose removal waits is told before whose addition does.
    fn note_unread(&mut self, error: &UpstreamError) {
        if matches!(error, UpstreamError::Unknown { .. }) {
            tracing::warn!(
                group = %self.work.id, %error,
                "who is in a group cannot be read, and what a call did is not known without"
            );
        }
        let open = self.open.iter().map(|(user, (_, add))| (*user, *add));
        let refused = self
            .refusals
            .iter()
            .map(|(user, (_, add, _))| (*user, *add));
        let (adds, removals): (Vec<_>, Vec<_>) = open.chain(refused).partition(|(_, add)| *add);
        let wanted = removals.is_empty();
        let of = if wanted { adds } else { removals };
        self.learned.unread = Some(Unread {
            users: of.into_iter().map(|(user, _)| user).collect(),
            wanted,
            reason: format!(
                "no answer says what became of it, and who is in the group cannot be read: {error}"
            ),
        });
    }

    /// All that is open.
    async fn settle(&mut self, listed: &[RemoteMember], doubts: &mut Doubts) -> Pause {
        let mut pause = match self.find_anew(listed, doubts).await {
            Ok(pause) => pause,
            Err(error) => return pause_after(&error),
        };
        let listed = Identities::of_members(listed);
        // A look may show what was so before something that was done lately.
        let lately = self.since.done_lately();
        for (user, (principal, add)) in self.open.clone() {
            let refusal = self.refusals.get(&user);
            if let Some((_, _, reason)) = refusal.filter(|_| lately) {
                self.refused(user, reason.clone());
                doubts.forget(user);
                continue;
            }
            let there = listed.has(&principal);
            if there == add {
                self.learned.read.push(user);
            }
            match (there, add) {
                (true, true) => self.present(user),
                (false, false) => self.absent(user),
                _ => {
                    if let Some((_, _, reason)) = self.refusals.get(&user) {
                        self.refused(user, reason.clone());
                        doubts.forget(user);
                        continue;
                    }
                    let told = add && self.left_out.contains(&user);
                    let sent =
                        !self.only_looked.contains(&user) && !self.not_counted.contains(&user);
                    let lag = self.since.read_lag();
                    let wait = doubts.contradicted((user, add), (sent, told), lag);
                    if self.taken_on.contains(&user) {
                        doubts.leave_open(user);
                    }
                    if let Some(wait) = wait {
                        pause = sooner(pause, wait);
                        continue;
                    }
                    let act = if add {
                        "add the member"
                    } else {
                        "remove the member"
                    };
                    let reason =
                        format!("{} did not {act}", self.upstream.capabilities().application);
                    self.learned.contradicted.push(user);
                    self.refused(user, reason);
                }
            }
            doubts.forget(user);
        }
        pause
    }

    /// Some applications do what they answer a refusal to, and who is in a group may not
    /// be told to be out of it: it is looked at, once for all who were refused, before
    /// anybody is told.
    pub(super) fn hold_refusal(&mut self, user: UserKey, reason: String) {
        if let Some((principal, add)) = self.open.remove(&user) {
            self.refusals.insert(user, (principal, add, reason));
        }
    }

    /// Without a look: there is nothing to look at.
    fn believe_refusals(&mut self) {
        for (user, (principal, add, reason)) in std::mem::take(&mut self.refusals) {
            self.open.insert(user, (principal, add));
            if add || !self.is_absent() {
                self.refused(user, reason);
            } else {
                self.absent(user);
            }
        }
    }

    /// Where a turn ends for a removal, the next one has the look at whom it sent too.
    fn is_put_off(&self, doubts: &mut Doubts) -> bool {
        let mut open = self.open.keys();
        let is_told =
            |user: &UserKey| self.left_out.contains(user) || self.not_counted.contains(user);
        if open.any(is_told) || !doubts.put_off(&self.open, self.began, self.since.read_lag()) {
            return false;
        }
        let taken_on = self.open.keys().filter(|it| self.taken_on.contains(it));
        taken_on.for_each(|user| doubts.leave_open(*user));
        true
    }
}

/// Whichever of two looks comes first.
fn sooner(one: Pause, other: Pause) -> Pause {
    match (one, other) {
        (Pause::None, wait) | (wait, Pause::None) => wait,
        (Pause::Within(one), Pause::Within(other)) => Pause::Within(one.min(other)),
        _ => Pause::BackOff,
    }
}
