//! Whether a failure to read one group says anything of the others. An application
//! that is down as a whole ends a reading: when it is, the circuit of the shared
//! client says. That calls of one kind fail, as some reads of members do, ends none
//! of which anything came lately: each of them then waits for its try. One that asks
//! for a pause whenever a certain group is read, and takes other calls after that, is
//! not down either.

use crate::upstream::{Upstream, UpstreamError};

/// With reads stopped, so many groups in a row that cannot be read end the reading.
const IN_A_ROW: u64 = 40;

/// How the groups of one reading could be read so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reads {
    /// Some group could be.
    pub(super) any: bool,
    /// Groups in a row that could not.
    in_a_row: u64,
}

impl Reads {
    /// `any`: some could be before, where this goes on.
    pub(super) fn after(any: bool) -> Self {
        Self { any, in_a_row: 0 }
    }

    pub(super) fn read(&mut self) {
        *self = Self::after(true);
    }

    pub(super) fn failed(&mut self) {
        self.in_a_row += 1;
    }

    /// Gives back a failure that says nothing of the other groups; `Err` is one that
    /// ends the reading. That a pause was asked for says nothing of them where the
    /// next call, one of another kind, is taken.
    pub(super) async fn of_one_group(
        &self,
        upstream: &dyn Upstream,
        error: UpstreamError,
    ) -> Result<UpstreamError, UpstreamError> {
        if error.is_put_off() && self.in_a_row < IN_A_ROW {
            return upstream.groups().await.map(|_| error);
        }
        if self.is_of_one_group(upstream, &error) {
            Ok(error)
        } else {
            Err(error)
        }
    }

    fn is_of_one_group(&self, upstream: &dyn Upstream, error: &UpstreamError) -> bool {
        let some_can_be_read = || {
            let condition = upstream.condition();
            !condition.unreachable || self.any && self.in_a_row < IN_A_ROW && !condition.is_all_down
        };
        match error {
            UpstreamError::Later { .. } => error.is_stopped() && some_can_be_read(),
            UpstreamError::Denied { .. } => !upstream.is_refused_all(),
            UpstreamError::Unknown { .. } => some_can_be_read(),
            _ => true,
        }
    }
}
