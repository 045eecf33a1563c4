//! What somebody has in a Snyk Group now: what a look shows, and what calls of
//! ours have done since that may have been so. Pure. A look may lag behind those
//! calls, but whatever it shows that was not so before them was done by somebody
//! in Snyk, and counts.

use std::time::Duration;

use super::{api::Membership, memory::Known, roles::Step};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) is: Option<Membership>,
    /// What it may be instead, and how long that cannot be told.
    or: Option<(Membership, Duration)>,
}

impl Now {
    pub(super) fn shown(is: Membership) -> Self {
        Self {
            is: Some(is),
            or: None,
        }
    }

    /// `given`: as a call of ours has made it, with the role and how long a look
    /// may not show that.
    pub(super) fn of(shown: Option<Membership>, known: Option<&Known>, given: &Given<'_>) -> Self {
        let Some((known, (role, rest))) = known.zip(given.role) else {
            return Self {
                is: shown,
                or: None,
            };
        };
        let made = |of: Membership| Membership {
            id: known.id.clone(),
            role_id: role.to_owned(),
            role_name: given.role_name.clone(),
            user_id: given.user.to_owned(),
            ..of
        };
        match shown {
            None => Self {
                is: Some(made(Membership::default())),
                or: None,
            },
            Some(shown) if shown.id == known.id && known.was(&shown.role_id) => Self {
                is: Some(made(shown.clone())),
                or: (shown.role_id != role).then_some((shown, rest)),
            },
            Some(shown) => Self {
                is: Some(shown),
                or: None,
            },
        }
    }

    /// What is to be done, if it is the same whichever it is; else how long to
    /// wait.
    pub(super) fn step(&self, of: impl Fn(Option<&Membership>) -> Step) -> Result<Step, Duration> {
        let step = of(self.is.as_ref());
        match &self.or {
            Some((other, rest)) if of(Some(other)) != step => Err(*rest),
            _ => Ok(step),
        }
    }

    /// Everything that it may be.
    pub(super) fn all(&self) -> impl Iterator<Item = &Membership> {
        let other = self.or.as_ref().map(|(other, _)| other);
        self.is.iter().chain(other)
    }
}

/// What a call of ours gave whom.
#[derive(Debug)]
pub(super) struct Given<'a> {
    pub(super) user: &'a str,
    pub(super) role: Option<(&'a str, Duration)>,
    pub(super) role_name: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{
        super::{memory::Memory, roles::step_down},
        *,
    };

    const LAG: Duration = Duration::from_secs(10);

    fn shown(id: &str, role: &str) -> Option<Membership> {
        Some(Membership {
            id: id.into(),
            user_id: "ann".into(),
            role_id: role.into(),
            ..Membership::default()
        })
    }

    fn now(memory: &Memory, shown: Option<Membership>) -> Now {
        let known = memory.membership("g", "ann");
        let given = Given {
            user: "ann",
            role: known.as_ref().and_then(|it| it.given(LAG)),
            role_name: String::new(),
        };
        Now::of(shown, known.as_ref(), &given)
    }

    fn role(now: &Now) -> Option<&str> {
        now.is.as_ref().map(|it| it.role_id.as_str())
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_may_lag_is_told_from_what_somebody_did_since() {
        let memory = Memory::default();
        let leaves_viewer = |now: &Now| now.step(|now| step_down("viewer", None, now));
        assert_eq!(role(&now(&memory, None)), None);
        assert_eq!(role(&now(&memory, shown("m", "member"))), Some("member"));

        // It was made by us: nothing was there before.
        memory.done("g", "ann", ("m", "viewer"), "");
        assert_eq!(role(&now(&memory, None)), Some("viewer"));
        assert_eq!(role(&now(&memory, shown("m", "viewer"))), Some("viewer"));
        let by_hand = now(&memory, shown("m", "admin"));
        assert_eq!((role(&by_hand), by_hand.all().count()), (Some("admin"), 1));
        assert_eq!(leaves_viewer(&by_hand), Ok(Step::Nothing));
        assert_eq!(role(&now(&memory, shown("n", "admin"))), Some("admin"));

        // It was changed by us: the look may be of before.
        memory.done("g", "ann", ("m", "viewer"), "member");
        let either = now(&memory, shown("m", "member"));
        assert_eq!((role(&either), either.all().count()), (Some("viewer"), 2));
        assert_eq!(leaves_viewer(&either), Err(LAG), "it is not known which");
        let leaves_admin = either.step(|now| step_down("admin", None, now));
        assert_eq!(leaves_admin, Ok(Step::Nothing), "it is the same");
        tokio::time::advance(LAG * 2).await;
        let later = now(&memory, shown("m", "member"));
        assert_eq!((role(&later), later.all().count()), (Some("member"), 1));
    }
}
