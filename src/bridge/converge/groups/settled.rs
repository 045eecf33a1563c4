//! What a reading at the end of a group's turn says of those of whom the answers to its
//! calls said nothing.

use super::{
    super::{Doubts, Pause, identities::Identities, pause_after},
    Turn,
};
use crate::{plan::state::UserKey, upstream::UpstreamError};

impl Turn<'_> {
    /// Members the application did not list as done are settled by reading the
    /// membership once. A pair the read contradicts is tried once more before
    /// it is believed to be refused; see [`Doubts`].
    pub(super) async fn settle_by_reading(&mut self, pause: Pause, doubts: &mut Doubts) -> Pause {
        if self.open.is_empty() || pause != Pause::None || self.is_absent() {
            return pause;
        }
        if self.gave_way && self.is_put_off(doubts) {
            return pause;
        }
        let listed = match self.upstream.members(&self.work.name).await {
            Ok(listed) => listed,
            Err(UpstreamError::Missing { .. }) => return self.without_list().await,
            Err(error) => return pause_after(&error),
        };
        let mut pause = match self.find_anew(&listed, doubts).await {
            Ok(pause) => pause,
            Err(error) => return pause_after(&error),
        };
        let listed = Identities::of_members(&listed);
        for (user, (principal, add)) in self.open.clone() {
            let there = listed.has(&principal);
            if there == add {
                self.learned.read.push(user);
            }
            match (there, add) {
                (true, true) => self.present(user),
                (false, false) => self.absent(user),
                _ => {
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
