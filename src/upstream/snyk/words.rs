//! What an operation comes to in Snyk, in words, for whoever looks at a plan: one
//! membership is made, its role is changed, or it is deleted. It is told of what
//! is known; the look before a call may show something else, which counts then.

use super::{Snyk, families::ids};
use crate::plan::{operation::Operation, state::Principal};

impl Snyk {
    pub(super) fn words(&self, operation: &Operation, has: Option<&str>) -> Option<String> {
        match operation {
            Operation::AddMembers { group, members } => {
                self.words_of_one(group, members, has, true)
            }
            Operation::RemoveMembers { group, members } => {
                self.words_of_one(group, members, has, false)
            }
            Operation::DeactivateUser { principal } => Some(format!(
                "delete the membership of User {} in every Snyk Group of the connection",
                principal.id
            )),
            _ => None,
        }
    }

    fn words_of_one(
        &self,
        name: &str,
        members: &[Principal],
        has: Option<&str>,
        wanted: bool,
    ) -> Option<String> {
        let ([who], (group, own)) = (members, ids(name)?) else {
            return None;
        };
        let role = |name: &str| ids(name).map(|(_, role)| role.to_owned());
        let (has, counts) = (has.and_then(role), who.counts.as_deref().and_then(role));
        let before = who.fallback.as_ref().filter(|_| !wanted);
        let before = || before.and_then(|it| role(&it.group));
        let to = counts
            .or_else(|| wanted.then(|| own.to_owned()))
            .or_else(before);
        let place = |role: &str| self.families.place(group, role);
        let stays = match &has {
            Some(has) if wanted => place(has).is_some_and(|at| Some(at) <= place(own)),
            Some(has) => has != own,
            None => !wanted,
        };
        let called = |role: &str| {
            let name = self.families.name_of(group, role);
            name.unwrap_or_else(|| role.to_owned())
        };
        let of = format!("of User {} in the Snyk Group {group}", who.id);
        Some(match (has, to) {
            _ if stays => return None,
            (has, to) if has == to => return None,
            (None, Some(to)) => format!("create the membership {of} with the role {}", called(&to)),
            (Some(has), Some(to)) => {
                let (from, to) = (called(&has), called(&to));
                format!("change the role {of} from {from} to {to}")
            }
            (_, None) => format!("delete the membership {of}"),
        })
    }
}
