//! A group that is not there any more, as a call about its members said and a
//! look shows. Where nothing was done with it for longer than a look can lag, that
//! is believed (reliability: H-12): whoever was to go is gone, whoever was to be
//! added is refused, and the group is told; it is not made again before it is
//! asked for (H-15, F-09). What a late deletion of ours may have taken is looked
//! after by the next turn, and made again.

use super::{
    Pause,
    groups::{Next, Turn},
    pause_after, was_done,
};
use crate::plan::{capability::Act, state::Existence};

impl Turn<'_> {
    /// After a look that did not show it either.
    pub(super) fn take_for_gone(&mut self) -> Next {
        if self.doubted {
            return self.look_again();
        }
        if self.is_given() && !self.work.kept {
            return Next::Stop(self.vanished("change its members"));
        }
        let lately = self.since.done_lately() || self.learned.calls.iter().any(was_done);
        if lately {
            return Next::Stop(Pause::Look);
        }
        let (app, name) = (&self.upstream.capabilities().application, &self.work.name);
        let reason = format!("{app} does not have the group {name:?} any more");
        if self.work.kept {
            tracing::info!(group = %self.work.id, %reason, "it was to be deleted");
        } else {
            tracing::warn!(group = %self.work.id, %reason, "a group is gone");
        }
        self.work.removes.clear();
        for (user, (_, add)) in self.open.clone() {
            if add {
                self.refused(user, reason.clone());
            } else {
                self.absent(user);
            }
        }
        self.learned.existence = Some(Existence::Absent);
        let what_now = if self.upstream.capabilities().can(Act::CreateGroup) {
            "whoever asks for somebody in it has it made again, with all of its members"
        } else {
            "no group is made through this bridge, so delete this Group, and ask for its members \
             in the one that is there in its place, if any is"
        };
        self.learned.gone = Some(format!("{reason}; {what_now}"));
        Next::Stop(Pause::None)
    }

    /// Its members were not found.
    pub(super) async fn without_list(&mut self) -> Pause {
        match self.upstream.group(&self.work.name).await {
            Ok(Some(_)) => Pause::BackOff,
            Ok(None) if self.doubted => {
                // What was sent is as open as it was.
                self.doubt();
                Pause::Look
            }
            Ok(None) => match self.take_for_gone() {
                Next::Stop(pause) => pause,
                Next::GoOn => Pause::None,
            },
            Err(error) => pause_after(&error),
        }
    }
}
