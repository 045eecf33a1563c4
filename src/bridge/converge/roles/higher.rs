//! What stands before the group that is asked for, and that the user has without having
//! been asked for there: given by the application itself, as at the first sign-in, or by
//! somebody in it. To give what is asked for in its place is a removal from it, so the
//! guard is asked as for one; the call is the same as any other.

use std::time::Duration;

use super::{
    super::people::Told, Alternative, Call, Each, Higher, MemberOutcome, Outcome, Principal,
    READ_LAG, SHORT, StoreError, UpstreamError,
};

impl Each<'_> {
    /// Sends what is wanted, and once more where something higher is found that is to
    /// give way.
    pub(super) async fn give(
        &self,
        member: &Principal,
        (wanted, counts): (bool, Option<&Alternative>),
        told: &Told,
        calls: &mut Vec<Call>,
    ) -> Result<Outcome, UpstreamError> {
        let result = self.send(member, wanted, counts, calls).await;
        let Some(has) = above(&result) else {
            return result;
        };
        // It is looked again, or what is asked for is to go on as that.
        if told.doubts(self.family, wanted).is_some()
            || self.upstream.is_made_anew(&self.group, has)
        {
            return result;
        }
        // What it shows may be of before a call of ours, and nobody's wish.
        if let Some(lag) = told.lag() {
            return Ok(waits(member, lag));
        }
        let has = has.to_owned();
        match self.counts.higher(member.user, &has).await {
            Ok(Higher::Stays) => result,
            Ok(Higher::Waits) => Ok(waits(member, READ_LAG)),
            Ok(Higher::Refused(reason)) => Err(UpstreamError::Barred { reason }),
            Ok(Higher::GivesWay) => self.give_instead(member, &has, counts, calls).await,
            Err(error) => Err(not_now(&error)),
        }
    }

    async fn give_instead(
        &self,
        member: &Principal,
        has: &str,
        counts: Option<&Alternative>,
        calls: &mut Vec<Call>,
    ) -> Result<Outcome, UpstreamError> {
        let mut given_up = member.given_up.clone();
        given_up.push(has.to_owned());
        let member = Principal {
            given_up,
            has: true,
            ..member.clone()
        };
        let result = self.send(&member, true, counts, calls).await;
        if is_kept(&result) {
            let stays = self.counts.higher_stays(member.user, has).await;
            stays.map_err(|error| not_now(&error))?;
        }
        match above(&result) {
            // It is another one by now.
            Some(_) => Ok(waits(&member, SHORT)),
            None => result,
        }
    }
}

/// What a look has shown instead.
fn above(result: &Result<Outcome, UpstreamError>) -> Option<&str> {
    match result.as_ref().ok()?.members.first()? {
        (_, MemberOutcome::Above(has)) => Some(has),
        _ => None,
    }
}

/// Nothing was taken away, for certain.
fn is_kept(result: &Result<Outcome, UpstreamError>) -> bool {
    match result {
        Ok(outcome) => matches!(
            outcome.members.first(),
            Some((
                _,
                MemberOutcome::Above(_) | MemberOutcome::Seen | MemberOutcome::Waits(_)
            ))
        ),
        Err(error) => !matches!(error, UpstreamError::Unknown { .. }),
    }
}

fn waits(member: &Principal, wait: Duration) -> Outcome {
    Outcome {
        members: vec![(member.user, MemberOutcome::Waits(wait))],
        ..Outcome::default()
    }
}

fn not_now(error: &StoreError) -> UpstreamError {
    tracing::error!(%error, "a lane cannot use the store");
    UpstreamError::Later {
        after: None,
        reason: "the store cannot be used".into(),
    }
}
